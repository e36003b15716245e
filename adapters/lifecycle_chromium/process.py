"""Which process is meant, whether it lives, and ending it without ever hitting another one.

A pid alone names nothing: it is reused. An `Identity` adds the boot, the pid namespace and the start time, and every
signal goes through a pidfd that was compared with it after opening (research/browser.md §2). Where there is no pidfd
(macOS, Linux before 5.3) identity is compared immediately before the signal; the gap is a few µs. Watching for an exit
without polling is exitwatch.py, reading the process table proctable.py.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lifecycle_chromium import proctable
from lifecycle_chromium.exitwatch import ExitWatch, open_pidfd

__all__ = [
    "Ended",
    "Identity",
    "end_group",
    "find_by_profile",
    "group_members",
    "identify",
    "is_alive",
    "is_here",
    "kill",
    "wait_gone",
    "watch_exit",
]

# pidfd_send_signal(2), Linux 6.9: the signal goes to the whole process group, atomically.
_PIDFD_SIGNAL_PROCESS_GROUP: Final = 4
_POLL_S: Final = 0.005
# How long SIGKILL may take to be visible: a process in uninterruptible sleep, or a loaded machine.
_KILLED_WITHIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for as long as anybody remembers it. `started` and `pid_namespace` are as in proctable.py."""

    host: str
    boot_id: str
    pid_namespace: str | None
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What `end_group` did: whether SIGKILL was needed, how long it took, which pids outlived it (normally none)."""

    killed: bool
    took_s: float
    left: tuple[int, ...]


def identify(pid: int) -> Identity | None:
    """The identity of the living process *pid*; None when there is none (a zombie is none)."""
    process = proctable.process(pid)
    if process is None or process.dead:
        return None
    boot = proctable.here()
    return Identity(boot.host, boot.boot_id, boot.pid_namespace, pid, process.started)


def is_here(identity: Identity) -> bool:
    """Whether *identity* can be judged from here: this machine (in this boot or an earlier one), this pid namespace.

    The machine is the same when the boot id or else the host name agrees: a laptop changes its name, not its boot id.
    """
    boot = proctable.here()
    same_machine = identity.boot_id == boot.boot_id or identity.host == boot.host
    return same_machine and identity.pid_namespace == boot.pid_namespace


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process runs. False for a zombie, a reused pid, another boot and another namespace.

    For a process of another machine or namespace False means only that it isn't here; ask `is_here` first.
    """
    process = _entry(identity)
    return process is not None and not process.dead


def find_by_profile(session_id: str) -> list[int]:
    """Pids of living browser processes of this user whose ``--user-data-dir`` path contains *session_id*, ascending.

    A profile of the user's own has another path; its browser carries the id in a switch that Chromium does not know.

    Counts are a browser's main process (``--remote-debugging-pipe``) and its children (``--type=``). The headless
    shell does not hand the option to its children; those are reached through the main process's group.
    """
    if not session_id:
        raise ValueError("an empty session id would match every browser")
    # Children that Chromium forks from its zygote rewrite their command line with blanks for NULs.
    wanted = re.compile(
        rf"(?:^|[\0 ])--(?:user-data-dir|lifecycle-session)=[^\0]*?(?<![^\W_]){re.escape(session_id)}(?![^\W_])"
    )
    role = re.compile(r"[\0 ]--(?:remote-debugging-pipe|type=\w)")
    return sorted(
        process.pid for process, command in proctable.own_commands() if wanted.search(command) and role.search(command)
    )


def group_members(identity: Identity) -> list[int]:
    """Living pids in the process group that *identity* leads or led, ascending.

    The kernel gives a number to no new process while a group of that number exists, so the group is the leader's own
    even after its death, with one exception: it emptied, the number went to another group leader, and that one died.
    Of a leader that is gone only Chromium children (``--type=``) count, therefore, and those without a command line:
    they are on their way out already.
    """
    if not is_here(identity) or identity.boot_id != proctable.here().boot_id:
        return []
    leader = proctable.process(identity.pid)
    if leader is not None and leader.started != identity.started:
        return []
    return sorted(
        process.pid
        for process, command in proctable.own_commands()
        if process.group == identity.pid
        and (leader is not None or not command or re.search(r"[\0 ]--type=\w", command))
    )


def kill(identity: Identity, signum: int = signal.SIGKILL) -> bool:
    """Send *signum* to exactly this process; False when it no longer exists."""
    return _send(identity, signum)


def end_group(identity: Identity, grace_s: float = 0.0) -> Ended:
    """End the group that *identity* leads: wait up to *grace_s* for the leader to leave, then SIGKILL the group.

    Members that outlive their leader are killed in either case; SIGSTOP protects none. The leader is expected to have
    been asked to go already. Blocks until the group is gone, at most *grace_s* + 5 s. Does nothing to a group that is
    not provably the leader's. The caller reaps its own child.
    """
    begun = time.monotonic()
    with watch_exit(identity) as watch:
        killed = not watch.wait(grace_s)
        if killed:
            _send(identity, signal.SIGKILL, whole_group=True)
        deadline = time.monotonic() + _KILLED_WITHIN_S
        watch.wait(_KILLED_WITHIN_S)
    while (left := group_members(identity)) and time.monotonic() < deadline:
        for pid in left:
            member = identify(pid)
            if member is not None:
                killed = _send(member, signal.SIGKILL) or killed
        wait_gone(left, _POLL_S)
    return Ended(killed, time.monotonic() - begun, tuple(left))


def wait_gone(pids: Iterable[int], timeout_s: float) -> list[int]:
    """Wait until the processes that have *pids* now are gone; the pids still living after *timeout_s*."""
    deadline = time.monotonic() + timeout_s
    living = [identity for pid in pids if (identity := identify(pid)) is not None]
    while living:
        with watch_exit(living[0]) as watch:
            watch.wait(max(0.0, deadline - time.monotonic()))
        living = [identity for identity in living if is_alive(identity)]
        if time.monotonic() >= deadline:
            break
    return [identity.pid for identity in living]


def watch_exit(identity: Identity) -> ExitWatch:
    """A watch that tells, without polling where the system can, when exactly this process has exited."""
    return ExitWatch(identity.pid, functools.partial(is_alive, identity))


def _send(identity: Identity, signum: int, *, whole_group: bool = False) -> bool:
    try:
        pidfd = open_pidfd(identity.pid)
        if pidfd is None:
            if _entry(identity) is None:
                return False
            (os.killpg if whole_group else os.kill)(identity.pid, signum)
            return True
        try:
            # Compared after opening: from here on the pidfd can mean no other process.
            if _entry(identity) is None:
                return False
            _signal_pidfd(pidfd, signum, whole_group=whole_group)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        return False
    return True


def _signal_pidfd(pidfd: int, signum: int, *, whole_group: bool) -> None:
    assert sys.platform == "linux"
    if whole_group:
        try:
            signal.pidfd_send_signal(pidfd, signum, None, _PIDFD_SIGNAL_PROCESS_GROUP)
        except OSError:
            pass  # before Linux 6.9: the leader here, the others one by one in end_group
        else:
            return
    signal.pidfd_send_signal(pidfd, signum)


def _entry(identity: Identity) -> proctable.Process | None:
    """The table's entry for exactly this process, zombie or not."""
    boot = proctable.here()
    if identity.boot_id != boot.boot_id or identity.pid_namespace != boot.pid_namespace:
        return None
    process = proctable.process(identity.pid)
    return process if process is not None and process.started == identity.started else None
