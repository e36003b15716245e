"""What observe() sees: roles, names, states, frames, tabs, a picture; and ids that stay with their element."""

from __future__ import annotations

import pytest

from lifecycle import ActionFailed
from lifecycle.results import Element
from tests.actions.twins import Twin

pytestmark = pytest.mark.browser


def test_a_form_and_the_states_of_its_fields(twin: Twin) -> None:
    twin.goto("/form")
    seen = twin.observe()
    assert (seen.url, seen.title, seen.screenshot) == (twin.site + "/form", "/form", None)
    assert seen.started_at <= seen.ended_at
    found = {one.name: one for one in seen.elements}

    def states(name: str) -> dict[str, object]:
        blank = Element(id="", role="", name="")
        one = found[name]
        fields = ("role", "kind", "checked", "disabled", "readonly", "required", "filled", "options")
        return {field: getattr(one, field) for field in fields if getattr(one, field) != getattr(blank, field)}

    assert states("Name") == {"role": "textbox", "kind": "text", "filled": False}
    assert states("Password") == {"role": "textbox", "kind": "password", "filled": False}
    assert states("Your email") == {"role": "textbox", "kind": "email", "filled": False}
    assert states("About") == {"role": "textbox", "kind": "textarea", "filled": False}
    assert states("Born") == {"role": "textbox", "kind": "date", "filled": False}
    assert states("Age") == {"role": "spinbutton", "kind": "number", "filled": False}
    assert states("Terms") == {"role": "checkbox", "checked": False}
    assert states("Small") == {"role": "radio", "checked": False}
    assert states("Color") == {"role": "combobox", "kind": "select", "filled": True, "options": ("Red", "Blue")}
    assert states("Old") == {"role": "textbox", "kind": "text", "filled": True, "readonly": True}
    assert states("Notes") == {"role": "textbox", "kind": "editable", "filled": True}
    assert states("Dark") == {"role": "switch", "checked": False}
    assert states("Send") == {"role": "button"}
    assert states("Later") == {"role": "button", "disabled": True}


def test_other_elements(twin: Twin) -> None:
    twin.goto("/elements")
    seen = twin.observe()
    found = {one.name: one for one in seen.elements}
    assert found["More"].role == "generic"  # a <summary>
    assert found["Card one"].role == "generic"  # clickable, as its cursor shows
    link = found['It\'s "quoted": yes, [really] # so']
    assert (link.role, link.url) == ("link", "/second")
    assert found["Bold"].pressed is True
    assert found["Menu"].expanded is True
    assert (found["First"].selected, found["Other"].selected) == (True, False)
    assert found["On"].checked is True
    assert (found["Bad"].invalid, found["Bad"].required) == (True, True)
    assert "Hidden" not in found
    assert seen.element("A", "button") == found["A"]
    with pytest.raises(LookupError, match="0 elements are named 'C'"):
        seen.element("C")


def test_a_file_input_is_told_from_a_button(twin: Twin) -> None:
    twin.goto("/files")
    seen = twin.observe()
    assert [(one.name, one.kind) for one in seen.elements if one.role == "button"] == [
        ("Report", "file"),
        ("Choose", None),
        ("Nothing", None),
        ("Later", None),
    ]


def test_ids_stay_with_their_element(twin: Twin) -> None:
    twin.goto("/elements")
    before = twin.observe()
    twin.js("document.body.prepend(document.createElement('button'))")
    after = twin.observe()
    for name in ("A", "B", "Victim", "Bold"):
        assert before.element(name).id == after.element(name).id
    assert len({one.id for one in after.elements}) == len(after.elements)


def test_frames_and_their_elements_are_seen(twin: Twin) -> None:
    twin.goto("/frames")
    seen = twin.observe()
    assert [one.name for one in seen.elements if one.role == "button"] == ["Press", "Press"]
    assert "iframe" in seen.outline


def test_a_picture_on_demand(twin: Twin) -> None:
    twin.goto("/")
    picture = twin.observe(screenshot=True).screenshot
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


def test_a_text_for_prompts(twin: Twin) -> None:
    twin.goto("/form")
    twin.do("fill", selector="[name=password]", value="hunter2!")
    seen = twin.observe()
    lines = str(seen).splitlines()
    assert lines[0] == f"/form <{twin.site}/form>"
    assert lines[1:4] == ["tabs:", f"* 0 /form <{twin.site}/form>", "elements:"]
    assert f'[{seen.element("Password").id}] textbox "Password" password focused filled' in lines
    assert f'[{seen.element("Terms").id}] checkbox "Terms" not checked' in lines
    assert f'[{seen.element("Color").id}] combobox "Color" filled options: Red, Blue' in lines
    assert "hunter2!" not in str(seen) + repr(seen) + seen.outline + repr(seen.elements)
    assert 'textbox "Password" [active] [ref=' in seen.outline


def test_a_label_with_a_field_in_its_middle_does_not_tell_it(twin: Twin) -> None:
    twin.goto("/form")
    twin.do("fill", selector="#times", value="hunter2!")
    seen = twin.observe()
    assert "hunter2!" not in repr(seen.elements) + seen.outline
    [flash] = [one for one in seen.elements if one.name.startswith("Flash it")]
    twin.do("check", id=flash.id, value=True)
    assert twin.last().target == 'checkbox "Flash it … times"'


def test_an_empty_page(twin: Twin) -> None:
    seen = twin.observe()
    assert (seen.url, seen.title, seen.elements) == ("about:blank", "", ())


def test_a_big_page_takes_a_second_or_few(twin: Twin) -> None:
    twin.goto("/")
    twin.js(
        "document.body.innerHTML = Array.from({length: 3000}, (_, i) => `<a href='/${i}'>${i}</a><input>`).join(' '); 0"
    )
    seen = twin.observe()
    assert len(seen.elements) == 6000
    assert (seen.ended_at - seen.started_at).total_seconds() < 20


def test_a_page_that_crashed_can_not_be_seen(twin: Twin) -> None:
    twin.execute("goto", url="chrome://crash", timeout=3000)
    with pytest.raises(ActionFailed) as failed:
        twin.observe()
    assert failed.value.result.reason == "crashed"
    assert twin.last().kind == "observe"
