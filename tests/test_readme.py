"""Everything that README and the pages beside it show has run: each page is executed and its output compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from tests.core import pages, test_pages
from tests.docs.run_page import PAGES, ROOT, blocks

RUN = ROOT / "tests" / "docs" / "run_page.py"
RUN_PAGES = {*PAGES, *(ROOT / page for page in [*pages.PAGES, *test_pages.PROSE])}
LINKED = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("adapters/*/*.md"))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Where a link into *page* can lead: its headings, as they are made into anchors."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}


def run(page: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUN), str(page)], capture_output=True, text=True, check=False, timeout=150
    )


@pytest.mark.browser
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_shows_what_really_comes_out(page: Path) -> None:
    done = run(page)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nwrite it anew: {RUN.name} --write {name(page)}"


@pytest.mark.parametrize("page", [page for page in LINKED if page not in RUN_PAGES], ids=name)
def test_a_page_that_is_not_run_shows_nothing_that_could_be(page: Path) -> None:
    shown = {block.language for block in blocks(page.read_text("utf-8").splitlines())}
    assert not shown & {"python", "console", "py", "js"}, "its place is in PAGES"


def test_what_needs_another_environment_is_run_there() -> None:
    """The tests of an adapter take such a block from its page with shown()."""
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "adapters").glob("*/test_*.py"))
    taken = re.findall(r'shown\("(.+?)", "(.+?)", "(.+?)"\)', tests)
    for page in PAGES:
        for block in blocks(page.read_text("utf-8").splitlines()):
            if block.language in ("py", "js"):
                text = "\n".join(block.lines)
                assert any(name(page) == f"docs/{of}" and sign in text for of, _, sign in taken), (
                    f"{name(page)}\n{text}"
                )


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8")):
        if "://" not in target:
            there = page.parent / target if target else page
            assert there.exists(), f"{name(page)} links to {target}"
            assert not anchor or anchor in anchors(there), f"{name(page)} links to {target}#{anchor}"


def test_the_first_screen_of_the_readme_is_what_was_promised() -> None:
    """The problem, the two commands, eight lines of Python and their output."""
    first = (ROOT / "README.md").read_text("utf-8").splitlines()[:34]
    text = "\n".join(first)
    assert text.index("make demo") < text.index("make test") < text.index("```python") < text.index("```text")
    [python] = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    assert len(python.splitlines()) == 8
    assert max(map(len, first)) <= 120


def test_no_page_names_this_machine() -> None:
    for page in LINKED:
        assert not re.search(r"/tmp/|/root/|/work/|pytest-of-", page.read_text("utf-8")), name(page)


WRONG = """
```python
print("tea", 3 + 4)
```

```text
{shown}
```

```console
$ echo 01a21400-0000-7000-8000-000000000001 2026-11-25T10:00:00Z 1.25 s
{id} 2026-11-26T11:11:11Z 0.75 s
```
"""


@pytest.mark.parametrize(
    ("shown", "id", "expected"),
    [
        ("tea 7", "01a21400-0000-7000-8000-000000000001", 0),
        ("tea 8", "01a21400-0000-7000-8000-000000000001", 1),
        ("", "01a21400-0000-7000-8000-000000000001", 1),
        ("tea 7", "an id", 1),
    ],
)
def test_a_page_that_shows_something_else_is_found_out(tmp_path: Path, shown: str, id: str, expected: int) -> None:
    page = tmp_path / "page.md"
    page.write_text(WRONG.format(shown=shown, id=id))
    assert run(page).returncode == expected


@pytest.mark.parametrize("block", ["python\nraise ValueError", "console\n$ python -c 'raise ValueError'", "pyton\n1"])
def test_a_page_that_breaks_is_found_out(tmp_path: Path, block: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```{block}\n```\n")
    assert run(page).returncode != 0
