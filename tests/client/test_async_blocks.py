"""How an `async with` block ends, for every way out of it: as test_blocks.py has it for the other twin."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient, AsyncSession, Cause, State
from tests.client.test_blocks import ENDING, FAILING, LEAVING, ending
from tests.client.world import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.client.world import World

pytestmark = pytest.mark.browser


async def _raise(world: World, raised: BaseException) -> str:
    client = AsyncClient(world.log, actor="tester")
    session = client.Session(page=False)
    with pytest.raises(type(raised)) as caught:
        await _inside(session, raised)
    assert caught.value is raised
    client.close()
    return session.session_id


async def _inside(session: AsyncSession, raised: BaseException) -> None:
    async with session:
        raise raised


# --- in this process --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LEAVING)
def test_left_with_an_exception_which_propagates(case: str, world: World) -> None:
    raised, status, cause, error = LEAVING[case]
    session_id = asyncio.run(_raise(world, raised))
    assert getattr(raised, "__notes__", []) == []
    found = ending(world.client(), session_id)
    assert found[:2] == (status, cause)
    assert (found[2] or "").endswith(error or "")
    assert bool(found[2]) == bool(error)
    assert world.types(session_id) == (ENDING if status is State.CLOSED else FAILING)


def test_an_async_generator_that_is_closed_in_its_block(world: World) -> None:
    async def work() -> str:
        client = AsyncClient(world.log, actor="tester")

        async def titles() -> AsyncGenerator[str]:
            async with client.Session() as session:
                yield session.session_id
                await session.page.goto(world.site)
                yield await session.page.title()

        using = titles()
        session_id = await anext(using)
        assert await anext(using) == "/"
        await using.aclose()
        client.close()
        return session_id

    session_id = asyncio.run(work())
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.CANCELLED, None)


def test_a_timeout_of_asyncios_own_is_a_cancellation(world: World) -> None:
    async def work() -> str:
        client = AsyncClient(world.log, actor="tester")
        session = client.Session()

        async def uses() -> None:
            async with session:
                await session.page.goto(world.site)
                await session.page.wait_for_timeout(60_000)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(uses(), 3)
        client.close()
        return session.session_id

    session_id = asyncio.run(work())
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.CANCELLED, None)


def test_a_sibling_that_fails_in_a_task_group_cancels_the_block(world: World) -> None:
    async def work() -> str:
        client = AsyncClient(world.log, actor="tester")
        session = client.Session(page=False)
        inside = asyncio.Event()

        async def uses() -> None:
            async with session:
                inside.set()
                await asyncio.sleep(60)

        async def fails() -> None:
            await inside.wait()
            raise LookupError("a sibling's")

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(uses())
                group.create_task(fails())

        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert [type(error) for error in caught.value.exceptions] == [LookupError]
        client.close()
        return session.session_id

    session_id = asyncio.run(work())
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.CANCELLED, None)


def test_a_stop_from_another_task_frees_a_blocked_call(world: World) -> None:
    from lifecycle.errors import SessionStopped

    async def work() -> str:
        client = AsyncClient(world.log, actor="tester")
        session = client.Session()
        inside = asyncio.Event()

        async def uses() -> None:
            async with session:
                inside.set()
                await session.page.wait_for_timeout(60_000)

        task = asyncio.ensure_future(uses())
        await inside.wait()
        await session.stop()
        with pytest.raises(SessionStopped):
            await task
        client.close()
        return session.session_id

    session_id = asyncio.run(work())
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.STOPPED, None)


def test_keep_alive_leaves_it_running_until_somebody_stops_it(world: World) -> None:
    async def work() -> str:
        client = AsyncClient(world.log, actor="tester")
        async with client.Session(keep_alive=True) as session:
            await session.page.goto(world.site)
        assert (await client.sessions.get(session.session_id)).status is State.ACTIVE
        async with client.Session(session.session_id) as again:
            assert await again.page.title() == "/"
        await session.stop()
        client.close()
        return session.session_id

    session_id = asyncio.run(work())
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.STOPPED, None)


# --- in a process of its own ------------------------------------------------------------------------------------------

BLOCK = """
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
WAITS = "await session.page.wait_for_timeout(60_000)"


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
def test_a_script_that_ends_in_its_block(body: str, code: int, status: State, cause: Cause, world: World) -> None:
    script = world.script(BLOCK.format(body=body))
    [session_id] = script.hear()
    assert script.ended_with(code) == ("after\n" if body == "pass" else "")
    client = world.client()
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id)[:2] == (status, cause)


@pytest.mark.parametrize("group", [False, True], ids=["the script alone", "the whole group, as a terminal does"])
def test_ctrl_c(group: bool, world: World) -> None:
    """asyncio.run makes a cancellation of the first Ctrl-C, and a KeyboardInterrupt once the task has ended."""
    script = world.script(BLOCK.format(body=WAITS))
    [session_id] = script.hear()
    script.signal(signal.SIGINT, group=group)
    code, said, printed = script.end()
    assert (code, said) == (-signal.SIGINT, "")
    assert printed.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in printed
    assert "Exception ignored" not in printed
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.CANCELLED, None)
    assert world.types(session_id) == ENDING


def test_ctrl_c_again_while_the_first_one_ends_the_session(world: World) -> None:
    script = world.script(BLOCK.format(body=WAITS))
    [session_id] = script.hear()
    client = world.client()
    script.signal(signal.SIGINT)
    until(lambda: client.sessions.get(session_id).status is State.CLOSED, "the first one ended nothing")
    script.signal(signal.SIGINT)
    assert script.end()[0] == -signal.SIGINT
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id) == (State.CLOSED, Cause.CANCELLED, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_that_ends_the_script_at_once(number: signal.Signals, world: World) -> None:
    script = world.script(BLOCK.format(body=WAITS))
    [session_id] = script.hear()
    script.signal(number)
    assert script.end()[0] == -number
    client = world.client()
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id) == (State.CLOSED, Cause.OWNER_EXITED, None)


def test_sigterm_with_a_handler_of_the_loop_that_cancels(world: World) -> None:
    body = f"asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel); {WAITS}"
    script = world.script(BLOCK.format(body=body))
    [session_id] = script.hear()
    script.signal(signal.SIGTERM)
    assert script.end()[0] == 1
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.CANCELLED, None)


def test_a_loop_that_is_gone_before_its_session_ended(world: World) -> None:
    script = world.script(
        "import asyncio\n"
        "async def main():\n"
        "    session = await AsyncClient(log).Session().start()\n"
        "    await session.page.goto(site)\n"
        "    say(session.session_id)\n"
        "asyncio.run(main())\n"
    )
    [session_id] = script.hear()
    code, _, printed = script.end()
    assert code == 0, printed
    client = world.client()
    until(lambda: world.types(session_id)[-1] == "released", "never released")
    assert ending(client, session_id) == (State.CLOSED, Cause.OWNER_EXITED, None)


def test_a_fork_in_the_block_leaves_the_session_to_the_parent(world: World) -> None:
    body = (
        "child = os.fork()\n"
        "        if child == 0:\n"
        "            from lifecycle.errors import ForkedSession\n"
        "            try:\n"
        "                await session.status()\n"
        "            except ForkedSession:\n"
        "                os._exit(7)\n"
        "            os._exit(8)\n"
        "        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), await session.page.title())"
    )
    script = world.script(BLOCK.format(body=body))
    [session_id] = script.hear()
    assert script.hear() == ["7", "/"]
    assert script.ended_with(0) == "after\n"
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.STOPPED, None)
