"""The look-only token, in an attacker's hands: nothing but looking reaches the browser."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
from websockets.frames import Opcode

from lifecycle_chromium import relay
from lifecycle_chromium.looking import ALLOWED, Refused, judge
from tests.adapters.chromium.support import Doorman, FakeBrowser, RawClient, eventually, get, token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle_chromium.gate import Gate
    from tests.adapters.chromium.support import Browser

ALLOWED_SENT: Final[list[tuple[str, dict[str, Any]]]] = [
    ("Target.setDiscoverTargets", {"discover": True, "filter": [{"type": "page"}]}),
    ("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}),
    ("Target.getTargetInfo", {"targetId": "T"}),
    ("Page.startScreencast", {"format": "jpeg", "quality": 65, "maxWidth": 9, "maxHeight": 9}),
    ("Page.screencastFrameAck", {"sessionId": 1}),
    ("Page.stopScreencast", {}),
]
OWN: Final = "0" * 32
FOREIGN: Final = "F" * 32


class Looker:
    """A client with the look-only URL of a browser that is the test, and what of its words reaches that browser."""

    def __init__(self, gate: Gate, fake: FakeBrowser, doorman: Doorman) -> None:
        self.fake = fake
        self.reached: list[dict[str, Any]] = []
        threading.Thread(target=self._serve, daemon=True).start()
        self.url = doorman.add(gate, "session-1", fake.pipe)
        self.client = RawClient(gate.look_url("session-1"))

    def _serve(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                command = self.fake.command()
                if command["method"] == "Target.attachToBrowserTarget":
                    self.fake.say({"id": command["id"], "result": {"sessionId": OWN}})
                elif command["method"] != "Target.detachFromTarget":
                    self.reached.append(command)

    def after(self, attack: bytes, opcode: Opcode = Opcode.TEXT) -> list[dict[str, Any]]:
        """What has reached the browser of *attack*, once what was said after it has."""
        self.client.send(attack, opcode)
        self.client.send({"id": 999, "method": "Target.getTargetInfo", "params": {"targetId": "after"}})
        assert eventually(lambda: any(command["id"] == 999 for command in self.reached))
        return [command for command in self.reached if command["id"] != 999]

    def answer(self) -> dict[str, Any]:
        opcode, payload = self.client.frame()
        assert opcode == Opcode.TEXT
        parsed: dict[str, Any] = json.loads(payload)
        return parsed


@pytest.fixture
def looker(gate: Gate, fake: FakeBrowser, doorman: Doorman) -> Iterator[Looker]:
    made = Looker(gate, fake, doorman)
    yield made
    made.client.close()


FORBIDDEN: Final = [
    "Runtime.evaluate",
    "Runtime.enable",
    "Input.dispatchMouseEvent",
    "Input.insertText",
    "Page.enable",
    "Page.navigate",
    "Page.captureScreenshot",
    "Target.attachToTarget",
    "Target.attachToBrowserTarget",
    "Target.closeTarget",
    "Target.createTarget",
    "Target.sendMessageToTarget",
    "Target.exposeDevToolsProtocol",
    "Browser.close",
    "Browser.setDownloadBehavior",
    "Storage.getCookies",
    "Network.getCookies",
    "Emulation.setDeviceMetricsOverride",
    "target.getTargetInfo",
    "Target.getTargetInfo ",
    "",
]


@pytest.mark.parametrize("session", [None, OWN])
@pytest.mark.parametrize("method", FORBIDDEN)
def test_what_is_not_looking_is_refused_by_the_gate(looker: Looker, method: str, session: str | None) -> None:
    message: dict[str, Any] = {"id": 1, "method": method, "params": {}}
    assert looker.after(json.dumps(message if session is None else {**message, "sessionId": session}).encode()) == []
    answer = looker.answer()
    assert (answer["id"], answer["error"]["code"]) == (1, -32000)
    assert repr(method) in answer["error"]["message"]


EVALUATE: Final = b'"Runtime.evaluate","params":{"expression":"1"}'
INFO: Final = b'"Target.getTargetInfo","params":{"targetId":"x"}'
TRICKS: Final[dict[str, bytes]] = {
    "a member twice": b'{"id":1,"method":"Target.getTargetInfo","method":%s}' % EVALUATE,
    "a member twice, the good one last": b'{"id":1,"method":"Runtime.evaluate","method":%s}' % INFO,
    "params twice": b'{"id":1,"method":"Target.setAutoAttach","params":{"waitForDebuggerOnStart":false},"params":{}}',
    "an escaped name": b'{"id":1,"method":"\\u0050age.navigate","params":{"url":"about:blank"}}',
    "an escaped member": b'{"id":1,"method":"Target.getTargetInfo","\\u006dethod":%s}' % EVALUATE,
    "two commands": b'{"id":1,"method":%s}{"id":2,"method":%s}' % (INFO, EVALUATE),
    "two lines": b'{"id":1,"method":%s}\n{"id":2,"method":%s}' % (INFO, EVALUATE),
    "a list": b'[{"id":1,"method":%s}]' % EVALUATE,
    "a NUL": b'{"id":1,"method":%s}\0{"id":2,"method":%s}' % (INFO, EVALUATE),
    "UTF-16, which is full of NULs": (b'{"id":1,"method":%s}' % EVALUATE).decode().encode("utf-16"),
    "UTF-8 with a mark": b'\xef\xbb\xbf{"id":1,"method":%s}' % EVALUATE,
    "a forged session": b'{"id":1,"method":%s,"sessionId":"%s"}' % (INFO, FOREIGN.encode()),
    "a session twice": b'{"id":1,"method":%s,"sessionId":"%s","sessionId":"%s"}'
    % (INFO, OWN.encode(), FOREIGN.encode()),
    "a session that is a list": b'{"id":1,"method":%s,"sessionId":["%s"]}' % (INFO, OWN.encode()),
    "a session in the params": b'{"id":1,"method":"Target.getTargetInfo","params":{"sessionId":"%s"}}'
    % FOREIGN.encode(),
    "a method in the params": b'{"id":1,"method":"Target.getTargetInfo","params":{"method":%s}}}' % EVALUATE,
    "another member": b'{"id":1,"method":%s,"sessionID":"x"}' % INFO,
    "no id": b'{"method":%s}' % INFO,
    "an id that is none": b'{"id":true,"method":%s}' % INFO,
    "a method that is a list": b'{"id":1,"method":["Target.getTargetInfo"]}',
    "params that are a list": b'{"id":1,"method":"Target.getTargetInfo","params":[]}',
    "NaN": b'{"id":1,"method":"Target.getTargetInfo","params":{"targetId":NaN}}',
    "depth": b'{"id":1,"method":"Target.getTargetInfo","params":{"targetId":%s' % (b"[" * 60_000),
    "length": b'{"id":1,"method":"Target.getTargetInfo","params":{"targetId":"%s"}}' % (b"x" * 2**16),
    "nonsense": b"\xff\xfe\xfd",
    "holding pages up": b'{"id":1,"method":"Target.setAutoAttach","params":{"autoAttach":true,"flatten":true,'
    b'"waitForDebuggerOnStart":true}}',
    "holding pages up with a 1": b'{"id":1,"method":"Target.setAutoAttach","params":{"autoAttach":true,"flatten":true,'
    b'"waitForDebuggerOnStart":1}}',
    "a 0 that is not false": b'{"id":1,"method":"Target.setAutoAttach","params":{"autoAttach":true,"flatten":true,'
    b'"waitForDebuggerOnStart":0}}',
    "saying nothing of it": b'{"id":1,"method":"Target.setAutoAttach","params":{"autoAttach":true,"flatten":true}}',
    "another way to sessions": b'{"id":1,"method":"Target.setAutoAttach","params":{"autoAttach":true,"flatten":false,'
    b'"waitForDebuggerOnStart":false}}',
}


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_reaches_the_browser(looker: Looker, trick: str, opcode: Opcode) -> None:
    if "NUL" in trick:
        looker.client.send(TRICKS[trick], opcode)
        assert looker.client.closed()[0] == 1007
        assert looker.reached == []
    else:
        assert looker.after(TRICKS[trick], opcode) == []


def test_a_command_in_pieces_is_judged_whole(looker: Looker) -> None:
    message = b'{"id":1,"method":%s}' % EVALUATE
    looker.client.send(message[:20], fin=False)
    looker.client.send(message[20:30], Opcode.CONT, fin=False)
    assert looker.after(message[30:], Opcode.CONT) == []


@pytest.mark.parametrize(("method", "params"), ALLOWED_SENT)
def test_looking_reaches_it_in_the_gates_own_words(looker: Looker, method: str, params: dict[str, Any]) -> None:
    spaced = json.dumps({"sessionId": None, "params": params, "method": method, "id": 1}, indent=3)
    assert looker.after(spaced.encode()) == [{"id": 1, "method": method, "params": params, "sessionId": OWN}]


def test_what_is_sent_is_what_was_judged() -> None:
    command, message = judge(b'{"method":"\\u0054arget.getTargetInfo","params":{"targetId":"\xc3\xbc\\u0000"},"id":7}')
    assert command == (7, "Target.getTargetInfo", None)
    assert message == b'{"id":7,"method":"Target.getTargetInfo","params":{"targetId":"\\u00fc\\u0000"}}'
    with pytest.raises(Refused, match="looking only") as refused:
        judge(b'{"id":8,"method":"Page.reload"}')
    assert refused.value.id == 8
    assert set(ALLOWED) == {method for method, _ in ALLOWED_SENT}  # nothing that the tests do not know


def everything_counts(_method: str, _since_attach_s: float) -> bool:
    return True


def test_none_of_it_is_an_access(looker: Looker, doorman: Doorman, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "counts", everything_counts)
    for method, params in ALLOWED_SENT:
        looker.after(json.dumps({"id": 1, "method": method, "params": params}).encode())
    assert doorman.accesses == []


def test_it_opens_nothing_else(gate: Gate, looker: Looker, doorman: Doorman) -> None:
    token = token_of(gate.look_url("session-1"))
    assert token != token_of(looker.url)
    assert len(token) >= 43
    doorman.add(gate, "session-3", looker.fake.pipe)
    assert token_of(gate.look_url("session-3")) != token
    for path in ("json/version", "json", "poke", "", "devtools/browser/session-2"):
        status, body = get(gate, f"/{token}/{path}")
        assert (status, token_of(looker.url) in body) == (404, False)
    assert "poked" not in doorman.told
    assert get(gate, f"/{token}x/devtools/browser/session-1")[0] == 403
    gate.remove("session-1")
    assert get(gate, f"/{token}/json/version")[0] == 403


def test_a_label_makes_nobody_one_who_looks(gate: Gate, looker: Looker) -> None:
    other = RawClient(f"{looker.url}?client=recorder")
    assert eventually(lambda: [client.looks for client in gate.clients("session-1")] == [True, False])
    other.close()


@pytest.mark.browser
def test_with_a_real_browser(gate: Gate, browser: Browser, url: str) -> None:
    """The picture comes; the page is as it was after everything was tried."""
    browser.evaluate("document.title = 'mine'; document.cookie = 'a=1'")
    client = RawClient(gate.look_url(browser.session_id))
    client.send({"id": 1, "method": "Target.setAutoAttach", "params": ALLOWED_SENT[1][1]})
    attached: dict[str, Any] = {}
    while attached.get("method") != "Target.attachedToTarget" or attached["params"]["targetInfo"]["type"] != "page":
        attached = json.loads(client.frame()[1])
    session = attached["params"]["sessionId"]
    target = attached["params"]["targetInfo"]["targetId"]
    for method, params in (
        ("Runtime.evaluate", {"expression": "document.title = 'theirs'"}),
        ("Page.navigate", {"url": "about:blank#theirs"}),
        ("Target.closeTarget", {"targetId": target}),
        ("Target.attachToBrowserTarget", {}),
        ("Storage.getCookies", {}),
        ("Browser.close", {}),
    ):
        for place in (None, session):
            assert client.call(method, params, place)["error"]["code"] == -32000
    client.send({"id": 2, "method": "Page.startScreencast", "params": {"format": "jpeg"}, "sessionId": session})
    heard: dict[str, Any] = {}
    while heard.get("method") != "Page.screencastFrame":
        heard = json.loads(client.frame()[1])
    assert browser.evaluate("document.title") == "mine"
    client.close()
