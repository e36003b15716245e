"""The reference page's examples, restated: the same calls with our client, in both twins.

Each is a whole script: it reads its site from the command line and its log from $LIFECYCLE_LOG, as a user's would.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

__all__ = ["EXAMPLES", "Example"]


@dataclass(frozen=True)
class Example:
    """One block of the page: its two scripts, what they print, and how their newest session must have ended."""

    name: str
    sync: str
    twin: str
    prints: tuple[str, ...]  # regular expressions, one a line
    status: str | None = "closed"
    cause: str | None = "stopped"


_SYNC = "import sys, time\nfrom lifecycle import Client\nSITE = sys.argv[1]\nclient = Client()\n"
_TWIN = "import asyncio, sys\nfrom lifecycle import AsyncClient\nSITE = sys.argv[1]\nclient = AsyncClient()\n"


def _both(
    name: str,
    sync: str,
    twin: str,
    *prints: str,
    status: str | None = "closed",
    cause: str | None = "stopped",
) -> Example:
    body = textwrap.indent(textwrap.dedent(twin).strip(), "    ")
    return Example(
        name,
        _SYNC + textwrap.dedent(sync).strip() + "\n",
        f"{_TWIN}async def main():\n{body}\nasyncio.run(main())\n",
        prints,
        status,
        cause,
    )


_ID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00:00"

EXAMPLES = (
    _both(
        "create with a context manager",
        """
        with client.Session(headless=True, timeout_minutes=10, viewport_width=1920, viewport_height=1080) as session:
            print(session.session_id, session.status().status)
            page = session.page
            page.goto(SITE)
            print(page.title(), page.evaluate("[innerWidth, innerHeight]"))
        print(client.sessions.get(session.session_id).status)
        """,
        """
        async with client.Session(
            headless=True, timeout_minutes=10, viewport_width=1920, viewport_height=1080
        ) as session:
            print(session.session_id, (await session.status()).status)
            page = session.page
            await page.goto(SITE)
            print(await page.title(), await page.evaluate("[innerWidth, innerHeight]"))
        print((await client.sessions.get(session.session_id)).status)
        """,
        f"{_ID} active",
        r"/ \[1920, 1080\]",
        "closed",
    ),
    _both(
        "create by hand",
        """
        session = client.Session(timeout_minutes=10)
        print(session.response)
        session.start()
        try:
            print(session.session_id)
            session.page.goto(SITE)
        finally:
            session.stop()
        """,
        """
        session = client.Session(timeout_minutes=10)
        print(session.response)
        await session.start()
        try:
            print(session.session_id)
            await session.page.goto(SITE)
        finally:
            await session.stop()
        """,
        "None",
        _ID,
    ),
    _both(
        "details of a session",
        """
        with client.Session() as session:
            status = session.status()
            print(status.session_id == session.session_id)
            print(status.status)
            print(status.created_at)
            print(status.last_accessed_at)
            print(status.closed_at)
            print(status.timeout_minutes, type(status.timeout_minutes).__name__)
            print(type(status.duration).__name__, status.duration.total_seconds() < 60)
            print(session.cdp_url()[:15])
        """,
        """
        async with client.Session() as session:
            status = await session.status()
            print(status.session_id == session.session_id)
            print(status.status)
            print(status.created_at)
            print(status.last_accessed_at)
            print(status.closed_at)
            print(status.timeout_minutes, type(status.timeout_minutes).__name__)
            print(type(status.duration).__name__, status.duration.total_seconds() < 60)
            print((await session.cdp_url())[:15])
        """,
        "True",
        "active",
        _TIME,
        _TIME,
        "None",
        "3 int",
        "timedelta True",
        "ws://127.0.0.1:",
    ),
    _both(
        "list sessions",
        """
        with client.Session(page=False):
            pass
        with client.Session(page=False) as live:
            sessions = client.sessions.list()
            print(len(sessions))
            for one in sessions:
                print(one.session_id, one.status, one.created_at, one.duration)
            active = client.sessions.list(status="active")
            print(len(active), active[0].session_id == live.session_id)
        """,
        """
        async with client.Session(page=False):
            pass
        async with client.Session(page=False) as live:
            sessions = await client.sessions.list()
            print(len(sessions))
            for one in sessions:
                print(one.session_id, one.status, one.created_at, one.duration)
            active = await client.sessions.list(status="active")
            print(len(active), active[0].session_id == live.session_id)
        """,
        "2",
        f"{_ID} active {_TIME} 0:00:.*",
        f"{_ID} closed {_TIME} 0:00:.*",
        "1 True",
    ),
    _both(
        "stop by hand, twice",
        """
        session = client.Session()
        session.start()
        print(session.stop().status)
        print(session.stop().status)
        """,
        """
        session = client.Session()
        await session.start()
        print((await session.stop()).status)
        print((await session.stop()).status)
        """,
        "closed",
        "closed",
    ),
    _both(
        "the whole life, with cookies and a screenshot",
        """
        with client.Session(headless=False, timeout_minutes=10, cookie_file="cookies.json") as session:
            print(session.viewer_url()[:17])
            page = session.page
            page.goto(SITE)
            page.evaluate("document.cookie = 'who=me; max-age=3600'")
            print(page.title())
            page.screenshot(path="screenshot.png")
            time.sleep(0.1)
        import json, pathlib
        print(pathlib.Path("screenshot.png").read_bytes()[1:4])
        print("who" in [cookie["name"] for cookie in json.loads(pathlib.Path("cookies.json").read_text())])
        """,
        """
        async with client.Session(headless=False, timeout_minutes=10, cookie_file="cookies.json") as session:
            print((await session.viewer_url())[:17])
            page = session.page
            await page.goto(SITE)
            await page.evaluate("document.cookie = 'who=me; max-age=3600'")
            print(await page.title())
            await page.screenshot(path="screenshot.png")
            await asyncio.sleep(0.1)
        import json, pathlib
        print(pathlib.Path("screenshot.png").read_bytes()[1:4])
        print("who" in [cookie["name"] for cookie in json.loads(pathlib.Path("cookies.json").read_text())])
        """,
        "http://127.0.0.1:",
        "/",
        "b'PNG'",
        "True",
    ),
    _both(
        "connect to a session that lives",
        """
        with client.Session() as first:
            first.page.goto(SITE)
            with client.Session(first.session_id) as session:
                print(session.session_id == first.session_id, session.status().status)
                print(session.page.title())
                session.page.goto(SITE + "/second")
            print(first.status().status, first.page.title())
        """,
        """
        async with client.Session() as first:
            await first.page.goto(SITE)
            async with client.Session(first.session_id) as session:
                print(session.session_id == first.session_id, (await session.status()).status)
                print(await session.page.title())
                await session.page.goto(SITE + "/second")
            print((await first.status()).status, await first.page.title())
        """,
        "True active",
        "/",
        "active /second",
    ),
    _both(
        "an error cleans up by itself",
        """
        try:
            with client.Session() as session:
                session.page.goto(SITE)
                raise ValueError("wrong on purpose")
        except ValueError as error:
            print(error, client.sessions.list(status="active"))
        """,
        """
        try:
            async with client.Session() as session:
                await session.page.goto(SITE)
                raise ValueError("wrong on purpose")
        except ValueError as error:
            print(error, await client.sessions.list(status="active"))
        """,
        r"wrong on purpose \[\]",
        status="error",
        cause="exception",
    ),
    _both(
        "errors handled by hand",
        """
        session = None
        try:
            session = client.Session()
            session.start()
            session.page.goto("http://127.0.0.1:9/")
        except Exception as error:
            print(type(error).__name__)
        finally:
            if session is not None:
                session.stop()
                print("stopped")
        """,
        """
        session = None
        try:
            session = client.Session()
            await session.start()
            await session.page.goto("http://127.0.0.1:9/")
        except Exception as error:
            print(type(error).__name__)
        finally:
            if session is not None:
                await session.stop()
                print("stopped")
        """,
        "Error",
        "stopped",
    ),
    _both(
        "an idle timeout above the default maximum",
        """
        with client.Session(idle_timeout_minutes=20, page=False) as session:
            status = session.status()
            print(status.idle_timeout_minutes, status.timeout_minutes, status.max_duration_minutes)
        """,
        """
        async with client.Session(idle_timeout_minutes=20, page=False) as session:
            status = await session.status()
            print(status.idle_timeout_minutes, status.timeout_minutes, status.max_duration_minutes)
        """,
        "20 20 20",
    ),
    _both(
        "look before a long piece of work",
        """
        with client.Session(page=False) as session:
            if session.status().status != "active":
                raise Exception("not active any more")
            print("going on")
        """,
        """
        async with client.Session(page=False) as session:
            if (await session.status()).status != "active":
                raise Exception("not active any more")
            print("going on")
        """,
        "going on",
    ),
)

#: A handler of the script's own turns Ctrl-C into a clean exit: the script, and the cause that its session has.
INTERRUPTED = {
    "sync": (
        """
import signal, sys
from lifecycle import Client
client = Client()
def interrupted(number, frame):
    print("interrupted, cleaning up")
    sys.exit(0)
signal.signal(signal.SIGINT, interrupted)
with client.Session() as session:
    print("ready", flush=True)
    session.page.wait_for_timeout(60_000)
""",
        "exited",
    ),
    "async": (
        """
import asyncio, signal, sys
from lifecycle import AsyncClient
client = AsyncClient()
def interrupted(number, frame):
    print("interrupted, cleaning up")
    sys.exit(0)
signal.signal(signal.SIGINT, interrupted)
async def main():
    async with client.Session() as session:
        asyncio.get_running_loop().call_later(0.2, lambda: print("ready", flush=True))  # once the task waits
        await session.page.wait_for_timeout(60_000)
asyncio.run(main())
""",
        "cancelled",
    ),
}
