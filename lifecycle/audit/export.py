"""export(): a log, or some of its sessions, as text that needs no SQLite: JSON Lines, CloudEvents, CSV.

JSON Lines is the complete record, private parts included, and can be imported again with the same hashes. After the
last event of a session stands what its history amounted to, for `check`; the last line tells how much there was, so
that a file that was cut is noticed. CloudEvents and CSV are for other programs; private fields only on demand.
"""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from heapq import merge
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from lifecycle.audit.envelope import FIELDS, envelope, line
from lifecycle.core.events import SessionReleased
from lifecycle.core.evolve import evolve
from lifecycle.errors import HistoryError, LogTampered
from lifecycle.log.canonical import parse
from lifecycle.log.codec import decode
from lifecycle.log.material import material
from lifecycle.log.paged import paged
from lifecycle.log.receipts import STREAM
from lifecycle.projections.maintain import failure_of
from lifecycle.projections.rows import COLUMNS, to_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lifecycle.core.evolve import Session
    from lifecycle.log.port import EventLog, Recorded
    from lifecycle.projections import Progress

__all__ = ["FORMATS", "Begun", "Format", "Summaries", "cloud_event", "export", "lines_of_rows", "rows_of", "summary"]

Format = Literal["jsonl", "cloudevents", "csv"]
FORMATS: Final[tuple[Format, ...]] = ("jsonl", "cloudevents", "csv")

_PAGE: Final = 1000
#: so many sessions are read one by one; for more, the whole log is gone through
_FEW: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: What a text begins with that spreadsheets compute (OWASP, "CSV Injection"): a stranger's header may become an id.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
#: columns of a session's row that are JSON
_PARSED: Final = frozenset(("config", "labels", "owner", "keeper", "browser"))
_TABLE: Final = tuple(name for name in FIELDS if name not in ("private", "private_salt"))


def export(
    log: EventLog,
    form: Format = "jsonl",
    *,
    sessions: Collection[str] | None = None,
    private: bool = False,
    source: str = "urn:session-lifecycle",
    progress: Progress | None = None,
) -> Iterator[str]:
    """The lines of an export, in log order; None for *sessions* means everything.

    A part of a log is whole sessions, and the log's own receipts, which say what was forgotten. *private* and *source*
    (a URI reference for the log) are for CloudEvents and CSV.

    Raises:
        LogUnavailable, LogTampered: As reading says; what came before is a file without its last line.
    """
    return lines_of_rows(log, rows_of(log, sessions, progress), form, private=private, source=source)


class Begun(Protocol):
    """The beginning of an export, as it stands in a file."""

    @property
    def same(self) -> bool:
        """Whether it is the same, as far as its lines were given out."""
        ...

    def summary(self, session_id: str) -> str | None:
        """The next line there, if it is what that session amounted to."""
        ...


def lines_of_rows(
    log: EventLog, rows: Iterator[Recorded], form: Format, *, private: bool, source: str, begun: Begun | None = None
) -> Iterator[str]:
    """The lines of an export of *rows*, which rows_of gave; what sessions amounted to is taken from *begun*."""
    if form == "jsonl":
        return _json_lines(log, rows, begun)
    if form == "cloudevents":
        return (json.dumps(cloud_event(row, source, private=private), ensure_ascii=False) + "\n" for row in rows)
    return _csv(rows, private)


def rows_of(log: EventLog, sessions: Collection[str] | None, progress: Progress | None) -> Iterator[Recorded]:
    """The events of everything, or of *sessions* and of the log itself, as far as they stand now; in log order."""
    look = material(log)
    end = look.end()
    if sessions is not None and len(sessions) <= _FEW:
        streams = sorted({*sessions, STREAM})
        total = sum(log.head(stream) for stream in streams)
        found = merge(*(paged(log, stream) for stream in streams), key=lambda row: row.position)
        for number, row in enumerate(found, 1):
            if row.position <= end:
                yield row
            if progress is not None and number % _PAGE == 0:
                progress(number, max(number, total))
        return
    wanted = None if sessions is None else {*sessions, STREAM}
    for begin in range(0, end, _PAGE):
        until = min(begin + _PAGE, end)
        for row in look.rows(begin, until):
            if wanted is None or row.stream in wanted:
                yield row
        if progress is not None:
            progress(until, end)


@dataclass(slots=True)
class _Open:
    session: Session | None = None
    failure_id: str | None = None
    readable: bool = True
    #: the version that has gone by
    by: int = 0


class Summaries:
    """What histories amount to, told as they come to their end; holds the sessions that are not released.

    Of events that went by() it looks up in *log* those that it needs in the end.
    """

    def __init__(self, log: EventLog | None = None) -> None:
        self._log = log
        self._open: dict[str, _Open] = {}

    def by(self, row: Recorded) -> None:
        """Let an event go by that need not be looked at now."""
        self._open.setdefault(row.stream, _Open()).by = row.version

    def drop(self, stream: str) -> None:
        """What this session amounts to is known."""
        self._open.pop(stream, None)

    def add(self, row: Recorded) -> dict[str, Any] | None:
        """One more event; the summary of its session if that was the last one.

        Raises:
            HistoryError: It can't follow. The session is left out from here on.
        """
        stream = self._open.setdefault(row.stream, _Open())
        self._catch_up(row.stream, stream)
        return self._step(stream, row)

    def _catch_up(self, name: str, stream: _Open) -> None:
        until, stream.by = stream.by, 0
        if not until or self._log is None or name == STREAM:
            return
        for row in takewhile(lambda row: row.version <= until, paged(self._log, name)):
            with suppress(HistoryError):  # left out from here on
                self._step(stream, row)

    def _step(self, stream: _Open, row: Recorded) -> dict[str, Any] | None:
        if not stream.readable or row.stream == STREAM:
            return None
        try:
            event = decode(row)
            if stream.session is None and not row.type.startswith("session."):
                stream.readable = False
                return None
            stream.session = evolve(stream.session, event)
        except HistoryError:
            stream.readable = False
            raise
        stream.failure_id = failure_of((row,)) or stream.failure_id
        if not stream.session.released:
            return None
        del self._open[row.stream]
        return summary(stream.session, stream.failure_id)

    def rest(self) -> Iterator[dict[str, Any]]:
        """The summaries of those that have not come to their end."""
        for name, stream in self._open.items():
            self._catch_up(name, stream)
            if stream.readable and stream.session is not None:
                yield summary(stream.session, stream.failure_id)


def summary(session: Session, failure_id: str | None) -> dict[str, Any]:
    """A session as plain JSON values, under the names of the read model's columns."""
    row = zip(COLUMNS, to_row(session, failure_id), strict=True)
    return {name: json.loads(value) if name in _PARSED and value is not None else value for name, value in row}


def _json_lines(log: EventLog, rows: Iterator[Recorded], begun: Begun | None) -> Iterator[str]:
    digest = sha256()
    count = sessions = 0
    summaries = Summaries(log)

    def told(text: str) -> str:
        digest.update(text.encode())
        return text

    for row in rows:
        count += 1
        yield told(line(envelope(row)))
        if begun is not None and begun.same:
            if row.type != SessionReleased.type:
                summaries.by(row)
                continue
            if (stands := begun.summary(row.stream)) is not None:
                summaries.drop(row.stream)
                sessions += 1
                yield told(stands)
                continue
        try:
            ended = summaries.add(row)
        except HistoryError:
            continue  # raw it is exported all the same
        if ended is not None:
            sessions += 1
            yield told(line({"session": ended}))
    for living in summaries.rest():
        sessions += 1
        yield told(line({"session": living}))
    yield line({"end": {"events": count, "sessions": sessions, "sha256": digest.hexdigest()}})


def cloud_event(row: Recorded, source: str, *, private: bool = False) -> dict[str, Any]:
    """*row* as a CloudEvent 1.0 in JSON; integers are texts where CloudEvents allows 32 bits only.

    Raises:
        LogTampered: Its data is no JSON object.
    """
    try:
        data = parse(row.data)
        if private and row.private is not None:
            data = {**data, **parse(row.private)}
    except ValueError as error:
        where = f"the data of version {row.version} of stream {row.stream}"
        raise LogTampered("log", where, expected="a JSON object", found=str(error)) from None
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": row.event_id,
        "source": source,
        "type": row.type,
        "subject": row.stream,
        "time": _time(row.at),
        "datacontenttype": "application/json",
        "sequence": f"{row.position:020}",  # CloudEvents' own extension: sorts as text
        "streamversion": row.version,
        "schemaversion": row.schema_version,
        "recordedtime": _time(row.recorded_at),
        "actor": row.actor,
        "writer": row.writer,
        "correlationid": row.correlation_id,
        "causationid": row.causation_id,
        "hash": row.hash,
        "data": data,
    }
    return {name: value for name, value in found.items() if value is not None}


def _time(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _csv(rows: Iterator[Recorded], private: bool) -> Iterator[str]:
    names = (*_TABLE, "private") if private else _TABLE
    yield _csv_line(names)
    for row in rows:
        yield _csv_line([getattr(row, name) for name in names])


def _csv_line(values: Collection[Any]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in values])
    return text.getvalue()
