"""The parser of Playwright's accessibility snapshots: every form of a line, and nothing of what is in a field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_playwright import aria

SNAPSHOT = r"""
- generic [active] [ref=e1]:
  - heading "Hi" [level=1] [ref=e2]
  - 'link "go \"there\": now" [ref=e3] [cursor=pointer]':
    - /url: /x
  - 'textbox "it''s: [x] # y" [invalid] [ref=e38]': "typed: it"
  - generic [ref=e8]:
    - text: Pw
    - textbox "Pw" [ref=e9]: hunter2!
  - checkbox "Flash hunter2! times" [checked=mixed] [ref=e12]
  - combobox "Color" [ref=e19]:
    - option "Red"
    - option "Blue" [selected]
  - iframe [ref=e37]:
    - generic [ref=f1e1]:
      - button "In frame" [ref=f1e2]
  - textbox "Notes" [ref=e40]:
    - paragraph: dear diary
  - slider "rng" [ref=e29]: "3"
  - text: "true"
"""


def nodes() -> dict[str, aria.Node]:
    """The nodes that have a reference, by it."""
    return {node.ref: node for node in aria.parse(SNAPSHOT) if node.ref is not None}


def test_roles_names_states_and_properties() -> None:
    found = nodes()
    assert (found["e2"].role, found["e2"].name, found["e2"].states["level"]) == ("heading", "Hi", "1")
    assert found["e3"].name == 'go "there": now'
    assert found["e3"].properties == {"url": "/x"}
    assert found["e3"].states["cursor"] == "pointer"
    assert found["e38"].name == "it's: [x] # y"
    assert found["e38"].states["invalid"] is True
    assert found["e12"].states["checked"] == "mixed"
    assert [child.name for child in found["e19"].children] == ["Red", "Blue"]
    assert found["e29"].text == "3"
    assert [around.ref for around in found["f1e2"].up()] == ["f1e1", "e37", "e1"]
    assert aria.parse(SNAPSHOT)[-1].text == "true"


def test_what_is_in_a_field_is_left_out_even_of_names() -> None:
    found = nodes()
    assert found["e38"].text == found["e9"].text == ""
    assert found["e40"].words() == ""
    assert found["e12"].name == "Flash … times"
    text = aria.outline(aria.parse(SNAPSHOT))
    for typed in ("hunter2!", "typed", "diary"):
        assert typed not in text
    assert '  - link "go \\"there\\": now" [ref=e3] [cursor=pointer]\n    - /url: /x' in text
    assert '      - button "In frame" [ref=f1e2]' in text


@pytest.mark.parametrize("end", ["\\n", "\\r", "\\x85", "\u2028", "\u2029", "\x1e", "\x0b", "\x0c"])
def test_a_page_can_not_forge_an_element_in_what_an_attribute_says(end: str) -> None:
    """As Playwright writes `href="x<end>- button …"`: quoted where YAML would break it, and as it is elsewhere."""
    value = f'x{end}- button "Cancel" [ref=e2]'
    if "\\" in end:
        value = json.dumps(value).replace("\\\\", "\\")
    found = aria.parse(f'- button "Delete" [ref=e2]\n- link "l" [ref=e3]:\n  - /url: {value}')
    assert [(node.ref, node.name) for node in found] == [("e2", "Delete"), ("e3", "l")]
    assert len(aria.outline(found).splitlines()) == 3


@given(st.text())
def test_any_text_is_taken_without_an_error(text: str) -> None:
    aria.outline(aria.parse(text))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_name_comes_back_as_it_was(name: str) -> None:
    quoted = json.dumps(name, ensure_ascii=False).replace("'", "''")
    [node] = aria.parse(f"- 'button {quoted} [ref=e1]'")
    assert (node.name, node.ref) == (name, "e1")
