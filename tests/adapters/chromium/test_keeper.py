"""The keeper process under attack: killed, stopped, orphaned, forked around, and with a log that refuses.

Each owner is a process of its own, so that it can be killed; the test reads the log and looks for what is left.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from lifecycle import BrowserLost, Client, LogUnavailable, SqliteLog, core
from lifecycle.client.request import request
from lifecycle.core import Cause, State
from lifecycle.errors import KeeperUnavailable, LaunchFailed
from lifecycle.ports import Plan
from lifecycle_browser_use import LaunchedHost
from lifecycle_chromium import host, paths, process
from lifecycle_chromium.find import sandbox_args
from lifecycle_chromium.keeper import Keeper
from lifecycle_chromium.line import Line, OwnTalk

pytestmark = pytest.mark.browser

_OWNER = """
import json, os, sys, time
from lifecycle import Client
client = Client(sys.argv[1], actor="owner")
session = client.Session(page=False, **json.loads(sys.argv[2]))
session.start()
keeper = client.log.sessions.get(session.session_id).keeper
print(json.dumps({"session": session.session_id, "keeper": keeper.pid}), flush=True)
"""


class Owner:
    """A script that starts one session and then does what *after* says."""

    def __init__(self, log: Path, after: str, config: dict[str, object]) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWNER + after, str(log), json.dumps(config)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.session_id: str = said["session"]
        self.keeper: int = said["keeper"]
        self.reader = SqliteLog(log, create=False)

    def session(self) -> core.Session:
        found = self.reader.sessions.get(self.session_id)
        assert found is not None
        return found

    def browser(self) -> int:
        found = self.session().browser
        assert found is not None
        return found.pid

    def remains(self) -> list[str]:
        runtime = self.reader.runtime_dir
        left = [str(pid) for pid in process.find_by_profile(self.session_id)]
        files = [paths.profile(runtime, self.session_id), paths.endpoint(runtime, self.session_id)]
        return left + [str(path) for path in files if path.exists()]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.reader.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Owner]]:
    owners: list[Owner] = []

    def start(after: str = "time.sleep(60)", **config: object) -> Owner:
        owners.append(Owner(tmp_path / "log.db", after, config))
        return owners[-1]

    yield start
    for owner in owners:
        owner.close()


def _until(condition: Callable[[], bool], within_s: float = 10.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it did not happen"
        time.sleep(0.005)
    return time.monotonic() - began


def _gone(pid: int) -> bool:
    return process.identify(pid) is None


def test_a_killed_owner_ends_its_sessions(own: Callable[..., Owner]) -> None:
    owner = own()
    owner.process.kill()
    _until(lambda: owner.session().released)
    assert (owner.session().status, owner.session().cause) == (State.CLOSED, Cause.OWNER_EXITED)
    assert owner.remains() == []
    _until(lambda: _gone(owner.keeper))


def test_an_owner_that_exits_without_stop_ends_its_sessions_before_it_is_gone(own: Callable[..., Owner]) -> None:
    owner = own("sys.exit(0)")
    owner.process.wait(10)
    assert owner.session().released
    assert owner.session().cause is Cause.OWNER_EXITED
    assert owner.remains() == []
    assert _gone(owner.keeper)


def test_os_exit_ends_its_sessions(own: Callable[..., Owner]) -> None:
    owner = own("os._exit(3)")
    owner.process.wait(10)
    _until(lambda: owner.session().released)
    assert owner.session().cause is Cause.OWNER_EXITED
    assert owner.remains() == []


def test_a_session_kept_alive_outlives_its_owner_and_can_be_stopped_by_somebody_else(
    own: Callable[..., Owner], tmp_path: Path
) -> None:
    owner = own("os._exit(0)", keep_alive=True)
    owner.process.wait(10)
    client = Client(tmp_path / "log.db", actor="successor")
    with client.Session(owner.session_id) as session:
        assert session.status().status == "active"
    _ = client.Session(owner.session_id).start().stop()
    assert (owner.session().cause, owner.session().released) == (Cause.STOPPED, True)
    assert owner.remains() == []
    _until(lambda: _gone(owner.keeper))
    client.close()


def test_an_owner_that_exits_leaves_a_kept_session_without_waiting_for_it(own: Callable[..., Owner]) -> None:
    owner = own("sys.exit(0)", keep_alive=True)
    owner.process.wait(10)
    assert owner.session().status is State.ACTIVE
    assert not _gone(owner.keeper)
    os.kill(owner.keeper, signal.SIGKILL)
    _until(lambda: process.find_by_profile(owner.session_id) == [])


def test_a_killed_keeper_is_told_by_its_owner(own: Callable[..., Owner]) -> None:
    owner = own()
    os.kill(owner.keeper, signal.SIGKILL)
    _until(lambda: owner.session().released)
    assert (owner.session().status, owner.session().cause) == (State.ERROR, Cause.KEEPER_LOST)
    assert owner.remains() == []


def test_owner_and_keeper_killed_together_are_told_by_the_next_reconcile(
    own: Callable[..., Owner], tmp_path: Path
) -> None:
    owner = own()
    os.kill(owner.process.pid, signal.SIGSTOP)  # or it would tell of its keeper's death first
    os.kill(owner.keeper, signal.SIGKILL)
    owner.process.kill()
    owner.process.wait()
    _until(lambda: _gone(owner.keeper))
    client = Client(tmp_path / "log.db")
    done = client.reconcile()
    client.close()
    assert [(one.session_id, one.cause) for one in done] == [(owner.session_id, "keeper_lost")]
    assert owner.session().released
    assert owner.remains() == []


def test_a_stopped_keeper_keeps_no_browser_alive_past_the_deadline(own: Callable[..., Owner]) -> None:
    owner = own(idle_timeout_minutes=1 / 30)
    os.kill(owner.keeper, signal.SIGSTOP)
    _until(lambda: owner.session().released)
    session = owner.session()
    assert (session.status, session.cause) == (State.TIMED_OUT, Cause.IDLE)
    assert owner.remains() == []
    _until(lambda: _gone(owner.keeper))


def test_stop_does_not_wait_for_a_stopped_keeper(own: Callable[..., Owner]) -> None:
    owner = own("os.kill(keeper.pid, 19); session.stop(); time.sleep(60)")
    took = _until(lambda: owner.session().released, 15)
    assert owner.session().cause is Cause.STOPPED
    assert owner.remains() == []
    assert took < 12
    _until(lambda: _gone(owner.keeper))


def test_a_client_that_closes_lets_its_idle_keeper_go_and_no_other(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db")
    with client.Session(page=False) as first:
        keeper = client.log.sessions.get(first.session_id)
        assert keeper is not None
        assert keeper.keeper is not None
        Client(tmp_path / "log.db").close()  # another client of this process: the keeper has something to keep
        assert first.status().status == "active"
    client.close()
    _until(lambda: keeper.keeper is not None and _gone(keeper.keeper.pid))
    with Client(tmp_path / "log.db") as another, another.Session(page=False) as second:
        assert second.status().status == "active"


def test_a_stopped_keeper_without_an_owner_goes_with_the_next_reconcile_after_the_deadline(
    own: Callable[..., Owner], tmp_path: Path
) -> None:
    owner = own(idle_timeout_minutes=1 / 30)
    _until(lambda: owner.session().version >= 3)  # stopped in the middle of an append it would hold the log's lock
    os.kill(owner.keeper, signal.SIGSTOP)
    owner.process.kill()
    owner.process.wait()
    client = Client(tmp_path / "log.db")
    assert client.reconcile() == []  # it lives, and the deadline is to come
    _until(lambda: client.sessions.get(owner.session_id).status == "timed_out")
    _until(lambda: len(client.reconcile()) == 1)
    assert (owner.session().cause, owner.session().released) == (Cause.IDLE, True)
    assert owner.remains() == []
    _until(lambda: _gone(owner.keeper))
    client.close()


def test_a_forked_child_that_outlives_the_owner_does_not_hold_the_leash(own: Callable[..., Owner]) -> None:
    owner = own("pid = os.fork()\nif pid == 0: time.sleep(8); os._exit(0)\nos.kill(os.getpid(), 9)")
    owner.process.wait(10)
    _until(lambda: owner.session().released, 5)
    assert owner.session().cause is Cause.OWNER_EXITED


def test_a_forked_child_that_leaves_the_block_ends_nothing(own: Callable[..., Owner]) -> None:
    after = """
pid = os.fork()
if pid == 0:
    session.__exit__(None, None, None)
    try:
        session.status()
    except Exception as error:
        os._exit(7 if type(error).__name__ == "ForkedSession" else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), session.status().status, flush=True)
time.sleep(60)
"""
    owner = own(after)
    assert owner.process.stdout is not None
    assert owner.process.stdout.readline() == "7 active\n"


def test_a_log_that_refuses_the_ending_keeps_no_browser_alive(own: Callable[..., Owner], tmp_path: Path) -> None:
    """A foreign program holds the database locked across the deadline and well past it."""
    owner = own(idle_timeout_minutes=1 / 30)
    browser = owner.browser()
    holder = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    _until(lambda: _gone(browser), 15)
    assert owner.session().status is State.ACTIVE  # not written yet, and timed out for every reader all the same
    holder.execute("ROLLBACK")
    holder.close()
    _until(lambda: owner.session().released, 15)
    assert (owner.session().status, owner.session().cause) == (State.TIMED_OUT, Cause.IDLE)
    assert owner.remains() == []


def test_children_stopped_behind_the_browsers_back_do_not_survive_it(own: Callable[..., Owner]) -> None:
    owner = own()
    browser = owner.session().browser
    assert browser is not None
    members = process.group_members(process.Identity(**browser.model_dump()))
    for pid in members:
        if pid != browser.pid:
            os.kill(pid, signal.SIGSTOP)
    os.kill(browser.pid, signal.SIGKILL)
    _until(lambda: owner.session().released)
    assert owner.session().cause is Cause.BROWSER_CRASHED
    _until(lambda: all(_gone(pid) for pid in members), 5)


def test_nothing_secret_is_in_an_argument_or_the_log(own: Callable[..., Owner], tmp_path: Path) -> None:
    owner = own()
    urls = paths.read_endpoint(owner.reader.runtime_dir, owner.session_id)
    assert urls is not None
    assert urls.cdp_url != urls.look_url
    for token in (url.split("/")[3] for url in urls):
        for pid in (owner.keeper, owner.browser()):
            assert token not in Path(f"/proc/{pid}/cmdline").read_text()
            assert token not in Path(f"/proc/{pid}/environ").read_text()
        assert all(token not in row.data + (row.private or "") for row in owner.reader.read(owner.session_id))
    endpoint = paths.endpoint(owner.reader.runtime_dir, owner.session_id)
    assert endpoint.stat().st_mode & 0o077 == 0
    assert owner.reader.runtime_dir.stat().st_mode & 0o077 == 0


_ELSEWHERE = """
import os, subprocess, sys, tempfile
from pathlib import Path
os.closerange(3, 16)
from lifecycle_chromium.launch import LaunchError, launch, reserve
if sys.argv[1] == "reserved":
    reserve()
others = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]  # files that another thread reads
real = subprocess._fork_exec

def late(*args):
    for fd in others:  # and has read, in this very moment
        os.close(fd)
    return real(*args)

subprocess._fork_exec = late
try:
    launch("/bin/false", profile=Path(tempfile.mkdtemp()) / "profile", headless=True)
except LaunchError as error:
    print(error)
"""


def _launched(how: str) -> str:
    return subprocess.run([sys.executable, "-c", _ELSEWHERE, how], capture_output=True, text=True, check=True).stdout


def test_another_threads_files_can_not_take_the_browsers_descriptors_away() -> None:
    assert "Bad file descriptor" in _launched("as it comes")
    assert "Bad file descriptor" not in _launched("reserved")


def test_an_owner_that_dies_with_something_unread_is_a_dead_owner(tmp_path: Path) -> None:
    """The kernel reports that as a reset of the connection; the keeper went down with it and left its browsers."""
    with SqliteLog(tmp_path / "log.db") as log:
        ours, owners = socket.socketpair()
        keeper = Keeper(ours, keeper_id="k-1", locator=log.locator, runtime=log.runtime_dir)
        keeper.say(session="s-1", event="pong")
        owners.close()
        keeper.run()
        ours.close()


def test_a_keeper_without_a_thread_for_one_more_session_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went down with a traceback, and all its browsers with it."""
    start = threading.Thread.start

    def refuses(thread: threading.Thread) -> None:
        if thread.name.startswith("session-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    with SqliteLog(tmp_path / "log.db") as log:
        ours, owners = socket.socketpair()
        keeper = Keeper(ours, keeper_id="k-1", locator=log.locator, runtime=log.runtime_dir)
        owners.sendall(b'{"op": "open", "session": "s-1"}\n{"op": "ping", "session": ""}\n')
        owners.shutdown(socket.SHUT_WR)
        keeper.run()
        ours.close()
        with owners, owners.makefile("rb") as said:
            events = [json.loads(line)["event"] for line in said]
    assert events == ["failed", "released", "pong"]


def test_what_is_asked_right_after_started_was_recorded_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the session, its keeper has not yet: a stop in between waited for the deadline."""
    kept, launched, asked = Mock(), Mock(), threading.Event()
    launched.read_fd, speaks = os.pipe()
    hears, launched.write_fd = os.pipe()
    ours, owners = socket.socketpair()
    with SqliteLog(tmp_path / "log.db") as log, owners, owners.makefile("rb") as said:
        keeper = Keeper(ours, keeper_id="k-1", locator=log.locator, runtime=log.runtime_dir)

        def begin(*_: object) -> tuple[Mock, dict[str, object]]:
            owners.sendall(b'{"op": "look", "session": "s-1"}\n{"op": "ping", "session": ""}\n')
            assert json.loads(said.readline())["event"] == "pong"  # so it was read
            asked.set()
            return kept, {"event": "started"}

        monkeypatch.setattr(keeper, "_launch", Mock(return_value=launched))
        monkeypatch.setattr(keeper, "_ready", lambda: Mock(begin=begin))
        running = threading.Thread(target=keeper.run, daemon=True)
        running.start()
        owners.sendall(b'{"op": "open", "session": "s-1"}\n')
        assert asked.wait(10)
        assert json.loads(said.readline())["event"] == "started"
        owners.shutdown(socket.SHUT_WR)
        running.join(10)
        ours.close()
    os.close(speaks)
    os.close(hears)
    kept.look.assert_called()


def test_a_session_that_was_never_handed_over_holds_no_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keeper goes when the client lets go of the log, as if the start that the log refused had not been."""
    client = Client(tmp_path / "log.db")
    with client.Session(page=False) as first:
        keeper = client.log.sessions.get(first.session_id)
    assert keeper is not None
    assert keeper.keeper is not None

    def refuses(*_: object, **__: object) -> None:
        raise LogUnavailable("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(type(client.log), "append", refuses)
        with pytest.raises(LogUnavailable):
            client.Session(page=False).start()
    client.close()
    pid = keeper.keeper.pid
    _until(lambda: _gone(pid))


def test_a_session_whose_host_can_not_launch_its_browser_holds_no_keeper(tmp_path: Path) -> None:
    def launch() -> str:
        raise RuntimeError("no such browser")

    client = Client(tmp_path / "log.db")
    session = client.session_on(
        lambda recorder, host: LaunchedHost(recorder, host, launch), None, request({"page": False})
    )
    with pytest.raises(RuntimeError, match="no such browser"):
        session.start()
    found = client.log.sessions.get(session.session_id)
    assert found is not None
    assert found.keeper is not None
    client.close()
    pid = found.keeper.pid
    _until(lambda: _gone(pid))


def test_a_failed_start_is_told_at_once() -> None:
    """Also where nobody can write down what became of it, and `released` never comes."""
    line, raised = Mock(), threading.Event()
    talk = OwnTalk(line, Plan(session_id="s", keeper_id="k", config=core.Config()), lambda: None)
    talk.take({"event": "failed", "session": "s", "reason": "the log refuses `started`", "last_words": None})

    def result() -> None:
        with pytest.raises(LaunchFailed, match="refuses"):
            talk.result()
        raised.set()

    threading.Thread(target=result, daemon=True).start()
    assert raised.wait(10)


def test_who_attaches_to_what_is_gone_is_told_so(own: Callable[..., Owner], tmp_path: Path) -> None:
    """Neither let in nor counted as access, though nobody has written down yet what became of it."""
    owner = own()
    keeper = owner.keeper
    os.kill(keeper, signal.SIGSTOP)  # it would see its owner go
    owner.process.kill()
    owner.process.wait()
    os.kill(keeper, signal.SIGKILL)
    _until(lambda: _gone(keeper))
    with Client(tmp_path / "log.db") as client:
        with pytest.raises(BrowserLost):
            client.Session(owner.session_id).start()
        view = client.sessions.get(owner.session_id)
    assert (view.cause, view.last_accessed_at) == (Cause.KEEPER_LOST, view.started_at)
    assert owner.remains() == []


def test_a_keeper_that_can_not_launch_one_session_says_so_and_keeps_the_others(tmp_path: Path) -> None:
    """Nothing was said, and after 30 seconds the owner ended the silent keeper with all its sessions."""
    with Client(tmp_path / "log.db") as client, client.Session(page=False) as session:
        assert isinstance(client.log, SqliteLog)
        profiles = client.log.runtime_dir / "profiles"
        profiles.rename(profiles.with_name("moved"))
        profiles.write_text("a file is in its place")
        with pytest.raises(LaunchFailed, match=r"the keeper failed: .*File exists"):
            client.Session(page=False).start()
        assert session.status().status is State.ACTIVE
        profiles.unlink()
        while profiles.with_name("moved").exists():  # the browser that runs may just have made its folder anew
            shutil.rmtree(profiles, ignore_errors=True)
            with contextlib.suppress(OSError):
                profiles.with_name("moved").rename(profiles)


def test_the_sandbox_is_judged_by_the_browser_that_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a setuid chrome-sandbox beside it has its sandbox, though user namespaces are forbidden."""
    asked: list[Path | None] = []

    def judged(browser: Path | None = None) -> tuple[list[str], str | None]:
        asked.append(browser)
        return sandbox_args(browser)

    monkeypatch.setattr(host, "sandbox_args", judged)
    with Client(tmp_path / "log.db") as client, client.Session(page=False) as session:
        created = json.loads(client.log.read(session.session_id)[0].private or "{}")
    assert asked == [Path(created["browser_path"])]


def test_a_keeper_that_can_not_be_made_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted() -> None:
        raise OSError(errno.EMFILE, "too many open files")

    before = len(os.listdir("/dev/fd"))
    monkeypatch.setattr(socket, "socketpair", exhausted)
    with pytest.raises(OSError, match="too many"):
        Line(tmp_path, "sqlite:/nowhere", lambda _: None)
    assert len(os.listdir("/dev/fd")) == before


def test_a_keeper_whose_files_can_not_be_made_is_told_as_unavailable(tmp_path: Path) -> None:
    with Client(tmp_path / "log.db") as client:
        assert isinstance(client.log, SqliteLog)
        runtime = client.log.runtime_dir
        runtime.mkdir(exist_ok=True)
        (runtime / "keepers").write_text("a file is in its place")
        with pytest.raises(KeeperUnavailable, match="the keeper's files can't be made"):
            client.Session(page=False).start()
        assert client.sessions.list() == []
