"""why(): every cause in words, with who, evidence, lateness, the deadline and what went on; never an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from lifecycle import Cause, UnknownSession
from lifecycle.audit.why import why
from lifecycle.core import Close, Extend, deadline, moment, view
from lifecycle.log import ANY, MemoryLog
from lifecycle.testing.log_samples import new
from lifecycle.testing.runs import Run
from lifecycle.testing.strategies import runs
from tests.audit.corpus import MINUTE, SECOND, Writer
from tests.audit.strange import opener, plant

if TYPE_CHECKING:
    from pathlib import Path

#: cause -> what its paragraph must say: rule or actor, and evidence
SAYS: dict[Cause, tuple[str, ...]] = {
    Cause.STOPPED: ("is closed (stopped)", "ada, client 100 stopped it"),
    Cause.EXITED: ("is closed (exited)", "SystemExit with 0"),
    Cause.INTERRUPTED: ("is closed (interrupted)", "KeyboardInterrupt"),
    Cause.CANCELLED: ("is closed (cancelled)", "asyncio.CancelledError left the block"),
    Cause.OWNER_EXITED: ("is closed (owner_exited)", "pid 100 on desk, was gone", "seen_by=pidfd"),
    Cause.BROWSER_CLOSED: ("is closed (browser_closed)", "pid 300 on desk, quit by itself", "exit_code=0"),
    Cause.LAUNCH_FAILED: (
        "did not start: LaunchFailed: exited with 127",
        "libnss3.so",
        "exit_code=127",
        "took=90.0 ms",
    ),
    Cause.BROWSER_CRASHED: ("pid 300 on desk, died", "signal=9 (SIGKILL)"),
    Cause.BROWSER_LOST: ("can't be reached any more", "connection=closed"),
    Cause.KEEPER_LOST: ("pid 200 on desk, was found gone by ada, client 100", "keeper=gone"),
    Cause.EXCEPTION: ("An exception left the block", "LookupError: no price for cocoa"),
    Cause.IDLE: (
        "is timed_out (idle)",
        "Nobody had used it for 3 min",
        "clock_step=2.00 s",
        "recorded 12 min 1 s later",
    ),
    Cause.MAX_DURATION: ("is timed_out (max_duration)", "lived for 15 min", "recorded 8.50 s later"),
}


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_in_words(book: Writer, cause: Cause) -> None:
    found = why(book.log, book.end(cause), book.clock.now())
    for said in SAYS[cause]:
        assert said in found.text, found.text
    session = view(book.client.load(cause.value), book.clock.now())
    assert (found.status, found.cause, found.session_id) == (session.status, cause, cause.value)
    assert found.deadline is not None
    assert f"{found.deadline:%Y-%m-%dT%H:%M:%S}" in found.text
    assert found.ending is not None
    assert found.recorded_after == found.ending.late
    assert "after the end." in found.text
    if cause is Cause.LAUNCH_FAILED:
        assert "it stood so from its creation by ada, client 100" in found.text
        assert "No browser had been started" in found.text
        return
    assert "https://shop.example/prices?page=REDACTED" in found.text
    assert "click of text=Next (ok)" in found.text
    assert "fill (failed with StaleElement)" in found.text
    assert "connected was client#1" in found.text
    assert "page had crashed" in found.text
    if cause is not Cause.MAX_DURATION:
        assert "the last to move it was keeper 200 with accessed" in found.text


def test_every_cause_has_its_words() -> None:
    assert set(SAYS) == set(Cause)


def test_a_session_that_lives(book: Writer) -> None:
    found = why(book.log, book.living(), book.clock.now())
    assert found.status == "active"
    assert "(by an extension), in 30 min" in found.text
    assert "the last to move it was bob, client 101 with extended" in found.text
    assert "connected was client#2" in found.text
    assert found.clients == ("client#2",)
    assert (found.ending, found.recorded_after) == (None, None)


def test_a_session_that_a_drain_has_ended(book: Writer) -> None:
    """Nobody called stop(), and its block was not over: a worker had been told to end."""
    book.create("drained")
    book.start("drained")
    book.client.execute("drained", Close(cause=Cause.STOPPED, evidence={"by": "drain"}))
    found = why(book.log, "drained", book.clock.now())
    assert "ada, client 100 let go of its sessions, and this one had not come to its end" in found.text
    assert "stop()" not in found.text


def test_a_session_that_was_only_ordered(book: Writer) -> None:
    book.create("s")
    book.clock.advance(1)
    found = why(book.log, "s", book.clock.now(), relative=True)
    assert "is ordered, and its browser is not running yet" in found.text
    assert "(1s ago)" in found.text


def test_overdue_and_not_recorded(book: Writer) -> None:
    found = why(book.log, book.overdue(), book.clock.now())
    assert (found.status, found.cause, found.ending) == ("timed_out", "idle", None)
    assert "Nobody has recorded that yet" in found.text
    assert "That its browser is gone is not recorded." in found.text


def test_an_extension_that_ran_out(book: Writer) -> None:
    book.create("s", idle=1)
    book.start("s")
    book.client.execute("s", Extend(by_us=5 * MINUTE))
    book.clock.advance(400)
    book.client.execute("s", Close(cause=Cause.STOPPED))
    found = why(book.log, "s", book.clock.now())
    assert "the time to which it had been extended" in found.text
    assert "found=close/stopped" in found.text, "what came too late is evidence"


@settings(max_examples=150, deadline=None)
@given(runs())
def test_any_history_has_an_answer_that_agrees_with_its_view(run: Run) -> None:
    """Wherever it is cut off, and before, at and after the deadline."""
    log = MemoryLog()
    for event in run.events:
        log.append("s", [new(event)], expected=ANY)
        session = log.sessions.get("s")
        assert session is not None
        for now in (event.at, deadline(session), deadline(session) + SECOND):
            seen = view(session, now)
            found = why(log, "s", now)
            assert (found.status, found.cause) == (seen.status, seen.cause)
            assert session.session_id in found.text
            if seen.closed_at is None:
                assert found.deadline == seen.deadline


def test_events_of_a_newer_version_are_named_and_passed_over(tmp_path: Path) -> None:
    book = Writer(opener(tmp_path / "log.db"))
    book.living("s")
    plant(tmp_path / "log.db", "s", "session.teleported", {"to": "the moon"}, at=book.clock.now())
    plant(tmp_path / "log.db", "s", "session.operation", {"kind": 5}, at=book.clock.now(), schema_version=9)
    found = why(book.log, "s", book.clock.now())
    assert found.status == "active"
    assert "Not weighed here" in found.text
    assert "2 × session.operation, session.teleported" in found.text
    plant(tmp_path / "log.db", "s", "session.closed", {"cause": "bored"}, at=book.clock.now(), schema_version=2)
    found = why(book.log, "s", book.clock.now())
    assert found.status == "closed"
    assert "A newer version of this library ended it" in found.text
    book.log.close()


@pytest.mark.parametrize(
    ("event_type", "data", "schema_version"),
    [
        ("session.created", {"nonsense": True}, 1),
        ("session.created", "{not json}", 1),
        ("session.created", {"session_id": "s"}, 9),
        ("session.begun", {}, 1),
        ("session.closed", {"cause": "stopped"}, 1),
    ],
)
def test_a_history_that_can_not_be_read_is_told_as_such(
    tmp_path: Path, event_type: str, data: Any, schema_version: int
) -> None:
    book = Writer(opener(tmp_path / "log.db"))
    plant(tmp_path / "log.db", "s", event_type, data, at=book.clock.now(), schema_version=schema_version)
    found = why(book.log, "s", book.clock.now())
    assert found.status == "unreadable"
    assert "can't be read as a session here" in found.text
    assert f"the last is {event_type}" in found.text
    book.log.close()


def test_an_unknown_session(book: Writer) -> None:
    with pytest.raises(UnknownSession):
        why(book.log, "nobody", book.clock.now())


def test_a_notebook_gets_the_paragraph_escaped(book: Writer) -> None:
    book.create("s", labels={"a": "b"})
    book.start("s")
    found = why(book.log, "s", book.clock.now())
    assert found._repr_html_().startswith("<p>Session s")  # pyright: ignore[reportPrivateUsage]
    assert str(found) == found.text
    assert f"{moment(book.clock.now()):%Y-%m-%dT%H}" in found.text
