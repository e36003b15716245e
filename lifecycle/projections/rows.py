"""A Session as a row of `sessions`, and back; the two are exact inverses but for the error message."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core.deadlines import deadline
from lifecycle.core.events import Cause, Config, Limits, ProcessIdentity
from lifecycle.core.evolve import Session, restored
from lifecycle.core.frozen import FrozenDict
from lifecycle.core.states import State
from lifecycle.errors import LogTampered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

__all__ = ["COLUMNS", "INSERT", "SELECT", "from_row", "to_row", "to_update"]

COLUMNS: Final = (
    "session_id",
    "version",
    "status",
    "created_at",
    "last_at",
    "last_accessed_at",
    "deadline",
    "started_at",
    "closed_at",
    "idle_timeout_us",
    "max_duration_us",
    "extended_until",
    "cause",
    "error_type",
    "failure_id",
    "released",
    "keep_alive",
    "ownership",
    "keeper_id",
    "browser_version",
    "config",
    "labels",
    "owner",
    "keeper",
    "browser",
)

INSERT: Final = f"INSERT INTO sessions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

#: What every event may change. The rest changes together, when a session starts, ends or is released: SQLite writes
#: each index anew that a column of the statement stands in, whether or not its value is another.
_NOTED: Final = ("version", "last_at", "last_accessed_at", "deadline", "extended_until")
_STARTED: Final = ("started_at", "ownership", "browser_version", "keeper", "browser")
_ENDED: Final = ("closed_at", "cause", "error_type", "failure_id")

_labels: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode

#: Columns of a query over `sessions AS s` whose rows from_row takes; only a failed session has a message to look up.
SELECT: Final = (
    ", ".join(f"s.{name}" for name in COLUMNS)
    + ", CASE WHEN s.failure_id IS NOT NULL THEN (SELECT body FROM private WHERE event_id = s.failure_id) END"
)


def to_row(session: Session, failure_id: str | None) -> tuple[Any, ...]:
    """The row of *session*, in the order of COLUMNS; *failure_id* is the id of its `failed` event."""
    return (
        session.session_id,
        session.version,
        session.status.value,
        session.created_at,
        session.last_at,
        session.last_accessed_at,
        deadline(session),
        session.started_at,
        session.closed_at,
        session.limits.idle_timeout_us,
        session.limits.max_duration_us,
        session.extended_until,
        None if session.cause is None else session.cause.value,
        session.error_type,
        failure_id,
        int(session.released),
        int(session.keep_alive),
        session.ownership,
        session.keeper_id,
        session.browser_version,
        _json(session.config),
        _labels(session.labels),
        _json(session.owner),
        _text(session.keeper),
        _text(session.browser),
    )


def to_update(before: Session, after: Session, failure_id: str | None) -> tuple[str, list[Any]]:
    """The statement that makes the row of *before* that of *after*, a later one of the same session; its parameters."""
    values: list[Any] = [
        after.version,
        after.last_at,
        after.last_accessed_at,
        deadline(after),
        after.extended_until,
    ]
    moved = after.status is not before.status
    started = after.started_at != before.started_at
    ended = after.closed_at != before.closed_at
    released = after.released is not before.released
    if moved:
        values.append(after.status.value)
    if started:
        values += (after.started_at, after.ownership, after.browser_version, _text(after.keeper), _text(after.browser))
    if ended:
        values += (after.closed_at, after.cause and after.cause.value, after.error_type, failure_id)
    if released:
        values.append(int(after.released))
    values.append(after.session_id)
    return _update(moved, started, ended, released), values


@cache
def _update(moved: bool, started: bool, ended: bool, released: bool) -> str:
    names = (
        *_NOTED,
        *(("status",) if moved else ()),
        *(_STARTED if started else ()),
        *(_ENDED if ended else ()),
        *(("released",) if released else ()),
    )
    return f"UPDATE sessions SET {', '.join(f'{name} = ?' for name in names)} WHERE session_id = ?"


def _text(model: BaseModel | None) -> str | None:
    return None if model is None else _json(model)


def _json(model: BaseModel) -> str:
    # What model_dump_json() does, in half the time.
    return model.__pydantic_serializer__.to_json(model).decode()


# The same few processes own and keep many sessions.
@lru_cache(maxsize=256)
def _identity(text: str) -> ProcessIdentity:
    return ProcessIdentity.model_validate_json(text)


@lru_cache(maxsize=256)
def _config(text: str) -> Config:
    return Config.model_validate_json(text)


@lru_cache(maxsize=256)
def _limits(idle: int | None, longest: int) -> Limits:
    return Limits(idle_timeout_us=idle, max_duration_us=longest)


# Looked up: an Enum is called in Python code, and a list makes hundreds of rows.
_STATES: Final = {state.value: state for state in State}
_CAUSES: Final[dict[str | None, Cause | None]] = {None: None, **{cause.value: cause for cause in Cause}}
_NO_LABELS: Final[FrozenDict[str, str]] = FrozenDict()


def from_row(row: Sequence[Any]) -> Session:
    """The Session of a row that SELECT gave.

    Raises:
        LogTampered: The row is not one that to_row wrote; a rebuild makes it again.
    """
    try:
        (
            session_id,
            version,
            status,
            created_at,
            last_at,
            last_accessed_at,
            _deadline,
            started_at,
            closed_at,
            idle_timeout_us,
            max_duration_us,
            extended_until,
            cause,
            error_type,
            _failure_id,
            released,
            keep_alive,
            ownership,
            keeper_id,
            browser_version,
            config,
            labels,
            owner,
            keeper,
            browser,
            body,
        ) = row
        return restored(
            (
                session_id,
                version,
                _STATES[status],
                created_at,
                last_at,
                last_accessed_at,
                _limits(idle_timeout_us, max_duration_us),
                _config(config),
                _NO_LABELS if labels == "{}" else FrozenDict(json.loads(labels)),
                bool(keep_alive),
                _identity(owner),
                None if keeper is None else _identity(keeper),
                keeper_id,
                ownership,
                None if browser is None else _identity(browser),
                browser_version,
                started_at,
                closed_at,
                extended_until,
                _CAUSES[cause],
                error_type,
                None if body is None else json.loads(body).get("error_message"),
                bool(released),
            )
        )
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise LogTampered(
            "sessions",
            f"row of {row[0]!r}",
            expected="what this library wrote; a rebuild makes it again",
            found=str(error),
        ) from None


# from_row gives the values in this order.
_ORDER: Final = (
    "session_id",
    "version",
    "status",
    "created_at",
    "last_at",
    "last_accessed_at",
    "limits",
    "config",
    "labels",
    "keep_alive",
    "owner",
    "keeper",
    "keeper_id",
    "ownership",
    "browser",
    "browser_version",
    "started_at",
    "closed_at",
    "extended_until",
    "cause",
    "error_type",
    "error_message",
    "released",
)
if tuple(field.name for field in fields(Session)) != _ORDER:
    raise AssertionError("the fields of Session and the values of from_row have different orders")

# A field added to Session must find its way into the row, or list would not give what fold gives.
_STORED: Final = {*COLUMNS, "limits", "error_message"} - {
    "deadline",
    "failure_id",
    "idle_timeout_us",
    "max_duration_us",
}
if {field.name for field in fields(Session)} != _STORED:
    raise AssertionError(f"sessions row and core Session differ in {_STORED ^ {f.name for f in fields(Session)}}")
