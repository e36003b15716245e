"""The pages say what the core says: made parts are up to date, code on them runs."""

from __future__ import annotations

import re

import pytest

from tests.core.pages import MADE, PAGES, ROOT, made, marks

PROSE = ["docs/explanation/design.md"]


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_what_is_made_from_the_core_is_up_to_date(page: str) -> None:
    assert read(page) == made(read(page)), "write it again: python -m tests.core.pages"


@pytest.mark.parametrize("page", PAGES)
def test_every_made_part_has_its_place(page: str) -> None:
    """A mark that was deleted or misspelled would leave its part out without a word."""
    assert marks(read(page)) == PAGES[page]
    assert read(page).count("<!-- made: ") == read(page).count("<!-- /made -->") == len(PAGES[page])


def test_every_made_part_stands_on_some_page() -> None:
    assert {name for names in PAGES.values() for name in names} == set(MADE)


def test_a_page_that_differs_is_noticed() -> None:
    page = "docs/reference/state-machine.md"
    damaged = read(page).replace("active --> closed : close", "active --> closed : shut")
    assert made(damaged) == read(page) != damaged


@pytest.mark.parametrize("page", [*PAGES, *PROSE])
def test_code_on_a_page_runs(page: str) -> None:
    for code in re.findall(r"```python\n(.*?)```", read(page), re.DOTALL):
        exec(compile(code, page, "exec"), {"__name__": page})


@pytest.mark.parametrize("page", [*PAGES, *PROSE])
def test_links_to_other_files_lead_somewhere(page: str) -> None:
    text = read(page)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
    headings = {re.sub(r"[^\w-]", "", line.lstrip("# ").lower().replace(" ", "-")) for line in text.splitlines()}
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in headings, anchor
