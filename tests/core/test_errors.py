"""The tree of errors: drawn as it is, every one with its fields, a sentence, and a life across processes."""

from __future__ import annotations

import copy
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import errors
from lifecycle.actions import Click
from lifecycle.core import State, Trigger, view
from lifecycle.core.view import moment
from lifecycle.errors import (
    ActionFailed,
    AlreadyStarted,
    AmbiguousSession,
    BadCheckpoint,
    BadExport,
    BrowserLost,
    BrowserNotFound,
    ClientClosed,
    EventIdReused,
    ForkedSession,
    FutureSchema,
    IllegalCommand,
    IllegalHistory,
    InvalidConfig,
    KeeperUnavailable,
    LaunchFailed,
    LifecycleError,
    LogClosed,
    LogTampered,
    LogUnavailable,
    MalformedEvent,
    MissingExtra,
    NewerLog,
    NoGate,
    NoRecording,
    NotALog,
    NotRecorded,
    NotStarted,
    ReadOnlyLog,
    SealedLog,
    SessionEnded,
    SessionStopped,
    SessionTimedOut,
    SinkRefused,
    SinkUnavailable,
    TooManySessions,
    UnknownEventType,
    UnknownSession,
    ViewerUnavailable,
    WrongThread,
    WrongVersion,
)
from lifecycle.results import ExecutionResult
from lifecycle.testing.samples import T0, D, closed, created, session, started

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERDUE = view(session(created(labels={"a": "b"}), started()), D)
STOPPED = view(session(created(), started(), closed(T0)), T0)
FAILED = ExecutionResult(
    action=Click(selector="#go"),
    success=False,
    message="a dialog blocked the page: 'Sure?'",
    reason="dialog",
    summary="a dialog blocked the page",
    started_at=moment(T0),
    ended_at=moment(T0 + 1),
)

#: an example of each, its fields, and how its sentence begins: what is wrong and, where there is one, the choice
EXAMPLES: list[tuple[LifecycleError, dict[str, Any], str]] = [
    (
        InvalidConfig("viewport_width", -1, "must be from 1 to 16384"),
        {"argument": "viewport_width", "allowed": "must be from 1 to 16384"},
        "viewport_width=-1: must be from 1 to 16384",
    ),
    (
        IllegalCommand(session_id="s-1", state=State.CLOSED, command=Trigger.START, legal=["release"]),
        {"session_id": "s-1", "state": "closed", "command": "start", "legal": ("release",)},
        "start is not legal for session s-1, which is closed; legal there: release",
    ),
    (
        IllegalCommand(session_id=None, state="not created", command="close", legal=()),
        {"session_id": None, "state": "not created", "command": "close", "legal": ()},
        "close is not legal for a session, which is not created; legal there: nothing",
    ),
    (AlreadyStarted("s-1"), {"session_id": "s-1"}, "session s-1 has been started before; make a new Session"),
    (
        NotStarted("s-1", "page"),
        {"session_id": "s-1", "what": "page"},
        "page needs a started session; call start() on session s-1 or use `with`",
    ),
    (UnknownSession("nope", "a.db"), {"session_id": "nope", "log": "a.db"}, "no session 'nope' in a.db"),
    (
        AmbiguousSession("01a2", ["01a21", "01a22"], more=True),
        {"prefix": "01a2", "candidates": ("01a21", "01a22"), "more": True},
        "'01a2' is the beginning of several sessions' ids: 01a21, 01a22, and more",
    ),
    (
        ForkedSession("session s-1", 5),
        {"what": "session s-1", "owner_pid": 5},
        "session s-1 belongs to process 5 and can't be used in a forked child; make a Client here and attach by sess",
    ),
    (
        NoGate("s-1", "cdp_url()"),
        {"session_id": "s-1", "what": "cdp_url()"},
        "cdp_url() needs a gate, and session s-1 has none: it was attached to a browser that somebody else launched",
    ),
    (WrongThread("use AsyncClient here"), {}, "use AsyncClient here"),
    (
        MissingExtra("scrape()", "scrape"),
        {"what": "scrape()", "extra": "scrape"},
        "scrape() needs the extra 'scrape': pip install 'session-lifecycle[scrape]'",
    ),
    (ActionFailed(FAILED), {"result": FAILED}, "click failed: a dialog blocked the page"),
    (
        NotRecorded(FAILED, "the disk is full"),
        {"result": FAILED, "why": "the disk is full"},
        "click failed (a dialog blocked the page), and that could not be recorded: the disk is full",
    ),
    (NotALog("a.db", "a picture"), {"locator": "a.db", "reason": "a picture"}, "a.db: a picture"),
    (NewerLog("a.db", "version 9"), {"locator": "a.db", "reason": "version 9"}, "a.db: version 9"),
    (ReadOnlyLog("a.db", "read-only"), {"locator": "a.db", "reason": "read-only"}, "a.db: read-only"),
    (
        SealedLog("a.db"),
        {"locator": "a.db"},
        "a.db: is sealed: nothing is added to it any more; use the log that follows it",
    ),
    (BadCheckpoint("it is cut"), {"reason": "it is cut"}, "the checkpoint can't be trusted: it is cut"),
    (BadExport(7, "it is cut"), {"line": 7, "reason": "it is cut"}, "line 7 of the export: it is cut"),
    (
        SessionEnded(STOPPED),
        {"view": STOPPED, "session_id": "s-1"},
        "session s-1 is closed (stopped) at 2027-01-15T08:00:00+00:00",
    ),
    (
        SessionTimedOut(OVERDUE),
        {"view": OVERDUE, "session_id": "s-1"},
        "session s-1 is timed_out (idle) at 2027-01-15T08:03:00+00:00",
    ),
    (SessionStopped(STOPPED), {"view": STOPPED, "session_id": "s-1"}, "session s-1 is closed (stopped)"),
    (BrowserLost(STOPPED), {"view": STOPPED, "session_id": "s-1"}, "session s-1 is closed (stopped)"),
    (BrowserNotFound("install chromium"), {}, "install chromium"),
    (
        LaunchFailed("s-1", "exited with 1", "no display"),
        {"session_id": "s-1", "reason": "exited with 1", "last_words": "no display"},
        "the browser of session s-1 did not start: exited with 1; its last words: no display",
    ),
    (KeeperUnavailable("no answer within 5 s"), {"retryable": True}, "no answer within 5 s"),
    (
        TooManySessions(4, 4, 1.5),
        {"limit": 4, "running": 4, "waited_s": 1.5, "retryable": True},
        "no place for a session: 4 run on this log, at most 4 may (waited 1.5 s)",
    ),
    (
        SinkUnavailable("out.jsonl", "No space left on device", 2.0),
        {"sink": "out.jsonl", "reason": "No space left on device", "after_s": 2.0, "retryable": True},
        "out.jsonl does not take events now: No space left on device",
    ),
    (
        SinkRefused("https://events.example/in", "400 Bad Request", "e-1", "no such topic"),
        {"event_id": "e-1", "reason": "400 Bad Request", "said": "no such topic", "retryable": False},
        "https://events.example/in refused event e-1: 400 Bad Request: no such topic",
    ),
    (
        ClientClosed(),
        {"retryable": False},
        "this Client is closed, and starts no session any more; make a new Client",
    ),
    (
        ViewerUnavailable("s-1", "no answer within 20 s"),
        {"session_id": "s-1", "reason": "no answer within 20 s", "retryable": True},
        "the live view of session s-1 can't be shown: no answer within 20 s",
    ),
    (
        NoRecording("s-1", "no picture came"),
        {"session_id": "s-1", "reason": "no picture came"},
        "no recording of session s-1: no picture came",
    ),
    (LogUnavailable("disk full"), {"retryable": True}, "disk full"),
    (LogClosed("the log has been closed"), {"retryable": False}, "the log has been closed"),
    (
        WrongVersion("s-1", 3, 4),
        {"stream": "s-1", "expected": 3, "actual": 4, "retryable": True},
        "stream s-1 is at version 4, expected 3",
    ),
    (
        EventIdReused("e-1", "in stream s-2"),
        {"event_id": "e-1", "detail": "in stream s-2"},
        "event id e-1 is in the log already: in stream s-2",
    ),
    (
        UnknownEventType("session.mine"),
        {"event_type": "session.mine"},
        "unknown event type 'session.mine'; read the stream raw, or upgrade",
    ),
    (
        FutureSchema("session.created", 3, 1),
        {"event_type": "session.created", "schema_version": 3, "known": 1},
        "event session.created has schema version 3, this library knows up to 1; upgrade",
    ),
    (
        MalformedEvent("session.created", "labels: wrong"),
        {"event_type": "session.created", "reason": "labels: wrong"},
        "event session.created is malformed: labels: wrong",
    ),
    (
        IllegalHistory("s-1", 3, "too late"),
        {"session_id": "s-1", "version": 3, "reason": "too late"},
        "history of session s-1, version 3: too late",
    ),
    (
        LogTampered("a.db", "hash of version 2", expected="ab", found="cd"),
        {"locator": "a.db", "where": "hash of version 2", "expected": "ab", "found": "cd"},
        "a.db: hash of version 2: expected ab, found cd",
    ),
]
CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and cls.__module__ == errors.__name__]
ids = [f"{type(example[0]).__name__}-{index}" for index, example in enumerate(EXAMPLES)]


def tree(cls: type[LifecycleError] = LifecycleError, depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, cls.__name__
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


def drawn() -> Iterator[tuple[int, str]]:
    """(depth, name) for every line of the drawing."""
    assert errors.__doc__
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([│ ]*)([├└]── )?([A-Z]\w+)(  |$)", line):
            indent, branch, name, _ = found.groups()
            yield (len(indent) // 4 + 1 if branch else 0), name


def test_the_drawing_is_the_tree() -> None:
    assert list(drawn()) == list(tree())


def test_every_error_is_public_and_has_an_example() -> None:
    names = [name for _, name in tree()]
    assert sorted(names) == sorted(errors.__all__)
    bases = {"LifecycleError", "UsageError", "LogUnsuitable", "WorldError", "HistoryError"}
    assert {type(error).__name__ for error, _, _ in EXAMPLES} == set(names) - bases


@pytest.mark.parametrize(("error", "fields", "sentence"), EXAMPLES, ids=ids)
def test_an_error_keeps_its_fields_and_says_what_is_wrong(
    error: LifecycleError, fields: dict[str, Any], sentence: str
) -> None:
    assert {name: getattr(error, name) for name in fields} == fields
    assert str(error).startswith(sentence)
    assert error.retryable == fields.get("retryable", False)


@pytest.mark.parametrize(("error", "fields", "sentence"), EXAMPLES, ids=ids)
def test_an_error_survives_pickle_and_copy(error: LifecycleError, fields: dict[str, Any], sentence: str) -> None:
    error.add_note("seen in a worker")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert {name: getattr(again, name) for name in fields} == fields
        assert vars(again) == vars(error)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_says_in_its_docstring_what_happened(cls: type[LifecycleError]) -> None:
    assert issubclass(cls, LifecycleError)
    assert cls.__doc__
    assert cls.__doc__.splitlines()[0].endswith(".")


def test_an_invalid_config_is_a_value_error_too() -> None:
    assert issubclass(InvalidConfig, ValueError)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 1_000_000, f"name='{'x' * 59}… (1000002 characters): no"),
        ("\ud800", r"name='\ud800': no"),
        (10**5000, "name=<int>: no"),
        (None, "name=None: no"),
    ],
    ids=["megabyte", "surrogate", "huge int", "none"],
)
def test_any_value_can_be_shown_in_a_short_sentence_that_can_be_printed(value: object, shown: str) -> None:
    sentence = str(InvalidConfig("name", value, "no"))
    assert sentence == shown
    sentence.encode()


def test_an_unknown_session_of_a_megabyte_is_named_in_short() -> None:
    error = UnknownSession("x" * 1_000_000, "a.db")
    assert str(error) == f"no session '{'x' * 40}… (1000000 characters)' in a.db"
    assert str(UnknownSession("\ud800 at all", "a.db")) == r"no session '\ud800 at all' in a.db"
