"""What the machine can do to a session: a full disk under its profile, no memory left, pids used again, namespaces."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.chaos.aftermath import PRELUDE, launched, leaked, settled
from tests.chaos.check import whole
from tests.chaos.record import judged
from tests.client.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.core import Event
    from tests.chaos.record import Figures


def _may_unshare() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None or sys.platform != "linux" or os.geteuid() != 0:
        return False
    tried = subprocess.run([unshare, "-m", "-p", "-f", "--mount-proc", "true"], check=False, capture_output=True)
    return tried.returncode == 0


pytestmark = pytest.mark.browser
as_root = pytest.mark.skipif(not _may_unshare(), reason="namespaces of one's own need Linux, root and unshare")

#: Fills the small disk that only it sees under its profiles: before the browser starts, and below one that runs.
FULL: Final = (
    PRELUDE
    + """
import pathlib, subprocess
profiles = pathlib.Path(log + ".d/profiles")
profiles.mkdir(mode=0o700, parents=True, exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", str(profiles)], check=True)
def fill(path):
    try:
        with open(path, "wb") as file:
            while True:
                file.write(b"x" * 65536)
                file.flush()
    except OSError as error:
        assert error.errno == 28, error
for when in ("running", "before"):
    filler = profiles / "filler"
    if when == "before":
        fill(filler)
    try:
        with client.Session(max_duration_minutes=1, labels={"when": when}, proxy=PROXY) as session:
            if when == "running":
                fill(profiles / session.session_id / "filler")
            secretive(session.page)
            assert session.page.title() == "x"
            step(session)
        ending = session.status()
        say(when, ending.status, ending.cause)
    except LifecycleError as error:
        say(when, type(error).__name__, error)
    filler.unlink(missing_ok=True)
    assert list(profiles.iterdir()) == [], list(profiles.iterdir())
client.close()
"""
)
#: Somebody else gets the pid *browser*.
TAKEN: Final = """
for _ in range(200):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(browser - 1))
    stranger = os.fork()
    if not stranger:
        os.setpgid(0, 0)
        signal.pause()
    if stranger == browser:
        break
    os.kill(stranger, signal.SIGKILL)
    os.waitpid(stranger, 0)
assert stranger == browser, "the pid was not to be had again"
"""
#: The browser's pid is given to somebody else between its death and reconcile.
REUSED: Final = (
    """
import subprocess
SESSION = '''
import sys, time
from lifecycle import Client
proxy = "http://user:" + "-".join(("c4n4ry", "s3cr3t")) + "@127.0.0.1:9"
session = Client(sys.argv[1]).Session(page=False, max_duration_minutes=2, proxy=proxy)
session.start()
print(session.session_id, flush=True)
time.sleep(100)
'''
owner = subprocess.Popen([sys.executable, "-c", SESSION, log], stdout=subprocess.PIPE, text=True)
found = client.log.load(owner.stdout.readline().strip(), None)
browser = found.browser.pid
os.kill(found.keeper.pid, signal.SIGKILL)
os.kill(owner.pid, signal.SIGKILL)
owner.stdout.close()
owner.returncode = 0
try:
    while True:  # nobody else reaps here; and a number is not free as long as it names a group
        os.waitpid(-1, 0)
except ChildProcessError:
    pass
"""
    + TAKEN
    + """
client.reconcile()
ending = client.sessions.get(found.session_id)
lives = os.waitpid(stranger, os.WNOHANG) == (0, 0)
say(ending.status, ending.cause, "lives" if lives else "killed")
client.close()
os.kill(stranger, signal.SIGKILL)
"""
)
#: A container that is started again: another pid namespace, the same machine, boot, log, and pids.
RESTARTED: Final = (
    """
(session_id,) = arguments
found = client.log.load(session_id, None)
browser = found.browser.pid
"""
    + TAKEN
    + """
((what, cause, how),) = [(one.session_id, one.cause, one.how) for one in client.reconcile()]
say(what == session_id, cause, how, "lives" if os.waitpid(stranger, os.WNOHANG) == (0, 0) else "killed")
client.close()
os.kill(stranger, signal.SIGKILL)
"""
)
ELSEWHERE: Final = (
    PRELUDE
    + """
with client.Session(page=False, max_duration_minutes=1, proxy=PROXY) as session:
    step(session)
    say(session.session_id)
    while not os.path.exists("go on"):
        time.sleep(0.02)
client.close()
"""
)
#: Memory: of one page's JavaScript, or of the browser's own process.
EATER: Final = (
    PRELUDE
    + """
(what,) = arguments
flags = ["--js-flags=--max-old-space-size=24"] if what == "page" else []
try:
    with client.Session(max_duration_minutes=1, browser_args=flags, proxy=PROXY) as session:
        secretive(session.page)
        step(session)
        if what == "browser":
            group = "/sys/fs/cgroup/memory/" + os.path.basename(os.getcwd())
            os.mkdir(group)
            with open(group + "/memory.limit_in_bytes", "w") as limit:
                limit.write("2M")
            with open(group + "/cgroup.procs", "w") as members:
                members.write(str(client.log.load(session.session_id, None).browser.pid))
            for n in range(200):
                session.page.goto("data:text/html," + "x" * 200_000)
        try:
            session.page.evaluate("() => { const all = []; for (;;) all.push(new Array(100000).fill({})); }")
        except Exception as error:
            say(type(error).__name__)
            raise
except Exception as error:
    say(type(error).__name__)
ending = session.status()
session.wait_ended(10)
client.close()
say(session.session_id)
"""
)


@pytest.fixture
def world() -> Iterator[World]:
    world = World("http://127.0.0.1:1")
    yield world
    world.close()


@as_root
def test_a_full_disk_under_the_profile(world: World, figures: Figures) -> None:
    said = world.script(FULL, under=["unshare", "-m"]).ended_with(0)
    found = settled(world)
    assert found == []
    running, before = said.splitlines()
    assert running == "running closed stopped"
    assert before.startswith(("before closed stopped", "before LaunchFailed", "before BrowserLost")), before
    figures("full disk under the profile", **judged([found], browsers=True), browsers=launched(world))


@as_root
def test_a_pid_that_is_used_again_is_left_alone(world: World, figures: Figures) -> None:
    said = world.script(REUSED, under=["unshare", "-p", "-f", "--mount-proc", "--kill-child"]).ended_with(0)
    assert said.split() == ["error", "keeper_lost", "lives"]
    found = settled(world)
    assert found == []
    figures("a pid that is used again", kills=2, **judged([found], browsers=True), browsers=launched(world))


@as_root
def test_a_session_of_another_pid_namespace_is_left_alone(world: World, figures: Figures) -> None:
    """Its pids mean other processes here, and its keeper's lock is all that could be seen."""
    script = world.script(ELSEWHERE, under=["unshare", "-p", "-f", "--mount-proc", "--kill-child"])
    (session_id,) = script.hear()
    client = world.client()
    assert client.reconcile() == []
    assert client.sessions.get(session_id).status == "active"
    (world.folder / "go on").touch()
    assert script.ended_with(0) == ""
    assert client.sessions.get(session_id).cause == "stopped"
    assert client.reconcile() == []
    client.close()
    found = settled(world)
    assert found == []
    figures("another pid namespace", **judged([found], browsers=True), browsers=launched(world))


@as_root
def test_a_container_that_is_started_again_takes_no_stranger_for_its_browser(world: World, figures: Figures) -> None:
    under = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"]
    first = world.script(ELSEWHERE, under=under)
    (session_id,) = first.hear()
    (keeper,) = [pid for pid, line in world.processes() if "lifecycle_chromium.keeper" in line]
    os.kill(keeper, signal.SIGSTOP)  # it would live long enough to see its owner go
    first.kill()  # and with the first process all others of its namespace
    until(lambda: not world.processes(), "the container lives on")
    # The kernel knows that the keeper has let go of its lock; whose pids these are now, nobody asks.
    said = world.script(RESTARTED, session_id, under=under).ended_with(0)
    assert said == "True keeper_lost killed lives\n"
    assert world.left() == []
    found = [*whole(world.log, ()), *leaked(world)]
    assert found == []
    figures("a container that is started again", kills=1, **judged([found]), browsers=launched(world))


def _may_limit_memory() -> bool:
    group = Path("/sys/fs/cgroup/memory/lifecycle-try")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("64M")
        group.rmdir()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "what",
    [
        "page",
        pytest.param(
            "browser",
            marks=pytest.mark.skipif(not _may_limit_memory(), reason="a cgroup (v1) with a limit needs root"),
        ),
    ],
)
def test_no_memory_left(what: str, world: World, figures: Figures) -> None:
    script = world.script(EATER, what)
    said = script.ended_with(0).split()
    events = world.history(said[-1])
    found = settled(world)
    assert found == []
    seen = [event.type for event in events]
    cause = _cause(events)
    if what == "page":
        assert "session.page_crashed" in seen
        assert cause == "exception"
    else:
        assert cause == "browser_crashed"
    group = Path("/sys/fs/cgroup/memory") / world.folder.name
    if group.exists():
        group.rmdir()
    figures(f"no memory left, {what}", **judged([found], browsers=True), browsers=launched(world))


def _cause(events: list[Event]) -> str:
    (ending,) = [event for event in events if event.type in ("session.closed", "session.failed", "session.timed_out")]
    return str(getattr(ending, "cause", "timed_out"))
