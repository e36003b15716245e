"""A client that is used after its close(): the same answers from both twins, none of them a driver's or executor's."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from lifecycle import AsyncClient, Client, LogUnavailable, MemoryLog, SqliteLog
from lifecycle.errors import ClientClosed
from lifecycle.testing import FakeBrowser


def test_sync(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db", browser=FakeBrowser())
    running = client.Session(page=False).start()
    client.close()
    client.close()
    with pytest.raises(ClientClosed):
        client.Session(page=False).start()
    for asked in (client.sessions.list, running.status, running.touch, running.stop, client.reconcile):
        with pytest.raises(LogUnavailable, match="has been closed"):
            asked()


def test_async(tmp_path: Path) -> None:
    async def use() -> None:
        client = AsyncClient(tmp_path / "log.db", browser=FakeBrowser())
        running = await client.Session(page=False).start()
        client.close()
        client.close()
        with pytest.raises(ClientClosed):
            await client.Session(page=False).start()
        for asked in (client.sessions.list, running.status, running.touch, running.stop, client.reconcile):
            with pytest.raises(LogUnavailable, match="has been closed"):
                await asked()

    asyncio.run(use())


def test_an_async_client_that_was_closed_before_its_first_use_opens_nothing(tmp_path: Path) -> None:
    async def use() -> None:
        client = AsyncClient(tmp_path / "log.db", browser=FakeBrowser())
        client.close()
        with pytest.raises(ClientClosed):
            await client.sessions.list()

    asyncio.run(use())
    assert list(tmp_path.iterdir()) == []


def test_a_client_says_where_it_is_and_what_it_has(tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db", browser=FakeBrowser())
    assert repr(client) == f"<Client on sqlite:{tmp_path / 'log.db'}, 0 sessions of its own>"
    with client.Session(page=False):
        assert repr(client) == f"<Client on sqlite:{tmp_path / 'log.db'}, 1 session of its own>"
    client.close()
    assert repr(client) == "<Client closed>"
    with Client(MemoryLog(), browser=FakeBrowser()) as unnamed:
        assert repr(unnamed) == "<Client on MemoryLog, 0 sessions of its own>"


def test_an_async_client_says_so_too_and_opens_nothing_for_it(tmp_path: Path) -> None:
    async def use() -> None:
        client = AsyncClient(tmp_path / "log.db", browser=FakeBrowser())
        assert repr(client) == "<AsyncClient not open yet>"
        assert not os.listdir(tmp_path)
        async with client.Session(page=False):
            assert repr(client) == f"<AsyncClient on sqlite:{tmp_path / 'log.db'}, 1 session of its own>"
        client.close()
        assert repr(client) == "<AsyncClient closed>"

    asyncio.run(use())


def test_closing_does_not_hold_the_loop_up_for_a_call_that_waits_for_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a program that had the log locked, it stood still for half a minute."""
    free, closed = threading.Event(), threading.Event()
    close = SqliteLog.close

    def waits(log: SqliteLog) -> None:
        free.wait(5)
        close(log)
        closed.set()

    async def use() -> None:
        client = AsyncClient(tmp_path / "log.db", browser=FakeBrowser())
        assert await client.sessions.count() == 0
        client.close()
        assert not closed.is_set()

    monkeypatch.setattr(SqliteLog, "close", waits)
    asyncio.run(use())
    free.set()
    assert closed.wait(10)
