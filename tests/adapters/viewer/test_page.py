"""The page in a real browser: what the session shows, what is said of it, and its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error

from lifecycle import Client, State
from tests.adapters.viewer.watching import RESTLESS, frames, no_viewer, picture, shows, text, viewers, watch

if TYPE_CHECKING:
    from tests.client.world import World

pytestmark = pytest.mark.browser


def test_a_second_browser_sees_what_the_session_shows(client: Client, world: World) -> None:
    with client.Session(timeout_minutes=2) as session, client.Session() as watcher:
        session.page.goto(f"{world.site}/")
        page = watch(watcher, session.viewer_url())
        shows(page, "title", "/")
        assert text(page, "url") == f"{world.site}/"
        assert text(page, "status") == "active"
        assert text(page, "session") == session.session_id
        assert re.fullmatch(r"2:00|1:\d\d", text(page, "left"))
        assert text(page, "limit") == "left, unless it is used"
        first, count = picture(page), frames(page)
        session.page.goto(f"{world.site}/second?key=hidden")
        shows(page, "title", "/second")
        page.wait_for_function("count => document.documentElement.dataset.frames > count", arg=count)
        assert picture(page) != first
        assert text(page, "url") == f"{world.site}/second?key=REDACTED"
        assert "key=hidden" not in page.content()


def test_a_title_that_a_script_changes_is_shown(client: Client) -> None:
    with client.Session() as session, client.Session() as watcher:
        page = watch(watcher, session.viewer_url())
        session.page.evaluate("document.title = 'changed'")
        shows(page, "title", "changed")
        assert page.title() == "Live: changed"


def test_what_moves_keeps_moving(client: Client) -> None:
    with client.Session() as session, client.Session() as watcher:
        session.page.goto(RESTLESS)
        page = watch(watcher, session.viewer_url())
        page.wait_for_function("() => document.documentElement.dataset.frames >= 20", timeout=10_000)


def test_the_countdown_follows_the_deadline(client: Client) -> None:
    with client.Session(timeout_minutes=1) as session, client.Session() as watcher:
        page = watch(watcher, session.viewer_url())
        page.wait_for_function("() => document.getElementById('left').textContent <= '0:58'")
        session.extend(minutes=90)
        shows(page, "left", "1:29:5")


def test_the_newest_tab_is_followed_and_a_closed_one_left(client: Client, world: World) -> None:
    with client.Session() as session, client.Session() as watcher:
        session.page.goto(f"{world.site}/")
        page = watch(watcher, session.viewer_url())
        first = picture(page)
        other = session.page.context.new_page()
        other.goto(f"{world.site}/second")
        shows(page, "url", "/second")
        shows(page, "tabs", "2 tabs")
        other.reload()
        session.page.goto(f"{world.site}/form")  # where something happens is where one looks
        shows(page, "url", "/form")
        other.goto(f"{world.site}/said")
        shows(page, "url", "/said")
        other.close()
        shows(page, "url", "/form")
        assert text(page, "tabs") == ""
        page.wait_for_function("first => document.getElementById('picture').toDataURL() !== first", arg=first)


def test_a_page_that_crashes_is_told_and_the_next_one_is_shown(client: Client, world: World) -> None:
    with client.Session() as session, client.Session() as watcher:
        session.page.goto(f"{world.site}/")
        page = watch(watcher, session.viewer_url())
        crashing = session.page.context.new_page()
        crashing.goto(f"{world.site}/form")
        shows(page, "url", "/form")
        with pytest.raises(Error):
            crashing.goto("chrome://crash")
        shows(page, "what", "This page crashed")
        assert text(page, "status") == "active"
        count = frames(page)
        session.page.context.new_page().goto(f"{world.site}/second")
        shows(page, "url", "/second")
        page.wait_for_selector("#note", state="hidden")
        assert frames(page) > count


@pytest.mark.parametrize("failing", [False, True], ids=["stopped", "exception"])
def test_the_end_is_told_with_its_reason_and_the_viewer_is_gone(client: Client, world: World, failing: bool) -> None:
    with client.Session() as watcher:
        session = client.Session().start()
        session.page.goto(f"{world.site}/second")
        page = watch(watcher, session.viewer_url())
        assert len(viewers(world)) == 1
        if failing:
            session.__exit__(ValueError, ValueError("a reason of its own"), None)
            shows(page, "what", "The session ended with an error")
            shows(page, "why", "ValueError: a reason of its own")
            shows(page, "when", "recorded as error/exception")
        else:
            session.stop()
            shows(page, "what", "The session has ended")
            shows(page, "when", "recorded as closed/stopped")
        no_viewer(world)
        assert (text(page, "left"), text(page, "title")) == ("ended", "/second")
        assert text(page, "status") == ("error" if failing else "closed")
        page.wait_for_timeout(1500)
        assert text(page, "what").startswith("The session"), "the end of the connection is not the news"


def test_a_browser_that_is_killed_is_told(client: Client, world: World) -> None:
    with client.Session() as watcher:
        session = client.Session(page=False).start()
        page = watch(watcher, session.viewer_url())
        world.end_process(world.browser_pid(session))
        shows(page, "why", "The browser crashed.")
        session.stop()
        assert session.status().status is State.ERROR


def test_the_page_can_be_used_with_a_keyboard_and_says_what_it_is(client: Client) -> None:
    with client.Session() as session, client.Session() as watcher:
        page = watch(watcher, session.viewer_url())
        names: list[str] = []
        for _ in range(2):
            page.keyboard.press("Tab")
            names.append(
                page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
            )
        assert names == ["The session's browser, a live picture", "Actual size"]
        page.keyboard.press("Enter")
        assert page.get_attribute("#size", "aria-pressed") == "true"
        assert page.get_attribute("#picture", "aria-label") == "Live picture of Untitled page"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_cut_off_in_any_light_or_width(client: Client, scheme: str, width: int) -> None:
    with client.Session(page=False) as session, client.Session() as watcher:
        watcher.page.emulate_media(color_scheme=scheme)
        watcher.page.set_viewport_size({"width": width, "height": 640})
        page = watch(watcher, session.viewer_url())
        wide, background = page.evaluate(
            "[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
        )
        assert wide <= width
        assert (int(background[4:].split(",")[0]) < 60) is (scheme == "dark")
