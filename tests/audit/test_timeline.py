"""Timelines: what is drawn, in characters, as a picture that a real browser shows in both schemes, and as a trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from lifecycle import Cause, Client, UnknownSession
from lifecycle.audit.timeline import Timeline, timeline
from lifecycle.audit.timeline.marks import KINDS
from lifecycle.audit.timeline.ticks import ticks
from lifecycle.core.events import SessionAnnotated, SessionOperation
from lifecycle.log import ANY, MemoryLog
from lifecycle.testing.log_samples import SECOND, T0, closed, created, new
from lifecycle.testing.runs import Run
from lifecycle.testing.strategies import runs
from lifecycle_chromium.find import find_browser
from tests.audit.corpus import Writer
from tests.audit.strange import opener, plant

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture
def drawn() -> Timeline:
    """Every cause, one that lives, one overdue."""
    book = Writer(lambda clock: MemoryLog(clock=clock))
    return timeline(book.log, [*book.every_cause(), book.living(), book.overdue()], book.clock.now())


def test_rows_are_by_creation_and_each_once(book: Writer) -> None:
    book.create("b")
    book.clock.advance(1)
    book.create("a")
    found = timeline(book.log, ["a", "b", "a"], book.clock.now())
    assert [row.session_id for row in found.rows] == ["b", "a"]
    assert found.span_us == SECOND
    with pytest.raises(UnknownSession):
        timeline(book.log, ["nobody"], book.clock.now())


def test_in_characters() -> None:
    book = Writer(lambda clock: MemoryLog(clock=clock))
    book.end(Cause.STOPPED)
    lines = timeline(book.log, ["stopped"], book.clock.now()).text(70).splitlines()
    assert lines[0] == "2026-09-21, UTC"
    assert lines[3] == "stopped  closed (stopped)  8.75 s  cause=stopped job=nightly"
    assert lines[4].startswith("░░░░━━━━━━━━▴")
    assert lines[4].endswith("■┄")
    assert max(map(len, lines[:5])) <= 70
    assert lines[-1].startswith("░ starting  ━ running  ┄ ending  ■ ended")
    assert "navigated" in lines[-1]
    assert "cookies" not in lines[-1], "only what is there is explained"
    assert timeline(book.log, [], book.clock.now()).text() == "no sessions"


def test_a_living_session_points_on(drawn: Timeline) -> None:
    bars = dict(zip((row.session_id for row in drawn.rows), drawn.text(160).splitlines()[4::2], strict=False))
    assert bars["living"].endswith("▶")
    assert not bars["overdue"].endswith("▶")


def test_the_picture_is_sound_and_needs_nothing_else(drawn: Timeline) -> None:
    for picture in (drawn.svg(), Timeline(drawn.rows, drawn.now, align=True).svg(), Timeline((), drawn.now).svg()):
        root = ElementTree.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "<script" not in picture
        assert not re.search(r"(?:href|src)=|url\(|@import", picture)
    page = drawn.html()
    assert page.startswith("<!doctype html>")
    assert "prefers-color-scheme:dark" in page
    assert drawn._repr_html_() == drawn.svg()  # pyright: ignore[reportPrivateUsage]
    for row in drawn.rows:
        assert row.session_id in page


def test_what_a_page_or_a_stranger_wrote_stays_text(book: Writer) -> None:
    book.create("s", labels={"job": "<script>alert(1)</script>"})
    book.start("s")
    book.note("s", SessionAnnotated(name="</text><script>", data={"x": "\x1b[31m&\u202e"}))
    found = timeline(book.log, ["s"], book.clock.now())
    page = found.html()
    assert "<script" not in page
    assert "\x1b" not in page + found.text()
    ElementTree.fromstring(found.svg())


def test_marks_that_would_meet_are_one(book: Writer) -> None:
    book.create("s")
    book.start("s")
    for number in range(40):
        book.note("s", SessionOperation(kind=f"click-{number}", ok=number != 7, took_us=1), after=0.001)
    book.clock.advance(100)
    picture = timeline(book.log, ["s"], book.clock.now()).svg()
    assert picture.count('class="mark') == 1
    assert ">40</text>" in picture
    assert "and 31 more" in picture
    assert 'class="mark bad"' in picture, "the one that failed is what is seen"


def test_what_is_not_known_here_has_a_mark(tmp_path: Path) -> None:
    book = Writer(opener(tmp_path / "log.db"))
    book.living("s")
    plant(tmp_path / "log.db", "s", "session.teleported", {"to": "the moon"}, at=book.clock.now())
    plant(tmp_path / "log.db", "broken", "session.created", {"no": "sense"}, at=book.clock.now())
    found = timeline(book.log, ["s", "broken"], book.clock.now())
    assert "teleported  to=the moon" in found.svg()
    assert [row.status for row in found.rows] == ["active", "unreadable"]
    assert found.trace()["otherData"]["sessions"] == 2
    assert "unreadable" in found.text()
    book.log.close()


def check_trace(trace: dict[str, Any]) -> None:
    """The Trace Event Format's rules for the phases used, and that spans of a track never overlap."""
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in trace["traceEvents"]:
        assert {"name", "ph", "pid", "tid", "ts", "args"} <= event.keys()
        assert isinstance(event["name"], str)
        match event["ph"]:
            case "M":
                assert event["name"] in ("process_name", "process_sort_index", "thread_name", "thread_sort_index")
            case "X":
                assert event["ts"] >= 0
                assert event["dur"] >= 0
                tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
            case "i":
                assert event["s"] == "t"
            case other:
                raise AssertionError(other)
    for spans in tracks.values():
        for (_, end), (begin, _) in zip(sorted(spans), sorted(spans)[1:], strict=False):
            assert end <= begin


def test_the_trace(drawn: Timeline) -> None:
    trace = drawn.trace()
    check_trace(trace)
    names = [event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "process_name"]
    assert "stopped closed/stopped" in names
    click = next(event for event in trace["traceEvents"] if event["name"] == "click text=Next")
    assert (click["ts"], click["dur"]) == (4_380_000, 120_000), "it began before it was recorded"
    assert len([event for event in trace["traceEvents"] if event["ph"] == "i"]) == sum(
        len(row.steps) for row in drawn.rows
    )


def test_operations_at_the_same_time_have_tracks_of_their_own(book: Writer) -> None:
    book.create("s")
    book.start("s")
    for took_us in (100_000, 3_000_000, 2_500_000, 400_000):
        book.note("s", SessionOperation(kind="wait", ok=True, took_us=took_us), after=0.5)
    trace = timeline(book.log, ["s"], book.clock.now()).trace()
    check_trace(trace)
    assert len({event["tid"] for event in trace["traceEvents"] if event["name"] == "wait"}) == 3


@settings(max_examples=60, deadline=None)
@given(runs())
def test_any_history_can_be_drawn(run: Run) -> None:
    log = MemoryLog()
    log.append("s", [new(event) for event in run.events], expected=ANY)
    found = timeline(log, ["s"], run.events[-1].at + SECOND)
    ElementTree.fromstring(found.svg())
    assert found.text(80)
    check_trace(found.trace())


def test_ticks_are_round_and_few() -> None:
    for span in (1, 999, 10**6, 7 * 10**6, 3600 * 10**6, 40 * 86_400 * 10**6, 10**15):
        for align in (False, True):
            found = ticks(1_789_985_600_000_123, span, 9, align=align)
            assert len(found) <= 11
            assert all(0 <= at <= span for at, _ in found)
            assert len({label for _, label in found}) == len(found), found


@pytest.mark.parametrize("later_us", range(0, 200_000, 20_000))
def test_the_times_on_the_axis_of_a_text_stand_apart(later_us: int) -> None:
    """Those at the ends are moved inwards, where they ran into their neighbours."""
    log, at = MemoryLog(), T0 + later_us
    log.append("s", [new(created("s", at)), new(closed(at + SECOND))], expected=ANY)
    found = timeline(log, ["s"], at + 2 * SECOND)
    for width in range(40, 160):
        axis = found.text(width).splitlines()[1].split()
        assert axis
        assert all(time.count(":") <= 2 for time in axis), (width, axis)


def test_every_kind_has_a_glyph(drawn: Timeline) -> None:
    assert {kind.shape for kind in KINDS.values()} == {
        "stop", "cross", "diamond", "circle", "square", "triangle", "ring", "dot",
    }  # fmt: skip
    client = Client(MemoryLog())
    assert client.timeline().rows == ()


def listen(page: Page, asked: list[str], errors: list[str]) -> None:
    """Note every request and every error of *page*."""
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))


@pytest.mark.browser
def test_a_browser_shows_it_light_and_dark_and_the_event_under_the_pointer(drawn: Timeline, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    page_file = tmp_path / "timeline.html"
    page_file.write_text(drawn.html(), "utf-8")
    (tmp_path / "timeline.svg").write_text(drawn.svg(), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(headless=True).path, args=["--no-sandbox"])
        grounds: dict[str, str] = {}
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
            asked: list[str] = []
            errors: list[str] = []
            listen(page, asked, errors)
            page.goto(page_file.as_uri())
            mark = page.locator(".mark").filter(has_text="navigated").first
            tip = mark.locator(".tip")
            assert not tip.is_visible()
            mark.locator(".reach").hover()
            assert tip.is_visible()
            assert "https://shop.example/prices?page=REDACTED" in (tip.text_content() or "")
            box = tip.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 1280
            style = "element => getComputedStyle(element).fill"
            grounds[scheme] = page.locator(".ground").evaluate(style)
            assert page.locator(".title").evaluate(style) != grounds[scheme]
            assert (asked, errors) == ([page_file.as_uri()], [])
            page.goto((tmp_path / "timeline.svg").as_uri())
            assert page.locator(".mark").count() == drawn.svg().count('class="mark ')
            page.close()
        browser.close()
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}
