"""Every example of the reference page, run as a script of its own with a real Chromium, in both twins."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lifecycle import SessionView, SqliteLog
from lifecycle.core import view
from tests.reference.examples import EXAMPLES, INTERRUPTED, Example

if TYPE_CHECKING:
    from tests.client.world import World

pytestmark = pytest.mark.browser


def _start(world: World, text: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text, world.site],
        cwd=world.folder,
        env={**os.environ, "LIFECYCLE_LOG": str(world.log)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _newest(world: World) -> SessionView:
    with SqliteLog(world.log) as log:
        newest = log.sessions.list(now=0, limit=1)[0]
        assert newest.released
        return view(newest, 0)


@pytest.mark.parametrize("twin", ["sync", "async"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_page_means_what_it_says(world: World, example: Example, twin: str) -> None:
    with _start(world, example.sync if twin == "sync" else example.twin) as script:
        said, printed = script.communicate(timeout=60)
    assert (script.returncode, printed) == (0, "")
    lines = said.splitlines()
    assert len(lines) == len(example.prints), said
    for line, pattern in zip(lines, example.prints, strict=True):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"
    ending = _newest(world)
    assert (ending.status, ending.cause) == (example.status, example.cause)


@pytest.mark.parametrize("twin", INTERRUPTED)
def test_an_interrupt_with_a_handler_that_exits_is_recorded_as_such(world: World, twin: str) -> None:
    text, cause = INTERRUPTED[twin]
    with _start(world, text) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        script.send_signal(signal.SIGINT)
        said, printed = script.communicate(timeout=60)
    assert (script.returncode, said, printed) == (0, "interrupted, cleaning up\n", "")
    ending = _newest(world)
    assert (ending.status, ending.cause) == ("closed", cause)
