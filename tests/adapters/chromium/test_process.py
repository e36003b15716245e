"""Process identity: who is meant, who lives, and that nobody else is ever hit."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle_chromium import exitwatch, process, proctable
from lifecycle_chromium.process import (
    Identity,
    end_group,
    find_by_profile,
    group_members,
    identify,
    is_alive,
    is_here,
    kill,
    wait_gone,
    watch_exit,
)
from tests.adapters.chromium.support import SOON_S, eventually, running

Start = Callable[..., subprocess.Popen[bytes]]
SLEEP = "import time; time.sleep(600)"
NO_SUCH_FLAG = 1 << 30


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python code in a process group of its own; ends the groups afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(code: str = SLEEP, *args: str, user: int | None = None) -> subprocess.Popen[bytes]:
        begun = subprocess.Popen(
            [_python(user), "-I", "-S", "-c", code, *args], stdout=subprocess.PIPE, start_new_session=True, user=user
        )
        started.append(begun)
        return begun

    yield begin
    for each in started:
        if each.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()
        assert each.stdout is not None
        each.stdout.close()


def _python(user: int | None) -> str:
    """An interpreter that *user* may execute: ours may lie in a private home directory."""
    for candidate in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        try:
            if user is None or subprocess.run([candidate, "-c", ""], user=user, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    raise AssertionError("no Python that another user may execute")


def _no_watch(pid: int) -> None:
    """What a system without pidfds and kqueues answers."""


def who(started: subprocess.Popen[bytes]) -> Identity:
    found = identify(started.pid)
    assert found is not None
    return found


def said(started: subprocess.Popen[bytes]) -> list[int]:
    """The numbers in the process's next line."""
    assert started.stdout is not None
    return [int(word) for word in started.stdout.readline().split()]


def test_a_process_is_identified_the_same_every_time() -> None:
    assert identify(os.getpid()) == identify(os.getpid())
    assert is_alive(who_am_i())


def who_am_i() -> Identity:
    found = identify(os.getpid())
    assert found is not None
    return found


def test_nobody_is_identified_by_a_pid_that_is_free(start: Start) -> None:
    ended = start("")
    ended.wait()
    assert identify(ended.pid) is None


def test_a_zombie_is_dead(start: Start) -> None:
    zombie = start()
    identity = who(zombie)
    os.kill(zombie.pid, signal.SIGKILL)
    with watch_exit(identity) as watch:
        assert watch.wait(SOON_S)
    assert not is_alive(identity)
    assert identify(zombie.pid) is None


@pytest.mark.parametrize("how", ["pid reused", "machine rebooted", "another namespace"])
def test_another_process_with_the_same_pid_is_left_alone(start: Start, how: str) -> None:
    bystander = start()
    found = who(bystander)
    mistaken = {
        "pid reused": replace(found, started=found.started - 1),
        "machine rebooted": replace(found, boot_id="another boot"),
        "another namespace": replace(found, pid_namespace="pid:[1]"),
    }[how]
    assert not is_alive(mistaken)
    assert not kill(mistaken)
    assert group_members(mistaken) == []
    assert not end_group(mistaken).killed
    with watch_exit(mistaken) as watch:
        assert watch.wait(0)
    assert bystander.poll() is None


def test_here_is_this_machine_even_after_its_name_or_its_boot_changed() -> None:
    me = who_am_i()
    assert is_here(me)
    assert is_here(replace(me, host="renamed"))
    assert is_here(replace(me, boot_id="an earlier boot"))
    assert not is_here(replace(me, host="other", boot_id="other"))
    assert not is_here(replace(me, pid_namespace="pid:[1]"))


def test_kill_sends_the_signal_to_the_process(start: Start) -> None:
    victim = start()
    assert kill(who(victim), signal.SIGTERM)
    assert victim.wait(SOON_S) == -signal.SIGTERM


GROUP = """
import os, signal, time
children = []
for _ in range(3):
    children.append(os.fork())
    if not children[-1]:
        time.sleep(600)
os.kill(children[1], signal.SIGSTOP)
print(*children, flush=True)
"""


def test_a_group_ends_with_its_leader_stopped_children_too(start: Start) -> None:
    leader = start(GROUP + SLEEP)
    children = said(leader)
    ended = end_group(who(leader))
    assert ended.killed
    assert ended.left == ()
    assert leader.wait(SOON_S) == -signal.SIGKILL
    assert wait_gone(children, 0) == []


def test_children_that_outlive_a_leader_that_left_by_itself_are_ended(start: Start) -> None:
    leader = start(GROUP)
    children = said(leader)
    entry = proctable.process(leader.pid)
    assert entry is not None
    identity = replace(who_am_i(), pid=leader.pid, started=entry.started)
    with watch_exit(identity) as watch:
        assert watch.wait(SOON_S)
    assert len(group_members(identity)) == 3
    ended = end_group(identity)
    assert ended.killed
    assert wait_gone(children, 0) == []
    assert leader.wait(SOON_S) == 0


def test_a_leader_that_goes_within_the_grace_is_not_killed(start: Start) -> None:
    leader = start()
    identity = who(leader)
    os.kill(leader.pid, signal.SIGTERM)
    ended = end_group(identity, grace_s=SOON_S)
    assert not ended.killed
    assert ended.took_s < SOON_S
    assert leader.wait(SOON_S) == -signal.SIGTERM


def test_a_leader_that_stays_is_killed_after_the_grace(start: Start) -> None:
    leader = start()
    ended = end_group(who(leader), grace_s=0.05)
    assert ended.killed
    assert 0.05 <= ended.took_s < SOON_S


def test_of_a_leader_that_was_reaped_only_browser_children_are_ended(start: Start) -> None:
    """Its number may have gone to somebody else's group in between; that group's members are no Chromium children."""
    leader = start(
        "import os, subprocess, sys;"
        f"kids = [subprocess.Popen([sys.executable, '-c', {SLEEP!r}, *a]) for a in ([], ['--type=renderer'])];"
        "print(*[k.pid for k in kids], flush=True); input()"
    )
    identity = who(leader)
    other, renderer = said(leader)
    kill(identity)
    leader.wait()
    assert group_members(identity) == [renderer]
    end_group(identity)
    assert wait_gone([renderer], SOON_S) == []
    assert wait_gone([other], 0) == [other]
    os.kill(other, signal.SIGKILL)


def test_before_linux_6_9_the_members_are_signalled_one_by_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PIDFD_SIGNAL_PROCESS_GROUP", NO_SUCH_FLAG)
    leader = start(GROUP + SLEEP)
    children = said(leader)
    assert end_group(who(leader)).left == ()
    assert wait_gone(children, 0) == []


def test_without_pidfds_the_group_is_signalled_by_its_number(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, and where a container forbids the system call."""
    monkeypatch.setattr(process, "open_pidfd", _no_watch)
    monkeypatch.setattr(exitwatch, "open_pidfd", _no_watch)
    leader = start(GROUP + SLEEP)
    children = said(leader)
    mistaken = replace(who(leader), started=1)
    assert not kill(mistaken)
    assert end_group(who(leader)).left == ()
    assert wait_gone(children, SOON_S) == []


def test_a_pidfd_that_is_forbidden_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise PermissionError(errno.EPERM, "seccomp")

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    assert exitwatch.open_pidfd(os.getpid()) is None


@pytest.mark.parametrize("polled", [False, True], ids=["by the system", "by polling"])
def test_an_exit_is_told_and_stays_told(start: Start, monkeypatch: pytest.MonkeyPatch, polled: bool) -> None:
    if polled:
        monkeypatch.setattr(exitwatch, "_system_watch", _no_watch)
    watched = start()
    with watch_exit(who(watched)) as watch:
        assert not watch.wait(0)
        os.kill(watched.pid, signal.SIGKILL)
        assert watch.wait(SOON_S)
        assert watch.wait(0)
        assert watch.fileno() >= 0


@pytest.mark.parametrize("polled", [False, True], ids=["by the system", "by polling"])
def test_a_watch_can_be_given_up_before_the_exit(start: Start, monkeypatch: pytest.MonkeyPatch, polled: bool) -> None:
    if polled:
        monkeypatch.setattr(exitwatch, "_system_watch", _no_watch)
    watch = watch_exit(who(start()))
    watch.close()
    watch.close()


def test_an_exit_before_the_watch_is_told_at_once(start: Start) -> None:
    gone = start()
    identity = who(gone)
    gone.kill()
    gone.wait()
    with watch_exit(identity) as watch:
        assert watch.wait(0)


def test_waiting_for_several_tells_who_stayed(start: Start) -> None:
    stays, goes = start(), start()
    begun = time.monotonic()
    os.kill(goes.pid, signal.SIGKILL)
    assert wait_gone([stays.pid, goes.pid], 0.2) == [stays.pid]
    assert time.monotonic() - begun < SOON_S


ID = f"0198-{uuid.uuid4()}"
PROFILE = f"--user-data-dir=/somewhere/profiles/{ID}"


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ((PROFILE, "--remote-debugging-pipe"), True),
        (("--type=renderer", PROFILE + "/"), True),
        ((f"--type=gpu-process {PROFILE} --lang=de",), True),
        ((PROFILE,), False),
        ((PROFILE + "bb", "--remote-debugging-pipe"), False),
        ((f"--user-data-dir=/x/9{ID}", "--remote-debugging-pipe"), False),
        ((f"--other-dir=/x/{ID}", "--remote-debugging-pipe"), False),
        ((f"/x/--user-data-dir=/x/{ID}", "--remote-debugging-pipe"), False),
    ],
    ids=["main", "child", "rewritten title", "no browser", "longer id", "other id", "other option", "no option"],
)
def test_a_session_s_processes_are_those_with_its_profile(start: Start, args: tuple[str, ...], found: bool) -> None:
    started = start("print(1, flush=True); " + SLEEP, *args)
    said(started)
    assert find_by_profile(ID) == ([started.pid] if found else [])


def test_no_session_id_is_refused() -> None:
    with pytest.raises(ValueError, match="every browser"):
        find_by_profile("")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_s_processes_are_not_ours(start: Start) -> None:
    started = start("print(1, flush=True); " + SLEEP, "--remote-debugging-pipe", PROFILE, user=65534)
    said(started)
    assert find_by_profile(ID) == []


MACOS_PS = """\
    1     0     1 Ss   Wed Nov 25 17:47:03 2026     /sbin/launchd
  512   501   512 S+   Wed Nov 25 18:01:09 2026     /Applications/Chromium.app --user-data-dir=/p/0198-aaaa --remote-debugging-pipe about:blank
  513   501   512 Z    Wed Nov  4 08:01:09 2026     (Chromium)
  514   502   514 S    Wed Nov 25 18:01:09 2026     /x --user-data-dir=/p/0198-aaaa --type=renderer
"""  # noqa: E501


def test_where_there_is_no_proc_ps_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def output(command: list[str]) -> str:
        if command[0] != "/bin/ps":
            return "B00T-UUID\n"
        if "-p" in command:
            wanted = command[command.index("-p") + 1]
            return "".join(line + "\n" for line in MACOS_PS.splitlines() if line.split()[0] == wanted)
        return MACOS_PS

    monkeypatch.setattr(proctable, "_has_proc", lambda: False)
    monkeypatch.setattr(proctable, "_output", output)
    monkeypatch.setattr(os, "getuid", lambda: 501)
    proctable.here.cache_clear()
    try:
        found = identify(512)
        assert found is not None
        assert (found.boot_id, found.pid_namespace, found.started) == ("B00T-UUID", None, 1795629669)
        assert identify(513) is None
        assert identify(9) is None
        assert find_by_profile("0198-aaaa") == [512]
        assert group_members(found) == [512]
    finally:
        proctable.here.cache_clear()


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="this system has no ps, and needs none")
def test_ps_here_says_the_same_as_proc(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    started = start("print(1, flush=True); " + SLEEP, "--type=x")
    said(started)
    monkeypatch.setattr(proctable, "_has_proc", lambda: False)
    commands = {found.pid: (found, command) for found, command in proctable.own_commands()}
    found, command = commands[started.pid]
    assert command.endswith("--type=x")
    assert found == proctable.process(started.pid)
    assert (found.group, found.dead) == (started.pid, False)
    assert abs(found.started - time.time()) < 60
    started.kill()
    assert eventually(lambda: (now := proctable.process(started.pid)) is not None and now.dead)


@pytest.mark.browser
@pytest.mark.parametrize("full", [False, True], ids=["headless", "full"])
def test_a_real_browser_is_found_and_ended_with_stopped_renderers(tmp_path: Path, full: bool) -> None:
    with running(tmp_path, full=full) as browser:
        browser.evaluate("1")  # its page's renderer is up
        pids = group_members(browser.process.identity)
        assert browser.process.pid in find_by_profile(browser.session_id)
        assert set(find_by_profile(browser.session_id)) <= set(pids)
        commands = [(found.pid, command) for found, command in proctable.own_commands()]
        renderers = [pid for pid, command in commands if pid in pids and "--type=renderer" in command]
        assert renderers
        for renderer in renderers:
            os.kill(renderer, signal.SIGSTOP)
        os.kill(browser.process.pid, signal.SIGKILL)
        browser.process.wait(SOON_S)
        assert set(renderers) <= set(group_members(browser.process.identity))
        ended = end_group(browser.process.identity)
        assert ended.left == ()
        assert wait_gone(renderers, 0) == []
        assert wait_gone(pids, SOON_S) == []
