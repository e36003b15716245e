"""Who acts and what for: given by the embedder, carried by every event of the session, the keeper's included."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lifecycle import AsyncClient, Client, InvalidConfig, MemoryLog
from lifecycle.client.origin import origin
from lifecycle.testing.clock import ManualClock
from lifecycle.testing.fake_host import FakeBrowser

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class _World:
    """Pretended browsers on a log in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.clock = ManualClock()
        self.host = FakeBrowser(clock=self.clock)

    def client(self, **given: Any) -> Client:
        return Client(self.log, browser=self.host, clock=self.clock, **given)

    def carried(self, session_id: str) -> list[tuple[str, str, str | None, str | None]]:
        """What a history's events say of their origin."""
        return [
            (row.type.removeprefix("session."), row.actor, row.correlation_id, row.causation_id)
            for row in self.log.read(session_id)
        ]


@pytest.fixture
def fake() -> _World:
    return _World()


def test_every_event_carries_what_the_client_was_given(fake: _World) -> None:
    client = fake.client(actor="ada", correlation_id="task-7", causation_id="message-3")
    with client.Session(page=False) as session:
        session.annotate("step")
    assert fake.carried(session.session_id) == [
        ("created", "ada", "task-7", "message-3"),
        ("started", "keeper", "task-7", "message-3"),
        ("annotated", "ada", "task-7", "message-3"),
        ("closed", "ada", "task-7", "message-3"),
        ("released", "keeper", "task-7", "message-3"),
    ]


def test_what_a_session_was_given_goes_before_the_clients(fake: _World) -> None:
    client = fake.client(actor="ada", correlation_id="run", causation_id="message-3")
    with client.Session(page=False, actor="grace", correlation_id="task-8") as session:
        pass
    with client.Session(page=False, causation_id="message-4") as other:
        pass
    assert {found[1:] for found in fake.carried(session.session_id)} == {
        ("grace", "task-8", None),
        ("keeper", "task-8", None),
    }
    assert {found[2:] for found in fake.carried(other.session_id)} == {("run", "message-4")}


def test_a_traceparent_is_the_cause_and_its_trace_what_the_session_belongs_to(fake: _World) -> None:
    with fake.client().Session(page=False, traceparent=PARENT) as session:
        pass
    with fake.client(correlation_id="task-7", traceparent=PARENT).Session(page=False) as named:
        pass
    assert {found[2:] for found in fake.carried(session.session_id)} == {(TRACE, PARENT)}
    assert {found[2:] for found in fake.carried(named.session_id)} == {("task-7", PARENT)}


def test_a_guest_acts_in_its_own_context_and_in_the_sessions_when_it_has_none(fake: _World) -> None:
    with fake.client(actor="ada", correlation_id="task-7").Session(page=False) as session:
        with fake.client(actor="plain").Session(session.session_id, page=False) as plain:
            plain.annotate("plain")
        guest = fake.client(actor="guest")
        with guest.Session(session.session_id, page=False, correlation_id="review") as own:
            own.annotate("own")
    by = {found[1]: found[2] for found in fake.carried(session.session_id)}
    assert by == {"ada": "task-7", "keeper": "task-7", "plain": "task-7", "guest": "review"}


def test_whoever_ends_it_later_does_so_in_the_sessions_context(fake: _World) -> None:
    session = fake.client(correlation_id="task-7").Session(page=False).start()
    fake.host.lose_keeper()
    assert fake.client().sessions.get(session.session_id).cause == "keeper_lost"
    assert {found[2] for found in fake.carried(session.session_id)} == {"task-7"}


def test_the_asynchronous_twin_carries_the_same(fake: _World) -> None:
    async def run() -> str:
        client = AsyncClient(fake.log, browser=fake.host, clock=fake.clock, traceparent=PARENT)
        async with client.Session(page=False, actor="grace") as session:
            pass
        return session.session_id

    assert {found[2:] for found in fake.carried(asyncio.run(run()))} == {(TRACE, PARENT)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"correlation_id": ""},
        {"correlation_id": 5},
        {"causation_id": "a\nb"},
        {"causation_id": "x" * 257},
        {"traceparent": "00-1-2-3"},
        {"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"},
        {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"{PARENT}-more"},
        {"traceparent": PARENT.upper()},
        {"traceparent": b"00"},
        {"traceparent": PARENT, "causation_id": "message-3"},
    ],
    ids=str,
)
def test_what_cannot_be_carried_is_named_by_client_and_session(wrong: dict[str, Any], fake: _World) -> None:
    name = next(iter(reversed(wrong)))
    for way in (lambda: fake.client(**wrong), lambda: fake.client().Session(**wrong)):
        with pytest.raises(InvalidConfig, match=name):
            way()


def test_a_traceparent_of_a_later_version_is_taken() -> None:
    assert origin({"traceparent": f"01{PARENT[2:]}-more"}).correlation_id == TRACE
