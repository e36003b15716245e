"""Whether a session's keeper lives, by what can be seen from here: this machine, another container, elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from lifecycle import Client, SqliteLog
from lifecycle.client.system import Uuid7
from lifecycle.core import Cause, Limits, ProcessIdentity, Session, fold
from lifecycle.core.events import SessionClosed, SessionCreated
from lifecycle.errors import KeeperUnavailable
from lifecycle.log.port import NO_STREAM
from lifecycle.testing.log_samples import new
from lifecycle_chromium import paths
from lifecycle_chromium.host import ChromiumHost
from lifecycle_chromium.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as log:
        yield log


def owned(owner: ProcessIdentity, keeper_id: str | None = "k") -> Session:
    limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
    session = fold([SessionCreated(at=0, session_id="s", limits=limits, owner=owner, keeper_id=keeper_id)])
    assert session is not None
    return session


OWNERS: Final[dict[str, dict[str, Any]]] = {
    "another namespace": {"pid_namespace": "pid:[1]"},
    "another machine": {"host": "other", "boot_id": "other", "pid_namespace": "pid:[1]"},
    "an earlier boot": {"boot_id": "earlier"},
    "gone": {"started": 1},
}


@pytest.mark.parametrize(
    ("owner", "lock", "alive"),
    [
        ("another namespace", "held", None),
        ("another namespace", "let go", False),
        ("another namespace", "looked at", False),
        ("another namespace", "never there", None),
        ("another machine", "let go", None),
        ("another machine", "never there", None),
        ("an earlier boot", "held", False),
        ("gone", "held", True),
        ("gone", "let go", False),
        ("gone", "looked at", False),
        ("gone", "never there", False),
    ],
)
def test_a_keeper_lives_as_long_as_its_lock_is_held(log: SqliteLog, owner: str, lock: str, alive: bool | None) -> None:
    """One kernel has locked it for all its containers. Beside another machine's log, or none, a lock tells nothing."""
    host = ChromiumHost()
    session = owned(host.identity().model_copy(update=OWNERS[owner]))
    path = paths.keeper_lock(log.runtime_dir, "k")
    if lock == "never there":
        assert host.keeper_alive(session, log) is alive
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if lock != "let go":
            fcntl.flock(fd, fcntl.LOCK_EX if lock == "held" else fcntl.LOCK_SH)
        assert host.keeper_alive(session, log) is alive
    finally:
        os.close(fd)


@pytest.mark.parametrize(("owner", "alive"), [("another namespace", None), ("another machine", None), ("gone", False)])
def test_without_a_keeper_the_owner_lives_or_does_not(log: SqliteLog, owner: str, alive: bool | None) -> None:
    host = ChromiumHost()
    assert host.keeper_alive(owned(host.identity(), None), log) is True
    assert host.keeper_alive(owned(host.identity().model_copy(update=OWNERS[owner]), None), log) is alive


def test_a_session_without_a_keeper_has_no_line_and_nobody_waits_for_one(log: SqliteLog) -> None:
    """`lifecycle view` and a drain waited five seconds for its endpoint, and took it for one whose keeper hangs."""
    host = ChromiumHost()
    with pytest.raises(KeeperUnavailable, match="has no keeper: it was attached"):
        host.attach(owned(host.identity(), keeper_id=None), log)


@pytest.mark.parametrize(("mine", "forgotten"), [(True, False), (True, True), (False, False), (False, True)])
def test_who_ends_by_identity_claims_no_profile_of_the_users_own(log: SqliteLog, mine: bool, forgotten: bool) -> None:
    """Nor one that may be: whose it was is private."""
    host, session_id = ChromiumHost(), Uuid7().new()
    limits = Limits(idle_timeout_us=60_000_000, max_duration_us=600_000_000)
    event = SessionCreated(
        session_id=session_id,
        limits=limits,
        owner=host.identity(),
        keeper_id="k",
        browser_path="/usr/bin/chromium",
        user_data_dir="/home/ada/profile" if mine else None,
    )
    log.append(session_id, [new(event)], expected=NO_STREAM)
    if forgotten:
        stopped = SessionClosed(at=2_000_000, cause=Cause.STOPPED)
        log.append(session_id, [new(stopped)], expected=1)
        with contextlib.closing(Client(log)) as client:
            client.forget(session_id)
    session = log.load(session_id)
    assert session is not None
    assert host.end(session, log).profile_removed is not (mine or forgotten)


def test_a_keeper_that_no_thread_listens_to_is_ended_and_may_be_tried_again(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raised an error of Python's, and its process was waited for by nobody."""

    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ended: list[int | None] = []

    class Popen(subprocess.Popen[bytes]):
        def wait(self, timeout: float | None = None) -> int:
            ended.append(code := super().wait(timeout))
            return code

    before = len(os.listdir("/dev/fd"))
    monkeypatch.setattr(threading.Thread, "start", exhausted)
    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(KeeperUnavailable, match="can't start new thread") as refused:
        Line(log.runtime_dir, str(log.locator), lambda _: None)
    assert refused.value.retryable
    assert ended == [-signal.SIGKILL]
    assert len(os.listdir("/dev/fd")) == before
    assert not list((log.runtime_dir / "keepers").glob("*.lock"))
