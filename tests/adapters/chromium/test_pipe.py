"""The pipe: answers to who asked, routes for everybody else, bounds for both, and one end for all."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle_chromium import pipe as pipe_module
from lifecycle_chromium.outbox import Chunk, Outbox
from lifecycle_chromium.pipe import CdpClosed, CdpError, CdpPipe
from lifecycle_chromium.process import group_members, wait_gone
from tests.adapters.chromium.support import SOON_S, Browser, FakeBrowser, eventually

S1, S2 = "A" * 32, "B" * 32
Caught = list[threading.ExceptHookArgs]


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Caught:
    """Errors that threads reported."""
    found: Caught = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


def routed(pipe: CdpPipe, session_id: str) -> list[bytes]:
    """What comes for *session_id*, from now on."""
    found: list[bytes] = []
    pipe.add_route(session_id, lambda message, end: found.append(message[:end] + b"}"))
    return found


def settle(fake: FakeBrowser, workers: ThreadPoolExecutor) -> None:
    """Return when the pipe has taken all that was said before."""
    asked = workers.submit(fake.pipe.call, "Settle.now", timeout_s=SOON_S)
    fake.say({"id": fake.command()["id"], "result": {}})
    asked.result()


def test_a_call_gets_its_own_answer(fake: FakeBrowser, workers: ThreadPoolExecutor) -> None:
    first = workers.submit(fake.pipe.call, "A.a", {"x": 1}, timeout_s=SOON_S)
    one = fake.command()
    second = workers.submit(fake.pipe.call, "B.b", session_id=S1, timeout_s=SOON_S)
    two = fake.command()
    assert one == {"id": one["id"], "method": "A.a", "params": {"x": 1}}
    assert two == {"id": two["id"], "method": "B.b", "params": {}, "sessionId": S1}
    fake.say({"id": two["id"], "result": {"n": 2}, "sessionId": S1}, {"id": one["id"], "result": {"n": 1}})
    assert (first.result(), second.result()) == ({"n": 1}, {"n": 2})


def test_a_refused_command_says_why(fake: FakeBrowser, workers: ThreadPoolExecutor) -> None:
    asked = workers.submit(fake.pipe.call, "A.a", timeout_s=SOON_S)
    fake.say({"id": fake.command()["id"], "error": {"code": -32601, "message": "'A.a' wasn't found"}})
    with pytest.raises(CdpError) as error:
        asked.result()
    assert (error.value.code, error.value.message) == (-32601, "'A.a' wasn't found")
    assert str(error.value) == "'A.a' wasn't found (-32601)"


def test_an_answer_that_does_not_come_is_a_timeout_and_coming_late_is_ignored(
    fake: FakeBrowser, workers: ThreadPoolExecutor
) -> None:
    with pytest.raises(TimeoutError, match=r"A\.a"):
        fake.pipe.call("A.a", timeout_s=0.01)
    fake.say({"id": fake.command()["id"], "result": {}})
    settle(fake, workers)


def test_posting_does_not_wait(fake: FakeBrowser) -> None:
    fake.pipe.post("A.a", {"x": 1}, session_id=S1)
    command = fake.command()
    assert (command["method"], command["sessionId"]) == ("A.a", S1)


def test_the_browser_s_end_releases_everybody_and_is_told_once(fake: FakeBrowser, workers: ThreadPoolExecutor) -> None:
    told: list[int] = []
    fake.pipe.on_closed(lambda: told.append(1))
    fake.pipe.on_closed(lambda: told.append(2))
    waiting = [workers.submit(fake.pipe.call, "A.a", timeout_s=600) for _ in range(3)]
    for _ in waiting:
        fake.command()
    fake.die()
    for each in waiting:
        with pytest.raises(CdpClosed):
            each.result(SOON_S)
    fake.pipe.close()
    assert fake.pipe.closed
    assert told == [1, 2]
    fake.pipe.on_closed(lambda: told.append(3))
    assert told == [1, 2, 3]
    for use in (lambda: fake.pipe.call("A.a", timeout_s=1), lambda: fake.pipe.post("A.a")):
        with pytest.raises(CdpClosed):
            use()
    fake.pipe.detach(S1)


def test_closing_our_side_ends_the_browser_s_and_releases_everybody(
    fake: FakeBrowser, workers: ThreadPoolExecutor
) -> None:
    """Whatever the browser does: its own side stays open here."""
    waiting = workers.submit(fake.pipe.call, "A.a", timeout_s=600)
    fake.command()
    fake.pipe.close()
    with pytest.raises(CdpClosed):
        waiting.result(SOON_S)
    assert os.read(fake.reads, 1) == b""


def test_closing_may_be_called_by_who_is_told_of_the_close(fake: FakeBrowser) -> None:
    fake.pipe.on_closed(fake.pipe.close)
    fake.die()
    fake.pipe.close()


def test_a_routed_session_s_messages_are_passed_on_as_they_are(fake: FakeBrowser, workers: ThreadPoolExecutor) -> None:
    found = routed(fake.pipe, S1)
    odd = b'{"method":"A.a","params":{"x":not json at all},"sessionId":"%s"}' % S1.encode()
    fake.say(odd, {"id": 1, "result": {}, "sessionId": S1}, {"method": "B.b", "sessionId": S2})
    settle(fake, workers)
    assert found == [odd.replace(b',"sessionId":"%s"' % S1.encode(), b""), b'{"id":1,"result":{}}']
    fake.pipe.remove_route(S1)
    fake.say(odd.replace(b"not json at all", b"1"))
    settle(fake, workers)
    assert len(found) == 2


@pytest.mark.parametrize(
    "message",
    [
        {"method": "Runtime.consoleAPICalled", "params": {"text": f',"sessionId":"{S1}"}}'}},
        {"method": "Runtime.consoleAPICalled", "params": {"text": "x", "sessionId": S1}},
        {"method": f',"sessionId":"{S1}"}}'},
        {"method": "Runtime.consoleAPICalled", "params": {"text": f',"sessionId":"{S1}"}}'}, "sessionId": S2},
        {"method": "Runtime.consoleAPICalled", "params": {}, "sessionId": f'{S2}","sessionId":"{S1}'},
    ],
    ids=["in a text", "in the parameters", "as the last text", "of another session", "in a session id"],
)
def test_a_page_can_not_name_a_session(
    fake: FakeBrowser, workers: ThreadPoolExecutor, message: dict[str, object]
) -> None:
    found = routed(fake.pipe, S1)
    fake.say(message)
    settle(fake, workers)
    assert found == []


def test_a_message_that_mentions_another_session_reaches_its_own(
    fake: FakeBrowser, workers: ThreadPoolExecutor
) -> None:
    one, two = routed(fake.pipe, S1), routed(fake.pipe, S2)
    fake.say({"method": "Target.detachedFromTarget", "params": {"x": 1, "sessionId": S1}, "sessionId": S2})
    settle(fake, workers)
    assert (len(one), len(two)) == (0, 1)


@given(
    messages=st.lists(st.text(max_size=40), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 200), max_size=12),
)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_messages_arrive_whole_and_in_order_however_the_bytes_come(
    messages: list[str], cuts: list[int], workers: ThreadPoolExecutor
) -> None:
    fake = FakeBrowser()
    try:
        found = routed(fake.pipe, S1)
        said = [json.dumps({"method": text, "sessionId": S1}, separators=(",", ":")).encode() for text in messages]
        stream = b"".join(message + b"\0" for message in said)
        for cut in cuts:
            os.write(fake.writes, stream[:cut])
            stream = stream[cut:]
        os.write(fake.writes, stream)
        settle(fake, workers)
        assert [json.loads(message)["method"] for message in found] == messages
    finally:
        fake.die()
        fake.pipe.close()


def test_a_route_that_fails_is_reported_and_holds_up_nobody(
    fake: FakeBrowser, workers: ThreadPoolExecutor, caught: Caught
) -> None:
    def fail(message: bytes, end: int) -> None:
        raise LookupError("a bug")

    fake.pipe.add_route(S1, fail)
    found = routed(fake.pipe, S2)
    fake.say({"method": "A.a", "sessionId": S1}, {"method": "B.b", "sessionId": S2})
    settle(fake, workers)
    assert found == [b'{"method":"B.b"}']
    assert [args.exc_type for args in caught] == [LookupError]


def test_a_listener_that_fails_is_reported_and_the_next_is_told(fake: FakeBrowser, caught: Caught) -> None:
    told: list[int] = []

    def fail() -> None:
        raise LookupError("a bug")

    fake.pipe.on_closed(fail)
    fake.pipe.on_closed(lambda: told.append(1))
    fake.pipe.close()
    assert told == [1]
    assert [args.exc_type for args in caught] == [LookupError]


def test_a_browser_that_does_not_read_stops_who_sends_much_and_nobody_else(
    fake: FakeBrowser, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_module, "BACKLOG_BYTES", 2**20)
    sent: list[int] = []
    held_up = threading.Event()

    def wanted() -> bool:  # asked only while it waits
        held_up.set()
        return True

    def flood() -> None:
        for number in range(16):
            fake.pipe.forward(b"x" * 2**20, wanted=wanted)
            sent.append(number)

    flooding = workers.submit(flood)
    assert held_up.wait(SOON_S)
    assert len(sent) < 8
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        fake.pipe.call("A.a", timeout_s=0.05)
    fake.pipe.post("B.b")
    assert time.monotonic() - begun < SOON_S / 2
    received = b""
    while received.count(b"\0") < 18:
        received += os.read(fake.reads, 2**20)
    flooding.result(SOON_S)
    pieces = received.split(b"\0")
    assert sorted(len(piece) for piece in pieces if piece.startswith(b"x")) == [2**20] * 16


def test_a_sender_that_is_no_longer_wanted_waits_no_more(
    fake: FakeBrowser, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_module, "BACKLOG_BYTES", 0)
    wanted = threading.Event()
    wanted.set()
    fake.pipe.forward(b"x" * 2**21, wanted=lambda: False)
    waiting = workers.submit(fake.pipe.forward, b"x" * 2**21, wanted=wanted.is_set)
    assert not waiting.done()
    wanted.clear()
    waiting.result(SOON_S)


def test_a_pipe_that_no_thread_reads_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = len(os.listdir("/dev/fd"))
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    monkeypatch.setattr(threading.Thread, "start", exhausted)
    with pytest.raises(RuntimeError):
        CdpPipe(ours_in, ours_out)
    os.close(theirs_in)
    os.close(theirs_out)
    assert len(os.listdir("/dev/fd")) == before


def test_closing_the_pipe_of_a_browser_that_does_not_read_is_quick(fake: FakeBrowser) -> None:
    fake.pipe.forward(b"x" * 2**22, wanted=lambda: True)
    begun = time.monotonic()
    fake.pipe.close()
    assert time.monotonic() - begun < SOON_S / 2
    drained = 0
    while chunk := os.read(fake.reads, 2**20):
        drained += len(chunk)
    assert drained < 2**22


class Valve:
    """Stands for a descriptor that takes a limited number of bytes, of which it lets through what it is told."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()  # writable at once: the outbox polls it
        self.open_bytes = 0
        self.taken = b""
        self.released = 0
        self.broken = False

    def write(self, chunks: Sequence[Chunk]) -> int:
        if self.broken:
            raise BrokenPipeError
        if not self.open_bytes:
            raise BlockingIOError
        content = b"".join(chunks)[: self.open_bytes]
        self.taken += content
        self.open_bytes -= len(content)
        return len(content)

    def release(self) -> None:
        self.released += 1
        os.close(self.reader)
        os.close(self.writer)


def test_an_outbox_counts_what_waits_behind_the_message_being_sent() -> None:
    valve = Valve()
    outbox = Outbox(valve.writer, valve.write, valve.release)
    valve.open_bytes = 100
    assert outbox.put(b"a" * 60, b"b" * 30) == 0
    assert outbox.put(b"c" * 1000) == 0
    assert outbox.put(b"d" * 20) == 20
    assert outbox.put(b"e" * 30) == 50
    assert not outbox.wait_until(49, 0)
    assert outbox.wait_until(50, 0)
    outbox.drop_waiting()
    assert outbox.put(b"f" * 5) == 5
    valve.open_bytes = 10**6
    assert outbox.flush(SOON_S)
    assert valve.taken == b"a" * 60 + b"b" * 30 + b"c" * 1000 + b"f" * 5
    outbox.close()
    assert valve.released == 1


def test_an_outbox_for_which_there_is_no_thread_goes_on_with_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the thread that did not start for one that sends: nothing reached the browser any more."""

    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    valve = Valve()
    outbox = Outbox(valve.writer, valve.write, valve.release)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", exhausted)
        outbox.put(b"a" * 60)
    outbox.put(b"b" * 30)
    valve.open_bytes = 10**6
    assert outbox.flush(SOON_S)
    assert valve.taken == b"a" * 60 + b"b" * 30
    outbox.close()
    assert valve.released == 1


def test_a_closed_outbox_takes_nothing_and_releases_once() -> None:
    valve = Valve()
    outbox = Outbox(valve.writer, valve.write, valve.release)
    outbox.put(b"waits")
    outbox.close()
    outbox.close()
    assert eventually(lambda: valve.released == 1)
    assert not outbox.flush(0)
    with pytest.raises(BrokenPipeError):
        outbox.put(b"x")


def test_a_broken_outbox_says_so_to_who_sends_next() -> None:
    valve = Valve()
    outbox = Outbox(valve.writer, valve.write, valve.release)
    outbox.put(b"waits")
    valve.broken = True
    assert not outbox.flush(SOON_S)
    with pytest.raises(BrokenPipeError):
        outbox.put(b"x")
    outbox.close()
    assert valve.released == 1


@pytest.mark.browser
def test_a_browser_session_takes_what_only_it_has_made_with_it(browser: Browser) -> None:
    mine = browser.pipe.attach_browser()
    made = browser.pipe.call(
        "Target.createBrowserContext", {"disposeOnDetach": True}, session_id=mine, timeout_s=SOON_S
    )["browserContextId"]
    contexts = browser.pipe.call("Target.getBrowserContexts", timeout_s=SOON_S)["browserContextIds"]
    assert made in contexts
    browser.pipe.detach(mine)
    contexts = browser.pipe.call("Target.getBrowserContexts", timeout_s=SOON_S)["browserContextIds"]
    assert made not in contexts


@pytest.mark.browser
def test_messages_of_8_mb_pass_both_ways(browser: Browser) -> None:
    size = 8 * 2**20
    assert len(browser.evaluate(f"'x'.repeat({size})")) == size
    assert browser.evaluate(f"'{'y' * size}'.length") == size


@pytest.mark.browser
def test_a_killed_browser_is_known_at_once(browser: Browser) -> None:
    closed = threading.Event()
    browser.pipe.on_closed(closed.set)
    os.kill(browser.process.pid, signal.SIGKILL)
    assert closed.wait(SOON_S)
    with pytest.raises(CdpClosed):
        browser.pipe.call("Browser.getVersion", timeout_s=SOON_S)


@pytest.mark.browser
def test_a_stopped_browser_is_a_timeout_and_can_still_be_let_go(browser: Browser) -> None:
    pids = group_members(browser.process.identity)
    os.kill(browser.process.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        browser.pipe.call("Browser.getVersion", timeout_s=0.05)
    browser.pipe.close()
    os.kill(browser.process.pid, signal.SIGCONT)
    assert wait_gone(pids, SOON_S) == []
