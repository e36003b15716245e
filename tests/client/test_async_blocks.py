"""How an `async with` block ends where asyncio has ways of its own; what both twins do alike is in test_blocks.py."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from lifecycle import AsyncClient, AsyncSession, Cause, State
from tests.client.test_blocks import ASYNC_BLOCK, ENDING, FAILING, LEAVING, WAITS, ending
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


def test_a_cancel_scope_of_anyio_is_a_cancellation_and_shields_are_kept(world: World) -> None:
    async def work() -> str:
        client = AsyncClient(world.log, actor="tester")
        session = client.Session(page=False)
        with anyio.move_on_after(3) as scope:
            async with anyio.create_task_group() as group, session:
                group.start_soon(anyio.sleep, 60)
                await session.touch()
                scope.cancel()
                await anyio.sleep(60)
        assert scope.cancelled_caught
        with anyio.CancelScope(shield=True):
            assert (await client.sessions.get(session.session_id)).status is State.CLOSED
        client.close()
        return session.session_id

    session_id = anyio.run(work)
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


def test_sigterm_with_a_handler_of_the_loop_that_cancels(world: World) -> None:
    handles = "asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)"
    script = world.script(ASYNC_BLOCK.format(body=f"{handles}; say('ready'); await {WAITS}"))
    [session_id] = script.hear()
    assert script.hear() == ["ready"]
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
    script = world.script(ASYNC_BLOCK.format(body=body))
    [session_id] = script.hear()
    assert script.hear() == ["7", "/"]
    assert script.ended_with(0) == "after\n"
    assert ending(world.client(), session_id) == (State.CLOSED, Cause.STOPPED, None)
