"""What a session costs beside a bare browser: time of a life, of an operation, and memory. Real Chromium on each side.

The floor of a life is bare Playwright launching the same binary; of an operation, Playwright connected to a DevTools
port of a browser with the very switches that ours has; of memory, that browser's process tree.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.site import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["ROWS"]

#: sessions that keep the machine busy in `busy_*`
BUSY: Final = 10
#: how long a memory reading waits for a browser to come to rest
_REST_S: Final = 2.0
#: what keeps a browser from looking for a network that is not there, and what root needs: ours adds them by itself
_QUIET: Final = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
)


def _binary() -> str:
    from lifecycle_chromium.find import find_browser

    return str(find_browser(headless=True).path)


def cold_session(side: str, directory: Path, size: int) -> float:
    """From nothing to nothing: imports, browser, first page, everything closed; a life of its own."""
    return _first_and_second(side, directory, size)[0]


def second_session(side: str, directory: Path, size: int) -> float:
    """The same once more in the same process."""
    return _first_and_second(side, directory, size)[1]


def _first_and_second(side: str, directory: Path, size: int) -> tuple[float, float]:
    with serve() as site:
        return _ours_lives(directory, site, size) if side == "ours" else _bare_lives(site, size)


def _ours_lives(directory: Path, site: str, size: int) -> tuple[float, float]:
    began = time.perf_counter()
    from lifecycle import Client

    took: list[float] = []
    with Client(directory / "sessions.db") as client:
        for _ in range(1 + size):
            with client.Session(headless=True) as session:
                session.page.goto(site)
            took.append(time.perf_counter() - began)
            began = time.perf_counter()
    return took[0], statistics.median(took[1:])


def _bare_lives(site: str, size: int) -> tuple[float, float]:
    binary = _binary()
    began = time.perf_counter()
    from playwright.sync_api import sync_playwright

    took: list[float] = []
    with sync_playwright() as playwright:
        for _ in range(1 + size):
            browser = playwright.chromium.launch(executable_path=binary, args=list(_QUIET))
            page = browser.new_context().new_page()
            page.goto(site)
            browser.close()
            took.append(time.perf_counter() - began)
            began = time.perf_counter()
    return took[0], statistics.median(took[1:])


@contextmanager
def _bare_browser(directory: Path) -> Generator[tuple[str, int]]:
    """A browser with our switches and a DevTools port: its address and pid."""
    from lifecycle_chromium.switches import arguments

    profile = directory / f"profile-{time.monotonic_ns()}"
    profile.mkdir()
    switches = [switch for switch in arguments(profile, headless=True) if switch != "--remote-debugging-pipe"]
    command = [_binary(), "--remote-debugging-port=0", *_QUIET, *switches]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = profile / "DevToolsActivePort"
        while not (found.exists() and found.read_text().count("\n")):
            if browser.poll() is not None:
                raise SystemExit(f"the bare browser ended with {browser.returncode}")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{found.read_text().split()[0]}", browser.pid
    finally:
        browser.terminate()
        browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


@contextmanager
def _page(side: str, directory: Path, site: str) -> Generator[Any]:
    """A loaded page: through the gate, or straight through a DevTools port."""
    if side == "ours":
        from lifecycle import Client

        with Client(directory / "sessions.db") as client, client.Session(headless=True) as session:
            session.page.goto(f"{site}/form")
            yield session.page
        return
    from playwright.sync_api import sync_playwright

    with _bare_browser(directory) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(address)
        page = browser.contexts[0].new_page()
        page.goto(f"{site}/form")
        yield page
        browser.close()


_OPERATIONS: Final[dict[str, Callable[[Any], object]]] = {
    "title": lambda page: page.title(),
    "evaluate": lambda page: page.evaluate("1 + 1"),
    "click": lambda page: page.click("input"),
    "screenshot": lambda page: page.screenshot(),
}


def _operation(name: str, side: str, directory: Path, size: int, *, busy: bool = False) -> float:
    """Median seconds of one operation, of *size* after a tenth as many that don't count."""
    with serve() as site, ExitStack() as around:
        if busy:
            around.enter_context(_company(side, directory))
        page = around.enter_context(_page(side, directory, site))
        act = _OPERATIONS[name]
        took: list[float] = []
        for _ in range(size + size // 10):
            began = time.perf_counter()
            act(page)
            took.append(time.perf_counter() - began)
        return statistics.median(took[-size:])


@contextmanager
def _company(side: str, directory: Path) -> Generator[None]:
    """As many other browsers as BUSY, each asked something twenty times a second, in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.browsers", side, str(directory)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin
    assert other.stdout
    try:
        if other.stdout.readline() != b"ready\n":
            raise SystemExit("the busy sessions did not come up")
        yield
    finally:
        other.stdin.close()
        other.wait()
        other.stdout.close()


def _keep_company(side: str, directory: Path) -> None:
    import asyncio

    over = threading.Event()

    def hear() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=hear, daemon=True).start()

    async def ask(page: Any) -> None:
        while not over.is_set():
            await page.evaluate("document.title")
            await asyncio.sleep(0.05)

    async def ours() -> None:
        from lifecycle import AsyncClient

        async with AsyncClient(directory / "sessions.db") as client:
            sessions = [client.Session(headless=True) for _ in range(BUSY)]
            for session in sessions:
                await session.start()
            print("ready", flush=True)
            await asyncio.gather(*(ask(session.page) for session in sessions))
            await asyncio.gather(*(session.stop() for session in sessions))

    async def bare() -> None:
        from playwright.async_api import async_playwright

        with ExitStack() as around:
            addresses = [around.enter_context(_bare_browser(directory))[0] for _ in range(BUSY)]
            async with async_playwright() as playwright:
                browsers = [await playwright.chromium.connect_over_cdp(address) for address in addresses]
                pages = [await browser.contexts[0].new_page() for browser in browsers]
                print("ready", flush=True)
                await asyncio.gather(*(ask(page) for page in pages))

    asyncio.run(ours() if side == "ours" else bare())


def keeper_memory(side: str, directory: Path, size: int) -> float:
    """Bytes (PSS) of the keeper of one session; the floor is a bare browser's process tree with the same page."""
    return _memory(side, directory, (1,))[0]


def session_memory(side: str, directory: Path, size: int) -> float:
    """Bytes by which the keeper grows with each further session, of *size*; the floor as above."""
    if side == "floor":
        return _memory(side, directory, (1,))[0]
    one, several = _memory(side, directory, (1, 1 + size))
    return (several - one) / size


def _memory(side: str, directory: Path, counts: tuple[int, ...]) -> list[float]:
    with serve() as site, ExitStack() as around:
        if side == "floor":
            address, pid = around.enter_context(_bare_browser(directory))
            from playwright.sync_api import sync_playwright

            playwright = around.enter_context(sync_playwright())
            browser = playwright.chromium.connect_over_cdp(address)
            browser.contexts[0].new_page().goto(site)
            time.sleep(_REST_S)
            return [float(sum(map(_pss, _tree(pid))))]
        from lifecycle import Client

        client = around.enter_context(Client(directory / "sessions.db"))
        sessions: list[Any] = []
        found: list[float] = []
        for count in counts:
            while len(sessions) < count:
                session = client.Session(headless=True).start()
                sessions.append(session)
                session.page.goto(site)
            time.sleep(_REST_S)
            [keeper] = [pid for pid in _tree(os.getpid()) if b"lifecycle_chromium.keeper" in _command(pid)]
            found.append(float(_pss(keeper)))
        for session in sessions:
            session.stop()
        return found


def _tree(pid: int) -> list[int]:
    """*pid* and all that it and they have started."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _pss(pid: int) -> int:
    """Its share of memory, bytes: what it has alone, and its part of what it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


ROWS: Final[dict[str, Callable[[str, Path, int], float]]] = {
    "cold_session": cold_session,
    "second_session": second_session,
    "keeper_memory": keeper_memory,
    "session_memory": session_memory,
    **{f"gate_{name}": partial(_operation, name) for name in _OPERATIONS},
    **{f"busy_{name}": partial(_operation, name, busy=True) for name in _OPERATIONS},
}

if __name__ == "__main__":
    _keep_company(sys.argv[1], Path(sys.argv[2]))
