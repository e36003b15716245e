"""Whatever goes wrong on a page is a failed result with a reason, an event that says so, and a session that goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.actions.twins import Twin
from tests.client.world import until

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("selector", "reason", "says"),
    [
        (".same", "ambiguous", "'.same' matches 2 elements; it must be exactly one"),
        (".none", "not_found", "there is no '.none' on the page after 1000 ms"),
        ("<<", "invalid", "'<<' is not a valid selector: Unexpected token"),
        ("xpath=//[", "invalid", "not a valid selector"),
        ("nonsense=a", "invalid", "not a valid selector"),
        ("#covered", "timeout", "'#covered' could not be used within 1000 ms: something else covers it"),
        ("text=Hidden", "timeout", "it is not visible"),
    ],
)
def test_an_element_that_can_not_be_clicked(twin: Twin, selector: str, reason: str, says: str) -> None:
    twin.goto("/elements")
    result = twin.fails("click", selector=selector, timeout=1000)
    assert result.reason == reason
    assert says in result.message
    assert twin.last().target == selector
    twin.goes_on()


def test_a_field_that_does_not_take_it(twin: Twin) -> None:
    twin.goto("/form")
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("fill", {"selector": "[name=old]", "value": "x"}, "timeout", "it is read-only"),
        ("fill", {"selector": "[name=age]", "value": "many"}, "unsuitable", "can't do that"),
        ("fill", {"selector": "[name=born]", "value": "tomorrow"}, "unsuitable", ""),
        ("fill", {"selector": "[name=terms]", "value": "yes"}, "unsuitable", "can't do that"),
        ("fill", {"selector": "text=Send", "value": "yes"}, "unsuitable", "can't do that"),
        ("check", {"selector": "[name=name]", "value": True}, "unsuitable", "Not a checkbox"),
        ("click", {"selector": "text=Later"}, "timeout", "it is disabled"),
        ("select_dropdown_option", {"selector": "select", "value": "Green"}, "timeout", "it has no such option"),
        ("select_dropdown_option", {"selector": "[name=name]", "value": "Green"}, "unsuitable", "is not a <select>"),
    ]
    for kind, fields, reason, says in cases:
        result = twin.fails(kind, timeout=300, **fields)
        assert (result.reason, says in result.message) == (reason, True), (kind, fields, result.message)
    twin.goes_on()


@pytest.mark.parametrize(
    ("values", "reason", "says"),
    [
        ({"Name": "Ada", "Nam": "x"}, "not_found", "no field is called 'Nam'; nothing was filled"),
        ({"Name": "Ada", "Terms": "yes"}, "unsuitable", "'Terms' is a checkbox field: give True or False"),
        ({"Name": True}, "unsuitable", "'Name' is a text field: give a text"),
        ({"Name": "Ada", "size": "huge"}, "not_found", "0 of the buttons called 'size' have that value"),
        ({"Name": "Ada", "size": True}, "ambiguous", "2 fields are called 'size'"),
        ({"Name": "Ada", 'x"] , input': "y"}, "not_found", "no field is called"),
    ],
)
def test_a_form_of_which_a_field_is_missing_is_left_as_it_was(
    twin: Twin, values: dict[str, Any], reason: str, says: str
) -> None:
    twin.goto("/form")
    result = twin.fails("form_fill", value=values, timeout=500)
    assert result.reason == reason
    assert says in result.message
    assert not any(name in result.summary for name in ("Nam", "Terms", "size"))
    assert twin.js("document.querySelector('[name=name]').value") == ""


def test_ids_that_are_not_of_the_latest_look(twin: Twin) -> None:
    twin.goto("/elements")
    victim = twin.id("Victim")
    assert "gave no element 'e9999'; observe again" in twin.fails("click", id="e9999").message
    assert "gave no element 'e1 >> css=*'" in twin.fails("click", id="e1 >> css=*").message
    twin.do("click", selector="#remover")
    gone = twin.fails("click", id=victim)
    assert gone.message == f'button "Victim" ({victim}) is gone from the page; observe again'
    assert (gone.reason, twin.last().target) == ("stale", 'button "Victim"')
    play = twin.id("Play")
    twin.do("click", id=play)  # its name changes, it stays the same element
    twin.do("click", id=play)
    twin.goto("/second")
    assert twin.fails("click", id=play).reason == "stale"
    twin.goto("/elements")
    play = twin.id("Play")
    twin.goto("/elements")
    twin.page(lambda page: page.aria_snapshot(mode="ai"))  # gives out the same references in the new document
    assert twin.fails("click", id=play).reason == "stale"
    twin.goto("/second")
    first = twin.id("first")
    twin.do("goto_new_tab", url=twin.site + "/second")
    assert "saw another tab" in twin.fails("click", id=first).message
    twin.observe()
    twin.do("switch_tab", tab_index=0)
    assert twin.fails("click", id=first).reason == "stale"
    twin.goes_on()


def test_an_element_that_goes_while_it_is_waited_for(twin: Twin) -> None:
    twin.goto("/elements")
    covered = twin.id("Covered")
    twin.js("setTimeout(() => covered.remove(), 300)")
    result = twin.fails("click", id=covered, timeout=1000)
    assert result.reason in ("stale", "timeout")


@pytest.mark.parametrize(
    ("url", "reason", "says"),
    [
        ("example.com", "invalid", "not a URL that can be opened"),
        ("http://", "invalid", "not a URL that can be opened"),
        ("//a", "invalid", "not a URL that can be opened"),
        ("http://nosuch.invalid/?token=1", "navigation", "the page could not be loaded: ERR_NAME_NOT_RESOLVED"),
        ("http://127.0.0.1:1/", "navigation", "ERR_UNSAFE_PORT"),
        ("nonsense://a", "navigation", "ERR_ABORTED"),
        ("{site}/report", "navigation", "a download, not a page"),
        ("{site}/never", "timeout", "had not been loaded in time"),
    ],
)
@pytest.mark.parametrize("kind", ["goto", "goto_new_tab"])
def test_a_page_that_can_not_be_loaded(twin: Twin, kind: str, url: str, reason: str, says: str) -> None:
    twin.goto("/")
    result = twin.fails(kind, url=url.format(site=twin.site), timeout=500)
    if kind == "goto_new_tab" and reason == "timeout":
        says = "had not finished loading"
    assert result.reason == reason
    assert says in result.message
    assert "token=1" not in result.message
    assert len(twin.observe().tabs) == 1
    twin.goes_on()


def test_a_page_that_can_not_be_loaded_leaves_nothing_half_done(twin: Twin) -> None:
    """Chromium's own error page follows; what is done next must not meet it half-way."""
    for _ in range(5):
        twin.fails("goto", url="http://nosuch.invalid/")
        assert twin.js("1 + 1") == 2


def test_code_that_leaves_its_page(twin: Twin) -> None:
    twin.goto("/")
    result = twin.fails("evaluate_js", code="location.href = '/second'; new Promise(() => {})")
    assert (result.reason, result.message) == ("closed", "the page was left for another one meanwhile")
    until(lambda: twin.execute("evaluate_js", code="location.pathname").data == "/second", "it never came")


def test_a_link_to_a_page_that_never_answers(twin: Twin) -> None:
    twin.goto("/leads-nowhere")
    result = twin.execute("click", selector="#never", timeout=500)
    if not result.success:
        assert result.reason == "timeout"
    assert twin.execute("evaluate_js", code="location.pathname", timeout=1000).data in ("/leads-nowhere", None)
    assert twin.js("location.pathname") == "/leads-nowhere"
    twin.goes_on()


def test_a_step_in_a_history_that_has_none(twin: Twin) -> None:
    twin.do("goto_new_tab", url=twin.site + "/")
    result = twin.execute("go_back")
    while result.success:  # the new tab began with an empty page or two
        result = twin.execute("go_back")
    assert (result.reason, result.message) == ("history", "there is no page to go back to")
    twin.goto("/")
    assert twin.fails("go_forward").message == "there is no page to go forward to"


def test_a_tab_that_is_not_there(twin: Twin) -> None:
    assert twin.fails("switch_tab", tab_index=3).message == "there is no tab 3, only tab 0"
    twin.do("goto_new_tab", url="about:blank")
    assert twin.fails("switch_tab", tab_index=3).message == "there is no tab 3, only tabs 0 to 1"


def test_a_key_that_is_none(twin: Twin) -> None:
    for key in ("Entr", "Control+Entr"):
        result = twin.fails("press_key", key=key)
        assert result.reason == "invalid"
        assert key not in result.message


def test_files_that_are_not_there(twin: Twin, tmp_path: Path) -> None:
    twin.goto("/files")
    for path in (tmp_path / "none.txt", tmp_path):
        result = twin.fails("upload_file", selector="#file", file_path=path)
        assert result.reason == "file"
        assert str(path) in result.message
        assert str(tmp_path) not in result.summary
    there = tmp_path / "there.txt"
    there.write_text("x")
    result = twin.fails("upload_file", selector="#none", file_path=there, timeout=300)
    assert "asked for no file within 300 ms" in result.message
    result = twin.fails("download_file", selector="#report", directory=tmp_path / "none")
    assert result.reason == "file"
    twin.goes_on()


def test_a_download_that_can_not_be_saved(twin: Twin, tmp_path: Path) -> None:
    twin.goto("/download")
    twin.goto("/files")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        (tmp_path / "ballast").write_bytes(bytes(4096))
        result = twin.fails("download_file", selector="#report", directory=tmp_path)
        assert (result.reason, "no space left on device" in result.message) == ("file", True), result.message
        assert [path.name for path in tmp_path.iterdir()] == ["ballast"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    result = twin.fails("download_file", selector="#report", directory="/proc")
    assert (result.reason, "it can't be saved in '/proc'" in result.message) == ("file", True), result.message
    twin.goes_on()


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("#none", "no download began within 500 ms"),
        ("#broken", "the download failed: "),
        ("#endless", "the download had not come to an end within 500 ms"),
    ],
)
def test_a_download_that_does_not_come(twin: Twin, tmp_path: Path, link: str, says: str) -> None:
    twin.goto("/files")
    result = twin.fails("download_file", selector=link, directory=tmp_path, timeout=500)
    assert result.reason == "download"
    assert says in result.message
    assert list(tmp_path.iterdir()) == []
    twin.goes_on()


@pytest.mark.parametrize(
    ("code", "says", "summary"),
    [
        ("nope()", "the code raised ReferenceError: nope is not defined", "the code raised ReferenceError"),
        ("throw new TypeError('my own')", "the code raised TypeError: my own", "the code raised TypeError"),
        ("throw 'a text'", "the code raised: a text", "the code raised"),
        ("1 +", "the code raised SyntaxError: ", "the code raised SyntaxError"),
        ("Promise.reject(new Error('late'))", "the code raised Error: late", "the code raised Error"),
        ("throw new Error('Target crashed')", "the code raised Error: Target crashed", "the code raised Error"),
    ],
)
def test_javascript_that_raises(twin: Twin, code: str, says: str, summary: str) -> None:
    result = twin.fails("evaluate_js", code=code)
    assert (result.reason, result.summary) == ("script", summary)
    assert result.message.startswith(says)
