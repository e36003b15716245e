"""The process table, read from /proc where there is one, else from `ps`; and which machine, boot and namespace this is.

Start times count clock ticks since boot (/proc/PID/stat, field 22; 10 ms each) or, from `ps`, seconds since the epoch.
"""

from __future__ import annotations

import calendar
import functools
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Boot", "Process", "here", "own_commands", "process"]

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Boot:
    """Where this process runs. `pid_namespace` is None where the system has no such thing."""

    host: str
    boot_id: str
    pid_namespace: str | None


@dataclass(frozen=True, slots=True)
class Process:
    """A line of the table. `dead` means a zombie: it runs no more and waits to be reaped."""

    pid: int
    group: int
    started: int
    dead: bool


@functools.cache
def here() -> Boot:
    """This machine, boot and pid namespace."""
    if _has_proc():
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return Boot(platform.node(), boot_id, os.readlink(_PROC / "self/ns/pid"))
    return Boot(platform.node(), _output(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]).strip(), None)


def process(pid: int) -> Process | None:
    """The process that has *pid* now, living or zombie."""
    return _proc_process(pid) if _has_proc() else _ps_process(pid)


def own_commands() -> Iterator[tuple[Process, str]]:
    """Living processes of this user with their command lines; arguments are separated by NUL, or by blanks."""
    return _proc_commands() if _has_proc() else _ps_commands()


def _has_proc() -> bool:
    return sys.platform == "linux"


def _proc_process(pid: int) -> Process | None:
    try:
        line = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Field 2 is the name in parentheses and may hold anything, parentheses too. See proc_pid_stat(5).
    state, _parent, group, *rest = line[line.rindex(b")") + 2 :].split()
    return Process(pid, int(group), int(rest[16]), dead=state in (b"Z", b"X"))


def _proc_commands() -> Iterator[tuple[Process, str]]:
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # Not the directory's owner: that is root for a process that forbids dumps, as sandboxed renderers do.
            status = (folder / "status").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        uids = re.search(rb"^Uid:\s+(\d+)", status, re.MULTILINE)
        if uids is None or int(uids[1]) != os.getuid():
            continue
        found = _proc_process(int(folder.name))
        if found is not None and not found.dead:
            yield found, command.decode(errors="surrogateescape")


_PS_LINE = re.compile(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\s+(.*)")
_PS_COLUMNS = "pid=,uid=,pgid=,stat=,lstart=,command="


def _ps_process(pid: int) -> Process | None:
    return next((found for found, _uid, _command in _ps(["-p", str(pid)])), None)


def _ps_commands() -> Iterator[tuple[Process, str]]:
    for found, uid, command in _ps(["-ax"]):
        if uid == os.getuid() and not found.dead:
            yield found, command


def _ps(selection: list[str]) -> Iterator[tuple[Process, int, str]]:
    for line in _output(["/bin/ps", *selection, "-ww", "-o", _PS_COLUMNS]).splitlines():
        if columns := _PS_LINE.fullmatch(line):
            pid, uid, group, state, started, command = columns.groups()
            at = calendar.timegm(time.strptime(started, "%a %b %d %H:%M:%S %Y"))
            yield Process(int(pid), int(group), at, dead=state.startswith("Z")), int(uid), command


def _output(command: list[str]) -> str:
    """What *command* prints, in English and UTC."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    return done.stdout
