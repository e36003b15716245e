"""Cookies across sessions with a real Chromium: loaded, saved on every ending that the keeper sees, told in the log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Client, InvalidConfig, Session, SqliteLog
from lifecycle.core.events import CookiesLoaded, SessionReleased
from lifecycle.log.codec import decode
from tests.client.world import until

pytestmark = pytest.mark.browser
COOKIE: dict[str, Any] = {
    "name": "who",
    "value": "canary-cookie-value",
    "domain": "example.com",
    "path": "/",
    "expires": 2_000_000_000,
    "httpOnly": False,
    "secure": True,
}


def _names(path: Path) -> list[str]:
    return [cookie["name"] for cookie in json.loads(path.read_text())]


def _released(client: Client, session: Session) -> SessionReleased:
    event = decode(client.log.read(session.session_id)[-1])
    assert isinstance(event, SessionReleased)
    return event


def test_cookies_survive_from_one_session_to_the_next(tmp_path: Path) -> None:
    client, file = Client(tmp_path / "log.db"), tmp_path / "cookies.json"
    with client.Session(page=False, cookie_file=file) as first:
        first.set_cookies([COOKIE])
    assert _released(client, first).receipts["cookies_count"] == 1
    with client.Session(page=False, cookie_file=file) as second:
        (found,) = second.get_cookies()
        assert (found["name"], found["value"]) == ("who", "canary-cookie-value")
        assert found["expires"] > time.time() + 300 * 86_400  # the browser cuts at 400 days
    loaded = [e for e in map(decode, client.log.read(second.session_id)) if isinstance(e, CookiesLoaded)]
    assert [event.count for event in loaded] == [1]
    assert _names(file) == ["who"]
    for written in [tmp_path / "log.db", *tmp_path.glob("log.db-*")]:
        assert b"canary-cookie-value" not in written.read_bytes()
    client.close()


def test_a_missing_file_is_fine_and_recorded(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db")
    with client.Session(page=False, cookie_file=tmp_path / "none.json") as session:
        pass
    events = [decode(row) for row in client.log.read(session.session_id)]
    (loaded,) = [event for event in events if isinstance(event, CookiesLoaded)]
    assert loaded.why_not == "there is no such file yet"
    client.close()


def test_a_malformed_file_starts_nothing(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InvalidConfig, match="cookie_file"):
        client.Session(cookie_file=tmp_path / "bad.json")
    assert client.sessions.list() == []
    client.close()


def test_a_cookie_that_the_browser_refuses_does_not_keep_the_others_out(tmp_path: Path) -> None:
    client, file = Client(tmp_path / "log.db"), tmp_path / "cookies.json"
    bad = {**COOKIE, "name": "no;such"}
    file.write_text(json.dumps([COOKIE, bad, {**COOKIE, "name": "second"}]))
    with client.Session(page=False, cookie_file=file) as session:
        assert sorted(cookie["name"] for cookie in session.get_cookies()) == ["second", "who"]
        with pytest.raises(InvalidConfig, match="the browser refuses them"):
            session.set_cookies([bad])
        assert session.status().status == "active"
    client.close()


def test_a_timeout_saves_them(tmp_path: Path) -> None:
    client, file = Client(tmp_path / "log.db"), tmp_path / "cookies.json"
    session = client.Session(page=False, cookie_file=file, idle_timeout_minutes=1 / 30).start()
    session.set_cookies([COOKIE])
    until(lambda: client.log.read(session.session_id)[-1].type == "session.released", "not in time")
    assert session.status().status == "timed_out"
    assert _names(file) == ["who"]
    client.close()


_OWNER = """
import sys, time
from lifecycle import Client
session = Client(sys.argv[1]).Session(page=False, cookie_file=sys.argv[2]).start()
session.set_cookies(cookie_file=sys.argv[3])
print(session.session_id, flush=True)
time.sleep(60)
"""


def test_a_killed_owner_does_not_lose_them(tmp_path: Path) -> None:
    given, file = tmp_path / "given.json", tmp_path / "cookies.json"
    given.write_text(json.dumps([COOKIE]))
    command = [sys.executable, "-c", _OWNER, str(tmp_path / "log.db"), str(file), str(given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        session_id = owner.stdout.readline().strip()
        os.kill(owner.pid, signal.SIGKILL)
    log = SqliteLog(tmp_path / "log.db")
    until(lambda: log.read(session_id)[-1].type == "session.released", "not in time")
    released = decode(log.read(session_id)[-1])
    assert isinstance(released, SessionReleased)
    assert released.receipts["cookies_count"] == 1
    assert _names(file) == ["who"]
    log.close()


def test_they_are_told_and_set_while_a_page_is_connected(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db")
    with client.Session() as session:
        session.set_cookies([COOKIE])
        assert [cookie["name"] for cookie in session.page.context.cookies()] == ["who"]
        with client.Session(session.session_id, page=False) as again:
            assert [cookie["name"] for cookie in again.get_cookies()] == ["who"]
    client.close()


def test_exactly_one_source_is_wanted(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db")
    with client.Session(page=False) as session:
        for arguments in ({}, {"cookies": [COOKIE], "cookie_file": "x.json"}):
            with pytest.raises(InvalidConfig, match="either"):
                session.set_cookies(**arguments)  # type: ignore[arg-type] # both, and neither
    client.close()
