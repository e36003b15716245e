"""The viewer's parts without a browser: which tab, what is kept, what is said."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from lifecycle.client import viewing
from lifecycle.core import Config
from lifecycle.core.events import Cause
from lifecycle.testing.samples import T0, D, closed, created, session, started
from lifecycle_viewer.camera import _title  # pyright: ignore[reportPrivateUsage] # the rule, tested by itself
from lifecycle_viewer.scene import FRAMES_AHEAD, Scene
from lifecycle_viewer.tabs import Tabs
from lifecycle_viewer.words import SENTENCES, state


def attached(tab: str, url: str = "about:blank") -> dict[str, Any]:
    info = {"targetId": tab, "url": url, "title": ""}
    return {"method": "Target.attachedToTarget", "params": {"sessionId": f"s-{tab}", "targetInfo": info}}


def changed(tab: str, url: str) -> dict[str, Any]:
    return {"method": "Target.targetInfoChanged", "params": {"targetInfo": {"targetId": tab, "url": url}}}


def about(method: str, tab: str) -> dict[str, Any]:
    return {"method": f"Target.{method}", "params": {"targetId": tab, "sessionId": f"s-{tab}"}}


@pytest.mark.parametrize(
    ("messages", "looked_at"),
    [
        ([], None),
        ([attached("a")], "a"),
        ([attached("a"), attached("b")], "b"),
        ([attached("a"), attached("b"), changed("a", "http://a/")], "a"),
        ([attached("a", "http://a/"), attached("b"), changed("a", "http://a/")], "b"),  # reloaded
        ([attached("a"), attached("b"), about("targetDestroyed", "b")], "a"),
        ([attached("a"), attached("b"), about("detachedFromTarget", "b")], "a"),
        ([attached("a"), about("targetDestroyed", "a")], None),
        ([changed("unknown", "http://a/"), about("targetCrashed", "unknown")], None),
    ],
)
def test_the_tab_to_look_at_is_where_something_happened_last(messages: list[Any], looked_at: str | None) -> None:
    tabs = Tabs()
    assert all(tabs.take(message) for message in messages)
    assert (tabs.current.target if tabs.current else None) == looked_at


def test_a_crashed_tab_is_dead_until_it_goes_somewhere() -> None:
    tabs = Tabs()
    tabs.take(attached("a"))
    tabs.take(about("targetCrashed", "a"))
    tabs.describe({"targetId": "a", "url": "chrome://crash/"})  # what it answers when it is asked
    assert tabs.current is not None
    assert tabs.current.crashed
    tabs.take(changed("a", "http://a/"))
    assert not tabs.current.crashed


def test_other_messages_are_not_about_tabs() -> None:
    assert not Tabs().take({"method": "Inspector.detached", "params": {}})
    assert not Tabs().take({"id": 1, "result": {}})


def test_a_seat_gets_the_newest_and_never_more_than_it_is_ready_for() -> None:
    scene = Scene()
    scene.show(a=1)
    with scene.seat(1) as seat:
        assert seat is not None
        for number in range(100):
            scene.show_frame(b"%d" % number)
        assert json.loads(scene.next(seat, lambda: 7) or "") == {"a": 1, "now_ms": 7}
        assert scene.next(seat, lambda: 0) == b"99"
        for number in range(100, 200):
            scene.show_frame(b"%d" % number)
        assert scene.next(seat, lambda: 0) == b"199"
        assert seat.unseen == FRAMES_AHEAD
        scene.show_frame(b"200")
        scene.show(a=1)
        scene.show(a=2)
        assert json.loads(scene.next(seat, lambda: 7) or "")["a"] == 2, "a state goes past frames that wait"
        scene.seen(seat)
        assert scene.next(seat, lambda: 0) == b"200"


def test_the_end_is_the_last_thing_that_is_said() -> None:
    scene = Scene()
    with scene.seat(1) as seat:
        assert seat is not None
        scene.show_frame(b"1")
        scene.show(over=True)
        assert not scene.close(0)
        assert json.loads(scene.next(seat, lambda: 0) or "")["over"] is True
        assert scene.next(seat, lambda: 0) is None
    assert scene.close(0)


def test_the_audience_is_told_of_first_and_last() -> None:
    heard: list[bool] = []
    scene = Scene()
    scene.on_audience = lambda: heard.append(scene.watched)
    with scene.seat(2), scene.seat(2), scene.seat(2) as none_left:
        assert none_left is None
    assert heard == [True, False]


def test_one_who_leaves_is_woken() -> None:
    scene = Scene()
    with scene.seat(1) as seat:
        assert seat is not None
        threading.Timer(0.05, scene.leave, [seat]).start()
        assert scene.next(seat, lambda: 0) is None


@pytest.mark.parametrize(
    ("title", "url", "shown"),
    [
        ("Orders", "https://a.example/orders?key=1", "Orders"),
        ("a.example/orders?key=1", "https://a.example/orders?key=1", ""),
        ("a.example/über?key=1", "https://www.a.example/%C3%BCber?key=1", ""),
        ("data:text/html,secret", "data:text/html,secret", ""),
        ("", "https://a.example/", ""),
        ("x" * 1000, "https://a.example/", "x" * 300),
    ],
)
def test_an_address_in_place_of_a_title_is_not_shown(title: str, url: str, shown: str) -> None:
    assert _title(title, url) == shown


def test_every_cause_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Cause)
    assert all(sentence.endswith(".") for sentence in SENTENCES.values())


def test_the_state_of_a_session_in_each_standing() -> None:
    living = state(session(created(), started()), T0 + 10)
    assert (living["status"], living["over"], living["limit"], living["cause"]) == ("active", False, "idle", None)
    assert living["deadline_ms"] == D // 1000
    overdue = state(session(created(), started()), D)
    assert (overdue["status"], overdue["over"], overdue["cause"]) == ("timed_out", True, "idle")
    ended = state(session(created(), started(T0 + 5), closed(T0 + 10)), T0 + 20)
    assert (ended["status"], ended["why"], ended["closed_ms"]) == ("closed", SENTENCES[Cause.STOPPED], T0 // 1000)


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_where_a_window_can_be_opened(environ: dict[str, str], platform: str, expected: bool) -> None:
    assert viewing.has_display(environ, platform) is expected


@pytest.mark.parametrize("display", [True, False])
def test_only_a_window_that_can_not_be_opened_is_done_without(monkeypatch: pytest.MonkeyPatch, display: bool) -> None:
    monkeypatch.setattr(viewing, "has_display", lambda: display)
    assert viewing.possible(Config(headless=False)).headless is not display
    assert viewing.possible(Config(headless=True)) == Config(headless=True)
