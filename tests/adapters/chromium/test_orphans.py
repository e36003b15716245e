"""What a browser leaves behind is reaped by its keeper, which leaves its own children to who started them."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Leaves a helper in its group, a handler in a session of its own, and who started that one; both end with stdin.
BROWSER = """
import os
if os.fork() == 0:
    os.read(0, 1)
elif os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.read(0, 1)
"""

KEEPER = """
import os, subprocess, sys
from pathlib import Path
from lifecycle_chromium import orphans

def zombies():
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return sum(state == "Z" and parent == str(os.getpid()) for state, parent, *_ in stats)

def child(code, **options):
    return orphans.start(lambda: subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **options))

orphans.adopt()
theirs, ours = os.pipe()
browser = child(sys.argv[1], stdin=theirs)
os.close(theirs)
browser.wait()
orphans.reaped(browser.pid)
os.close(ours)
orphans.reap(20)
print("left", zombies())

own = child("raise SystemExit(7)")
os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
orphans.reap()
print("own", own.wait())
orphans.reap(20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans go to the init, and there is one")
def test_orphans_are_reaped_and_children_of_ones_own_are_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, BROWSER], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["left", "0", "own", "7"], "")
