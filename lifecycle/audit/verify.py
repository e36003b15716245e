"""verify(): is the log what it was? Every event and hash, the table, the read model, a checkpoint if there is one.

One pass over the events in their order, in pages, so that writers go on meanwhile; then the read model, the stored tree
and the file itself. Nothing is written, but, when it is interrupted, how far it came (lifecycle.audit.halted).
Here are the pass, and what each event is held against by itself. What the events of one session amount to together is
in histories.py, the list in listed.py, the tree in grown.py; whatever is found goes to faults.py.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from lifecycle.audit.faults import Fault, Faults, told
from lifecycle.audit.grown import Grown
from lifecycle.audit.halted import Halted, halted, place_of
from lifecycle.audit.histories import Histories, Stream
from lifecycle.audit.listed import Listed
from lifecycle.audit.note import body_of
from lifecycle.errors import HistoryError, LogTampered, LogUnsuitable
from lifecycle.log.codec import commitment, decode, hash_of, stored_hash
from lifecycle.log.material import material
from lifecycle.log.receipts import STREAM, LogCheckpointed, LogForgotten
from lifecycle.log.record import NAMES, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lifecycle.audit.note import Checkpoint
    from lifecycle.log.material import Material
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections import Progress

__all__ = ["Fault", "Verification", "cannot_open", "verify"]

#: events read at a time: no read lasts long, so a writer never waits for long
_PAGE: Final = 1000
_POSITION, _STREAM, _VERSION = (NAMES.index(name) for name in ("position", "stream", "version"))
_PRIVATE_SHA256, _HASH = (NAMES.index(name) for name in ("private_sha256", "hash"))
_BODY, _SALT = len(NAMES), len(NAMES) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was looked at, and what was found. `size` and `root` are the Merkle tree's over all events.

    `faults` are in the order in which they were found, at most 100 of them, and `more` counts the rest. `newer` names
    streams that hold events of a newer library: their hashes hold, their meaning can't be judged here.
    """

    events: int
    sessions: int
    size: int
    root: bytes
    faults: tuple[Fault, ...]
    more: int
    newer: Mapping[str, str]
    forgotten: int
    against: Checkpoint | None = None
    #: So many of the first events were looked at by an interrupted run that this one took up. Of these it has looked at
    #: the hashes only, and at sessions that went on: what was changed in the rest since then, it does not find.
    resumed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.faults


def cannot_open(error: HistoryError | LogUnsuitable) -> Verification:
    """The outcome for a log that can't even be opened."""
    if isinstance(error, LogTampered):
        fault = Fault(where=error.where, what="it can't be opened", expected=error.expected, found=error.found)
    else:
        fault = Fault(where="the file", what="it can't be opened", expected="a log", found=str(error))
    return Verification(events=0, sessions=0, size=0, root=b"", faults=(fault,), more=0, newer={}, forgotten=0)


def verify(
    log: EventLog, *, against: Checkpoint | None = None, progress: Progress | None = None, resume: bool = False
) -> Verification:
    """Hold the whole of *log* against itself, and against a checkpoint that was taken from it earlier.

    Without *against*, whoever rewrote history and everything that is computed from it is not found, nor is an end that
    was cut off with all its traces. *progress* is called with the events looked at and their number.

    Interrupted by any exception, one that *progress* raises included, it leaves beside the log how far it came, unless
    it has found a fault. With *resume* the next goes on there; `Verification.resumed` says what that leaves open.

    Raises:
        LogUnavailable: It can't be read now, or there is no room for temporary files.
    """
    return _Pass(log, against, progress, resume).run()


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """In place of a row."""

    position: int
    error: HistoryError


@dataclass(slots=True)
class _Pass:
    log: EventLog
    against: Checkpoint | None
    progress: Progress | None
    resume: bool
    look: Material = field(init=False)
    faults: Faults = field(default_factory=Faults)
    histories: Histories = field(init=False)
    listed: Listed = field(init=False)
    grown: Grown = field(init=False)
    kept: Path | None = field(init=False)
    #: how far everything was sound, at the end of a page
    reached: Halted | None = None
    #: streams that came to their end since then
    ended: list[str] = field(default_factory=list[str])
    resumed: int = 0
    seen: int = 0
    last: int = 0
    forgotten: int = 0
    #: stream -> the version up to which its private parts were forgotten
    receipts: dict[str, int] = field(default_factory=dict[str, int])
    #: how many events the last recorded checkpoint covers
    checkpointed: int = 0

    def __post_init__(self) -> None:
        self.look = material(self.log)
        self.kept = place_of(self.log)
        self.histories = Histories(self.log, self.faults)
        self.listed = Listed(self.log, self.look, self.faults)
        self.grown = Grown(self.look, self.faults, self.against)

    def run(self) -> Verification:
        try:
            found = self._run()
        except BaseException:
            if self.kept is not None and self.reached is not None and not self.faults.kept:
                replace(self.reached, open=[*{*self.histories.names(), *self.ended}]).keep(self.kept)
            raise
        finally:
            self.histories.shelf.close()
        if self.kept is not None:
            with suppress(OSError):
                self.kept.unlink(missing_ok=True)
        return found

    def _run(self) -> Verification:
        integrity = self.look.integrity()
        guarded = self.faults.guarded
        guarded("the file", self._events)
        guarded("sessions", lambda: self.listed.compare_rest(self.histories))
        guarded("tree", lambda: self.grown.compare_stored(self.checkpointed))
        guarded("the file", lambda: self._integrity(integrity))
        guarded("checkpoint", self.grown.compare_size)
        return Verification(
            events=self.seen,
            sessions=self.listed.sessions,
            size=self.grown.tree.size,
            root=self.grown.tree.root(),
            faults=tuple(self.faults.kept),
            more=self.faults.more,
            newer=self.histories.newer,
            forgotten=self.forgotten,
            against=self.against,
            resumed=self.resumed,
        )

    def _integrity(self, around: Iterator[tuple[str, str]]) -> None:
        for where, found in around:
            self.faults.add(where=where, what="as SQLite finds it", expected="intact", found=found)

    # The events, in their order

    def _events(self) -> None:
        end = self.look.end()
        self._read_receipts()
        if self.resume and (before := halted(self.kept, end)) is not None:
            self._take_up(before)
        for rows in self._rows(self.last, end):
            for raw in rows:
                if isinstance(raw, _Unreadable):
                    self._unreadable(raw.position, raw.error)
                else:
                    self._event(raw)
                    self.seen += 1
            self.grown.grow()
            self.listed.compare()
            self.histories.put_away(self.seen)
            self._reach()
            if self.progress is not None:
                self.progress(self.seen, end)
        self.histories.catch_up()
        if self.last != end:
            self.faults.add(where="events", what="the last position", expected=end, found=self.last)

    def _read_receipts(self) -> None:
        """What was forgotten, known before the events that miss it."""
        try:
            for row in self.log.read(STREAM):
                event = decode(row)
                if isinstance(event, LogForgotten):
                    known = self.receipts.get(event.session_id, 0)
                    self.receipts[event.session_id] = max(known, event.through_version)
                elif isinstance(event, LogCheckpointed):
                    # One that is forged, or stands in a part that was imported, may cover more than stands before it.
                    covered = min(body_of(event.note).size, row.position - 1)
                    self.checkpointed = max(self.checkpointed, covered)
        except HistoryError:
            return  # the pass finds and names it

    def _rows(self, after: int, until: int) -> Iterator[list[tuple[Any, ...] | _Unreadable]]:
        for begin in range(after, until, _PAGE):
            yield self._readable(begin, min(begin + _PAGE, until))

    def _readable(self, after: int, until: int) -> list[tuple[Any, ...] | _Unreadable]:
        """The rows of the range as they are stored, and why one can't be read."""
        try:
            return [*self.look.stored(after, until)]
        except HistoryError as error:
            if until - after == 1:
                return [_Unreadable(until, error)]
        middle = (after + until) // 2
        return [*self._readable(after, middle), *self._readable(middle, until)]

    # Interrupted, and going on

    def _reach(self) -> None:
        """All up to here has been looked at."""
        root = self.grown.tree.root().hex()
        reached = Halted(
            position=self.last, root=root, sessions=self.listed.sessions, forgotten=self.forgotten, open=[]
        )
        self.reached, self.ended = reached, []

    def _take_up(self, before: Halted) -> None:
        """Begin where an interrupted one stopped, if what it saw is still there; else at the beginning."""
        try:
            self.grown.add_stored(before.position)
            found = self.grown.tree.root().hex()
            sound = found == before.root and all(self.histories.again(name, before.position) for name in before.open)
        except HistoryError:
            found, sound = before.root, False  # the whole pass names it
        if sound:
            self.last = self.seen = self.resumed = before.position
            self.listed.sessions, self.forgotten = before.sessions, before.forgotten
            self._reach()
            return
        self.grown.plant()
        self.histories.clear()
        self.faults.kept.clear()
        if found != before.root:
            self.faults.add(
                where="events",
                what=f"the root over the first {before.position} events, which an interrupted run looked at",
                expected=before.root,
                found=found,
                position=before.position,
            )

    # One event

    def _event(self, raw: tuple[Any, ...]) -> None:
        """What is plainly sound passes; of everything else a Recorded is made, to say what is wrong with it."""
        stream = self.histories.of(raw[_STREAM])
        sound = (
            raw[_POSITION] == self.last + 1
            and raw[_VERSION] == stream.version + 1
            and stored_hash(raw, stream.hash) == raw[_HASH]
            and (raw[_BODY] is None or (type(raw[_BODY]) is str and type(raw[_SALT]) is bytes))
        )
        if sound:
            self.last = raw[_POSITION]
            stream.version, stream.hash = raw[_VERSION], raw[_HASH]
            self.grown.add_computed(raw[_HASH])
        else:
            try:
                row = recorded(raw, "log")
            except LogTampered as error:
                self._unreadable(self.last + 1, error)
                return
            self._suspect(row, stream)
        if raw[_PRIVATE_SHA256] is not None:
            self._private(raw)
        if self.histories.past(raw, stream):
            self.ended.append(raw[_STREAM])  # before it is dropped, or an interrupt between the two would lose it
            self.histories.drop(raw[_STREAM])
            self.listed.add(raw[_STREAM], stream)

    def _unreadable(self, position: int, error: HistoryError) -> None:
        self.last = position
        self.grown.add("")
        self.faults.add(
            where="events",
            what="it can't be read",
            expected="an intact row",
            found=told(error),
            position=position,
        )

    def _suspect(self, row: Recorded, stream: Stream) -> None:
        add = self.faults.add
        if row.position != self.last + 1:
            add(where="events", what="the position", expected=self.last + 1, found=row.position, row=row)
        self.last = row.position
        if row.version != stream.version + 1:
            add(where="events", what="the version", expected=stream.version + 1, found=row.version, row=row)
        elif (computed := hash_of(row, stream.hash)) != row.hash:
            add(where="events", what="the hash over what is stored", expected=row.hash, found=computed, row=row)
        stream.version, stream.hash = row.version, row.hash
        self.grown.add_missing(row.position)
        self.grown.add(row.hash)

    def _private(self, raw: tuple[Any, ...]) -> None:
        committed, body, salt = raw[_PRIVATE_SHA256], raw[_BODY], raw[_SALT]
        if body is None or salt is None:
            self.forgotten += 1
            if raw[_VERSION] > self.receipts.get(raw[_STREAM], 0):
                self.faults.add(
                    where="private",
                    what="the private part",
                    expected=f"{committed} or a receipt",
                    found="neither",
                    row=recorded(raw, "log"),
                )
        elif (computed := commitment(salt, body)) != committed:
            self.faults.add(
                where="private",
                what="the hash of the private part",
                expected=committed,
                found=computed,
                row=recorded(raw, "log"),
            )
