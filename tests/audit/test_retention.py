"""Forgetting leaves nothing behind but its receipt; a sealed log takes nothing but that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lifecycle import AsyncClient, Client
from lifecycle.audit import carry, retention
from lifecycle.audit.checkpoint import checkpoint, prove
from lifecycle.audit.export import export
from lifecycle.audit.note import make_key, open_checkpoint
from lifecycle.audit.retention import forget, seal
from lifecycle.audit.verify import verify
from lifecycle.core import LIVE
from lifecycle.errors import InvalidConfig, LogUnsuitable, SealedLog, UnknownSession
from lifecycle.log import MemoryLog, SqliteLog, driver, events, writing
from lifecycle.log.port import NO_STREAM
from lifecycle.log.receipts import LogContinued, LogForgotten
from lifecycle.testing.log_samples import T0, annotated, begin, closed, created, new, released
from tests.audit.tampering import KEY, written

if TYPE_CHECKING:
    from pathlib import Path


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if file.is_file())


def test_what_is_forgotten_is_nowhere_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = written(path, 20)
    before = checkpoint(log, KEY)
    proof = prove(log, "s-00004", 3, before)
    assert b"https://example.com/4" in on_disk(path)
    done = forget(log, "s-00004", new)
    assert done.rows == 4
    assert done.scrubbed
    content = on_disk(path)
    assert b"https://example.com/4" not in content
    assert b"no price 4" not in content
    assert b"https://example.com/7" in content
    found = verify(log, against=before)
    assert found.faults == ()
    assert found.forgotten == 4
    assert prove(log, "s-00004", 3, before) == proof
    (receipt,) = events(log.read("log"))
    assert isinstance(receipt, LogForgotten)
    assert (receipt.session_id, receipt.through_version, receipt.rows) == ("s-00004", 6, 4)
    session = log.sessions.get("s-00004")
    assert session is not None
    assert session.status == "error"
    assert session.error_message is None
    assert log.sessions.rebuild().equal
    log.close()


def test_annotations_are_forgotten_too(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path)
    begin(log, "s-1")
    log.append("s-1", [new(annotated(customer="Ada Lovelace")), new(closed()), new(released())], expected=2)
    forget(log, "s-1", new)
    assert b"Lovelace" not in on_disk(path)
    assert verify(log).ok
    log.close()


def test_forgetting_twice_leaves_one_receipt(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 5)
    assert forget(log, "s-00001", new).rows
    again = forget(log, "s-00001", new)
    assert (again.rows, again.scrubbed) == (0, True)
    assert log.head("log") == 1
    log.close()


def test_what_was_forgotten_is_told_so_though_it_could_not_be_scrubbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood in the log, and forget() raised an error that says that nothing was done."""

    def refused(_: object) -> bool:
        error = driver.sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode, error.sqlite_errorname = 8, "SQLITE_READONLY"
        raise error

    log = written(tmp_path / "log.db", 5)
    monkeypatch.setattr(writing, "truncate", refused)
    done = forget(log, "s-00001", new)
    assert (done.rows > 0, done.scrubbed) == (True, False)
    assert log.head("log") == 1
    log.close()


def test_a_session_that_lives_is_not_forgotten(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 9)
    with pytest.raises(LogUnsuitable, match="s-00008 has not ended"):
        forget(log, "s-00008", new)
    for name in ("nobody", "log"):
        with pytest.raises(UnknownSession):
            forget(log, name, new)
    with pytest.raises(LogUnsuitable, match="no file"):
        forget(MemoryLog(), "s-1", new)
    assert log.head("log") == 0
    log.close()


def test_an_import_knows_what_was_forgotten(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 5)
    forget(log, "s-00001", new)
    copy = SqliteLog(tmp_path / "copy.db")
    carry.import_lines(export(log, sessions=["s-00001"]), copy)
    assert verify(copy).ok
    log.close()
    copy.close()


def test_a_sealed_log_takes_nothing_more_and_the_next_begins_with_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    log = written(path, 8)
    signed = seal(log, KEY, new, tmp_path / "next.db")
    assert verify(log, against=signed).ok
    with pytest.raises(SealedLog, match="sealed"):
        log.append("s-new", [new(created("s-new", T0))], expected=NO_STREAM)
    with pytest.raises(InvalidConfig, match="not there yet"):
        seal(log, KEY, new, tmp_path / "next.db")
    assert seal(log, KEY, new) == signed
    following = SqliteLog(tmp_path / "next.db")
    (first,) = events(following.read_all(limit=10).events)
    assert isinstance(first, LogContinued)
    assert open_checkpoint(first.note, KEY.verifying) == signed
    assert following.sessions.list(now=0) == []
    begin(following, "s-new")
    assert verify(following).ok
    assert following.sessions.rebuild().sessions == 1
    # What is private can be forgotten still; what was signed holds.
    assert forget(log, "s-00001", new).rows
    assert verify(log, against=signed).ok
    log.close()
    following.close()


def test_a_sealed_log_has_one_log_that_follows_it(tmp_path: Path) -> None:
    log = written(tmp_path / "old.db", 8)
    seal(log, KEY, new, tmp_path / "next.db")
    with pytest.raises(LogUnsuitable, match=r"was sealed before, and next\.db follows it"):
        seal(log, KEY, new, tmp_path / "another.db")
    assert not (tmp_path / "another.db").exists()
    # What was interrupted before it made the log that follows is done again.
    (tmp_path / "next.db").unlink()
    seal(log, KEY, new, tmp_path / "next.db")
    assert (tmp_path / "next.db").exists()
    log.close()


def test_a_log_that_could_not_go_on_where_it_is_told_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip in the path sealed it for ever, with a log to follow it that could not be made."""

    def forbidden(*_: object) -> bool:  # root may write everywhere
        return False

    log = written(tmp_path / "old.db", 8)
    with pytest.raises(LogUnsuitable, match="does not exist"):
        seal(log, KEY, new, tmp_path / "nowhere" / "next.db")
    with monkeypatch.context() as patch:
        patch.setattr("os.access", forbidden)
        with pytest.raises(LogUnsuitable, match="directory can't be written"):
            seal(log, KEY, new, tmp_path / "next.db")
    assert log.head("log") == 0
    seal(log, KEY, new, tmp_path / "next.db")
    log.close()


def test_a_seal_that_was_interrupted_before_the_next_log_began_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was there and empty: every later call refused it."""

    def interrupted(where: Path) -> None:
        SqliteLog(where).close()
        raise KeyboardInterrupt

    log = written(tmp_path / "old.db", 8)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "open_log", interrupted)
        with pytest.raises(KeyboardInterrupt):
            seal(log, KEY, new, tmp_path / "next.db")
    assert (tmp_path / "next.db").exists()
    with pytest.raises(LogUnsuitable, match=r"was sealed before, and next\.db follows it"):
        seal(log, KEY, new, tmp_path / "another.db")
    signed = seal(log, KEY, new, tmp_path / "next.db")
    with SqliteLog(tmp_path / "next.db") as following:
        (first,) = events(following.read_all(limit=10).events)
    assert isinstance(first, LogContinued)
    assert first.note == signed.text
    log.close()


def test_a_log_that_was_sealed_without_one_gets_none(tmp_path: Path) -> None:
    log = written(tmp_path / "old.db", 8)
    seal(log, KEY, new)
    with pytest.raises(LogUnsuitable, match="was sealed before, and no log follows it"):
        seal(log, KEY, new, tmp_path / "next.db")
    assert not (tmp_path / "next.db").exists()
    log.close()


def test_a_log_in_which_something_lives_is_not_sealed(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 9)
    with pytest.raises(LogUnsuitable, match="such as s-00008"):
        seal(log, KEY, new, tmp_path / "next.db")
    assert not (tmp_path / "next.db").exists()
    assert log.head("log") == 0
    log.close()


def test_receipts_stand_in_their_own_stream_and_nothing_else_does() -> None:
    log = MemoryLog()
    with pytest.raises(InvalidConfig, match="receipts"):
        log.append("log", [new(created("s-1"))], expected=NO_STREAM)
    with pytest.raises(InvalidConfig, match="receipts"):
        log.append("s-1", [new(LogContinued(note="x"))], expected=NO_STREAM)


def test_the_client_lets_go_and_is_not_confused_by_receipts(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 8)
    log.close()

    make_key(tmp_path / "key", "example.com/a")
    with Client(tmp_path / "log.db") as client, Client(tmp_path / "log.db") as other:
        for each in (client, other):
            assert each.sessions.get("s-00001").error == "ValueError: no price 1"
        assert client.forget("s-00001").rows
        for each in (client, other):  # the other one may well be a process of its own, which hears of nothing
            assert each.sessions.get("s-00001").error == "ValueError"
        assert client.seal(tmp_path / "key", following=tmp_path / "next.db").size
        assert client.reconcile() == []
        assert client.check().ok
        assert client.backup(tmp_path / "backup.db").ok
        assert len(client.sessions.list()) == 8
        assert client.sessions.count(status=LIVE) == 0
        (tmp_path / "all.jsonl").write_text("".join(client.export()))
        assert client.check(tmp_path / "all.jsonl").ok
    with Client(tmp_path / "copy.db") as copy:
        assert copy.import_export(tmp_path / "all.jsonl").events
        assert copy.verify().ok


def test_the_async_client_does_the_same(tmp_path: Path) -> None:
    written(tmp_path / "log.db", 8).close()
    make_key(tmp_path / "key", "example.com/a")

    async def all_of_it() -> None:
        async with AsyncClient(tmp_path / "log.db") as client:
            taken = await client.checkpoint(tmp_path / "key", record=True)
            assert (await client.verify(against=taken)).ok
            assert (await client.prove("s-00000", 1, taken)).index == 0
            assert (await client.forget("s-00001")).rows
            assert (await client.check()).ok
            assert (await client.backup(tmp_path / "backup.db")).ok
            (tmp_path / "all.jsonl").write_text("".join([line async for line in client.export()]))
            assert (await client.seal(tmp_path / "key")).size
        async with AsyncClient(tmp_path / "copy.db") as copy:
            assert (await copy.import_export(tmp_path / "all.jsonl")).events
            assert (await copy.verify(against=taken)).ok

    asyncio.run(all_of_it())
