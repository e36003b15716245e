"""What the simulated processes do: as an owner, somebody with the session's id, and an operator would."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lifecycle.core import Cause, Close, Fail, view
from lifecycle.core.events import SessionNavigated
from lifecycle.errors import IllegalCommand, LifecycleError
from lifecycle.testing.invariants import orders
from lifecycle.testing.simulation.world import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.core import Command
    from lifecycle.testing.simulation.choice import Choose
    from lifecycle.testing.simulation.world import Actor, World

__all__ = ["SCENARIOS"]


def _config(**more: Any) -> dict[str, Any]:
    return {
        "idle_timeout_minutes": timedelta(seconds=4),
        "max_duration_minutes": timedelta(seconds=10),
        **more,
    }


def _with_page(actor: Actor) -> bool:
    """The asynchronous client connects a page while it starts: it may be told not to."""
    if actor.loop is None:
        return False
    page = actor.world.choose(2, "page") == 0
    actor.world.kernel.seen("page", page)
    return page


def owner(work: Callable[[Actor, Any], None], **config: Any) -> Callable[[Actor], None]:
    """A script with one session in a `with` block."""

    def program(actor: Actor) -> None:
        session = actor.client.Session(**_config(**config, page=_with_page(actor)))
        with ExitStack() as block:
            with actor.starting(session.session_id):
                block.enter_context(session)
            work(actor, session)

    return program


def _busy(actor: Actor, session: Any) -> None:
    """A few of the things one does with a session, as the world chooses."""
    choose: Choose = actor.world.choose
    for turn in range(choose(4, "turns")):
        more = orders()
        match choose(6 + len(more), "work"):
            case 0:
                name = f"{actor.process.name}-{turn}"
                actor.do(name, session.session_id, partial(session.annotate, name, {}))
            case 1:
                actor.sleep(1.7)
            case 2:
                session.touch()
            case 3:
                session.extend(minutes=0.1)
            case 4:
                session.status()
            case number if number > 5:
                actor.shared.recorder.execute(session.session_id, more[number - 6])
            case _:
                actor.stop(session.session_id, session.stop)
                return
    if choose(3, "leave") == 1:
        raise Trouble("the script is wrong")


def _idle(actor: Actor, session: Any) -> None:
    """Nothing."""


def stranger(attach: bool) -> Callable[[Actor], None]:
    """Somebody who finds the session in the list and stops it, or attaches and uses it."""

    def program(actor: Actor) -> None:
        for _ in range(20):
            found = actor.client.sessions.list(status=["created", "active"])
            if found:
                break
            actor.sleep(0.5)
        else:
            return
        session_id = found[0].session_id
        try:
            if attach:
                with actor.client.Session(session_id) as session:
                    name = f"{actor.process.name}-0"
                    actor.do(name, session_id, lambda: session.annotate(name, {}))
                    return
            with actor.client.Session(session_id) as session:
                actor.stop(session_id, session.stop)
        except LifecycleError as error:
            actor.world.mark(f"stranger met {type(error).__name__}")

    return program


def operator(actor: Actor) -> None:
    """Somebody who reconciles, twice."""
    for _ in range(2):
        try:
            actor.client.reconcile()
        except LifecycleError as error:
            actor.world.mark(f"operator met {type(error).__name__}")
        actor.sleep(2.0)


def subscriber(actor: Actor) -> None:
    """Somebody who follows the first session to its end, and who goes on from the last cursor when it dies or must."""
    world = actor.world
    for _ in range(40):
        try:
            if (found := next(iter(world.stories), None)) is None:
                actor.sleep(0.5)
                continue
            after = world.handed[-1] if world.handed else None
            for step in actor.client.subscribe(found, after=after):
                world.handed.append(step.cursor)  # with what it is good for, in one transaction
                if world.choose(3, "subscriber", rare=True) == 1:
                    world.mark("subscriber resumed")
                    world.actor(f"{actor.process.name}+", subscriber, name="subscriber")
                    return
            world.followed = found
            return
        except LifecycleError as error:
            world.mark(f"subscriber met {type(error).__name__}")
            actor.sleep(0.5)


def watched(world: World) -> None:
    """Everything, and somebody who subscribes to the session; each with the synchronous client or its twin."""
    world.twins = True
    world.actor("subscriber", subscriber, name="subscriber")
    everything(world)


def user(actor: Actor) -> None:
    """Clients of the browser: what the keeper's gate sees of them."""
    world = actor.world
    for turn in range(6):
        actor.sleep(0.9)
        for keeper in world.keepers.values():
            for kept in keeper.kept() if keeper.process.alive else []:
                world.told(keeper.process, "used", turn)
                kept.accessed()
                if turn == 2:
                    kept.note(SessionNavigated(tab="t"))


def everything(world: World) -> None:
    """An owner who works, strangers, an operator, and clients of the browser; clocks may differ."""
    choose = world.choose
    skew = (0, 0, 200_000, -200_000)[choose(4, "skew")]
    world.actor("owner", owner(_busy, keep_alive=choose(3, "keep alive") == 1), stays=choose(2, "stays") == 1)
    if choose(2, "stopper"):
        world.actor("stopper", stranger(attach=False), skew_us=skew)
    if choose(2, "visitor"):
        world.actor("visitor", stranger(attach=True))
    if choose(2, "operator"):
        world.actor("operator", operator, skew_us=-skew)
    if choose(2, "user"):
        world.actor("user", user)


def begin(world: World) -> None:
    """An owner and its keeper, from the first step on; the owner has the synchronous client, or its twin."""
    world.twins = True
    world.actor("owner", owner(_idle))


def pair(world: World) -> None:
    """An owner who ends its active session, and its keeper."""
    world.calm = True
    world.actor("owner", owner(_storm))


def twins(world: World) -> None:
    """As pair; the owner has the synchronous client, or its twin."""
    world.twins = True
    pair(world)


def three(world: World) -> None:
    """An owner who ends its active session, its keeper, and somebody who stops the session at the same time."""
    world.calm = True
    world.actor("owner", owner(_and_stopper))


def lean(world: World) -> None:
    """A session kept alive past its owner: its keeper, somebody who stops it, and somebody who fails it.

    Somebody else for each command that was registered.
    """
    world.calm = True
    world.actor("owner", owner(_leave_it, keep_alive=True))


def _leave_it(actor: Actor, session: Any) -> None:
    def giving(order: Command) -> Callable[[Actor], None]:
        def program(other: Actor) -> None:
            try:
                other.shared.recorder.execute(session.session_id, order)
            except IllegalCommand:
                other.world.mark("an order was refused")

        return program

    def ending(command: Close | Fail) -> Callable[[Actor], None]:
        def program(other: Actor) -> None:
            recorder = other.shared.recorder
            try:
                other.stop(
                    session.session_id,
                    lambda: view(recorder.execute(session.session_id, command).session, other.clock.now()),
                )
            except IllegalCommand:
                other.world.mark("an ending was refused")

        return program

    actor.world.actor("stopper", ending(Close(cause=Cause.STOPPED)))
    actor.world.actor("failer", ending(Fail(cause=Cause.EXCEPTION, error_type="Trouble")))
    for number, order in enumerate(orders()):
        actor.world.actor(f"embedder-{number}", giving(order))
    actor.world.storm = True


def _storm(actor: Actor, session: Any) -> None:
    actor.world.calm = False


def _and_stopper(actor: Actor, session: Any) -> None:
    actor.world.actor("stopper", lambda stopper: stop(stopper, session.session_id))
    actor.world.calm = False


def stop(actor: Actor, session_id: str) -> None:
    """Ends a session by its id and waits for the end of its browser, as the command `lifecycle stop` does."""
    handle = actor.shared.handle(session_id, {})
    actor.stop(session_id, lambda: handle.end(Close(cause=Cause.STOPPED)))


SCENARIOS: dict[str, Callable[[World], None]] = {
    "everything": everything,
    "watched": watched,
    "begin": begin,
    "pair": pair,
    "twins": twins,
    "three": three,
    "lean": lean,
}
