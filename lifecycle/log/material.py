"""What an audit looks at besides the port: rows as they are stored, sound or not, and what stands around them.

`material(log)` gives it for any log: in full for a SQLite file, and as far as the port goes for others. Reading only.
"""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from lifecycle.errors import LogTampered
from lifecycle.log.canonical import parse
from lifecycle.log.port import Cursor
from lifecycle.log.record import COLUMNS, recorded, values
from lifecycle.log.schema import broken, check
from lifecycle.projections.rows import COLUMNS as SESSION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from lifecycle.log.driver import Connection
    from lifecycle.log.port import EventLog, Recorded

__all__ = ["Material", "PortMaterial", "SqlMaterial", "material"]

_RANGE: Final = (
    f"SELECT {COLUMNS} FROM events AS e"
    # What no event commits to is an orphan; so only events that commit to something cost a look.
    " LEFT JOIN private AS p ON p.event_id = e.event_id AND e.private_sha256 IS NOT NULL"
    " WHERE e.position > ? AND e.position <= ? ORDER BY e.position"
)
_ORPHANS: Final = (
    "SELECT p.event_id FROM private AS p LEFT JOIN events AS e USING (event_id) WHERE e.private_sha256 IS NULL"
    " ORDER BY p.event_id"
)
#: differences of one kind that are told
_FEW: Final = 1000
_INDEXED: Final = (
    "SELECT l.session_id, l.name, l.value, l.created_at = s.created_at, s.labels"
    " FROM session_labels AS l LEFT JOIN sessions AS s USING (session_id)"
)
_LABELLED: Final = "SELECT session_id, created_at, labels FROM sessions WHERE labels <> '{}'"
_IN_INDEX: Final = "SELECT 1 FROM session_labels WHERE name = ? AND value = ? AND created_at = ? AND session_id = ?"
_NOWHERE: Final = "SELECT level, number FROM tree WHERE level NOT BETWEEN 1 AND 8 OR number < 0"
_STRANGERS: Final = """
    SELECT s.session_id FROM sessions AS s
    WHERE NOT EXISTS (SELECT 1 FROM events WHERE stream = s.session_id AND version = 1 AND type LIKE 'session.%')
    ORDER BY s.session_id"""


class Material(Protocol):
    """A log as an audit sees it."""

    def end(self) -> int:
        """The last position."""
        ...

    def rows(self, after: int, until: int) -> list[Recorded]:
        """The events with after < position <= until, in their order.

        Raises:
            LogTampered: One of them can't be read; smaller ranges tell which.
        """
        ...

    def stored(self, after: int, until: int) -> list[tuple[Any, ...]]:
        """These events as rows of lifecycle.log.record.COLUMNS, whatever the types of what stands there.

        Raises:
            LogTampered: One of them can't be read.
        """
        ...

    def hashes(self, after: int, until: int) -> list[str]:
        """Only the hashes of these events."""
        ...

    def tree(self, level: int, begin: int, end: int) -> list[tuple[int, bytes]]:
        """Stored hashes of the Merkle tree: (number, hash) of the level's with begin <= number < end."""
        ...

    def integrity(self) -> Iterator[tuple[str, str]]:
        """What is wrong around the events: (where, what is found). Looks at everything once, some of it beforehand."""
        ...

    def session_rows(self, ids: Sequence[str]) -> dict[str, tuple[Any, ...]] | None:
        """The rows of the read model in the order of projections.rows.COLUMNS; None where there are no rows."""
        ...

    def derived(self) -> Iterator[tuple[str, str]]:
        """What of the derived parts belongs to no event: (stream, what is found). Looks at everything once."""
        ...

    def unreadable(self) -> dict[str, str]:
        """The streams that the read model says can't be read, and why."""
        ...


def material(log: EventLog) -> Material:
    """What an audit can see of *log*."""
    from lifecycle.log.sqlite import SqliteLog

    return log.material if isinstance(log, SqliteLog) else PortMaterial(log)


class Aside:
    """Work in a thread of its own, which nobody has to wait for."""

    def __init__(self, work: Callable[[], list[tuple[Any, ...]]]) -> None:
        self._work = work
        self._found: list[tuple[Any, ...]] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lifecycle-aside", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._work()
        except BaseException as error:
            self._error = error

    def result(self) -> list[tuple[Any, ...]]:
        """What the work gave, once it is done; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found


class SqlMaterial:
    """A SQLite file. *ask* runs one SELECT, *aside* one that nobody waits for; *look* calls with ask's connection."""

    def __init__(
        self,
        ask: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]],
        look: Callable[[Callable[[Connection], Any]], Any],
        aside: Callable[[str], list[tuple[Any, ...]]],
        locator: str,
    ) -> None:
        self._ask = ask
        self._aside = aside
        self._look = look
        self._locator = locator

    def end(self) -> int:
        ((last,),) = self._ask("SELECT coalesce(max(position), 0) FROM events", ())
        return int(last)

    def rows(self, after: int, until: int) -> list[Recorded]:
        return [recorded(row, self._locator) for row in self.stored(after, until)]

    def stored(self, after: int, until: int) -> list[tuple[Any, ...]]:
        return self._ask(_RANGE, (after, until))

    def hashes(self, after: int, until: int) -> list[str]:
        found = self._ask(
            "SELECT hash FROM events WHERE position > ? AND position <= ? ORDER BY position", (after, until)
        )
        return [str(value) for (value,) in found]

    def tree(self, level: int, begin: int, end: int) -> list[tuple[int, bytes]]:
        if "tree" in self._look(broken):
            return []
        sql = "SELECT number, hash FROM tree WHERE level = ? AND number >= ? AND number < ? ORDER BY number"
        return [(int(number), bytes(value)) for number, value in self._ask(sql, (level, begin, end))]

    def integrity(self) -> Iterator[tuple[str, str]]:
        # SQLite's own check runs aside from now on, on another core where there is one: it holds no lock of Python's.
        return self._integrity(Aside(lambda: self._aside("PRAGMA integrity_check(100)")))

    def _integrity(self, aside: Aside) -> Iterator[tuple[str, str]]:
        try:
            self._look(lambda conn: check(conn, self._locator))
        except LogTampered as error:
            yield "the schema", error.found
        for name in self._look(broken):
            yield "the read model", f"{name} is not as this library makes it"
        for (said,) in aside.result():
            if said != "ok":
                yield "the file", str(said)
        for (event_id,) in self._ask(_ORPHANS, ()):
            yield "private", f"a row for {event_id}, which is no event with a private part"

    def session_rows(self, ids: Sequence[str]) -> dict[str, tuple[Any, ...]] | None:
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT {', '.join(SESSION)} FROM sessions WHERE session_id IN ({marks})"
        return {row[0]: row for row in self._ask(sql, tuple(ids))}

    def derived(self) -> Iterator[tuple[str, str]]:
        for (session_id,) in self._ask(_STRANGERS, ()):
            yield str(session_id), "a session of which there is no event"
        for level, number in self._ask(_NOWHERE, ()):
            yield "log", f"a hash of the tree at level {level}, number {number}, where there is none"
        yield from self._look(_labels)

    def unreadable(self) -> dict[str, str]:
        return {str(stream): str(reason) for stream, reason in self._ask("SELECT stream, reason FROM unreadable", ())}


def _labels(conn: Connection) -> list[tuple[str, str]]:
    """The first places where sessions and the index of their labels differ."""
    conn.execute("SAVEPOINT labels")  # one state of both tables
    try:
        with closing(_differing(conn)) as wrong:
            return list(islice(wrong, _FEW))
    finally:
        conn.execute("RELEASE labels")


def _differing(conn: Connection) -> Generator[tuple[str, str]]:
    # In Python: json_each is a virtual table, which we deny ourselves.
    for stream, name, value, same, labels in conn.execute(_INDEXED):
        if not same or _parsed(labels).get(name) != value:
            yield stream, f"the label {name}={value}, which only the index has"
    for stream, created_at, labels in conn.execute(_LABELLED):
        for name, value in _parsed(labels).items():
            if not conn.execute(_IN_INDEX, (name, value, created_at, stream)).fetchone():
                yield stream, f"the label {name}={value}, which the index does not have"


def _parsed(labels: str | None) -> dict[str, Any]:
    try:
        return parse(labels)
    except ValueError:
        return {}  # the row is a fault of its own


class PortMaterial:
    """Any log, through its port alone."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def end(self) -> int:
        last: Cursor | None = None
        while True:
            page = self._log.read_all(last, limit=10_000)
            last = page.cursor
            if page.caught_up:
                return last or 0

    def rows(self, after: int, until: int) -> list[Recorded]:
        found: list[Recorded] = []
        cursor: Cursor | None = Cursor(after) if after else None
        while True:
            page = self._log.read_all(cursor, limit=max(until - (cursor or 0), 1))
            found += (row for row in page.events if row.position <= until)
            cursor = page.cursor
            if page.caught_up or (cursor or 0) >= until:
                return found

    def stored(self, after: int, until: int) -> list[tuple[Any, ...]]:
        return [(*values(row), row.private, row.private_salt) for row in self.rows(after, until)]

    def hashes(self, after: int, until: int) -> list[str]:
        return [row.hash for row in self.rows(after, until)]

    def tree(self, level: int, begin: int, end: int) -> list[tuple[int, bytes]]:
        del level, begin, end
        return []

    def integrity(self) -> Iterator[tuple[str, str]]:
        yield from ()

    def session_rows(self, ids: Sequence[str]) -> dict[str, tuple[Any, ...]] | None:
        del ids
        return None

    def derived(self) -> Iterator[tuple[str, str]]:
        yield from ()

    def unreadable(self) -> dict[str, str]:
        return self._log.sessions.unreadable()
