"""Pages that hang, crash, or put a dialog in the way: operations fail in time, and the session goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lifecycle_chromium import process
from tests.actions.twins import Twin

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("code", ["while (true);", "new Promise(() => {})"])
def test_javascript_that_never_ends_is_stopped_and_the_page_lives(twin: Twin, code: str) -> None:
    twin.goto("/")
    twin.js("window.here = 1")
    result = twin.fails("evaluate_js", code=code, timeout=300)
    assert result.message == "the code had not come to an end within 300 ms and was stopped"
    assert twin.js("window.here") == 1


def test_a_page_that_hangs_fails_in_time_and_another_tab_works(twin: Twin) -> None:
    twin.goto("/hangs")
    began = time.monotonic()
    assert twin.fails("click", selector="#hang", timeout=300).reason == "hung"
    for kind, fields in {"press_key": {"key": "a"}, "reload": {}}.items():
        assert twin.fails(kind, timeout=300, **fields).reason == "hung", kind
    assert time.monotonic() - began < 30
    twin.do("goto_new_tab", url=twin.site + "/")
    assert [tab.index for tab in twin.observe().tabs] == [0, 1]
    twin.goes_on()
    twin.do("close_tab")
    twin.do("close_tab")  # the one that hung
    twin.goes_on()


def test_a_page_that_crashes_fails_and_another_tab_works(twin: Twin) -> None:
    twin.goto("/")
    twin.execute("goto", url="chrome://crash", timeout=3000)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("goto", {"url": twin.site}),
        ("click", {"selector": "a"}),
        ("wait", {"time_ms": 1}),
        ("reload", {}),
        ("scrape", {}),
    ]
    for kind, fields in cases:
        result = twin.fails(kind, **fields)
        assert result.reason == "crashed"
        assert "go on in another tab" in result.message
    twin.do("goto_new_tab", url=twin.site + "/")
    twin.goes_on()
    twin.do("switch_tab", tab_index=0)
    assert twin.fails("reload").reason == "crashed"
    twin.do("close_tab")
    twin.goes_on()


def test_a_crash_in_the_middle_of_an_operation(twin: Twin) -> None:
    twin.goto("/")
    timer = threading.Timer(0.3, kill_renderers, (twin,))
    timer.start()
    assert twin.fails("click", selector=".none", timeout=20_000).reason == "crashed"
    timer.join()
    twin.do("goto_new_tab", url=twin.site + "/")
    twin.goes_on()


def kill_renderers(twin: Twin) -> None:
    """All pages crash, as when memory runs out; the browser lives."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    ours = set(process.find_by_profile(twin.session.session_id))
    for _ in range(4):  # a renderer's parent is a zygote, whose parent is the browser
        ours |= {pid for pid, parent in parents.items() if parent in ours}
    for pid in ours:
        with contextlib.suppress(OSError):
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def test_a_dialog_that_nobody_answers_is_dismissed_and_told(twin: Twin) -> None:
    """A handler of the user's own that does nothing keeps Playwright from dismissing dialogs."""
    twin.goto("/dialogs")

    def ignore(_: object) -> None:
        pass

    twin.page(lambda page: page.on("dialog", ignore))
    result = twin.fails("click", selector="#confirm", timeout=300)
    assert result.reason == "dialog"
    assert result.message == "a confirm that nobody answered blocked the page and was dismissed: 'Really?'"
    assert "Really?" not in result.summary
    assert twin.js("said.textContent") == "confirm: false"
    result = twin.fails("evaluate_js", code="alert('again')", timeout=300)
    assert result.message.startswith("an alert that nobody answered")
    twin.page(lambda page: page.remove_listener("dialog", ignore))
    twin.do("click", selector="#alert")
    twin.goes_on()
