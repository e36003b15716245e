"""Browsers that do not come up: one clear error within a bound, the history says why, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient, Cause, State
from lifecycle.errors import ActionFailed, BrowserNotFound, InvalidConfig, KeeperUnavailable, LaunchFailed
from lifecycle_playwright import async_api, driver
from tests.client.world import inside, until

if TYPE_CHECKING:
    from collections.abc import Generator

    from lifecycle import Client
    from tests.client.world import World

pytestmark = pytest.mark.browser


def program(world: World, text: str, mode: int = 0o755) -> Path:
    """A file in the world that pretends to be a browser."""
    path = world.folder / "pretender"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("place", ["/nonexistent", "/nonexistent/chrome", "folder", "data", "empty"])
def test_what_is_no_program_is_refused_before_anything_is_recorded(place: str, client: Client, world: World) -> None:
    (world.folder / "folder").mkdir()
    (world.folder / "data").write_bytes(b"\x7fELF")
    (world.folder / "empty").touch()
    path = Path(place) if place.startswith("/") else world.folder / place
    session = client.Session(browser=path)
    with pytest.raises((BrowserNotFound, InvalidConfig)) as caught:
        session.start()
    assert str(path) in str(caught.value)
    assert client.sessions.count() == 0
    assert session.stop() is None
    with pytest.raises(type(caught.value)):
        session.start()


def test_a_browser_named_by_the_environment_is_used_or_refused(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_BROWSER", "/nonexistent/from-environment")
    with pytest.raises(BrowserNotFound, match="/nonexistent/from-environment"):
        client.Session().start()
    monkeypatch.setenv("LIFECYCLE_BROWSER", "")
    with client.Session(page=False) as session:
        assert session.status().status is State.ACTIVE


def _start(twin: str, client: Client, world: World) -> None:
    """A session with its page, of either kind."""

    async def run() -> None:
        async with AsyncClient(world.log) as other:
            await other.Session().start()

    client.Session().start() if twin == "sync" else asyncio.run(run())


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_a_driver_that_does_not_start_fails_the_session(
    twin: str, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Playwright's does for a user without a home."""
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", "/bin/false")
    with pytest.raises(LaunchFailed, match="the driver of its pages did not start"):
        _start(twin, client, world)
    (ended,) = client.sessions.list()
    assert (ended.status, ended.cause) == (State.ERROR, Cause.LAUNCH_FAILED)
    until(lambda: world.types(ended.session_id)[-1] == "released", "never released")


HANGING = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n"


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_a_driver_that_never_answers_fails_the_session(
    twin: str, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (driver, async_api):
        monkeypatch.setattr(module, "START_S", 0.5)
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(program(world, HANGING)))
    with pytest.raises(LaunchFailed, match="it had not answered after 0\\.5 seconds, and was ended"):
        _start(twin, client, world)
    until(lambda: world.drivers() == [], "a driver is left")
    (ended,) = client.sessions.list()
    assert (ended.status, ended.cause) == (State.ERROR, Cause.LAUNCH_FAILED)
    released = world.history(ended.session_id)[-1]
    assert getattr(released, "how", "") in ("graceful", "never_started")  # by its keeper, which was told


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_a_driver_that_never_answers_leaves_a_session_that_runs_alone(
    twin: str, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def hanging() -> Generator[None]:
        with monkeypatch.context() as now:
            for module in (driver, async_api):
                now.setattr(module, "START_S", 0.5)
            now.setenv("PLAYWRIGHT_NODEJS_PATH", str(program(world, HANGING)))
            yield

    async def run() -> None:
        other = AsyncClient(world.log)
        async with other.Session(page=False) as session:
            with hanging(), pytest.raises(ActionFailed, match="it had not answered"):
                await session.execute(type="goto", url=world.site)
            assert (await session.execute(type="goto", url=world.site)).success
        other.close()

    if twin == "async":
        asyncio.run(run())
        return
    with client.Session(page=False) as session:
        with hanging(), pytest.raises(KeeperUnavailable, match="it had not answered"):
            session.page  # noqa: B018 # asked for is enough
        assert session.page.title() == ""


FAILING: dict[str, tuple[str, dict[str, int], str | None]] = {
    "exits with 7": ("#!/bin/sh\necho it is broken >&2\nexit 7\n", {"exit_code": 7}, "it is broken"),
    "exits with 0": ("#!/bin/sh\necho done\nexit 0\n", {"exit_code": 0}, "done"),
    "kills itself": ("#!/bin/sh\nkill -9 $$\n", {"signal": 9}, None),
    "talks nonsense": ("#!/bin/sh\nprintf 'hello\\0' >&4\nsleep 60\n", {}, None),
    "closes its pipe": ("#!/bin/sh\nexec 3<&- 4>&-\nsleep 60\n", {}, None),
    "leaves a child behind": ("#!/bin/sh\nsleep 60 &\nexit 7\n", {"exit_code": 7}, None),
    "no interpreter": ("#!/nonexistent/interpreter\n", {}, None),
}


@pytest.mark.parametrize("how", FAILING)
def test_a_browser_that_fails(how: str, client: Client, world: World) -> None:
    text, evidence, words = FAILING[how]
    session = client.Session(browser=program(world, text))
    began = time.monotonic()
    with pytest.raises(LaunchFailed) as caught:
        session.start()
    assert time.monotonic() - began < 10
    assert session.session_id in str(caught.value)
    if words is not None:
        assert words in (caught.value.last_words or "")
    view = client.sessions.get(session.session_id)
    assert (view.status, view.cause, view.started_at) == (State.ERROR, Cause.LAUNCH_FAILED, None)
    assert view == session.response
    assert world.types(session.session_id) == ["created", "failed", "released"]
    failed, released = world.history(session.session_id)[-2:]
    found = getattr(failed, "evidence", {})
    assert {key: found.get(key) for key in evidence} == evidence
    assert (getattr(released, "how", ""), getattr(released, "profile_removed", None)) == ("never_started", True)
    assert session.stop() == view
    assert world.drivers() == []


def test_a_profile_of_ones_own_is_not_said_to_be_removed(client: Client, world: World) -> None:
    session = client.Session(browser=program(world, "#!/bin/sh\nexit 7\n"), user_data_dir=world.folder / "mine")
    (world.folder / "mine").mkdir(mode=0o700)
    with pytest.raises(LaunchFailed):
        session.start()
    assert (world.folder / "mine").is_dir()
    released = world.history(session.session_id)[-1]
    assert getattr(released, "profile_removed", None) is False


def test_a_browser_that_hangs_is_given_up(client: Client, world: World) -> None:
    session = client.Session(browser=program(world, "#!/bin/sh\nsleep 300\n"), page=False)
    began = time.monotonic()
    with pytest.raises(LaunchFailed, match="did not answer"):
        session.start()
    assert 15 < time.monotonic() - began < 30
    assert world.types(session.session_id) == ["created", "failed", "released"]


def test_after_a_failed_launch_the_next_one_works(client: Client, world: World) -> None:
    with pytest.raises(LaunchFailed):
        client.Session(browser=program(world, "#!/bin/sh\nexit 7\n")).start()
    with client.Session() as session:
        session.page.goto(world.site)
        assert session.page.title() == "/"


def test_a_stop_while_the_browser_hangs_in_its_launch(client: Client, world: World) -> None:
    session = client.Session(browser=program(world, "#!/bin/sh\nsleep 300\n"), page=False)
    errors: list[BaseException] = []

    def start() -> None:
        try:
            session.start()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    until(lambda: bool(client.sessions.count()), "never created")
    until(lambda: any("pretender" in line for _, line in world.processes()), "never launched")
    began = time.monotonic()
    ending = session.stop()
    assert time.monotonic() - began < 8
    assert ending is not None
    assert (ending.status, ending.cause) == (State.CLOSED, Cause.STOPPED)
    thread.join(40)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert not any("pretender" in line for _, line in world.processes())
    assert world.types(session.session_id) == ["created", "closed", "released"]


def test_ctrl_c_while_the_browser_hangs_in_its_launch(world: World) -> None:
    pretender = program(world, "#!/bin/sh\nsleep 300\n")
    script = world.script(
        "session = client.Session(browser=arguments[0])\nsay(session.session_id)\nwith session:\n    pass\n",
        str(pretender),
    )
    [session_id] = script.hear()
    until(lambda: any("pretender" in line and "/bin/sh" in line for _, line in world.processes()), "never launched")
    began = time.monotonic()
    script.signal(signal.SIGINT)
    code, _, printed = script.end()
    assert time.monotonic() - began < 15
    assert code == -signal.SIGINT
    assert printed.rstrip().endswith("KeyboardInterrupt")
    view = world.client().sessions.get(session_id)
    assert (view.status, view.cause) == (State.CLOSED, Cause.INTERRUPTED)
    until(lambda: world.types(session_id)[-1] == "released", "never released")


@pytest.mark.parametrize("tenths", [0, 2, 5, 9])
def test_ctrl_c_at_any_moment_of_the_start(tenths: int, world: World) -> None:
    script = world.script(
        "session = client.Session()\n"
        "say(session.session_id)\n"
        "threading.Timer(float(arguments[0]), os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "with session:\n"
        "    time.sleep(60)\n",
        str(tenths / 10),
    )
    [session_id] = script.hear()
    code, _, printed = script.end()
    assert code == -signal.SIGINT, printed
    assert printed.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in printed
    client = world.client()
    if client.sessions.count():
        until(lambda: world.types(session_id)[-1] == "released", "never released")
        assert client.sessions.get(session_id).cause in (Cause.INTERRUPTED, Cause.OWNER_EXITED)


def test_a_session_that_was_stopped_by_its_deadline_while_it_started(client: Client, world: World) -> None:
    from lifecycle import SessionTimedOut

    slow = program(world, "#!/bin/sh\nsleep 300\n")
    session = client.Session(browser=slow, page=False, idle_timeout_minutes=1 / 60)
    with pytest.raises((SessionTimedOut, LaunchFailed)):
        inside(session, lambda _: None)
    view = client.sessions.get(session.session_id)
    assert (view.status, view.cause) == (State.TIMED_OUT, Cause.IDLE)
    with contextlib.suppress(OSError):
        assert os.listdir(world.runtime / "profiles") == []
