"""The writers' queue: in the order they came, with a limit to the waiting, and free when its holder is gone."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lifecycle.log import turnstile as module
from lifecycle.log.turnstile import Turnstile, TurnstileTimeout, Waiter


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "writers")


def _turnstile(path: str) -> Turnstile:
    """One process's: each has an open file of its own, so those of one process queue at each other."""
    return Turnstile(path, lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _waiting(path: str) -> int:
    inode = f":{os.stat(path).st_ino} "
    return sum(inode in line and "->" in line for line in Path("/proc/locks").read_text().splitlines())


def _until(reached: int, path: str) -> None:
    until = time.monotonic() + 20
    while _waiting(path) != reached:
        assert time.monotonic() < until, f"{_waiting(path)} are waiting, not {reached}"
        time.sleep(0.001)  # the kernel is asked again; nothing tells when a thread has got into its queue


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the queue can be seen on Linux only")
def test_turns_come_in_the_order_of_asking(path: str) -> None:
    first = _turnstile(path)
    first.acquire(1)
    order: list[int] = []

    def go(number: int) -> None:
        turnstile = _turnstile(path)
        turnstile.acquire(30)
        order.append(number)
        turnstile.release()
        turnstile.close()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(6)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        _until(number, path)
    first.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, 5]
    first.close()


def test_waiting_has_an_end_and_who_gave_up_is_in_nobody_s_way(path: str) -> None:
    first, second, third = (_turnstile(path) for _ in range(3))
    first.acquire(1)
    for _ in range(2):
        with pytest.raises(TurnstileTimeout, match=r"waited \d+\.\d s for other processes"):
            second.acquire(0.05)
        second.release()
    first.release()
    third.acquire(20)
    third.release()
    second.acquire(20)
    second.release()
    for turnstile in (first, second, third):
        turnstile.close()


def _open_on(path: str) -> int:
    """How many descriptors of this process lead to that file."""
    found = 0
    for fd in os.listdir("/dev/fd"):
        with suppress(OSError):  # that of the listing itself
            found += os.path.samestat(os.fstat(int(fd)), os.stat(path))
    return found


def test_where_no_thread_is_left_the_turn_comes_all_the_same(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread only waits: without one, an append was refused by an error of Python's, and left the file open."""

    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first, second = _turnstile(path), _turnstile(path)
    first.acquire(1)
    monkeypatch.setattr(threading.Thread, "start", exhausted)
    for _ in range(3):
        with pytest.raises(TurnstileTimeout):
            second.acquire(0.02)
        second.release()
    assert _open_on(path) == 1
    handed_over: list[bool] = []

    def hands_over(seconds: float) -> None:
        if not handed_over:
            handed_over.append(True)
            first.release()

    monkeypatch.setattr("lifecycle.log.turnstile.time.sleep", hands_over)
    second.acquire(20)
    monkeypatch.undo()
    with pytest.raises(TurnstileTimeout):
        first.acquire(0.01)
    second.release()
    first.release()
    second.acquire(20)
    second.release()


def _left_behind(path: str) -> int:
    """How many threads wait for that file, for nobody."""
    status = os.stat(path)
    left = module._left_behind.items()  # pyright: ignore[reportPrivateUsage]
    return sum(thread.is_alive() and where == (status.st_dev, status.st_ino) for thread, where in left)


def test_behind_a_stopped_writer_threads_and_files_do_not_pile_up(path: str) -> None:
    """flock can't be called off: each writer that gave up left a thread and a descriptor, without end."""
    most = module._LEFT_BEHIND  # pyright: ignore[reportPrivateUsage]
    first, second = _turnstile(path), _turnstile(path)
    first.acquire(1)
    for _ in range(20):
        with pytest.raises(TurnstileTimeout):
            second.acquire(0.01)
        second.release()
    assert (_left_behind(path), _open_on(path)) == (most, 1 + most)
    elsewhere = f"{path}.other"
    other, third = _turnstile(elsewhere), _turnstile(elsewhere)
    other.acquire(1)
    with pytest.raises(TurnstileTimeout):
        third.acquire(0.01)
    assert _left_behind(elsewhere) == 1, "another file's queue is in order"
    other.release()
    first.release()
    second.acquire(20)
    second.release()
    TestWaiter.until(lambda: _left_behind(path) == 0)
    first.acquire(1)
    with pytest.raises(TurnstileTimeout):
        second.acquire(0.01)
    assert _left_behind(path) == 1, "in order again"
    first.release()
    for turnstile in (first, second, other, third):
        turnstile.close()


def test_threads_that_share_one_wait_for_each_other(path: str) -> None:
    turnstile = _turnstile(path)
    turnstile.acquire(1)
    refused: list[str] = []

    def ask() -> None:
        try:
            turnstile.acquire(0.05)
        except TurnstileTimeout as error:
            refused.append(str(error))
        turnstile.release()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert refused
    assert "other threads of this process" in refused[0]
    with pytest.raises(TurnstileTimeout):
        _turnstile(path).acquire(0.01)
    turnstile.release()
    turnstile.close()


def test_releasing_without_a_turn_takes_nobody_s(path: str) -> None:
    first, second = _turnstile(path), _turnstile(path)
    first.acquire(1)
    second.release()
    thread = threading.Thread(target=first.release)
    thread.start()
    thread.join()
    with pytest.raises(TurnstileTimeout):
        second.acquire(0.01)
    first.release()
    first.release()
    second.release()
    second.acquire(20)
    second.release()


def test_a_lock_file_that_was_removed_does_not_make_two_queues(path: str) -> None:
    first, second = _turnstile(path), _turnstile(path)
    first.acquire(1)
    first.release()
    os.unlink(path)
    second.acquire(1)
    with pytest.raises(TurnstileTimeout):
        first.acquire(0.05)
    first.release()
    second.release()


def test_closing_in_the_middle_of_a_turn_waits_for_its_end(path: str) -> None:
    first = _turnstile(path)
    first.acquire(1)
    thread = threading.Thread(target=first.close)
    thread.start()
    thread.join()
    with pytest.raises(TurnstileTimeout):
        _turnstile(path).acquire(0.01)
    first.release()
    other = _turnstile(path)
    other.acquire(20)
    other.release()


def test_a_child_waits_with_a_thread_of_its_own(path: str) -> None:
    first, second = _turnstile(path), _turnstile(path)
    first.acquire(1)
    left_behind = Waiter("in the parent")
    left_behind._runs = True  # pyright: ignore[reportPrivateUsage]
    second._waiter = left_behind  # pyright: ignore[reportPrivateUsage]
    second.after_fork()
    waiting = threading.Thread(target=second.acquire, args=(5,))
    waiting.start()
    with pytest.raises(TurnstileTimeout):
        _turnstile(path).acquire(0.01)
    first.release()
    waiting.join()
    with pytest.raises(TurnstileTimeout):
        _turnstile(path).acquire(0.01)


class TestWaiter:
    """Its thread stays for the next wait; with who gave up it goes, whenever that was."""

    @pytest.fixture
    def waiter(self, path: str) -> Waiter:
        return Waiter(path)

    @staticmethod
    def open(path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def got(self, waiter: Waiter, path: str) -> bool:
        """Whether a lock that nobody holds is held in the end; it is let go again."""
        fd, until = self.open(path), time.monotonic() + 5
        arrived = waiter.wait(fd, lambda: until - time.monotonic())
        if arrived:
            os.close(fd)
        return arrived

    def free(self, path: str) -> bool:
        fd = self.open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @staticmethod
    def until(reached: Any) -> None:
        end = time.monotonic() + 20
        while not reached():
            assert time.monotonic() < end
            time.sleep(0.001)  # nothing tells when another thread has come so far

    @staticmethod
    def threads(path: str) -> int:
        return sum(thread.name == path for thread in threading.enumerate())

    def test_one_thread_serves_the_waits_and_another_those_after_it_has_gone(
        self, waiter: Waiter, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert [self.got(waiter, path) for _ in range(3)] == [True] * 3
        assert self.threads(path) == 1
        monkeypatch.setattr(module, "_STAYS_S", 0.001)
        assert self.got(waiter, path)
        self.until(lambda: self.threads(path) == 0)
        assert self.got(waiter, path)

    def test_asked_at_the_moment_at_which_it_would_go_it_stays(self, waiter: Waiter, path: str) -> None:
        asked = waiter._asked  # pyright: ignore[reportPrivateUsage]

        class TooLate:
            due = True

            def acquire(self, timeout: float) -> bool:
                taken = asked.acquire(timeout=timeout)
                if taken and self.due:
                    self.due = False
                    asked.release()
                    return False
                return taken

            def release(self) -> None:
                asked.release()

        waiter._asked = TooLate()  # type: ignore[assignment] # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        assert [self.got(waiter, path) for _ in range(2)] == [True] * 2

    def test_given_up_when_the_lock_has_just_come_it_is_let_go(self, waiter: Waiter, path: str) -> None:
        def left() -> float:
            self.until(lambda: waiter._holds)  # pyright: ignore[reportPrivateUsage]
            return 0

        fd = self.open(path)
        copy = os.dup(fd)  # as a child has that was forked meanwhile
        assert not waiter.wait(fd, left)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        assert self.free(path)
        os.close(copy)
        self.until(lambda: self.threads(path) == 0)

    def test_given_up_before_the_lock_comes_it_is_let_go_then(self, waiter: Waiter, path: str) -> None:
        """And not before: the descriptor's number would be somebody else's by then."""
        assert self.got(waiter, path)
        holder, fd = self.open(path), self.open(path)
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert not waiter.wait(fd, lambda: 0)
        os.fstat(fd)
        os.close(holder)
        self.until(lambda: self.threads(path) == 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        assert self.free(path)
