"""Puppeteer on a session of ours: run by hand, since it installs from npm (10 s) and needs Node.

    python tests/recipes/puppeteer.py

It drives the session, is killed with SIGKILL in the middle of it, comes back, disconnects; the session outlives all of
that and ends when its block does. Then Puppeteer closes a browser behind our back, and the history says so.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from lifecycle import Cause, Client, Session, State

BUILD = Path(__file__).parents[2] / "build" / "puppeteer"
BEGIN = """
const puppeteer = require('puppeteer-core')
async function main() {
  const browser = await puppeteer.connect({browserWSEndpoint: process.argv[1], defaultViewport: null})
  const [page] = await browser.pages()
  await page.goto('data:text/html,<title>' + process.argv[2] + '</title>')
  console.log(JSON.stringify({title: await page.title(), version: await browser.version()}))
"""
LEAVES = BEGIN + "  await browser.disconnect()\n}\nmain()"
STAYS = BEGIN + "  await new Promise(() => setInterval(() => {}, 1000))\n}\nmain()"
CLOSES = BEGIN + "  await browser.close()\n}\nmain()"


def start(script: str, session: Session, title: str) -> subprocess.Popen[str]:
    """Node with *script*, once it has seen its own title."""
    node = subprocess.Popen(
        ["node", "-e", script, session.cdp_url() + "?client=puppeteer", title],
        cwd=BUILD,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert node.stdout is not None
    assert json.loads(node.stdout.readline())["title"] == title
    return node


def main() -> None:
    """Run all of it; AssertionError where it is not as told."""
    if not (BUILD / "node_modules/puppeteer-core").is_dir():
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "puppeteer-core@24"], cwd=BUILD, check=True)
    with tempfile.TemporaryDirectory(prefix="lc-", ignore_cleanup_errors=True) as folder:
        client = Client(Path(folder, "log.db"))
        with client.Session(page=False) as session:
            killed = start(STAYS, session, "killed")
            killed.kill()
            killed.wait()
            assert session.status().status is State.ACTIVE
            start(LEAVES, session, "leaves").wait()
            assert session.status().status is State.ACTIVE
        assert session.status().cause is Cause.STOPPED
        seen = [(step.name, step.data.get("client")) for step in client.history(session.session_id)]
        assert [who for name, who in seen if name == "client_connected"] == ["puppeteer#1", "puppeteer#2"], seen
        assert [name for name, _ in seen if name == "navigated"] == ["navigated"] * 2, seen

        with client.Session(page=False) as closed:
            start(CLOSES, closed, "closes").wait()
            ending = closed.wait_ended(10)
            assert ending is not None
            assert ending.cause is Cause.BROWSER_CLOSED, ending
        print(client.why(session.session_id))
        print(client.why(closed.session_id))


if __name__ == "__main__":
    main()
