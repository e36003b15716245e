// One side of one row for Emmett on SQLite: ROW SIZE DIRECTORY, its packages being in $BENCH_PEER_HOME.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const { appendToStream, createEventStoreSchema, readMessagesBatch, sqliteConnection } =
  createRequire(join(process.env.BENCH_PEER_HOME, 'package.json'))('@event-driven-io/emmett-sqlite');

const LIFE = 5;
const WHO = { host: 'host', boot_id: 'boot', pid_namespace: 'ns', pid: 100, started: 5 };
// The same five events with the same public fields.
const life = (at) => [
  { type: 'session.created', data: { at, limits: { idle_timeout_us: 180_000_000, max_duration_us: 900_000_000 },
    config: { headless: true, viewport_width: 1920, viewport_height: 1080 }, owner: WHO } },
  { type: 'session.started', data: { at: at + 1, ownership: 'launched', keeper: WHO, browser: WHO } },
  { type: 'session.accessed', data: { at: at + 2, last_at: at + 2, by: 'gate' } },
  { type: 'session.closed', data: { at: at + 3, cause: 'stopped' } },
  { type: 'session.released', data: { at: at + 4, how: 'graceful', exit_code: 0 } },
];

const evolve = (known, { type, data }) => {
  switch (type) {
    case 'session.created': return { status: 'created', createdAt: data.at };
    case 'session.started': return { ...known, status: 'active' };
    case 'session.closed': return { ...known, status: 'closed', cause: data.cause, closedAt: data.at };
    default: return known;
  }
};

// Sessions that are written in one transaction.
const TOGETHER = 2_000;

const opened = async (directory) => {
  const connection = sqliteConnection({ fileName: join(directory, 'peer.db') });
  await createEventStoreSchema(connection);
  await connection.command('PRAGMA synchronous = NORMAL');
  return connection;
};

const events = async (connection) =>
  (await connection.querySingle('SELECT MAX(global_position) AS last FROM emt_messages')).last ?? 0;

// Whole sessions until there are so many events; says on each line how many there are.
const fill = async (directory, size) => {
  const connection = await opened(directory);
  let there = await events(connection);
  while (there < size) {
    const first = there / LIFE;
    const end = Math.min(first + TOGETHER, size / LIFE);
    await connection.withTransaction(async () => {
      for (let number = first; number < end; number += 1)
        await appendToStream(connection, `session-${number}`, 'session', life(1_790_000_000_000_000 + number * 1000));
    });
    there = end * LIFE;
    console.log(there);
  }
  connection.close();
  return there;
};

// Status, cause and duration of every session: all messages in their order, as its own consumers read them.
const replay = async (directory, size) => {
  const connection = await opened(directory);
  if (await events(connection) === 0)
    for (let number = 0; number < size / LIFE; number += 1)
      await appendToStream(connection, `session-${number}`, 'session', life(1_790_000_000_000_000 + number * 1000));
  const began = process.hrtime.bigint();
  const sessions = new Map();
  let after = 0n;
  for (let left = true; left;) {
    const batch = await readMessagesBatch(connection, { after, batchSize: 1000 });
    for (const message of batch.messages) {
      const name = message.metadata.streamName;
      sessions.set(name, evolve(sessions.get(name), message));
    }
    after = batch.currentGlobalPosition;
    left = batch.areEventsLeft;
  }
  let total = 0;
  for (const { createdAt, closedAt } of sessions.values()) total += closedAt - createdAt;
  const took = Number(process.hrtime.bigint() - began) / 1e9;
  if (sessions.size !== Math.ceil(size / LIFE) || total !== 3 * sessions.size) throw new Error('another outcome');
  connection.close();
  return took / size;
};

const [row, size, directory] = process.argv.slice(2);
console.log(JSON.stringify(await { fill, replay }[row](directory, Number(size))));
