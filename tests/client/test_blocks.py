"""How a `with` block ends, for every way out of it: the cause in the log, and what propagates."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

from lifecycle import Cause, State
from tests.client.world import failing, inside, until

if TYPE_CHECKING:
    from collections.abc import Generator

    from lifecycle import Client, Session
    from tests.client.world import World

pytestmark = pytest.mark.browser

ENDING = ["created", "started", "closed", "released"]
FAILING = ["created", "started", "failed", "released"]


def ending(client: Client, session_id: str) -> tuple[State, Cause | None, str | None]:
    view = client.sessions.get(session_id)
    return view.status, view.cause, view.error


# --- in this process --------------------------------------------------------------------------------------------------


def test_left_normally(client: Client, world: World) -> None:
    with client.Session() as session:
        session.page.goto(world.site)
        assert session.page.title() == "/"
        assert session.status().status is State.ACTIVE
    assert ending(client, session.session_id) == (State.CLOSED, Cause.STOPPED, None)
    assert world.types(session.session_id) == ENDING


class Broken(Exception):
    """Of the test's own."""


LEAVING = {
    "exception": (Broken("on purpose"), State.ERROR, Cause.EXCEPTION, "Broken: on purpose"),
    "exception without words": (Broken(), State.ERROR, Cause.EXCEPTION, "Broken"),
    "SystemExit": (SystemExit(), State.CLOSED, Cause.EXITED, None),
    "SystemExit 0": (SystemExit(0), State.CLOSED, Cause.EXITED, None),
    "SystemExit None": (SystemExit(None), State.CLOSED, Cause.EXITED, None),
    "SystemExit 3": (SystemExit(3), State.ERROR, Cause.EXCEPTION, "SystemExit: 3"),
    "SystemExit with words": (SystemExit("no input"), State.ERROR, Cause.EXCEPTION, "SystemExit: no input"),
    "KeyboardInterrupt": (KeyboardInterrupt(), State.CLOSED, Cause.INTERRUPTED, None),
    "asyncio's CancelledError": (asyncio.CancelledError(), State.CLOSED, Cause.CANCELLED, None),
    "a future's CancelledError": (CancelledError(), State.CLOSED, Cause.CANCELLED, None),
    "GeneratorExit": (GeneratorExit(), State.CLOSED, Cause.CANCELLED, None),
}


@pytest.mark.parametrize("case", LEAVING)
def test_left_with_an_exception_which_propagates(case: str, client: Client, world: World) -> None:
    raised, status, cause, error = LEAVING[case]
    session = client.Session(page=False)
    with pytest.raises(type(raised)) as caught:
        inside(session, failing(raised))
    assert caught.value is raised
    assert getattr(raised, "__notes__", []) == []
    found = ending(client, session.session_id)
    assert found[:2] == (status, cause)
    assert (found[2] or "").endswith(error or "")
    assert bool(found[2]) == bool(error)
    assert world.types(session.session_id) == (ENDING if status is State.CLOSED else FAILING)


def test_a_generator_that_is_closed_in_its_block(client: Client, world: World) -> None:
    def titles() -> Generator[str]:
        with client.Session() as session:
            yield session.session_id
            for path in ("/", "/second"):
                session.page.goto(world.site + path)
                yield session.page.title()

    using = titles()
    session_id = next(using)
    assert next(using) == "/"
    using.close()
    assert ending(client, session_id) == (State.CLOSED, Cause.CANCELLED, None)


def test_left_by_return_break_and_continue(client: Client) -> None:
    ids: list[str] = []

    def leaves() -> None:
        for turn in range(3):
            with client.Session(page=False) as session:
                ids.append(session.session_id)
                if turn == 0:
                    continue
                if turn == 1:
                    break
        with client.Session(page=False) as session:
            ids.append(session.session_id)
            return

    leaves()
    assert len(ids) == 3
    assert {ending(client, one)[:2] for one in ids} == {(State.CLOSED, Cause.STOPPED)}


def test_a_playwright_error_of_the_users_own_making_stays_itself(client: Client, world: World) -> None:
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    def clicks(session: Session) -> None:
        session.page.goto(world.site)
        session.page.click("text=not there", timeout=50)

    session = client.Session()
    with pytest.raises(PlaywrightTimeout):
        inside(session, clicks)
    status, cause, error = ending(client, session.session_id)
    assert (status, cause) == (State.ERROR, Cause.EXCEPTION)
    assert error is not None
    assert "TimeoutError: Page.click: Timeout 50ms exceeded." in error
    assert "Call log" not in error


def test_a_tab_closed_by_the_script_is_no_lost_browser(client: Client) -> None:
    from playwright.sync_api import Error

    def closes(session: Session) -> None:
        page = session.page
        page.close()
        page.title()

    session = client.Session()
    with pytest.raises(Error, match="closed"):
        inside(session, closes)
    assert ending(client, session.session_id)[:2] == (State.ERROR, Cause.EXCEPTION)


def test_a_credential_in_an_exception_does_not_enter_the_log(client: Client, world: World) -> None:
    urls: list[str] = []

    def fails(session: Session) -> None:
        urls.append(session.cdp_url())
        raise Broken(f"can't reach {urls[0]}, nor https://user:secret@example.com/?key=secret#secret")

    with pytest.raises(Broken):
        inside(client.Session(page=False), fails)
    everything = world.log.read_bytes() + (world.folder / "log.db-wal").read_bytes()
    token = urls[0].split("/")[3]
    assert len(token) >= 22
    assert b"can't reach" in everything
    assert token.encode() not in everything
    assert b"secret" not in everything


def test_stopped_inside_the_block_leaves_that_ending(client: Client, world: World) -> None:
    def stops(session: Session) -> None:
        session.stop()
        raise Broken

    session = client.Session(page=False)
    with pytest.raises(Broken):
        inside(session, stops)
    assert ending(client, session.session_id)[:2] == (State.CLOSED, Cause.STOPPED)
    assert world.types(session.session_id) == ENDING


def test_keep_alive_leaves_it_running_until_somebody_stops_it(client: Client, world: World) -> None:
    with client.Session(keep_alive=True) as session:
        session.page.goto(world.site)
    view = client.sessions.get(session.session_id)
    assert (view.status, view.keep_alive) == (State.ACTIVE, True)
    with client.Session(session.session_id) as again:
        assert again.page.title() == "/"
    session.stop()
    assert ending(client, session.session_id)[:2] == (State.CLOSED, Cause.STOPPED)


# --- in a process of its own ------------------------------------------------------------------------------------------

BLOCK = """
with client.Session() as session:
    session.page.goto(site)
    say(session.session_id)
    {body}
say("after")
"""

ASYNC_BLOCK = """
import asyncio
async def main():
    client = AsyncClient(log, actor="script")
    async with client.Session() as session:
        await session.page.goto(site)
        say(session.session_id)
        {body}
    say("after")
asyncio.run(main())
"""
WAITS = "session.page.wait_for_timeout(60_000)"
SLEEPS = "time.sleep(60)"
TWINS = {"sync": (BLOCK, WAITS), "async": (ASYNC_BLOCK, f"await {WAITS}")}
#: asyncio.run makes a cancellation of the first Ctrl-C, and a KeyboardInterrupt once the task has ended.
INTERRUPTED = {"sync": Cause.INTERRUPTED, "async": Cause.CANCELLED}


def waiting(twin: str) -> str:
    block, waits = TWINS[twin]
    return block.format(body=waits)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    ("body", "code", "status", "cause"),
    [
        ("pass", 0, State.CLOSED, Cause.STOPPED),
        ("sys.exit(0)", 0, State.CLOSED, Cause.EXITED),
        ("sys.exit(3)", 3, State.ERROR, Cause.EXCEPTION),
        ("1 / 0", 1, State.ERROR, Cause.EXCEPTION),
        ("os._exit(5)", 5, State.CLOSED, Cause.OWNER_EXITED),
    ],
)
def test_a_script_that_ends_in_its_block(
    body: str, code: int, status: State, cause: Cause, twin: str, world: World
) -> None:
    script = world.script(TWINS[twin][0].format(body=body))
    [session_id] = script.hear()
    assert script.ended_with(code) == ("after\n" if body == "pass" else "")
    client = world.client()
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id)[:2] == (status, cause)


@pytest.mark.parametrize(
    ("twin", "text", "group"),
    [
        ("sync", waiting("sync"), False),
        ("sync", waiting("sync"), True),
        ("sync", BLOCK.format(body=SLEEPS), True),
        ("async", waiting("async"), False),
        ("async", waiting("async"), True),
    ],
    ids=["waiting", "waiting, the group as a terminal does", "sleeping, the group", "async", "async, the group"],
)
def test_ctrl_c(twin: str, text: str, group: bool, world: World) -> None:
    script = world.script(text)
    [session_id] = script.hear()
    script.signal(signal.SIGINT, group=group)
    code, said, printed = script.end()
    assert (code, said) == (-signal.SIGINT, "")
    assert printed.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in printed
    assert "Exception ignored" not in printed
    assert ending(world.client(), session_id) == (State.CLOSED, INTERRUPTED[twin], None)
    assert world.types(session_id) == ENDING


@pytest.mark.parametrize("twin", TWINS)
def test_ctrl_c_again_while_the_first_one_ends_the_session(twin: str, world: World) -> None:
    script = world.script(waiting(twin))
    [session_id] = script.hear()
    client = world.client()
    script.signal(signal.SIGINT)
    until(lambda: client.sessions.get(session_id).status is State.CLOSED, "the first one ended nothing")
    script.signal(signal.SIGINT)
    code, _, printed = script.end()
    assert code == -signal.SIGINT
    assert "KeyboardInterrupt" in printed.splitlines()  # Python may warn of a coroutine that it never came to
    assert "never retrieved" not in printed
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id) == (State.CLOSED, INTERRUPTED[twin], None)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (waiting("sync"), signal.SIGTERM),
        (BLOCK.format(body=SLEEPS), signal.SIGTERM),
        (BLOCK.format(body=SLEEPS), signal.SIGHUP),
        (waiting("sync"), signal.SIGKILL),
        (waiting("async"), signal.SIGTERM),
        (waiting("async"), signal.SIGHUP),
        (waiting("async"), signal.SIGKILL),
    ],
    ids=["TERM", "sleeping, TERM", "sleeping, HUP", "KILL", "async, TERM", "async, HUP", "async, KILL"],
)
def test_a_signal_that_ends_the_script_at_once(text: str, number: signal.Signals, world: World) -> None:
    script = world.script(text)
    [session_id] = script.hear()
    script.signal(number)
    assert script.end()[0] == -number
    client = world.client()
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id) == (State.CLOSED, Cause.OWNER_EXITED, None)


def test_sigterm_with_a_handler_that_exits_ends_it_as_that(world: World) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    script = world.script(handler + waiting("sync"))
    [session_id] = script.hear()
    script.signal(signal.SIGTERM)
    assert script.ended_with(0) == ""
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.EXITED, None)


def test_a_script_that_never_stops_its_session(world: World) -> None:
    script = world.script("session = client.Session().start()\nsession.page.goto(site)\nsay(session.session_id)\n")
    [session_id] = script.hear()
    assert script.ended_with(0) == ""
    client = world.client()
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id) == (State.CLOSED, Cause.OWNER_EXITED, None)


def test_a_kept_session_outlives_its_script(world: World) -> None:
    script = world.script(
        "with client.Session(keep_alive=True) as session:\n"
        "    session.page.goto(site + '/form')\n"
        "    session.page.fill('input', 'still here')\n"
        "    say(session.session_id)\n"
    )
    [session_id] = script.hear()
    assert script.ended_with(0) == ""
    client = world.client()
    with client.Session(session_id) as again:
        assert again.page.input_value("input") == "still here"
    assert client.sessions.get(session_id).status is State.ACTIVE
    stopped = client.Session(session_id).start().stop()
    assert stopped is not None
    assert (stopped.status, stopped.cause) == (State.CLOSED, Cause.STOPPED)


def test_a_fork_in_the_block_leaves_the_session_to_the_parent(world: World) -> None:
    script = world.script(
        """
from lifecycle.errors import ForkedSession
with client.Session() as session:
    session.page.goto(site)
    child = os.fork()
    if child == 0:
        for use in (lambda: session.page, session.status, session.stop, session.touch, session.cdp_url,
                    lambda: client.Session(), client.reconcile, lambda: client.Session(session.session_id)):
            try:
                use()
            except ForkedSession as error:
                assert str(os.getppid()) in str(error), error
            else:
                say("not refused")
        say("child leaves")
    else:
        os.waitpid(child, 0)
        say(session.session_id, session.status().status, session.page.title())
if child == 0:
    sys.exit(0)
"""
    )
    assert script.hear() == ["child", "leaves"]
    session_id, status, title = script.hear()
    assert (status, title) == ("active", "/")
    assert script.ended_with(0) == ""
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.STOPPED, None)


def test_a_forked_child_holds_nothing_when_its_parent_dies(world: World) -> None:
    """The leash is the parent's process too, not only its pipe, which a child might hold open."""
    script = world.script(
        """
with client.Session() as session:
    session.page.goto(site)
    child = os.fork()
    if child == 0:
        time.sleep(60)
    say(session.session_id, child)
    os._exit(0)
"""
    )
    session_id, child = script.hear()
    try:
        script.process.wait(10)
        client = world.client()
        until(lambda: world.types(session_id)[-1] == "released", "never released", seconds=5)
        assert ending(client, session_id) == (State.CLOSED, Cause.OWNER_EXITED, None)
    finally:
        world.end_process(int(child))
        script.end()


def test_a_block_in_a_forked_child_with_a_client_of_its_own(world: World) -> None:
    script = world.script(
        """
with client.Session() as session:
    session.page.goto(site)
    child = os.fork()
    if child == 0:
        own = Client(log, actor="child")
        with own.Session(session.session_id) as again:
            say("child sees", again.page.title())
        with own.Session() as second:
            second.page.goto(site + "/second")
            say("child has", second.page.title())
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    say(session.session_id, session.page.title())
"""
    )
    assert script.hear() == ["child", "sees", "/"]
    assert script.hear() == ["child", "has", "/second"]
    session_id, title = script.hear()
    assert title == "/"
    assert script.ended_with(0) == ""
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.STOPPED, None)
