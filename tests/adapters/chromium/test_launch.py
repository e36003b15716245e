"""Starting a browser: reachable through its pipe alone, gone with whoever holds it, and one clear error otherwise."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle_chromium.launch import LAST_WORDS_BYTES, BrowserProcess, Exit, LaunchError, launch
from lifecycle_chromium.pipe import CdpPipe
from lifecycle_chromium.process import find_by_profile, group_members, identify, is_alive, wait_gone, watch_exit
from tests.adapters.chromium.support import (
    SOON_S,
    Browser,
    binary,
    eventually,
    listening_sockets,
    running,
    script,
    sockets_of,
)

#: A browser that answers the first command, and then does what is appended.
ANSWERS = r"""
import os, signal, sys, time
os.read(3, 4096)
os.write(4, b'{"id":1,"result":{"product":"Fake/1","protocolVersion":"1.3"}}\0')
"""
SLEEP = "\nimport time; time.sleep(600)\n"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / f"profile-{uuid.uuid4()}"


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Path]:
    """Makes an executable Python script."""

    def make(body: str) -> Path:
        return script(tmp_path / "browser", body)

    return make


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def failure(binary: Path | str, profile: Path, *, timeout_s: float = SOON_S, **options: object) -> LaunchError:
    """What launching *binary* raises; checks that nothing of it is left."""
    with pytest.raises(LaunchError):  # the first launch of a process keeps two descriptors
        launch("/no/such/browser", profile=profile, headless=True)
    fds, threads = open_fds(), threading.active_count()
    with pytest.raises(LaunchError) as caught:
        launch(binary, profile=profile, headless=True, timeout_s=timeout_s, **options)  # type: ignore[arg-type]
    assert not profile.exists()
    assert find_by_profile(profile.name) == []
    assert eventually(lambda: threading.active_count() <= threads)
    assert open_fds() <= fds
    return caught.value


def end(process: BrowserProcess) -> Exit:
    ended = process.kill()
    os.close(process.read_fd)
    os.close(process.write_fd)
    return ended


@pytest.mark.browser
@pytest.mark.parametrize("full", [False, True], ids=["headless", "full"])
def test_a_browser_is_reachable_through_its_pipe_alone(tmp_path: Path, full: bool) -> None:
    with running(tmp_path, full=full) as browser:
        assert "Chrom" in browser.process.version["product"]
        assert is_alive(browser.process.identity)
        assert browser.process.pgid == os.getpgid(browser.process.pid) != os.getpgid(0)
        browser.evaluate("1")
        pids = group_members(browser.process.identity)
        assert len(pids) > 2
        assert sockets_of(pids) & listening_sockets() == set()
        assert not (browser.process.profile / "DevToolsActivePort").exists()


@pytest.mark.browser
def test_the_profile_is_for_its_user_only(browser: Browser) -> None:
    assert stat.S_IMODE(browser.process.profile.stat().st_mode) == 0o700


@pytest.mark.browser
@pytest.mark.parametrize("full", [False, True], ids=["headless", "full"])
def test_a_browser_ends_with_its_pipe_and_nothing_of_it_stays(tmp_path: Path, full: bool) -> None:
    with running(tmp_path, full=full) as browser:
        browser.evaluate("1")
        pids = group_members(browser.process.identity)
        browser.pipe.close()
        assert browser.process.wait(SOON_S) == Exit(0, None)
        assert wait_gone(pids, SOON_S) == []


@pytest.mark.browser
def test_a_killed_browser_ended_by_that_signal(browser: Browser) -> None:
    assert browser.process.poll() is None
    assert browser.process.wait(0) is None
    os.kill(browser.process.pid, signal.SIGKILL)
    assert browser.process.wait(SOON_S) == Exit(None, signal.SIGKILL)
    assert browser.process.poll() == Exit(None, signal.SIGKILL)


@pytest.mark.browser
def test_a_window_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    process = launch(binary(), profile=tmp_path / "p", headless=True, viewport=(801, 603))
    browser = Browser("p", process, CdpPipe(process.read_fd, process.write_fd))
    try:
        assert browser.evaluate("[outerWidth, outerHeight]") == [801, 603]
    finally:
        browser.pipe.close()
        process.kill()


@pytest.mark.parametrize(
    ("body", "code", "signum", "says"),
    [
        ("raise SystemExit(7)", 7, None, "ended with code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", None, signal.SIGSEGV, "ended with signal 11"),
        ("import sys; print('no display'); sys.exit('Missing X server')", 1, None, "its last words: Missing X server"),
        ("import os; os.read(3, 99); os.write(4, b'hello\\0')" + SLEEP, None, None, "not as a browser does"),
        ("import os; os.read(3, 99); os.write(4, b'[1]\\0')" + SLEEP, None, None, "not as a browser does"),
        ("import os; os.read(3, 99); [os.write(4, b'x' * 4096) for _ in range(99)]", None, None, "not as a browser"),
        ("import os; os.close(4)" + SLEEP, None, None, "closed its pipe"),
    ],
    ids=["exits", "crashes", "says why", "garbage", "wrong shape", "endless", "closes its pipe"],
)
def test_what_is_no_browser_is_one_clear_error(
    fake: Callable[..., Path], profile: Path, body: str, code: int | None, signum: int | None, says: str
) -> None:
    error = failure(fake(body), profile)
    assert (error.exit_code, error.signal) == (code, signum)
    assert says in str(error)


def test_what_never_answers_is_given_up_and_ended(fake: Callable[..., Path], profile: Path) -> None:
    error = failure(fake("print('thinking', flush=True)" + SLEEP), profile, timeout_s=1)
    assert "did not answer within 1 s" in str(error)
    assert error.last_words == "thinking\n"
    assert (error.exit_code, error.signal) == (None, None)


def test_what_no_thread_can_watch_is_ended(
    fake: Callable[..., Path], profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran on, with the ends of its pipe open, and its profile stayed."""
    start, binary = threading.Thread.start, fake(SLEEP)

    def exhausted(thread: threading.Thread) -> None:
        if thread.name.startswith("last-words"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", exhausted)
    assert "can't be watched: can't start new thread" in str(failure(binary, profile))


def test_what_it_started_is_ended_with_it(fake: Callable[..., Path], profile: Path) -> None:
    child = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True)" + SLEEP
    error = failure(fake(child), profile, timeout_s=1)
    assert wait_gone([int(error.last_words)], 0) == []


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("missing", "No such file or directory"),
        ("a directory", "Permission denied"),
        ("not executable", "Permission denied"),
        ("not a program", "Exec format error"),
        ("no interpreter", "No such file or directory"),
    ],
)
def test_what_cannot_be_started_is_one_clear_error(tmp_path: Path, profile: Path, what: str, says: str) -> None:
    match what:
        case "a directory":
            (tmp_path / "browser").mkdir()
        case "not executable" | "not a program":
            (tmp_path / "browser").write_text("text")
            (tmp_path / "browser").chmod(0o755 if what == "not a program" else 0o644)
        case "no interpreter":
            script(tmp_path / "browser", "", interpreter="/no/such/python")
        case _:
            pass
    error = failure(tmp_path / "browser", profile)
    assert str(error) == f"{tmp_path / 'browser'} can't be started: {says}"
    assert error.exit_code is None


def test_a_failed_exec_is_told_however_many_start_at_once_and_3_and_4_stay_taken(tmp_path: Path) -> None:
    """Free, they would be given to Popen's own error pipe one day, and be overwritten by the browser's pipes."""
    code = """
import os, sys, threading
from pathlib import Path
from lifecycle_chromium.launch import LaunchError, launch
os.closerange(3, 64)
said = []
def start(name):
    try:
        launch("/no/such/browser", profile=Path(sys.argv[1], name), headless=True)
    except LaunchError as error:
        said.append(str(error))
threads = [threading.Thread(target=start, args=(str(n),)) for n in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(said), *set(said), sep="\\n")
print(os.readlink("/proc/self/fd/3"), os.readlink("/proc/self/fd/4"))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "16\n/no/such/browser can't be started: No such file or directory\n/dev/null /dev/null\n"


@pytest.mark.parametrize(
    "arg",
    [
        "--remote-debugging-port=9222",
        "--remote-debugging-address=0.0.0.0",
        "--remote-debugging-pipe",
        "--remote-allow-origins=*",
        "--user-data-dir=/elsewhere",
        "--proxy-server=me:hunter2@proxy:3128",
        "--proxy-server=http://me:hunter2@proxy",
        "--host-rules=https://me:hunter2@x",
        "https://me:hunter2@example.com/",
        "--https://me:hunter2@example.com/",
        "-no-sandbox",
        "--x=\0",
        "",
    ],
)
def test_arguments_that_open_another_way_in_or_show_a_secret_are_refused(profile: Path, arg: str) -> None:
    error = failure("/bin/true", profile, args=[arg])
    assert "argument" in str(error)
    assert "hunter2" not in str(error) + repr(error)


def test_other_arguments_are_passed_on_after_ours(fake: Callable[..., Path], tmp_path: Path) -> None:
    body = ANSWERS + "print(*sys.argv[1:], sep='\\n', flush=True)" + SLEEP
    process = launch(fake(body), profile=tmp_path / "p", headless=True, args=["--lang=de", "--proxy-server=proxy:3128"])
    assert eventually(lambda: "about:blank" in process.last_words())
    said = process.last_words().splitlines()
    assert said[-3:] == ["--lang=de", "--proxy-server=proxy:3128", "about:blank"]
    assert {"--remote-debugging-pipe", f"--user-data-dir={tmp_path / 'p'}", "--headless", "--disable-quic"} <= set(said)
    assert not any(arg.startswith("--remote-debugging-port") for arg in said)
    assert ("--no-sandbox" in said) == (os.geteuid() == 0)
    end(process)


def test_the_environment_can_be_replaced(fake: Callable[..., Path], tmp_path: Path) -> None:
    body = ANSWERS + "print(sorted(os.environ)[:1], flush=True)" + SLEEP
    process = launch(fake(body), profile=tmp_path / "p", headless=True, env={"A": "1"})
    assert eventually(lambda: "['A']" in process.last_words())
    end(process)


def test_an_existing_profile_is_closed_to_others(fake: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(mode=0o755)
    end(launch(fake(ANSWERS + SLEEP), profile=tmp_path / "p", headless=True))
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o700


def test_a_profile_that_may_be_somebody_else_s_is_refused(fake: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "file").write_text("")
    for name in ("link", "file", "file/below"):
        with pytest.raises(LaunchError, match="the profile"):
            launch(fake(ANSWERS), profile=tmp_path / name, headless=True)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_user_s_profile_is_refused(fake: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(LaunchError, match="not a directory of this user"):
        launch(fake(ANSWERS), profile=tmp_path / "theirs", headless=True)


def test_of_what_it_prints_the_end_is_kept(fake: Callable[..., Path], tmp_path: Path) -> None:
    body = ANSWERS + "sys.stderr.write('x' * 10**6 + '\\0the end'); sys.exit(3)"
    process = launch(fake(body), profile=tmp_path / "p", headless=True)
    assert process.wait(SOON_S) == Exit(3, None)
    assert process.last_words().endswith("xthe end")
    assert len(process.last_words()) == LAST_WORDS_BYTES - 1
    end(process)


def test_an_exit_says_what_it_was() -> None:
    assert (str(Exit(7, None)), str(Exit(None, 9))) == ("code 7", "signal 9")


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(LaunchError("no", 1, None, "words")))
    assert (str(error), error.exit_code, error.signal, error.last_words) == ("no", 1, None, "words")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the pipe is the only cord")
def test_a_browser_deaf_to_its_pipe_dies_with_the_process_that_started_it(
    fake: Callable[..., Path], tmp_path: Path
) -> None:
    program = fake(ANSWERS + SLEEP)
    code = """
import sys, time
from pathlib import Path
from lifecycle_chromium.launch import launch
print(launch(sys.argv[1], profile=Path(sys.argv[2]), headless=True).pid, flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(program), str(tmp_path / "p")], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        browser = identify(int(owner.stdout.readline()))
        assert browser is not None
        with watch_exit(browser) as watch:
            assert not watch.wait(0)
            owner.kill()
            assert watch.wait(SOON_S)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the pipe is the only cord")
def test_a_browser_dies_with_the_thread_that_started_it(fake: Callable[..., Path], tmp_path: Path) -> None:
    """Why `launch` is called from a thread that lives on: this is what happens otherwise."""
    started: list[BrowserProcess] = []
    program = fake(ANSWERS + SLEEP)
    thread = threading.Thread(target=lambda: started.append(launch(program, profile=tmp_path / "p", headless=True)))
    thread.start()
    thread.join()
    assert started[0].wait(SOON_S) == Exit(None, signal.SIGKILL)
    end(started[0])
