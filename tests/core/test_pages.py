"""The pages say what the core says: made parts are up to date, code on them runs."""

from __future__ import annotations

import ast
import re
from itertools import chain

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


def keys_of_evidence() -> set[str]:
    """The keys of every dict that the source makes where evidence or receipts are asked for."""
    found: set[str] = set()
    sources = chain((ROOT / "lifecycle/client").rglob("*.py"), (ROOT / "adapters").rglob("*.py"))
    for node in (node for path in sources for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        match node:
            case ast.keyword(arg="evidence", value=made) | ast.AnnAssign(annotation=ast.Name("Evidence"), value=made):
                parts: list[ast.AST] = [made] if made is not None else []
            case ast.FunctionDef(returns=ast.Name("Evidence"), body=body):
                parts = [part.value for part in body if isinstance(part, ast.Return) and part.value is not None]
            case ast.Call(func=ast.Attribute(attr="_orphan"), args=args):
                parts = [*args]
            case _:
                continue
        dicts = (each for part in parts for each in ast.walk(part) if isinstance(each, ast.Dict))
        keys = (key.value for each in dicts for key in each.keys if isinstance(key, ast.Constant))
        found |= {str(key) for key in keys}
    return found


def test_the_catalogue_names_what_evidence_and_receipts_say() -> None:
    """Those of downloads stand with downloads."""
    keys = keys_of_evidence()
    assert {"exit_code", "leash", "keeper", "by", "clock_step_us", "cookies_sha256", "closed_by"} <= keys
    page = read("docs/reference/events.md")
    assert [key for key in keys if f"`{key}`" not in page and f"`{key}`" not in read("docs/how-to/downloads.md")] == []
