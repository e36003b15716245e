"""The way to `tests.chaos` and the tools of other folders, and the fixtures that attacks share."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# At the end, so that an installed wheel is tested and not the source beside it.
sys.path.append(str(Path(__file__).parents[2]))

from tests.chaos.record import Figures  # found by that path

#: Where the state of what failed is kept.
KEPT = Path(__file__).parents[2] / "build" / "chaos-failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Copy the log and what lies beside it before the fixtures of a test that failed remove them."""
    report = yield
    funcargs: dict[str, object] = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed:
        for folder in (funcargs.get("memory_dir"), getattr(funcargs.get("world"), "folder", None)):
            if isinstance(folder, Path):
                kept = KEPT / f"{item.name[:60].replace('/', '_')}-{folder.name}"
                with contextlib.suppress(OSError, shutil.Error):  # sockets, and what goes meanwhile
                    shutil.copytree(folder, kept, symlinks=True, ignore=shutil.ignore_patterns("profiles", "tmp"))
                report.sections.append(("what was left", f"kept in {kept}"))
    return report


@pytest.fixture
def figures(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Figures:
    """Takes the figures of this test, and says them."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(line, end=" ")

    return Figures(request.path, say)


@pytest.fixture
def memory_dir(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one."""
    shm = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=shm)) if shm.is_dir() else tmp_path
    yield directory
    shutil.rmtree(directory)
