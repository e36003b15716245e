"""verify(): is the log what it was? Every event and hash, the table, the read model, a checkpoint if there is one.

One pass over the events in their order, in pages, so that writers go on meanwhile; it holds what it needs of the
sessions that are not released. Then the read model, the stored tree and the file itself. Nothing is written, but, when
it is interrupted, how far it came (lifecycle.audit.halted).
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from lifecycle.audit.halted import Halted, halted, place_of
from lifecycle.audit.merkle import Frontier, leaf_hash
from lifecycle.audit.note import body_of
from lifecycle.core.events import SessionFailed, SessionReleased
from lifecycle.core.evolve import Session, evolve
from lifecycle.core.states import State
from lifecycle.errors import (
    FutureSchema,
    HistoryError,
    IllegalHistory,
    LogTampered,
    LogUnsuitable,
    UnknownEventType,
)
from lifecycle.log.codec import FIRST, commitment, decode, events, hash_of, stored_hash
from lifecycle.log.loading import fact_of, load
from lifecycle.log.material import material
from lifecycle.log.outline import covers_private
from lifecycle.log.receipts import STREAM, LogCheckpointed, LogForgotten, is_receipt
from lifecycle.log.record import NAMES, recorded, values
from lifecycle.projections.maintain import failure_of
from lifecycle.projections.rows import COLUMNS, to_row
from lifecycle.projections.shelf import Kept, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lifecycle.audit.note import Checkpoint
    from lifecycle.log.material import Material
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections import Progress

__all__ = ["Fault", "Verification", "cannot_open", "verify"]

#: events read at a time: no read lasts long, so a writer never waits for long
_PAGE: Final = 1000
#: sessions whose rows are compared at a time
_BATCH: Final = 200
#: faults that are kept; more are counted
_KEPT: Final = 100
#: after so many the pass is given up: the file is another one
_HOPELESS: Final = 10_000
#: events of a stream that are held back, to be folded together
_HELD: Final = 32
#: streams that are followed in memory at a time; the others lie on the shelf until they go on
_FOLLOWED: Final = 20_000
_POSITION, _STREAM, _VERSION, _EVENT_ID, _TYPE = (
    NAMES.index(n) for n in ("position", "stream", "version", "event_id", "type")
)
_PRIVATE_SHA256, _HASH = (NAMES.index(n) for n in ("private_sha256", "hash"))
_BODY, _SALT = len(NAMES), len(NAMES) + 1
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it was made; `where` names the part: events, private, sessions, tree, the schema…"""

    where: str
    what: str
    expected: str
    found: str
    stream: str | None = None
    version: int | None = None
    position: int | None = None

    def __str__(self) -> str:
        named = (("stream", self.stream), ("version", self.version), ("position", self.position))
        place = ", ".join(f"{name} {value}" for name, value in named if value is not None)
        return f"{self.where}{f', {place}' if place else ''}: {self.what}: expected {self.expected}, found {self.found}"


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
        LogUnavailable: It can't be read now.
    """
    return _Pass(log, against, progress, resume).run()


@dataclass(slots=True)
class _Stream:
    """What is known of a stream up to here."""

    version: int = 0
    hash: str = FIRST
    session: Session | None = None
    failure_id: str | None = None
    #: rows that session has not gone through yet
    held: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    #: why it can't be followed any further
    broken: HistoryError | None = None
    #: the number of events looked at when the page of its last one began
    touched: int = 0


def _stream(kept: Kept) -> _Stream:
    return _Stream(kept.version, kept.hash, kept.session, kept.failure_id)


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
    kept: Path | None = field(init=False)
    #: how far everything was sound, at the end of a page
    reached: Halted | None = None
    resumed: int = 0
    #: streams that came to their end since then
    ended: list[str] = field(default_factory=list[str])
    faults: list[Fault] = field(default_factory=list[Fault])
    more: int = 0
    seen: int = 0
    sessions: int = 0
    forgotten: int = 0
    last: int = 0
    #: how many events the last recorded checkpoint covers
    checkpointed: int = 0
    newer: dict[str, str] = field(default_factory=dict[str, str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    streams: dict[str, _Stream] = field(default_factory=dict[str, _Stream])
    #: those of them that have not gone on for long
    shelf: Shelf = field(default_factory=Shelf)
    page: int = 0
    settled: list[tuple[str, _Stream]] = field(default_factory=list[tuple[str, _Stream]])
    receipts: dict[str, int] = field(default_factory=dict[str, int])
    tree: Frontier = field(init=False)
    #: the hashes of the last few events, not yet in the tree
    leaves: list[bytes] = field(default_factory=list[bytes])
    nodes: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict[int, list[tuple[int, bytes]]])

    def __post_init__(self) -> None:
        self.look = material(self.log)
        self.kept = place_of(self.log)
        self._plant()

    def _plant(self) -> None:
        """An empty tree."""
        self.nodes.clear()
        self.tree = Frontier(lambda level, number, hashed: self.nodes.setdefault(level, []).append((number, hashed)))

    def run(self) -> Verification:
        try:
            found = self._run()
        except BaseException:
            if self.kept is not None and self.reached is not None and not self.faults:
                replace(self.reached, open=[*{*self.streams, *self.shelf.ids(), *self.ended}]).keep(self.kept)
            raise
        finally:
            self.shelf.close()
        if self.kept is not None:
            with suppress(OSError):
                self.kept.unlink(missing_ok=True)
        return found

    def _run(self) -> Verification:
        integrity = self.look.integrity()
        self._guarded("the file", self._events)
        self._guarded("sessions", self._read_model)
        self._guarded("tree", self._tree)
        self._guarded("the file", lambda: self._integrity(integrity))
        self._guarded("checkpoint", self._checkpoint_reached)
        return Verification(
            events=self.seen,
            sessions=self.sessions,
            size=self.tree.size,
            root=self.tree.root(),
            faults=tuple(self.faults),
            more=self.more,
            newer=self.newer,
            forgotten=self.forgotten,
            against=self.against,
            resumed=self.resumed,
        )

    def _guarded(self, where: str, step: Callable[[], None]) -> None:
        """Run *step*; a part of the file that can't even be read is a fault, and the other steps go on."""
        try:
            step()
        except _HopelessError:
            return
        except HistoryError as error:
            self._fault(where=where, what="it can't be read", expected="intact pages and rows", found=_found(error))

    def _fault(
        self,
        *,
        where: str,
        what: str,
        expected: object,
        found: object,
        row: Recorded | None = None,
        stream: str | None = None,
        version: int | None = None,
        position: int | None = None,
    ) -> None:
        if len(self.faults) + self.more >= _HOPELESS:
            raise _HopelessError
        if len(self.faults) == _KEPT:
            self.more += 1
            return
        if row is not None:
            stream, version, position = row.stream, row.version, row.position
        self.faults.append(
            Fault(
                where=where,
                what=what,
                expected=_short(expected),
                found=_short(found),
                stream=stream,
                version=version,
                position=position,
            )
        )

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
            self._grow()
            self._settle()
            self._put_away()
            self._reach()
            if self.progress is not None:
                self.progress(self.seen, end)
        for name, stream in self.streams.items():
            self._replay(name, stream)
        self._settle()
        if self.last != end:
            self._fault(where="events", what="the last position", expected=end, found=self.last)

    def _reach(self) -> None:
        """All up to here has been looked at."""
        self.reached = Halted(
            position=self.last, root=self.tree.root().hex(), sessions=self.sessions, forgotten=self.forgotten, open=[]
        )
        self.ended = []

    def _take_up(self, before: Halted) -> None:
        """Begin where an interrupted one stopped, if what it saw is still there; else at the beginning."""
        try:
            self._leaf_by_leaf(before.position)
            found = self.tree.root().hex()
            sound = found == before.root and all(self._again(name, before.position) for name in before.open)
        except HistoryError:
            found, sound = before.root, False  # the whole pass names it
        if sound:
            self.last = self.seen = self.resumed = before.position
            self.sessions, self.forgotten = before.sessions, before.forgotten
            self._reach()
            return
        self._plant()
        self.shelf.close()
        for gone in (self.streams, self.faults, self.leaves, self.newer, self.unreadable):
            gone.clear()
        if found != before.root:
            self._fault(
                where="events",
                what=f"the root over the first {before.position} events, which an interrupted run looked at",
                expected=before.root,
                found=found,
                position=before.position,
            )

    def _leaf_by_leaf(self, until: int) -> None:
        """The tree over events that have been looked at."""
        for begin in range(0, until, _PAGE):
            for hashed in self.look.hashes(begin, min(begin + _PAGE, until)):
                self.leaves.append(leaf_hash(bytes.fromhex(hashed) if _HEX.fullmatch(hashed) else b""))
            self._grow()

    def _again(self, name: str, until: int) -> bool:
        """Follow a stream that had not come to its end; whether all of it is sound, as it was."""
        stream = self._followed(name, until)
        if stream is not None and stream.version:
            self.streams[name] = stream
            self._put_away()
        return stream is not None and (stream.broken is None or name in self.newer)

    def _followed(self, name: str, until: int) -> _Stream | None:
        """The stream up to the position *until*, read once more; None if its events do not hang together."""
        stream = _Stream(touched=self.page)
        while rows := self.log.read(name, after=stream.version, until=stream.version + _PAGE):
            for row in rows:
                if row.position > until:
                    return stream
                if row.version != stream.version + 1 or hash_of(row, stream.hash) != row.hash:
                    return None
                stream.version, stream.hash = row.version, row.hash
                stream.held.append((*values(row), row.private, row.private_salt))
                if len(stream.held) >= _HELD:
                    self._replay(name, stream)
        return stream

    def _put_away(self) -> None:
        """Follow no more streams than can be held; those that have not gone on for longest are left for later."""
        self.page = self.seen
        if len(self.streams) <= _FOLLOWED:
            return
        longest = sorted(self.streams.items(), key=lambda one: one[1].touched)
        kept: list[Kept] = []
        for name, stream in longest[: len(longest) - _FOLLOWED // 2]:
            self._replay(name, stream)
            if stream.session is not None and stream.broken is None:
                kept.append(Kept(stream.session, stream.failure_id, stream.version, stream.hash))
        self.shelf.put(kept)
        for one in kept:
            del self.streams[one.session.session_id]

    def _taken(self, name: str) -> _Stream:
        """A stream that is not followed now: as it was put away, or at its beginning."""
        kept = self.shelf.get(name)
        return _Stream() if kept is None else _stream(kept)

    def _read_receipts(self) -> None:
        """What was forgotten, known before the events that miss it."""
        try:
            for event in events(self.log.read(STREAM)):
                if isinstance(event, LogForgotten):
                    known = self.receipts.get(event.session_id, 0)
                    self.receipts[event.session_id] = max(known, event.through_version)
                elif isinstance(event, LogCheckpointed):
                    self.checkpointed = max(self.checkpointed, body_of(event.note).size)
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

    def _unreadable(self, position: int, error: HistoryError) -> None:
        self.last = position
        self.leaves.append(leaf_hash(b""))
        self._fault(
            where="events",
            what="it can't be read",
            expected="an intact row",
            found=_found(error),
            position=position,
        )

    def _event(self, raw: tuple[Any, ...]) -> None:
        """What is plainly sound passes; of everything else a Recorded is made, to say what is wrong with it."""
        name = raw[_STREAM]
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = self._taken(name)
            if stream.version:
                self.shelf.drop(name)
        stream.touched = self.page
        sound = (
            raw[_POSITION] == self.last + 1
            and raw[_VERSION] == stream.version + 1
            and stored_hash(raw, stream.hash) == raw[_HASH]
            and (raw[_BODY] is None or (type(raw[_BODY]) is str and type(raw[_SALT]) is bytes))
        )
        if sound:
            self.last = raw[_POSITION]
            stream.version, stream.hash = raw[_VERSION], raw[_HASH]
            self.leaves.append(leaf_hash(bytes.fromhex(raw[_HASH])))
        else:
            try:
                row = recorded(raw, "log")
            except LogTampered as error:
                self._unreadable(self.last + 1, error)
                return
            self._suspect(row, stream)
        if raw[_PRIVATE_SHA256] is not None:
            self._private(raw)
        stream.held.append(raw)
        if raw[_TYPE] == SessionReleased.type or raw[_STREAM] == STREAM or len(stream.held) >= _HELD:
            self._replay(raw[_STREAM], stream)
            if stream.session is not None and stream.session.released and stream.broken is None:
                self.ended.append(raw[_STREAM])
                del self.streams[raw[_STREAM]]
                self.settled.append((raw[_STREAM], stream))
                if len(self.settled) >= _BATCH:
                    self._settle()

    def _suspect(self, row: Recorded, stream: _Stream) -> None:
        if row.position != self.last + 1:
            self._fault(where="events", what="the position", expected=self.last + 1, found=row.position, row=row)
        self.last = row.position
        if row.version != stream.version + 1:
            self._fault(where="events", what="the version", expected=stream.version + 1, found=row.version, row=row)
        elif (computed := hash_of(row, stream.hash)) != row.hash:
            self._fault(where="events", what="the hash over what is stored", expected=row.hash, found=computed, row=row)
        stream.version, stream.hash = row.version, row.hash
        self._grow()
        while self.tree.size < row.position - 1 and row.position - self.tree.size <= _PAGE:
            self.leaves.append(leaf_hash(b""))  # what is missing is a fault already; the places of the others stay
            self._grow()
        self.leaves.append(leaf_hash(bytes.fromhex(row.hash) if _HEX.fullmatch(row.hash) else b""))

    def _grow(self) -> None:
        """Bring the tree along."""
        leaves, self.leaves = self.leaves, []
        if self.against is not None and self.tree.size < self.against.size <= self.tree.size + len(leaves):
            cut = self.against.size - self.tree.size
            self.tree.extend(leaves[:cut])
            self._compare_root()
            leaves = leaves[cut:]
        self.tree.extend(leaves)

    def _private(self, raw: tuple[Any, ...]) -> None:
        committed, body, salt = raw[_PRIVATE_SHA256], raw[_BODY], raw[_SALT]
        if body is None or salt is None:
            self.forgotten += 1
            if raw[_VERSION] > self.receipts.get(raw[_STREAM], 0):
                self._fault(
                    where="private",
                    what="the private part",
                    expected=f"{committed} or a receipt",
                    found="neither",
                    row=recorded(raw, "log"),
                )
        elif (computed := commitment(salt, body)) != committed:
            self._fault(
                where="private",
                what="the hash of the private part",
                expected=committed,
                found=computed,
                row=recorded(raw, "log"),
            )

    def _replay(self, name: str, stream: _Stream) -> None:
        """Follow the stream through the events held back."""
        held, stream.held = stream.held, []
        if stream.broken is None and not self._plain(name, stream, held):
            for raw in held:
                if not self._step(recorded(raw, "log"), stream):
                    return

    def _plain(self, name: str, stream: _Stream, held: Sequence[tuple[Any, ...]]) -> bool:
        """Follow it without decoding, if nothing needs a closer look; otherwise nothing has been done."""
        if name == STREAM or any(raw[_BODY] is not None and not covers_private(raw[_TYPE], raw[_BODY]) for raw in held):
            return False
        try:
            session = load(name, map(fact_of, held), stream.session)
        except HistoryError:
            return False
        if session is None or session.session_id != name:
            return False
        stream.session = session
        if session.status is State.ERROR and stream.failure_id is None:
            stream.failure_id = next((raw[_EVENT_ID] for raw in held if raw[_TYPE] == SessionFailed.type), None)
        return True

    def _step(self, row: Recorded, stream: _Stream) -> bool:
        """Follow it through one event, decoded; whether it can be followed further."""
        try:
            event = decode(row)
            if row.stream == STREAM or is_receipt(row.type):
                if row.stream != STREAM or not is_receipt(row.type):
                    raise IllegalHistory(row.stream, row.version, f"{row.type} does not belong here")
                return True
            if stream.session is None and not row.type.startswith("session."):
                return True
            stream.session = evolve(stream.session, event)
            if stream.session.session_id != row.stream:
                raise IllegalHistory(row.stream, row.version, f"the history of {stream.session.session_id}")
        except HistoryError as error:
            self._broken(row, stream, error)
            return False
        stream.failure_id = failure_of((row,)) or stream.failure_id
        return True

    def _broken(self, row: Recorded, stream: _Stream, error: HistoryError) -> None:
        stream.broken = error
        if isinstance(error, UnknownEventType | FutureSchema):
            self.newer[row.stream] = str(error)
        else:
            self._fault(where="events", what="the replay", expected="what the table allows", found=error, row=row)
        if row.stream != STREAM:
            self.unreadable[row.stream] = str(error)

    # The read model

    def _settle(self) -> None:
        """Compare the sessions that have come to their end with the read model."""
        if not self.settled:
            return
        batch, self.settled = self.settled, []
        self.sessions += len(batch)
        rows = self.look.session_rows([name for name, _ in batch])
        for name, stream in batch:
            self._same(name, stream, rows)

    def _read_model(self) -> None:
        said = self.look.unreadable()
        for batch in self._open():
            self.sessions += len(batch)
            rows = self.look.session_rows([name for name, _ in batch])
            for name, stream in batch:
                self._living(name, stream, rows)
        for name, reason in self.unreadable.items():
            if name not in said:
                self._fault(
                    where="sessions",
                    what="whether it can be read",
                    expected=reason,
                    found="nothing that says so",
                    stream=name,
                )
        for name, reason in said.items():
            if name not in self.unreadable:
                self._fault(where="sessions", what="whether it can be read", expected="yes", found=reason, stream=name)
        for name, found in self.look.derived():
            self._fault(
                where="sessions", what="the read model", expected="what the events say", found=found, stream=name
            )

    def _open(self) -> Iterator[list[tuple[str, _Stream]]]:
        """The sessions that have not come to their end, some at a time."""
        held = [
            (name, stream)
            for name, stream in self.streams.items()
            if stream.session is not None and name not in self.unreadable
        ]
        for begin in range(0, len(held), _BATCH):
            yield held[begin : begin + _BATCH]
        for batch in self.shelf.all(_BATCH):
            yield [(one.session.session_id, _stream(one)) for one in batch]

    def _living(self, name: str, stream: _Stream, rows: Mapping[str, Sequence[object]] | None) -> None:
        """A session that may go on while we look: follow it to the version that its row has."""
        if rows is not None and name in rows:
            version = rows[name][COLUMNS.index("version")]
            since: Sequence[Recorded] = ()
            if isinstance(version, int) and version > stream.version:
                since = self.log.read(name, after=stream.version, until=version)
            try:
                for row in since:
                    stream.session = evolve(stream.session, decode(row))
                    stream.failure_id = failure_of((row,)) or stream.failure_id
            except (UnknownEventType, FutureSchema) as error:
                self.newer[name] = str(error)
                return
        self._same(name, stream, rows)

    def _same(self, name: str, stream: _Stream, rows: Mapping[str, Sequence[object]] | None) -> None:
        session = stream.session
        assert session is not None  # only sessions are compared
        if rows is None:
            stored = self.log.sessions.get(name)
            if stored != session and (stored is None or stored.version <= session.version):
                self._fault(where="sessions", what="the session", expected=session, found=stored, stream=name)
            return
        row = rows.get(name)
        if row is None:
            self._fault(where="sessions", what="the row", expected="one", found="none", stream=name)
            return
        replayed = to_row(session, stream.failure_id)
        for column, ours, theirs in zip(COLUMNS, replayed, row, strict=True):
            if ours != theirs or type(ours) is not type(theirs):
                self._fault(
                    where="sessions",
                    what=f"the column {column}",
                    expected=ours,
                    found=theirs,
                    stream=name,
                    version=session.version,
                )

    # The tree, the file, the checkpoint

    def _tree(self) -> None:
        for level in range(1, 9):
            stored = dict(self.look.tree(level, 0, 2**62))
            ours = dict(self.nodes.get(level, ()))
            # Another process may have taken a checkpoint of more than we have seen. An empty tree is filled again.
            if level == 1 and not stored:
                return
            wanted = self.checkpointed // 256**level
            for number in sorted({*stored, *range(wanted)}):
                computed, found = ours.get(number), stored.get(number)
                if computed == found or (computed is None and (number + 1) * 256**level <= self.look.end()):
                    continue
                self._fault(
                    where="tree",
                    what=f"the hash over {256**level} events from position {number * 256**level + 1} on",
                    expected=computed.hex() if computed else "none",
                    found=found.hex() if found else "none",
                )

    def _integrity(self, around: Iterator[tuple[str, str]]) -> None:
        for where, found in around:
            self._fault(where=where, what="as SQLite finds it", expected="intact", found=found)

    def _compare_root(self) -> None:
        assert self.against is not None
        if (root := self.tree.root()) != self.against.root:
            self._fault(
                where="checkpoint",
                what=f"the root over the first {self.against.size} events",
                expected=self.against.root.hex(),
                found=root.hex(),
                position=self.against.size,
            )

    def _checkpoint_reached(self) -> None:
        if self.against is not None and self.tree.size < self.against.size:
            self._fault(
                where="checkpoint",
                what="how many events there are",
                expected=f"at least {self.against.size}",
                found=self.tree.size,
            )


class _HopelessError(Exception):
    """So much is wrong that looking on tells nothing more."""


def _found(error: HistoryError) -> str:
    return error.found if isinstance(error, LogTampered) else str(error)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
