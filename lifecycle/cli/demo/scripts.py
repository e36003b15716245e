"""The demo's scripts, each run as a process of its own: `python -m lifecycle.cli.demo.scripts NAME --log … --url …`.

Written as a user would write them. The last line of each one's stdout is what it saw, as JSON: its last view of the
session, the error that reached it, and what it noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from lifecycle import BrowserLost, Client, SessionTimedOut
from lifecycle.errors import NotStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifecycle import Session

__all__ = ["SCRIPTS", "main"]

#: Longer than the demo may take: who waits so long waits for his end.
_FOREVER_S: Final = 120


def normal(client: Client, url: str, labels: Mapping[str, str]) -> None:
    """Works, and leaves its block."""
    with client.Session(labels=labels, viewport_width=1024, viewport_height=768) as session:
        session.page.goto(url)
        session.page.get_by_text("Contact").click()
        session.page.locator("input").fill("Do you have tea?")
        session.page.get_by_role("button").click()
        title = session.page.title()
        session.annotate("sent", {"answer": title})
        _ready(session)
    _saw(session, title=title)


def raises(client: Client, url: str, labels: Mapping[str, str]) -> None:
    """Finds something that it did not expect."""
    session = client.Session(labels=labels)
    try:
        with session:
            session.page.goto(f"{url}/prices")
            _ready(session)
            if "Cocoa" not in session.page.inner_text("ul"):
                raise LookupError("no price for cocoa")
    finally:
        _saw(session, raised="LookupError")


def killed(client: Client, url: str, labels: Mapping[str, str]) -> None:
    """Waits in Playwright while somebody kills its browser."""
    session = client.Session(labels=labels)
    try:
        with session:
            session.page.goto(url)
            _ready(session)
            session.page.wait_for_timeout(_FOREVER_S * 1000)
    except BrowserLost as error:
        _saw(session, raised=type(error).__name__)


def idle(client: Client, url: str, labels: Mapping[str, str]) -> None:
    """Waits in Playwright for longer than its session may be idle."""
    session = client.Session(labels=labels, idle_timeout_minutes=IDLE_S / 60)
    try:
        with session:
            session.page.goto(url)
            _ready(session)
            session.page.wait_for_timeout(_FOREVER_S * 1000)
    except SessionTimedOut as error:
        _saw(session, raised=type(error).__name__)


def shared(client: Client, url: str, labels: Mapping[str, str]) -> None:
    """Lets somebody else use its session, and goes on with what he left."""
    with client.Session(labels=labels) as session:
        session.page.goto(url)
        _ready(session)
        sys.stdin.readline()  # until the visitor has gone
        found = session.page.url
    _saw(session, found=found)


def visitor(client: Client, url: str, session_id: str) -> None:
    """Attaches to a session of another process by its id, uses it, and leaves it running."""
    with client.Session(session_id) as session:
        session.page.goto(f"{url}/prices")
        session.annotate("visited", {"title": session.page.title()})
    _saw(session)


def orphan(client: Client, url: str, labels: Mapping[str, str]) -> None:
    """Gets killed itself."""
    with client.Session(labels=labels) as session:
        session.page.goto(url)
        _ready(session)
        time.sleep(_FOREVER_S)


#: How long the session of `idle` may be idle.
IDLE_S: Final = 8

SCRIPTS: Final[dict[str, Callable[[Client, str, Mapping[str, str]], None]]] = {
    script.__name__: script for script in (normal, raises, killed, idle, shared, orphan)
}


def _ready(session: Session) -> None:
    """Tell the director, by way of the log."""
    session.annotate("ready")


def _saw(session: Session, **noticed: Any) -> None:
    with contextlib.suppress(NotStarted):  # no browser was found, say; the error tells
        print(json.dumps({"view": session.status().model_dump(mode="json"), **noticed}), flush=True)


def main() -> None:
    """Run the script that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*SCRIPTS, "visitor"])
    parser.add_argument("--log", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--run", default="", help="which run of the demo this belongs to")
    parser.add_argument("--session", default="", help="the session to visit")
    given = parser.parse_args()
    client = Client(given.log, actor=f"{given.name}.py")
    if given.name == "visitor":
        visitor(client, given.url, given.session)
    else:
        SCRIPTS[given.name](client, given.url, {"demo": given.name, "run": given.run})


if __name__ == "__main__":
    main()
