"""The claim of the audit: whatever single thing is changed in a log, verify() finds it.

For every column of every table, edits of six kinds: flip (one value becomes another), swap (two rows exchange theirs),
delete, insert, truncate (the last rows), and rewrite: a value is changed and everything that is computed from it is
computed anew, hashes, list and tree, for which verify() gets the checkpoint that was kept elsewhere. Each edit is made
without guards, looked at by verify() itself, and rolled back. Here it is one edit a column and kind, in a log of 200
sessions; `make tamper` makes 500 of each kind in one of 1,000.

An event that is appended by the rules is history and no forgery; and an empty tree is only a cache that is cold.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from lifecycle.audit import histories, listed
from lifecycle.audit import verify as verifying
from lifecycle.log.canonical import canonical
from lifecycle.log.codec import commitment
from lifecycle.log.schema import RECORD
from lifecycle.log.sqlite import SqliteLog
from lifecycle.projections.replay import mend

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

from tests.audit.tampering import checkpointed, rehash, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLES: Final = ("events", "private", "sessions", "session_labels", "unreadable", "tree")
_TRIGGERS: Final = tuple(name for name, sql in RECORD.items() if sql.startswith("CREATE TRIGGER"))
_KEYS: Final = {
    "events": "position",
    "private": "event_id",
    "sessions": "rowid",
    "session_labels": "(name, value, created_at, session_id)",
    "unreadable": "stream",
    "tree": "(level, number)",
}

#: (kind, table, column): what one edit is about; column is "" where it is about rows
Target = tuple[str, str, str]


class Impossible(Exception):
    """This edit changes nothing, or SQLite has no way to store it; another one is drawn."""


class Bench:
    """A log, and the one connection through which it is both changed and looked at, so that a rollback undoes it."""

    def __init__(self, directory: Path, sessions: int, seed: int) -> None:
        self.log = written(directory / "log.db", sessions)
        self.checkpoint = checkpointed(self.log)
        self.log.close()
        self.log = SqliteLog(directory / "log.db", create=False)
        conn = self.log._file._reading.conn  # pyright: ignore[reportPrivateUsage]
        assert conn is not None
        conn.set_authorizer(None)
        conn.execute("PRAGMA ignore_check_constraints = ON")
        self.conn: sqlite3.Connection = conn
        self.random = random.Random(seed)
        self.columns = {table: [str(row[1]) for row in conn.execute(f"PRAGMA table_info({table})")] for table in TABLES}

    def targets(self) -> Iterator[Target]:
        """Everything there is to change."""
        for table, columns in self.columns.items():
            if table != "unreadable":  # it is empty in a log that can be read
                yield from (("flip", table, column) for column in columns)
                yield from (("swap", table, column) for column in columns)
                yield from (("delete", table, ""), ("truncate", table, ""))
            yield "insert", table, ""
        yield from (("rewrite", "events", column) for column in self.columns["events"] if column != "hash")
        yield "rewrite", "private", "body"
        yield "rewrite", "private", "salt"

    def finds(self, target: Target) -> bool:
        """Whether verify() finds one random edit of *target*."""
        while True:
            self.conn.execute("BEGIN IMMEDIATE")
            try:
                for name in _TRIGGERS:
                    self.conn.execute(f"DROP TRIGGER {name}")
                getattr(self, f"_{target[0]}")(*target[1:])
                for name in _TRIGGERS:
                    self.conn.execute(RECORD[name])
                against = self.checkpoint if target[0] in ("rewrite", "swap", "truncate") else None
                return not verifying.verify(self.log, against=against).ok
            except (Impossible, sqlite3.IntegrityError):
                continue
            finally:
                self.conn.execute("ROLLBACK")

    def _row(self, table: str) -> tuple[str, list[Any]]:
        """SQL that names one row at random, and its values."""
        (count,) = self.conn.execute(f"SELECT count(*) FROM {table}").fetchone()
        row = self.conn.execute(f"SELECT * FROM {table} LIMIT 1 OFFSET ?", (self.random.randrange(count),)).fetchone()
        named = " AND ".join(f"{name} IS ?" for name in self.columns[table])
        return named, list(row)

    def _other(self, value: Any) -> Any:
        """Another value of the same type."""
        match value:
            case None:
                return self.random.choice([7, "x"])
            case int():
                return value ^ (1 << self.random.randrange(20))
            case bytes():
                at = self.random.randrange(len(value) * 8)
                flipped = bytearray(value)
                flipped[at // 8] ^= 1 << at % 8
                return bytes(flipped)
            case str():
                at = self.random.randrange(len(value) or 1)
                return value[:at] + chr(ord((value or "x")[at]) ^ (1 << self.random.randrange(5))) + value[at + 1 :]
            case _:
                raise AssertionError(value)

    def _set(self, table: str, column: str, named: str, row: list[Any], value: Any) -> None:
        self.conn.execute(f"UPDATE {table} SET {column} = ? WHERE {named}", (value, *row))

    def _flip(self, table: str, column: str) -> None:
        named, row = self._row(table)
        was = row[self.columns[table].index(column)]
        self._set(table, column, named, row, self._other(was))

    def _swap(self, table: str, column: str) -> None:
        named, one = self._row(table)
        _, other = self._row(table)
        at = self.columns[table].index(column)
        if one[at] == other[at]:
            # Some columns have one value only in this log: then there is nothing to exchange.
            if self.conn.execute(f"SELECT count(DISTINCT {column}) FROM {table}").fetchone()[0] < 2:
                self._set(table, column, named, one, self._other(one[at]))
                return
            raise Impossible
        between = -1 if isinstance(one[at], int) else b"\0" * 16 if isinstance(one[at], bytes) else "between"
        self._set(table, column, named, one, between)
        self._set(table, column, named, other, one[at])
        one_moved = [*one[:at], between, *one[at + 1 :]]
        self._set(table, column, named, one_moved, other[at])

    def _delete(self, table: str, _column: str) -> None:
        named, row = self._row(table)
        self.conn.execute(f"DELETE FROM {table} WHERE {named}", row)

    def _insert(self, table: str, _column: str) -> None:
        names = self.columns[table]
        if table == "unreadable":
            self.conn.execute("INSERT INTO unreadable VALUES (?, 'because')", (self._row("events")[1][2],))
            return
        _, row = self._row(table)
        new = dict(zip(names, row, strict=True))
        if table == "events":
            (new["position"],) = self.conn.execute("SELECT max(position) + 1 FROM events").fetchone()
            (new["version"],) = self.conn.execute(
                "SELECT max(version) + 1 FROM events WHERE stream = ?", (new["stream"],)
            ).fetchone()
            new["event_id"] += "x"
        elif table == "tree":
            new["number"] += self.random.choice([1, 2, 10**6]) * 256
        elif table == "session_labels":
            new[self.random.choice(["name", "value", "session_id"])] += "x"
        else:
            new[names[0]] += "x"
        marks = ", ".join("?" * len(names))
        self.conn.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", list(new.values()))

    def _truncate(self, table: str, _column: str) -> None:
        (count,) = self.conn.execute(f"SELECT count(*) FROM {table}").fetchone()
        cut = self.random.randint(1, max(count // 5, 1))
        key = _KEYS[table]
        self.conn.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key.strip('()')} FROM {table} ORDER BY {key.strip('()')}"
            f" LIMIT -1 OFFSET ?)",
            (count - cut,),
        )
        if table == "events":
            self.conn.execute("UPDATE sqlite_sequence SET seq = (SELECT max(position) FROM events)")
            self._derive()

    def _rewrite(self, table: str, column: str) -> None:
        if table == "private":
            named, row = self._row("private")
            body, salt = row[2], row[1]
            if column == "body":
                body = canonical({"url": f"https://example.com/forged/{self.random.random()}"})
            else:
                salt = self.random.randbytes(16)
            self.conn.execute(f"UPDATE private SET body = ?, salt = ? WHERE {named}", (body, salt, *row))
            self.conn.execute(
                "UPDATE events SET private_sha256 = ? WHERE event_id = ?", (commitment(salt, body), row[0])
            )
            (stream,) = self.conn.execute("SELECT stream FROM events WHERE event_id = ?", (row[0],)).fetchone()
        else:
            self._flip("events", column)
            stream = None
        for (name,) in (
            self.conn.execute("SELECT DISTINCT stream FROM events").fetchall() if stream is None else [(stream,)]
        ):
            rehash(self.conn, name)
        self._derive()

    def _derive(self) -> None:
        """Everything derived, computed anew from what the events say now."""
        self.conn.execute("DELETE FROM private WHERE event_id NOT IN (SELECT event_id FROM events)")
        self.conn.execute("DELETE FROM tree")
        for table in ("sessions", "session_labels", "unreadable"):
            self.conn.execute(f"DELETE FROM {table}")
        for (stream,) in self.conn.execute("SELECT DISTINCT stream FROM events").fetchall():
            mend(self.conn, stream)


#: where verify() takes pure functions from, in which it spends most of its time on rows that no edit has touched
_PURE: Final = ((verifying, "stored_hash"), (verifying, "commitment"), (histories, "decode"), (listed, "decode"))


def quick(put: Callable[[object, str, Any], None]) -> None:
    """Have them remember what they gave, by way of *put*, a setattr."""
    for module, name in _PURE:
        put(module, name, lru_cache(maxsize=50_000)(getattr(module, name)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    patched = pytest.MonkeyPatch()
    quick(patched.setattr)
    made = Bench(tmp_path_factory.mktemp("bench"), sessions=200, seed=20261125)
    yield made
    made.log.close()
    patched.undo()


@pytest.mark.parametrize("kind", ["flip", "swap", "delete", "insert", "truncate", "rewrite"])
def test_one_edit_of_every_column_is_found(bench: Bench, kind: str) -> None:
    missed = [target for target in bench.targets() if target[0] == kind and not bench.finds(target)]
    assert missed == []


def test_what_is_not_changed_is_sound(bench: Bench) -> None:
    """Else everything is found."""
    assert verifying.verify(bench.log, against=bench.checkpoint).faults == ()


def main() -> int:
    """500 edits of each kind, or as many as asked for, going round all columns; tells what was found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--each", type=int, default=500)
    parser.add_argument("--every", action="store_true", help="so many of every column and table, not of every kind")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=["flip", "swap", "delete", "insert", "truncate", "rewrite"])
    given = parser.parse_args()
    quick(setattr)
    missed: Counter[Target] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), given.sessions, given.seed)
        for kind in given.kinds:
            began = time.monotonic()
            targets = [target for target in bench.targets() if target[0] == kind]
            edits = given.each * (len(targets) if given.every else 1)
            for number in range(edits):
                target = targets[number % len(targets)]
                missed[target] += not bench.finds(target)
            found = edits - sum(count for target, count in missed.items() if target[0] == kind)
            took_s = time.monotonic() - began
            print(f"{kind}: {found} of {edits} found, {len(targets)} columns and tables, {took_s:.0f} s", flush=True)
        bench.log.close()
    for target, count in missed.items():
        if count:
            print("missed", *target, count)
    return 1 if missed.total() else 0


if __name__ == "__main__":
    sys.exit(main())
