"""Ends that come by themselves: of the interpreter, of a fork, of a start that is interrupted. All of them silent.

Each runs in a Python of its own, with warnings as errors; whatever it prints on stderr fails the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.playwright.world import gone, script, until

if TYPE_CHECKING:
    from tests.adapters.playwright.world import Chromium

pytestmark = pytest.mark.browser

BEGIN = """
import os, signal, sys, threading, time
from lifecycle_playwright import Pages
sys.path.append(os.getcwd())
from tests.adapters.playwright.world import drivers
pages = Pages()
url = sys.argv[1]
"""

ENDS = {
    "nothing given back": "connection = pages.connect(url)",
    "sys.exit with an open page": "connection = pages.connect(url); page = connection.page; sys.exit(0)",
    "only warmed": "pages.warm()",
    "used by an earlier exit handler": """
import atexit
pages.warm()
connection = pages.connect(url)
atexit.register(lambda: print(connection.page.title()))
""",
    "closed after the driver": """
import atexit
connection = None
atexit.register(lambda: connection.close())
connection = pages.connect(url)
""",
    "a thread that gave nothing back": """
def work():
    global connection
    connection = pages.connect(url)
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
    "a thread that ran asyncio before, and gave nothing back": """
import asyncio
async def nothing():
    pass
def work():
    global connection
    asyncio.run(nothing())
    connection = pages.connect(url)
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
    "a thread that outlives the main one": """
def work():
    connection = pages.connect(url)
    threading.main_thread().join()
    connection.page.title()
threading.Thread(target=work).start()
""",
    "a daemon thread in the middle of a call": """
def work():
    connection = pages.connect(url)
    ready.set()
    connection.page.wait_for_timeout(60_000)
ready = threading.Event()
threading.Thread(target=work, daemon=True).start()
ready.wait()
""",
    "a daemon thread between calls": """
def work():
    connection = pages.connect(url)
    ready.set()
    time.sleep(60)
ready = threading.Event()
threading.Thread(target=work, daemon=True).start()
ready.wait()
""",
    "a killed driver": """
connection = pages.connect(url)
os.kill(drivers()[0], signal.SIGKILL)
""",
    "a killed driver that was noticed": """
connection = pages.connect(url)
os.kill(drivers()[0], signal.SIGKILL)
while connection.connected():
    pass
connection.close()
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_ends_silently_with_its_driver(end: str, chromium: Chromium) -> None:
    tell = "\nprint(*drivers())\n"
    printed = script(BEGIN + _before(ENDS[end], tell), chromium.cdp_url)
    pids = [int(word) for word in printed.split() if word.isdigit()]
    until(lambda: all(gone(pid) for pid in pids), "the driver is left")
    assert chromium.process.poll() is None


def _before(text: str, tell: str) -> str:
    head, exit, _ = text.partition("; sys.exit(0)")
    return head + tell + ("sys.exit(0)" if exit else "")


def test_a_forked_child_has_a_driver_of_its_own_and_the_parent_keeps_its(chromium: Chromium) -> None:
    printed = script(
        BEGIN
        + """
import gc
give_back = pages.warm()
connection = pages.connect(url)
connection.page.evaluate("window.said = 'parent'")
mine = drivers()
child = os.fork()
if child == 0:
    give_back()
    connection.close()
    assert not connection.connected()
    del connection, give_back
    gc.collect()
    again = pages.connect(url)
    print("child", again.page.evaluate("window.said"), drivers() not in ([], mine), flush=True)
    again.close()
    gc.collect()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("parent", connection.connected(), connection.page.evaluate("window.said"), drivers() == mine)
connection.close()
give_back()
print(drivers() == [])
""",
        chromium.cdp_url,
    )
    assert printed.split() == ["child", "parent", "True", "parent", "True", "parent", "True", "True"]


def test_a_forked_child_that_leaves_at_once_takes_nothing_with_it(chromium: Chromium) -> None:
    printed = script(
        BEGIN
        + """
connection = pages.connect(url)
for leave in (sys.exit, os._exit):
    child = os.fork()
    if child == 0:
        leave(0)
    assert os.waitpid(child, 0)[1] == 0
    print(connection.page.evaluate("1 + 1"))
""",
        chromium.cdp_url,
    )
    assert printed.split() == ["2", "2"]


def test_a_start_that_is_interrupted_leaves_neither_driver_nor_a_blocked_thread(chromium: Chromium) -> None:
    """Ctrl-C while Playwright starts: at whichever moment, this thread can start it again."""
    printed = script(
        BEGIN
        + """
# An interrupt inside a weakref's callback is Python's to report, wherever it comes.
report = sys.unraisablehook
sys.unraisablehook = lambda it: None if it.exc_type is KeyboardInterrupt else report(it)
began = time.monotonic()
pages.warm()()
took = time.monotonic() - began
signal.signal(signal.SIGALRM, signal.default_int_handler)
for tenths in range(1, 11):
    signal.setitimer(signal.ITIMER_REAL, took * tenths / 10)
    try:
        give_back = pages.warm()
        signal.setitimer(signal.ITIMER_REAL, 0)
        give_back()
    except KeyboardInterrupt:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    until = time.monotonic() + 5
    while drivers():  # one whose pipe was closed before it had begun ends by itself
        assert time.monotonic() < until, tenths
        time.sleep(0.01)
connection = pages.connect(url)
print(connection.page.evaluate("1 + 1"))
connection.close()
""",
        chromium.cdp_url,
    )
    assert printed.split() == ["2"]


def test_ctrl_c_inside_a_call_leaves_the_connection_usable(chromium: Chromium) -> None:
    printed = script(
        BEGIN
        + """
connection = pages.connect(url)
mine = drivers()
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
os.kill(mine[0], signal.SIGINT)  # a terminal sends it to the whole group
try:
    connection.page.wait_for_timeout(60_000)
except KeyboardInterrupt:
    print(connection.connected(), connection.page.evaluate("1 + 1"))
connection.close()
print(drivers() == [])
""",
        chromium.cdp_url,
    )
    assert printed.split() == ["True", "2", "True"]
