"""Bits that flip, files that are cut: found, or nothing of the record is touched. And the check itself: it can see."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lifecycle.audit.checkpoint import checkpoint
from lifecycle.audit.verify import verify
from lifecycle.errors import LifecycleError
from lifecycle.log import SqliteLog
from lifecycle.testing.history import rows
from lifecycle.testing.log_samples import annotated, begin, new
from tests.audit.tampering import KEY
from tests.chaos.check import looked_at, whole
from tests.chaos.record import SEED
from tests.log.support import foreign

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.record import Figures


#: `make chaos` flips more.
FLIPS = 60 * int(os.environ.get("CHAOS_ROUNDS", "6")) // 6


def history(path: Path, *, closed: bool = True) -> SqliteLog:
    log = SqliteLog(path, journal="wal")
    for stream in ("s-1", "s-2"):
        begin(log, stream)
        for n in range(8):
            log.append(stream, [new(annotated(n=n))], expected=n + 2)
    if closed:
        log.close()
    return log


def copy_of(path: Path, to: Path) -> Path:
    """The database and its -wal as they stand on the disk; nobody in this process has the copy open."""
    to.mkdir(exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        (to / f"log.db{suffix}").unlink(missing_ok=True)
    with closing(SqliteLog(path, read_only=True)):
        for suffix in ("", "-wal"):
            source = path.with_name(f"log.db{suffix}")
            if source.exists():
                # By another process: opening the file here would drop SQLite's locks on it.
                subprocess.run(["cp", str(source), str(to)], check=True)
    return to / "log.db"


def test_a_flipped_bit_is_found_or_touches_no_event(memory_dir: Path, figures: Figures) -> None:
    history(memory_dir / "log.db")
    image = (memory_dir / "log.db").read_bytes()
    with closing(SqliteLog(memory_dir / "log.db")) as log:
        right = list(rows(log))
    chance, silent = random.Random(SEED), 0
    victim = memory_dir / "victim" / "log.db"
    victim.parent.mkdir()
    for _ in range(FLIPS):
        spoiled = bytearray(image)
        spoiled[chance.randrange(len(image))] ^= 1 << chance.randrange(8)
        victim.write_bytes(spoiled)
        try:
            with closing(SqliteLog(victim, read_only=True)) as log:
                if verify(log).ok:
                    silent += 1
                    assert list(rows(log)) == right
        except LifecycleError:
            pass
    assert silent < FLIPS, "nothing was ever found"
    figures("bits flipped in the database", {"found": FLIPS - silent, "in no event": silent}, seed=SEED, bad=FLIPS)


def test_a_database_cut_anywhere_is_named(memory_dir: Path, figures: Figures) -> None:
    history(memory_dir / "log.db")
    image = (memory_dir / "log.db").read_bytes()
    victim = memory_dir / "victim" / "log.db"
    victim.parent.mkdir()
    sizes = range(1, len(image) - 1, len(image) // 40)
    for size in sizes:
        victim.write_bytes(image[:size])
        assert found(victim), f"cut to {size} of {len(image)} bytes and nothing was found"
    figures("database cut anywhere", {"found": len(sizes)}, bad=len(sizes))


def found(path: Path) -> bool:
    try:
        with closing(SqliteLog(path, read_only=True)) as log:
            return not verify(log).ok
    except LifecycleError:
        return True


def test_a_write_ahead_log_cut_anywhere_leaves_a_sound_prefix(memory_dir: Path, figures: Figures) -> None:
    with history(memory_dir / "log.db", closed=False) as log:
        right = [row.event_id for row in rows(log)]
        source = copy_of(memory_dir / "log.db", memory_dir / "copy")
        kept = checkpoint(log, KEY)
    main, wal = source.read_bytes(), source.with_name("log.db-wal").read_bytes()
    victim = memory_dir / "victim" / "log.db"
    victim.parent.mkdir()
    lengths: set[int] = set()
    sizes = range(0, len(wal), 4096 + 24)
    for size in sizes:
        for suffix in ("-wal", "-shm"):
            victim.with_name(f"log.db{suffix}").unlink(missing_ok=True)
        victim.write_bytes(main)
        victim.with_name("log.db-wal").write_bytes(wal[:size])
        assert looked_at(victim, ()) == []
        with closing(SqliteLog(victim)) as log:
            left = [row.event_id for row in rows(log)]
            assert left == right[: len(left)]
            assert verify(log).ok
            assert verify(log, against=kept).ok == (len(left) == len(right))
        lengths.add(len(left))
    assert len(lengths) > 10
    figures("write-ahead log cut anywhere", {"different prefixes": len(lengths)}, bad=len(sizes))


def test_what_a_missing_write_ahead_log_took_shows_against_a_checkpoint(memory_dir: Path) -> None:
    with history(memory_dir / "log.db", closed=False) as log:
        source = copy_of(memory_dir / "log.db", memory_dir / "copy")
        kept = checkpoint(log, KEY)
    source.with_name("log.db-wal").unlink()
    with closing(SqliteLog(source)) as log:
        assert verify(log).ok, "nothing can show it in the file alone"
        assert not verify(log, against=kept).ok


@pytest.mark.parametrize(
    ("planted", "seen"),
    [
        ("DELETE FROM events WHERE position = 20", "lost"),
        ("DELETE FROM events WHERE position = 7", "positions"),
        ("UPDATE events SET version = 99 WHERE position = 20", "versions"),
        ("UPDATE events SET data = '{' WHERE position = 5", "partial"),
        ("UPDATE events SET hash = 'x' WHERE position = 5", "partial"),
        ("UPDATE events SET event_id = 'nobodys' WHERE position = 5", "strange"),
        ("UPDATE events SET actor = 'somebody else' WHERE position = 5", "verify"),
        ("UPDATE sessions SET status = 'closed' WHERE session_id = 's-1'", "verify"),
        ("UPDATE events SET type = 'session.started' WHERE position = 5", "history"),
        ("UPDATE events SET type = 'session.closed' WHERE position IN (9, 10)", "endings"),
    ],
)
def test_each_planted_bug_is_seen(planted: str, seen: str, memory_dir: Path) -> None:
    """The proof that a green run of an attack says something: one bug for each kind of finding."""
    path = memory_dir / "log.db"
    history(path)
    with foreign(path) as conn:
        ids = [row[0] for row in conn.execute("SELECT event_id FROM events")]
    assert whole(path, ids, ids) == []
    with foreign(path) as conn:
        guards = conn.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        guards += conn.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%session.closed%'"
        ).fetchall()
        for name, sql in guards:
            conn.execute(f"DROP {'INDEX' if 'INDEX' in sql.upper() else 'TRIGGER'} {name}")
        conn.execute("PRAGMA ignore_check_constraints = ON")
        conn.execute(planted)
        for _, sql in guards:
            if seen != "endings" or "INDEX" not in sql.upper():
                conn.execute(sql)
    assert any(text.startswith(seen) for text in whole(path, ids, ids)), whole(path, ids, ids)
