"""The model's shortest paths, walked on the whole client with any host that keeps the browser contract."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lifecycle.core import Close, Expire, Fail, Start, fold
from lifecycle.core.evolve import trigger_of
from lifecycle.errors import LifecycleError, SessionTimedOut
from lifecycle.log.codec import events
from lifecycle.testing.history import check_history, rows
from lifecycle.testing.model import shortest_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle import Session
    from lifecycle.testing import BrowserContract
    from lifecycle.testing.model import Move

PATHS: Final = shortest_paths()
_PATIENCE_S: Final = 15.0


def walked(contract: BrowserContract, path: Sequence[Move]) -> list[tuple[str, str]]:
    """Do what *path* says, as far as a client can be told to; (status, trigger) of each event that came of it.

    A release is never ordered: the keeper's is waited for.
    """
    orders = [type(move.order) for move in path]
    if Fail in orders:
        session = contract.broken()
        with suppress(LifecycleError):
            session.start()
    elif Expire in orders:
        session = contract.session(idle_timeout_minutes=1.5 / 60)
        with suppress(SessionTimedOut):  # a busy machine takes longer than that to start a browser
            session.start()
    elif Start in orders:
        session = contract.session()
        session.start()
    else:  # nothing but created: as it stands before its browser has come up
        session = contract.session()
        _while_starting(session, contract)
    if Close in orders:
        session.stop()
    ends = {Close, Fail, Expire} & set(orders)
    log = contract.client().log
    if ends:
        _until(lambda: events(log.read(session.session_id))[-1].type == "session.released")
    history = events(log.read(session.session_id))
    assert list(check_history(rows(log))) == []
    session.stop()
    told: list[tuple[str, str]] = []
    for index, event in enumerate(history):
        before = fold(history[:index])
        if before is not None:
            told.append((before.status.value, trigger_of(event.type).value))
    return told


def _while_starting(session: Session, contract: BrowserContract) -> None:
    def start() -> None:
        with suppress(LifecycleError):
            session.start()

    threading.Thread(target=start, daemon=True).start()
    _until(lambda: contract.client().log.head(session.session_id) > 0)


def _until(true: object) -> None:
    assert callable(true)
    until = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < until, f"not within {_PATIENCE_S:.0f} s"
        time.sleep(0.01)


def rows_of(name: str) -> set[tuple[str, str]]:
    """The rows of the table that the walk of this path must have taken, one of each status that leads there."""
    status = name.removesuffix(" released")
    trigger = {"closed": "close", "error": "fail", "timed_out": "expire"}.get(status)
    found = {("created", "start")} if status == "active" else set[tuple[str, str]]()
    if trigger is not None:
        found |= {(source, trigger) for source in ("created", "active")}
    return found


def check(contract: BrowserContract, name: str) -> None:
    """Walk the path to *name*, and see that it led there."""
    told = walked(contract, PATHS[name])
    wanted = rows_of(name)
    assert not wanted or wanted & set(told), f"{name}: {told}"
    if name.endswith("released"):
        assert told[-1] == (name.removesuffix(" released"), "release")
