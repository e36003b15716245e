"""What each action does on real pages, in both twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.actions.twins import Twin

pytestmark = pytest.mark.browser


def test_goto_and_the_way_back_and_forth(twin: Twin) -> None:
    result = twin.execute("goto", url=f"{twin.site}/second?token=1#here")
    assert result.data == {"url": f"{twin.site}/second?token=1#here", "status": 200}
    assert result.message == f"loaded {twin.site}/second?token=REDACTED"
    assert twin.last().target == f"{twin.site}/second?token=REDACTED"
    twin.goto("/")
    assert twin.do("go_back")["url"].startswith(f"{twin.site}/second")
    assert twin.do("go_forward")["url"] == f"{twin.site}/"
    twin.js("document.title = 'changed'")
    twin.do("reload")
    assert twin.js("document.title") == "/"
    missing = twin.execute("goto", url=f"{twin.site}/nowhere")
    assert missing.success
    assert missing.data["status"] == 404
    assert "404" in missing.message


def test_tabs(twin: Twin) -> None:
    twin.goto("/")
    twin.do("goto_new_tab", url=twin.site + "/second")
    assert twin.js("location.pathname") == "/second"
    assert [(tab.index, tab.title, tab.active) for tab in twin.observe().tabs] == [
        (0, "/", False),
        (1, "/second", True),
    ]
    assert twin.page(lambda page: page.url) == twin.site + "/"  # `page` stays the first tab
    twin.do("switch_tab", tab_index=0)
    assert twin.js("location.pathname") == "/"
    twin.do("switch_tab", tab_index=1)
    twin.do("close_tab")
    assert twin.js("location.pathname") == "/"
    twin.do("close_tab")  # the last one: an empty one takes its place
    assert twin.js("location.href") == "about:blank"
    assert len(twin.observe().tabs) == 1
    assert twin.page(lambda page: page.url) == "about:blank"


def test_the_active_tab_closes_itself(twin: Twin) -> None:
    twin.goto("/second")
    twin.do("goto_new_tab", url=twin.site + "/popups")
    twin.do("click", selector="#open")
    twin.do("switch_tab", tab_index=2)
    twin.execute("evaluate_js", code="window.close()")  # done before or after the tab is gone
    twin.execute("wait", time_ms=200)
    assert twin.js("location.pathname") == "/popups"
    assert [tab.active for tab in twin.observe().tabs] == [False, True]


def test_a_field_is_filled_and_filled_up(twin: Twin) -> None:
    twin.goto("/form")
    name = twin.id("Name")
    twin.do("fill", id=name, value="Ada")
    twin.do("fill", id=name, value=" Lovelace", clear_before_fill=False)
    assert twin.js("document.querySelector('[name=name]').value") == "Ada Lovelace"
    twin.do("fill", id=name, value="Grace")
    assert twin.js("document.querySelector('[name=name]').value") == "Grace"
    twin.do("fill", selector="#editor", value=" more", clear_before_fill=False)
    assert twin.js("editor.innerText") == "draft more"
    twin.do("fill", selector="text=About", value="by its label")
    assert twin.last().target == "text=About"
    assert twin.js("document.querySelector('[name=about]').value") == "by its label"


def test_boxes_buttons_and_choices(twin: Twin) -> None:
    twin.goto("/form")
    for value in (True, True, False):
        twin.do("check", selector="[name=terms]", value=value)
        assert twin.js("document.querySelector('[name=terms]').checked") is value
    twin.do("check", id=twin.id("Dark"), value=True)
    assert twin.observe().element("Dark").checked is True
    twin.do("check", id=twin.id("Large"), value=True)
    assert twin.js("document.querySelector('[name=size]:checked').value") == "l"
    twin.do("select_dropdown_option", id=twin.id("Color"), value="Blue")
    assert twin.js("document.querySelector('select').value") == "b"
    twin.do("select_dropdown_option", selector="select", value="r")
    assert twin.js("document.querySelector('select').value") == "r"
    twin.do("click", id=twin.id("Send", "button"))
    assert twin.last().target == 'button "Send"'
    assert twin.js("said.textContent") == "sent"


def test_a_form_is_filled_by_whatever_its_fields_are_called(twin: Twin) -> None:
    twin.goto("/form")
    values: dict[str, Any] = {
        "Name": "Ada",
        "password": "hunter2!",
        "Your email": "ada@example.com",
        "About": "two\nlines",
        "born": "1815-12-10",
        "Age": 36,
        "Terms": True,
        "size": "Large",
        "Color": "b",
        "Notes": "note",
    }
    result = twin.execute("form_fill", value=values)
    assert result.message == "filled 10 fields"
    got = twin.js("Object.fromEntries(new FormData(document.querySelector('form')))")
    assert got == {
        "name": "Ada",
        "password": "hunter2!",
        "email": "ada@example.com",
        "about": "two\nlines",
        "born": "1815-12-10",
        "age": "36",
        "terms": "on",
        "size": "l",
        "color": "b",
        "old": "kept",
    }
    assert twin.js("editor.innerText") == "note"


def test_keys_go_where_the_focus_is(twin: Twin) -> None:
    twin.goto("/form")
    twin.do("click", selector="[name=name]")
    for key in ("a", "Shift+b", "Control+A", "c"):
        twin.do("press_key", key=key)
    assert twin.js("document.querySelector('[name=name]').value") == "c"
    twin.do("press_key", key="Enter")
    assert twin.last().target == "Enter"
    assert twin.js("said.textContent") == "sent"
    assert [event.target for event in twin.operations() if event.kind == "press_key"][-5:] == [
        None,
        None,
        "Control+A",
        None,
        "Enter",
    ]


def test_scrolling_tells_where_it_got(twin: Twin) -> None:
    twin.goto("/long")
    down = twin.do("scroll_down", amount=700)
    assert (down["y"], twin.js("Math.round(scrollY)")) == (700, 700)
    assert twin.do("scroll_up", amount=200)["y"] == 500
    assert twin.do("scroll_down")["y"] == 500 + twin.js("innerHeight")
    twin.do("scroll_down", amount=1_000_000)
    assert twin.execute("scroll_down").message.startswith("nothing left to scroll; ")
    twin.goto("/box")
    assert twin.do("scroll_down", amount=100)["y"] == 100
    assert twin.js("box.scrollTop") == 100


def test_waiting(twin: Twin) -> None:
    result = twin.execute("wait", time_ms=100)
    assert 0.1 <= (result.ended_at - result.started_at).total_seconds() < 5


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", 2),
        ("() => [1, {a: 'b'}]", [1, {"a": "b"}]),
        ("async () => { await null; return 'late' }", "late"),
        ("Promise.resolve(null)", None),
        ("let a = 2; a * 3", 6),
        ("undefined", None),
    ],
)
def test_javascript_gives_its_value(twin: Twin, code: str, value: object) -> None:
    assert twin.js(code) == value


def test_frames_can_be_acted_upon(twin: Twin) -> None:
    twin.goto("/frames")
    seen = twin.observe()
    own, foreign = [one.id for one in seen.elements if one.name == "Press"]
    for one in (own, foreign):
        twin.do("click", id=one)
    inside = [one.id for one in seen.elements if one.name == "Inside"]
    for one in inside:
        twin.do("fill", id=one, value="typed")
    after = twin.observe()
    assert [one.role for one in after.elements if one.name == "Pressed"] == ["button", "button"]
    assert [one.filled for one in after.elements if one.name == "Inside"] == [True, True]


def test_the_shadow_can_be_acted_upon(twin: Twin) -> None:
    twin.goto("/shadow")
    twin.do("click", id=twin.id("Buy"))
    twin.do("click", selector="text=Buy")


def test_a_file_is_uploaded(twin: Twin, tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("1")
    other.write_text("2")
    twin.goto("/files")
    twin.do("upload_file", id=twin.id("Report"), file_path=one)
    assert twin.js("chosen.textContent") == "one.txt"
    twin.do("upload_file", id=twin.id("Choose"), file_path=str(other))  # a button that asks for a file
    assert twin.js("chosen.textContent") == "other.txt"


@pytest.mark.parametrize("link", ["#report", "#blank", "#later"])
def test_a_file_is_downloaded_never_over_another_one(twin: Twin, tmp_path: Path, link: str) -> None:
    twin.goto("/files")
    for name in ("report.txt", "report (2).txt"):
        data = twin.do("download_file", selector=link, directory=tmp_path)
        assert data == {"path": str(tmp_path / name), "suggested_filename": "report.txt", "size": 11}
        assert (tmp_path / name).read_text() == "all is well"


def test_a_download_without_a_directory_gets_one(twin: Twin) -> None:
    twin.goto("/files")
    path = Path(twin.do("download_file", id=twin.id("The report"))["path"])
    assert path.read_text() == "all is well"
    path.unlink()
    path.parent.rmdir()  # it is the only file in it


def test_dialogs_are_dismissed_and_told(twin: Twin) -> None:
    twin.goto("/dialogs")
    result = twin.execute("click", selector="#alert")
    assert result.message == "clicked '#alert'; alert dialog dismissed: 'Look out'"
    assert result.data == {"dialogs": [{"kind": "alert", "message": "Look out", "answer": "dismissed"}]}
    assert twin.js("said.textContent") == "went on"
    twin.do("click", selector="#confirm")
    assert twin.js("said.textContent") == "confirm: false"


def test_a_handler_of_the_users_own_answers_dialogs(twin: Twin) -> None:
    twin.goto("/dialogs")

    def accept(dialog: Any) -> Any:
        return dialog.accept()

    twin.page(lambda page: page.once("dialog", accept))
    result = twin.execute("click", selector="#confirm")
    assert result.data == {"dialogs": [{"kind": "confirm", "message": "Really?", "answer": "accepted"}]}
    assert twin.js("said.textContent") == "confirm: true"


def test_a_page_that_guards_its_leaving_is_left(twin: Twin) -> None:
    twin.goto("/dialogs")
    twin.do("click", selector="#leave")
    twin.goto("/second")
    assert twin.js("location.pathname") == "/second"


@pytest.mark.parametrize("opener", ["#link", "#open"])
def test_a_tab_that_the_page_opens_is_told_and_not_entered(twin: Twin, opener: str) -> None:
    twin.goto("/popups")
    result = twin.execute("click", selector=opener)
    assert result.data == {"opened_tabs": [1]}
    assert "opened tab 1" in result.message
    assert twin.js("location.pathname") == "/popups"
    twin.do("switch_tab", tab_index=1)
    assert twin.js("location.pathname") == "/second"
