"""How a keeper holds its browser, where no browser is needed to see it."""

from __future__ import annotations

import signal
from pathlib import Path
from unittest.mock import Mock

from lifecycle.ports import Exit
from lifecycle_chromium.serving import ChromiumKept


def test_a_browser_that_has_closed_its_pipe_is_given_the_moment_it_takes_to_be_gone(tmp_path: Path) -> None:
    """Its keeper looks when the pipe closes, and the next look would be a second later."""
    dying, pipe = Mock(), Mock(closed=False)
    dying.poll.return_value, dying.wait.return_value = None, Exit(None, signal.SIGKILL)
    browser = ChromiumKept("one", dying, pipe, Mock(), tmp_path, None, None, None, own=False)
    assert browser.exit(0) is None
    pipe.closed = True
    assert browser.exit(0) == Exit(None, signal.SIGKILL)
    assert 0 < dying.wait.call_args.args[0] <= 1
