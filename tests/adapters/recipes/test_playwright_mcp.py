"""Playwright MCP on a session of ours, driven as an assistant drives it: JSON-RPC over stdio."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Client, State

pytestmark = pytest.mark.browser


class Server:
    """The MCP server, as `PLAYWRIGHT_MCP_CDP_ENDPOINT=URL npx @playwright/mcp` starts it."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.process = subprocess.Popen(
            ["node", "node_modules/@playwright/mcp/cli.js"],
            cwd=folder,
            env={**os.environ, "PLAYWRIGHT_MCP_CDP_ENDPOINT": endpoint},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._number = 0
        info = {"name": "test", "version": "1"}
        self._call("initialize", protocolVersion="2025-03-26", capabilities={}, clientInfo=info)
        self._send(method="notifications/initialized")

    def tool(self, name: str, **arguments: Any) -> str:
        text: str = self._call("tools/call", name=name, arguments=arguments)["result"]["content"][0]["text"]
        return text

    def _send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def _call(self, method: str, **params: Any) -> Any:
        assert self.process.stdout is not None
        self._number += 1
        self._send(id=self._number, method=method, params=params)
        while (answer := json.loads(self.process.stdout.readline())).get("id") != self._number:
            pass
        return answer

    def end(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_it_navigates_looks_and_goes_and_the_session_goes_on(client: Client, node_folder: Path, scheme: str) -> None:
    with client.Session(page=False) as session:
        url = session.cdp_url()
        if scheme == "http":  # it asks …/json/version, behind the token
            url = "http" + url.removeprefix("ws").partition("/devtools/")[0] + "/"
        server = Server(node_folder, f"{url}?client=mcp")
        assert "Page Title: hello" in server.tool("browser_navigate", url="data:text/html,<title>hello</title><h1>Hi")
        assert 'heading "Hi"' in server.tool("browser_snapshot")
        server.tool("browser_close")
        assert session.status().status is State.ACTIVE
        if scheme == "ws":
            assert server.end() == 0
        else:
            server.process.kill()
            server.end()
        assert session.status().status is State.ACTIVE
    steps = client.history(session.session_id)
    assert [step.data["client"] for step in steps if step.name == "client_connected"] == ["mcp#1"]
    assert "navigated" in [step.name for step in steps]
    assert session.status().cause == "stopped"
