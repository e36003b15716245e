"""Every wrong argument is one clear error that names it: nothing is recorded, nothing runs."""

from __future__ import annotations

import math
import pickle
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from lifecycle import Client, InvalidConfig, UnknownSession
from lifecycle.core import LIVE
from lifecycle.errors import LifecycleError, LogUnavailable, LogUnsuitable, NotALog

if TYPE_CHECKING:
    from tests.client.world import World

SURROGATE = "\udc80"
BIG = "x" * 1_000_000
DURATIONS: list[object] = [
    *(0, -1, True, "5", [], math.nan, math.inf, -math.inf, 1 / 61, 1e300, 10**400, 52_560_001),
    *(timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=999), timedelta.max),
]


def _each(name: str, *values: object) -> list[tuple[str, object]]:
    return [(name, value) for value in values]


WRONG: list[tuple[str, object]] = [
    *_each("headless", 0, 1, None, "yes"),
    *_each("timeout_minutes", *DURATIONS),
    *_each("idle_timeout_minutes", *DURATIONS),
    *_each("max_duration_minutes", *DURATIONS),
    *_each("browser", 5, "", " ", "chrom", "a\0/b", f"/x{SURROGATE}", [], {}, b"/bin/true", True),
    *_each("browser_args", "--x", 5, None, [5], ["x"], ["--"], ["--a b"], ["-x"], ["--x\0"], [f"--x={SURROGATE}"]),
    *_each("browser_args", ["--user-data-dir=/tmp/x"], ["--remote-debugging-port=0"], [f"--x={BIG}"]),
    *_each("browser_args", ["--remote-debugging-pipe"], ["--remote-allow-origins=*"], ["--headless"]),
    *_each("labels", [], "a=b", 5, {"": "x"}, {"a b": "x"}, {5: "x"}, {"x" * 65: "x"}, {SURROGATE: "x"}),
    *_each("labels", *({"a": value} for value in (5, None, True, "x" * 1025, BIG, "\0", SURROGATE))),
    *_each("labels", {f"k{n}": "x" for n in range(65)}),
    *_each("cookie_file", 5, [], "", "/", "a\0b", f"a{SURROGATE}", "x" * 300, BIG),
    *_each("record", 5, None, "", " ", "a\0.mp4", f"{SURROGATE}.mp4", "x" * 300, f"{BIG}.mp4"),
    *_each("user_data_dir", 5, "", "a\0b", f"a{SURROGATE}", "x" * 300),
    *_each("downloads_dir", 5, "", "a\0b", f"a{SURROGATE}", "x" * 300),
    *_each("keep_alive", 0, "no", None),
    *_each("page", 0, "no", None),
    *(("timeout_minute", 5), ("colour", "red"), ("timeout", 5)),
]


def _shown(value: object) -> str:
    return "object" if type(value) is object else repr(value)[:40]  # the same name in every process


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda it: it if isinstance(it, str) else _shown(it))
def test_a_wrong_argument_of_session_is_named(name: str, value: object, client: Client, world: World) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(InvalidConfig) as caught:
        client.Session(**arguments)
    error = caught.value
    assert error.argument.partition("[")[0] == name
    assert str(error).startswith(error.argument)
    assert len(str(error)) < 1000
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.argument, again.allowed) == (str(error), error.argument, error.allowed)
    assert client.sessions.count() == 0
    assert world.processes() == []


@pytest.mark.parametrize("value", [0, -1, 16_385, 800.0, True, "800", math.nan, 10**30])
@pytest.mark.parametrize("side", ["viewport_width", "viewport_height"])
def test_a_wrong_size_is_named(side: str, value: object, client: Client) -> None:
    arguments: dict[str, Any] = {"viewport_width": 800, "viewport_height": 600, side: value}
    with pytest.raises(InvalidConfig, match=side):
        client.Session(**arguments)


def test_arguments_that_contradict_each_other(client: Client) -> None:
    with pytest.raises(InvalidConfig, match="timeout_minutes"):
        client.Session(timeout_minutes=1, idle_timeout_minutes=1)
    with pytest.raises(InvalidConfig, match="idle_timeout_minutes"):
        client.Session(idle_timeout_minutes=10, max_duration_minutes=5)
    with pytest.raises(InvalidConfig, match="viewport_height"):
        client.Session(viewport_width=800)
    with pytest.raises(InvalidConfig, match="viewport_width"):
        client.Session(viewport_height=600)


def test_an_unknown_argument_gets_a_hint(client: Client) -> None:
    wrong: dict[str, Any] = {"timeout_minuts": 5}
    with pytest.raises(InvalidConfig, match="did you mean timeout_minutes"):
        client.Session(**wrong)


def test_the_limits_that_are_allowed(client: Client) -> None:
    """The edges of every range are inside."""
    client.Session(
        idle_timeout_minutes=1 / 60, max_duration_minutes=52_560_000, viewport_width=1, viewport_height=16_384
    )
    client.Session(idle_timeout_minutes=timedelta(seconds=1), labels={"x" * 64: "y" * 1024, "a.b/c:d-e_f": ""})
    client.Session(idle_timeout_minutes=60)  # lifts the default maximum
    client.Session(browser_args=(f"--a{n}" for n in range(3)))
    assert client.sessions.count() == 0


# --- ids --------------------------------------------------------------------------------------------------------------

GARBAGE = (
    "",
    " ",
    "x",
    "log",
    "../../etc/passwd",
    "a/b",
    "a\0b",
    SURROGATE,
    "ü" * 36,
    "x" * 1000,
    BIG,
    "%s{0}",
    "-",
    "\n",
)


@pytest.mark.parametrize("session_id", [str(UUID(int=7)), *GARBAGE], ids=_shown)
def test_an_id_that_is_not_in_the_log(session_id: str, client: Client, world: World) -> None:
    for use in (client.Session, client.sessions.get):
        with pytest.raises(UnknownSession) as caught:
            use(session_id)
        assert len(str(caught.value)) < 300
        assert caught.value.session_id == session_id
    assert client.sessions.count() == 0
    assert not (world.runtime / "endpoints").is_dir() or list((world.runtime / "endpoints").iterdir()) == []


@pytest.mark.parametrize("session_id", [5, 1.5, b"x", [], object(), UUID(int=7)], ids=_shown)
def test_an_id_that_is_no_text(session_id: Any, client: Client) -> None:
    for use in (client.Session, client.sessions.get):
        with pytest.raises(InvalidConfig, match="session_id"):
            use(session_id)


def test_an_id_of_another_log_is_unknown_here(client: Client, world: World) -> None:
    from lifecycle.testing.fake_host import FakeBrowser

    other = Client(world.folder / "other.db", browser=FakeBrowser())
    session = other.Session(page=False).start()
    try:
        with pytest.raises(UnknownSession, match=str(world.log)):
            client.Session(session.session_id)
    finally:
        session.stop()
        other.close()


@pytest.mark.parametrize("argument", ["headless", "timeout_minutes", "labels", "browser", "keep_alive", "nonsense"])
def test_configuration_beside_an_id_is_refused(argument: str, client: Client) -> None:
    arguments: dict[str, Any] = {argument: True}
    with pytest.raises(InvalidConfig, match=argument):
        client.Session(str(UUID(int=7)), **arguments)


# --- the client itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["", " ", "a\nb", "a\0", "x" * 257, 5, b"me", SURROGATE, []], ids=_shown)
def test_a_wrong_actor_is_named(actor: Any, world: World) -> None:
    with pytest.raises(InvalidConfig, match="actor"):
        Client(world.log, actor=actor)
    assert not world.log.exists()


@pytest.mark.parametrize("name", ["browser", "pages", "clock", "ids"])
@pytest.mark.parametrize("value", ["chromium", 5, object()], ids=_shown)
def test_a_part_that_is_none_is_named(name: str, value: object, world: World) -> None:
    """`browser=` is a session's argument in most heads."""
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(InvalidConfig, match=name):
        Client(world.log, **arguments)
    assert not world.log.exists()


@pytest.mark.parametrize("log", [5, 1.5, [], object(), True], ids=_shown)
def test_a_log_that_is_none_is_named(log: Any) -> None:
    with pytest.raises(InvalidConfig, match="log"):
        Client(log)


def test_places_that_can_not_be_a_log(world: World) -> None:
    text = world.folder / "notes.txt"
    text.write_text("not a database, and quite a bit longer than a header, so that it is looked at")
    places: list[tuple[str | Path, type[LifecycleError] | tuple[type[LifecycleError], ...]]] = [
        (text, NotALog),
        (world.folder, (LogUnsuitable, LogUnavailable)),
        (world.folder / "missing" / "deep" / "log.db", (LogUnsuitable, LogUnavailable)),
        (world.folder / "a\0b", (LogUnsuitable, InvalidConfig)),
        (text / "log.db", (LogUnsuitable, LogUnavailable)),
        ("nosuchscheme:/x", InvalidConfig),
    ]
    for place, error in places:
        with pytest.raises(error) as caught:
            Client(place).sessions.list()
        assert len(str(caught.value)) < 500
    assert text.read_text().startswith("not a database")


def test_the_environments_log_is_used_and_an_empty_one_ignored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifecycle.testing.fake_host import FakeBrowser

    monkeypatch.setenv("LIFECYCLE_LOG", str(world.folder / "from-environment.db"))
    with Client(browser=FakeBrowser()) as client:
        assert client.sessions.list() == []
    assert (world.folder / "from-environment.db").exists()
    monkeypatch.setenv("LIFECYCLE_LOG", "")
    monkeypatch.setenv("HOME", str(world.folder / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with Client(browser=FakeBrowser()) as client:
        assert client.sessions.list() == []
    assert len(list((world.folder / "home").rglob("*.db"))) == 1


def test_where_there_is_no_place_for_a_log_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container runs its programs under ids without a name, a home, or a right to write there."""
    monkeypatch.delenv("LIFECYCLE_LOG", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(LogUnsuitable, match=r"the default log: can't be made: .*; name a log, or set \$LIFECYCLE_LOG"):
        Client()
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", str)  # a path comes back as it was
    with pytest.raises(LogUnsuitable, match="there is no home directory; name a log"):
        Client()


# --- lists ------------------------------------------------------------------------------------------------------------

WRONG_FILTERS: list[tuple[str, object]] = [
    *_each("status", "", "open", 5, ["active", "open"], [5], b"active"),
    *_each("labels", 5, "a", {"a": 5}, {5: "a"}),
    *_each("since", datetime(2026, 1, 1), "2026-01-01", 5),  # noqa: DTZ001
    *_each("until", datetime(2026, 1, 1), "2026-01-01", 5),  # noqa: DTZ001
    *_each("limit", 0, -1, True, "5", 1.5, math.nan),
    *_each("after", "", "nope", 5, b"x", BIG),
]


@pytest.mark.parametrize(("name", "value"), WRONG_FILTERS, ids=lambda it: it if isinstance(it, str) else _shown(it))
def test_a_wrong_filter_is_named(name: str, value: object, client: Client) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(InvalidConfig, match=name) as caught:
        client.sessions.list(**arguments)
    assert len(str(caught.value)) < 500
    if name not in ("limit", "after"):
        with pytest.raises(InvalidConfig, match=name):
            client.sessions.count(**arguments)


# --- calls on a session -----------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_wrong_calls_on_a_session_change_nothing(client: Client, world: World) -> None:
    with client.Session(page=False) as session:
        for minutes in DURATIONS:
            with pytest.raises(InvalidConfig, match="minutes"):
                session.extend(minutes=minutes)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        notes: list[tuple[Any, Any]] = [
            *_each("x", [], 5, "a", {5: "a"}, {"a": object()}, {"a": {1, 2}}, {"a": b"x"}),
            *_each("x", *({"a": value} for value in (math.nan, math.inf, 2**60, "\0", SURROGATE, BIG))),
        ]
        for name, data in notes:
            with pytest.raises(InvalidConfig, match=r"^data="):
                session.annotate(name, data)
        for wrong in ("", 5, "x" * 257, SURROGATE, "a\0", None):
            with pytest.raises(InvalidConfig, match=r"^name="):
                session.annotate(wrong)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        assert world.types(session.session_id) == ["created", "started"]
        assert session.status().status in LIVE
