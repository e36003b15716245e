"""Import, check, backup: exports read back, held against today's rules, and copies that are proved to be copies."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast

from lifecycle.audit.checkpoint import Tree
from lifecycle.audit.envelope import recorded
from lifecycle.audit.export import Summaries, rows_of, summary
from lifecycle.audit.note import Checkpoint
from lifecycle.audit.verify import Verification, verify
from lifecycle.errors import BadExport, HistoryError, InvalidConfig, LogUnsuitable
from lifecycle.log.canonical import parse
from lifecycle.log.codec import FIRST, commitment, hash_of
from lifecycle.log.connection import settle
from lifecycle.log.locate import open_log
from lifecycle.log.material import material
from lifecycle.log.place import place
from lifecycle.log.sqlite import SqliteLog
from lifecycle.testing.history import Oracle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections import Progress
    from lifecycle.testing.invariants import Violation

__all__ = ["Checked", "Imported", "backup", "check", "check_lines", "import_lines", "lines_of", "restore"]

_BATCH: Final = 1000
#: streams are short and end; the hash of one that is done need not be kept
_LAST: Final = "session.released"
_LONGEST: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Imported:
    """`events` of the file were written now, `there` of them stood in the log already from an earlier attempt."""

    events: int
    there: int
    unreadable: Mapping[str, str]


def lines_of(path: str | os.PathLike[str], progress: Progress | None = None) -> Iterator[str]:
    """The lines of the file *path*, `-` being stdin; *progress* is told how many bytes were read, of how many.

    Of a pipe the total is 0: nobody knows it.

    Raises:
        InvalidConfig: No such file.
        BadExport: A line is not UTF-8.
    """
    try:
        with open(0 if os.fspath(path) == "-" else path, "rb", closefd=os.fspath(path) != "-") as file:
            read, total = 0, os.fstat(file.fileno()).st_size
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST + 1), b""), start=1):
                read += len(line)
                if progress is not None and (number % _BATCH == 0 or read == total):
                    progress(read, total)
                try:
                    yield line.decode()
                except UnicodeDecodeError:
                    if len(line) > _LONGEST:  # not all of it was read, so its last character may be half of one
                        yield line.decode(errors="replace")
                    raise BadExport(number, "is not UTF-8") from None
    except OSError as error:
        raise InvalidConfig("file", os.fspath(path), f"an exported file: {error.strerror}") from None


@dataclass(slots=True)
class _Reader:
    """The lines of an export, each proved to be what was written as far as it can be: its chain, its commitment."""

    lines: Iterable[str]
    number: int = 0
    events: int = 0
    sessions: int = 0
    ended: bool = False
    _last: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    _digest: Any = field(default_factory=sha256)

    def __iter__(self) -> Iterator[Recorded | dict[str, Any]]:
        """Events, and summaries of sessions.

        Raises:
            BadExport: Cut, changed, or not an export.
        """
        for text in self.lines:
            self.number += 1
            if self.ended:
                raise BadExport(self.number, "stands after the end")
            found = self._parsed(text)
            if "end" in found:
                self._end(found["end"])
                continue
            self._digest.update(text.encode())
            if "session" in found:
                self.sessions += 1
                yield self._session(found["session"])
            else:
                yield self._event(found)
        if not self.ended:
            raise BadExport(self.number + 1, "is missing: the export was cut here; its last line tells its length")

    def _parsed(self, text: str) -> dict[str, Any]:
        if len(text.encode()) > _LONGEST:
            raise BadExport(self.number, f"is longer than {_LONGEST} bytes, the most that a line of an export has")
        if not text.endswith("\n"):
            raise BadExport(self.number, "is cut: it has no end")
        try:
            return parse(text[:-1])
        except ValueError as error:
            raise BadExport(self.number, f"is no JSON object of an export: {error}") from None

    def _session(self, found: object) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise BadExport(self.number, "a session that is no object")
        told = cast("dict[str, Any]", found)
        if type(told.get("session_id")) is not str or type(told.get("version")) is not int:
            raise BadExport(self.number, "a session needs a session_id that is text and a version that is an integer")
        return told

    def _event(self, found: dict[str, Any]) -> Recorded:
        self.events += 1
        try:
            row = recorded(found, self.events)
        except ValueError as error:
            raise BadExport(self.number, f"is no event: {error}") from None
        version, prev = self._last.get(row.stream, (0, FIRST))
        if row.version != version + 1:
            raise BadExport(
                self.number, f"version {row.version} of stream {row.stream}: expected version {version + 1}"
            )
        if (computed := hash_of(row, prev)) != row.hash:
            raise BadExport(
                self.number,
                f"version {row.version} of stream {row.stream}: expected the hash {row.hash}, found {computed}",
            )
        if row.private is not None and row.private_salt is not None:
            computed = commitment(row.private_salt, row.private)
            if computed != row.private_sha256:
                raise BadExport(
                    self.number,
                    f"private part of version {row.version} of stream {row.stream}: "
                    f"expected {row.private_sha256}, found {computed}",
                )
        if row.type == _LAST:
            self._last.pop(row.stream, None)
        else:
            self._last[row.stream] = (row.version, row.hash)
        return row

    def _end(self, said: object) -> None:
        self.ended = True
        found = {"events": self.events, "sessions": self.sessions, "sha256": self._digest.hexdigest()}
        if said != found:
            raise BadExport(self.number, f"says {json.dumps(said)}, found {json.dumps(found)}")


def import_lines(lines: Iterable[str], log: EventLog) -> Imported:
    """Write an export into *log*, which is empty or holds the beginning of it, and replay its sessions into the list.

    Raises: as restore.
    """
    written, there = restore(lines, log)
    return Imported(written, there, log.sessions.rebuild().unreadable)


def restore(lines: Iterable[str], log: EventLog) -> tuple[int, int]:
    """Write an export's events into *log*; hashes stay, positions count anew. How many were written, and were there.

    The list of sessions is as it was: rebuild it afterwards.

    Interrupted, it goes on where it stopped when it is called again with the whole export. Each event's hash and chain
    are proved before it is written.

    Raises:
        BadExport: The export is cut or changed; what came before that line stands in the log.
        LogUnsuitable: The log holds something else, or can't take it.
        LogUnavailable: As append.
    """
    if not isinstance(log, SqliteLog):
        raise LogUnsuitable(log.locator, "can't take an export; give a SQLite file")
    look = material(log)
    there = look.end()
    known: list[str] = []
    batch: list[Recorded] = []
    written = 0
    reader = _Reader(lines)
    for row in reader:
        if isinstance(row, dict):
            continue
        if row.position <= there:
            if not known:
                known = look.hashes(row.position - 1, row.position - 1 + _BATCH)[::-1]
            if known.pop() != row.hash:
                raise LogUnsuitable(log.locator, f"is not empty: its event {row.position} is not the export's")
            continue
        batch.append(row)
        if len(batch) == _BATCH:
            log.restore(batch)
            written, batch = written + len(batch), []
    if batch:
        log.restore(batch)
        written += len(batch)
    if there > reader.events:
        raise LogUnsuitable(log.locator, f"is not empty: it holds {there} events, the export {reader.events}")
    return written, there


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a recorded history makes of today's rules. `refused`: the first event that would not be accepted, and why.

    `broken`: the first invariant that does not hold by the rows alone, told without today's rules.
    `differs`: the first session and field that comes out differently, as it was recorded and as it comes out today.
    """

    events: int
    sessions: int
    refused: tuple[str, int, str] | None = None
    differs: tuple[str, str, Any, Any] | None = None
    broken: Violation | None = None

    @property
    def ok(self) -> bool:
        """Whether everything was accepted, kept the invariants and came out the same."""
        return self.refused is None and self.differs is None and self.broken is None


def check_lines(lines: Iterable[str]) -> Checked:
    """Replay an export by today's table and fold, and compare with what it says its sessions amounted to.

    Raises:
        BadExport: It is cut or changed.
    """
    return _checked(_Reader(lines))


def check(log: EventLog, progress: Progress | None = None) -> Checked:
    """As check_lines, for a log: its events are replayed and compared with its list of sessions."""
    return _checked(_from(log, progress))


def _from(log: EventLog, progress: Progress | None) -> Iterator[Recorded | dict[str, Any]]:
    for row in rows_of(log, None, progress):
        yield row
        if row.type == _LAST:
            with suppress(HistoryError):  # told as refused
                if (session := log.sessions.get(row.stream)) is not None:
                    yield summary(session, None)
    for session in log.sessions.live():
        yield summary(session, None)


def _checked(items: Iterable[Recorded | dict[str, Any]]) -> Checked:
    """Today's outcome of each session is remembered until what was recorded of it comes by."""
    summaries = Summaries()
    today: dict[str, dict[str, Any]] = {}
    said: dict[str, dict[str, Any]] = {}
    events = sessions = 0
    refused: tuple[str, int, str] | None = None
    differs: tuple[str, str, Any, Any] | None = None
    broken: Violation | None = None
    oracle = Oracle()
    for item in items:
        if isinstance(item, dict):
            said[str(item.get("session_id"))] = item
        else:
            events += 1
            broken = broken or next(iter(oracle.take(item)), None)
            try:
                ended = summaries.add(item)
            except HistoryError as error:
                refused = refused or (item.stream, item.version, str(error))
                continue
            if ended is not None:
                today[ended["session_id"]] = ended
        for name in [name for name in said if name in today]:
            sessions += 1
            before, now = said.pop(name), today.pop(name)  # whatever was found before: each session counts once
            differs = differs or _difference(name, before, now)
    today.update((living["session_id"], living) for living in summaries.rest())
    for name, item in said.items():
        sessions += 1
        differs = differs or _difference(name, item, today.get(name, {}))
    return Checked(events=events, sessions=sessions, refused=refused, differs=differs, broken=broken)


def _difference(name: str, said: dict[str, Any], today: dict[str, Any]) -> tuple[str, str, Any, Any] | None:
    """The first field, by name, that was recorded and is another today; fields that are new since do not count."""
    if today and said.get("version", 0) > today["version"]:
        return None  # it went on while we looked, or an event was refused, which is told
    now = dict(_leaves(today))
    for path, before in _leaves(said):
        if path != "failure_id" and now.get(path) != before:
            return name, path, before, now.get(path)
    return None


def _leaves(value: dict[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield from _leaves(cast("dict[str, Any]", item), f"{under}{name}.")
        else:
            yield f"{under}{name}", item


def backup(log: EventLog, to: str | os.PathLike[str], progress: Progress | None = None) -> Verification:
    """Copy *log* as it stands into the new file *to*, and prove the copy sound and of the same root; writers go on.

    Raises:
        InvalidConfig: There is such a file, or it can't be made.
        LogUnsuitable: The log is not a file.
    """
    if not isinstance(log, SqliteLog):
        raise LogUnsuitable(log.locator, "is no file; export it")
    log.backup(to, progress)
    try:
        copy = open_log(os.fspath(to), create=False, read_only=True)
        try:
            size = material(copy).end()
            root = Tree(material(log), size).root()
            return verify(copy, against=Checkpoint("the original", size, root))
        finally:
            copy.close()
            settle(place(to))
    except BaseException:
        with suppress(OSError):
            os.unlink(to)
        raise
