"""verify() finds what was changed, names it, and changes nothing by looking."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lifecycle.audit import histories
from lifecycle.audit import verify as verifying
from lifecycle.audit.checkpoint import Tree, checkpoint
from lifecycle.audit.note import sign
from lifecycle.audit.verify import Fault, Verification, verify
from lifecycle.errors import HistoryError, InvalidConfig, LogTampered, LogUnavailable
from lifecycle.log import ANY, MemoryLog, SqliteLog
from lifecycle.log.material import material
from lifecycle.log.receipts import LogCheckpointed, LogForgotten
from lifecycle.log.schema import RECORD
from lifecycle.projections import shelf
from lifecycle.projections.rows import COLUMNS
from lifecycle.testing.log_samples import (
    MAX,
    SECOND,
    T0,
    annotated,
    begin,
    closed,
    failed,
    navigated,
    new,
    released,
)
from tests.audit.tampering import KEY, checkpointed, damage, everything, place_of, rehash, unguarded, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle.audit.note import Checkpoint
    from lifecycle.log.port import EventLog, Recorded


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """A closed log of 60 sessions, and a checkpoint of all of it."""
    path = tmp_path_factory.mktemp("original") / "log.db"
    log = written(path, 60)
    taken = checkpointed(log)
    log.close()
    return path, taken


@pytest.fixture
def path(original: tuple[Path, Checkpoint], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copy(original[0], tmp_path))


def looked_at(path: Path, against: Checkpoint | None = None) -> Verification:
    log = SqliteLog(path, create=False, read_only=True)
    try:
        return verify(log, against=against)
    finally:
        log.close()


def first(path: Path, against: Checkpoint | None = None) -> Fault:
    found = looked_at(path, against)
    assert not found.ok
    return found.faults[0]


def test_a_sound_log_verifies_alone_and_against_its_checkpoint(original: tuple[Path, Checkpoint]) -> None:
    path, taken = original
    before = everything(path)
    found = looked_at(path, taken)
    assert found.faults == ()
    assert found.events == taken.size + 1
    assert found.sessions == 60
    assert everything(path) == before


def test_a_log_in_memory_verifies_through_its_port() -> None:
    log = MemoryLog()
    begin(log, "s-1")
    log.append("s-1", [new(annotated())], expected=2)
    assert verify(log, against=checkpoint(log, KEY)).ok


def test_a_session_that_goes_on_meanwhile_is_no_fault(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    begin(log, "s-1")
    began = False

    def goes_on(done: int, total: int) -> None:
        nonlocal began
        if not began:
            began = True
            log.append("s-1", [new(annotated())], expected=2)

    assert verify(log, progress=goes_on).faults == ()
    assert began
    log.close()


def test_a_changed_column_is_named_with_both_hashes(path: Path) -> None:
    with unguarded(path) as conn:
        (was,) = conn.execute("SELECT hash FROM events WHERE stream = 's-00003' AND version = 2").fetchone()
        conn.execute("UPDATE events SET actor = 'nobody' WHERE stream = 's-00003' AND version = 2")
    fault = first(path)
    assert (fault.where, fault.stream, fault.version, fault.expected) == ("events", "s-00003", 2, was)
    assert fault.found != was
    assert len(fault.found) == 64
    assert looked_at(path).more == 0


def test_a_missing_event_is_named_by_its_place(path: Path) -> None:
    with unguarded(path) as conn:
        conn.execute("DELETE FROM events WHERE stream = 's-00003' AND version = 2")
    fault = first(path)
    assert (fault.what, fault.stream, fault.version) == ("the position", "s-00003", 3)
    found = looked_at(path)
    assert found.size == found.events + 1  # what stands behind it keeps its place in the tree


def test_two_events_that_changed_places_are_found_with_the_checkpoint(
    path: Path, original: tuple[Path, Checkpoint]
) -> None:
    """Positions are not hashed: a position is the tree's business."""
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET position = 1000000 WHERE position = 2")
        conn.execute("UPDATE events SET position = 2 WHERE stream = 's-00002' AND version = 1")
        (left,) = conn.execute("SELECT version FROM events WHERE position = 1000000").fetchone()
        assert left == 2
        (free,) = conn.execute(
            "SELECT min(e.position) + 1 FROM events AS e WHERE NOT EXISTS"
            " (SELECT 1 FROM events WHERE position = e.position + 1)"
        ).fetchone()
        conn.execute("UPDATE events SET position = ? WHERE position = 1000000", (free,))
        conn.execute("UPDATE sqlite_sequence SET seq = (SELECT max(position) FROM events)")
    assert not looked_at(path, original[1]).ok


def test_a_forgotten_part_without_a_receipt_is_a_fault(path: Path) -> None:
    with unguarded(path) as conn:
        one = "SELECT event_id FROM events WHERE stream = 's-00001' AND version = 3"
        conn.execute(f"DELETE FROM private WHERE event_id = ({one})")
    fault = first(path)
    assert (fault.where, fault.stream, fault.version) == ("private", "s-00001", 3)


def test_a_receipt_covers_the_versions_up_to_the_one_that_it_names(path: Path) -> None:
    with unguarded(path) as conn:
        one = "SELECT event_id FROM events WHERE stream = 's-00001' AND version = 3"
        conn.execute(f"DELETE FROM private WHERE event_id = ({one})")
    for through, ok in ((2, False), (3, True)):
        with SqliteLog(path, synchronous="NORMAL") as log:
            receipt = LogForgotten(at=T0 + 1000 * MAX, session_id="s-00001", through_version=through, rows=1)
            log.append("log", [new(receipt)], expected=ANY)
        assert looked_at(path).ok is ok


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET status = 'closed' WHERE session_id = 's-00001'",
        "UPDATE sessions SET deadline = deadline + 1 WHERE session_id = 's-00008'",
        "DELETE FROM sessions WHERE session_id = 's-00001'",
        f"INSERT INTO sessions SELECT 'ghost', {', '.join(COLUMNS[1:])} FROM sessions WHERE session_id = 's-00000'",
        "DELETE FROM session_labels WHERE session_id = 's-00001' AND name = 'n'",
        "INSERT INTO session_labels VALUES ('job', 'daily', 1, 's-00001')",
        "INSERT INTO unreadable VALUES ('s-00001', 'because')",
        "UPDATE tree SET hash = zeroblob(32)",
        "INSERT INTO tree VALUES (9, 0, zeroblob(32))",
    ],
)
def test_a_read_model_that_says_something_else_is_a_fault(path: Path, change: str) -> None:
    with unguarded(path) as conn:
        conn.execute(change)
    assert not looked_at(path).ok


def test_rewritten_history_is_found_by_the_checkpoint_only(path: Path, original: tuple[Path, Checkpoint]) -> None:
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET actor = 'nobody' WHERE stream = 's-00003' AND version = 2")
        rehash(conn, "s-00003")
        conn.execute("DELETE FROM tree")
    assert looked_at(path).ok
    fault = first(path, original[1])
    assert (fault.where, fault.expected) == ("checkpoint", original[1].root.hex())


def test_an_end_cut_off_with_its_traces_is_found_by_the_checkpoint_only(
    path: Path, original: tuple[Path, Checkpoint]
) -> None:
    with unguarded(path) as conn:
        (last,) = conn.execute("SELECT min(position) FROM events WHERE stream = 's-00059'").fetchone()
        conn.execute("DELETE FROM private WHERE event_id IN (SELECT event_id FROM events WHERE position >= ?)", (last,))
        conn.execute("DELETE FROM events WHERE position >= ?", (last,))
        for table in ("sessions", "session_labels"):
            conn.execute(f"DELETE FROM {table} WHERE session_id = 's-00059'")
        conn.execute("DELETE FROM tree")
        conn.execute("UPDATE sqlite_sequence SET seq = ?", (last - 1,))
    assert looked_at(path).ok
    fault = first(path, original[1])
    assert (fault.what, fault.found) == ("how many events there are", str(last - 1))


def test_a_deleted_session_with_all_positions_moved_up_is_found_by_the_checkpoint(
    path: Path, original: tuple[Path, Checkpoint]
) -> None:
    with unguarded(path) as conn:
        conn.execute("DELETE FROM private WHERE event_id IN (SELECT event_id FROM events WHERE stream = 's-00003')")
        conn.execute("DELETE FROM events WHERE stream = 's-00003'")
        for table in ("sessions", "session_labels"):
            conn.execute(f"DELETE FROM {table} WHERE session_id = 's-00003'")
        kept = [position for (position,) in conn.execute("SELECT position FROM events ORDER BY position")]
        for place, position in enumerate(kept, start=1):
            conn.execute("UPDATE events SET position = ? WHERE position = ?", (place, position))
        conn.execute("DELETE FROM tree")
        conn.execute("UPDATE sqlite_sequence SET seq = ?", (len(kept),))
    found = looked_at(path)
    assert found.ok
    assert first(path, original[1]).where == "checkpoint"


def test_a_guard_that_is_gone_is_named_on_opening(path: Path) -> None:
    with unguarded(path) as conn:
        pass
    with unguarded(path) as conn:
        conn.execute(RECORD["events_no_delete"])  # so that leaving the block fails on it alone
        conn.execute("DROP TRIGGER events_no_delete")
        conn.execute("DROP INDEX events_one_ending")
    with pytest.raises(LogTampered, match="events_one_ending is missing"):
        looked_at(path)
    with pytest.raises(InvalidConfig, match="only with read_only=True"):
        SqliteLog(path, damaged=True)
    with SqliteLog(path, read_only=True, damaged=True) as log:
        (fault,) = verify(log).faults
    assert "events_one_ending is missing" in str(fault)


@pytest.mark.parametrize("what", [b"tester", b"session.navigated", b"https://example.com/3", b"nightly"])
def test_a_flipped_byte_in_the_file_is_found(path: Path, what: bytes) -> None:
    damage(path, place_of(path, what), bytes([what[0] ^ 1]))
    assert not looked_at(path).ok


def test_a_byte_that_is_no_text_any_more_is_named_by_its_place(path: Path) -> None:
    at = place_of(path, b'{"cause":"stopped"')
    damage(path, at + 3, b"\xff")
    fault = first(path)
    assert (fault.where, fault.what) == ("events", "it can't be read")
    assert fault.position


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_found(path: Path, part: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    try:
        assert not looked_at(path).ok
    except HistoryError:
        return


def test_a_torn_write_ahead_log_is_found_with_the_checkpoint(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 12)
    taken = checkpointed(log)
    if log.durability.journal != "wal":
        pytest.skip("this SQLite writes no write-ahead log here")
    copy = tmp_path / "copy.db"
    shutil.copy(tmp_path / "log.db", copy)
    wal = (tmp_path / "log.db-wal").read_bytes()
    (tmp_path / "copy.db-wal").write_bytes(wal[: len(wal) * 9 // 10])
    log.close()
    assert first(copy, taken).where == "checkpoint"


def spoil_one(number: int) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with unguarded(path) as conn:
            conn.execute("UPDATE events SET writer = 'x' WHERE position % ? = 0", (number,))

    return spoil


def test_more_than_a_hundred_faults_are_counted(path: Path) -> None:
    spoil_one(2)(path)
    found = looked_at(path)
    assert len(found.faults) == 100
    assert found.more > 10


def test_an_event_of_a_newer_library_is_not_judged_and_its_hash_still_holds(path: Path) -> None:
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET type = 'session.teleported' WHERE stream = 's-00003' AND version = 3")
        conn.execute("DELETE FROM sessions WHERE session_id = 's-00003'")
        conn.execute("DELETE FROM session_labels WHERE session_id = 's-00003'")
        conn.execute("DELETE FROM tree")
        rehash(conn, "s-00003")
        reason = "unknown event type 'session.teleported'; read the stream raw, or upgrade"
        conn.execute("INSERT INTO unreadable VALUES ('s-00003', ?)", (reason,))
    found = looked_at(path)
    assert found.ok, found.faults
    assert list(found.newer) == ["s-00003"]


@pytest.mark.parametrize("event_type", ["session.teleported", "fleet.started"])
def test_what_a_newer_library_adds_to_the_same_log_is_no_fault(path: Path, event_type: str) -> None:
    """It can read its own events, and so says of no stream that it can't be read: the older one failed the log."""
    with unguarded(path) as conn:
        (stream,) = conn.execute("SELECT session_id FROM sessions WHERE released = 0 LIMIT 1").fetchone()
        stream = stream if event_type.startswith("session.") else "fleet-1"
        conn.execute(
            "INSERT INTO events SELECT (SELECT max(position) FROM events) + 1, 'newer', ?,"
            " (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = ?), ?, 1, at, recorded_at, actor,"
            " writer, NULL, NULL, '{}', NULL, hash FROM events ORDER BY position DESC LIMIT 1",
            (stream, stream, event_type),
        )
        conn.execute("UPDATE sessions SET version = version + 1 WHERE session_id = ?", (stream,))
        rehash(conn, stream)
    found = looked_at(path)
    assert found.ok, found.faults
    assert list(found.newer) == [stream]


def test_a_forged_checkpoint_does_not_say_how_much_there_is_to_look_for(tmp_path: Path) -> None:
    """One of ten million times a billion events had verify count the hashes that should be stored for them."""
    log = written(tmp_path / "log.db", 3)
    tree = Tree(material(log))
    log.keep_tree({(1, 0): tree.root()})
    forged = sign(9_999_999_999_999_999, tree.root(), KEY)
    log.append("log", [new(LogCheckpointed(note=forged.text))], expected=ANY)
    found = verify(log)
    log.close()
    assert [(fault.where, fault.expected) for fault in found.faults] == [("tree", "none")]


def test_checkpoints_go_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    log = written(tmp_path / "log.db", 60)
    look = material(log)
    asked: list[tuple[int, int]] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(look, name)

        def hashes(self, after: int, until: int) -> list[str]:
            asked.append((after, until))
            return look.hashes(after, until)

    whole = Tree(Watched()).root()  # type: ignore[arg-type]  # it stands in for Material
    assert min(asked) == (0, 256)
    checkpointed(log)
    asked.clear()
    size = look.end() - 1
    assert Tree(Watched(), size).root() == whole  # type: ignore[arg-type]  # it stands in for Material
    assert all(after >= 256 for after, _ in asked)
    begin(log, "s-new", T0 + 100 * MAX)
    assert verify(log).ok
    log.close()


def interleaved(log: EventLog, sessions: int = 40) -> None:
    """Sessions of all kinds whose events lie between each other's; a quarter of them goes on, some have failed."""
    for version in range(6):
        for number in range(sessions):
            name, at = f"s-{number}", T0 + number * SECOND
            if version == 0:
                begin(log, name, at, {"n": str(number)} if number % 2 else None)
                continue
            now = at + (version + 1) * SECOND
            ends = closed(now) if number % 3 else failed(now, f"no price {number}")
            if version < 4:
                log.append(name, [new(navigated(now, f"https://example.com/{number}"))], expected=ANY)
            elif version == 4 and number % 4 != 1:
                log.append(name, [new(ends)], expected=ANY)
            elif version == 5 and number % 4 > 1:
                log.append(name, [new(released(now))], expected=ANY)


@pytest.mark.parametrize("followed", [0, 1, 7, 1000])
def test_more_sessions_that_go_on_than_are_followed_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, followed: int
) -> None:
    """They lie elsewhere until they go on, so that memory is not for all of them; and no event is read twice."""
    monkeypatch.setattr(verifying, "_PAGE", 20)
    monkeypatch.setattr(histories, "_FOLLOWED", followed)
    held: list[int] = []

    def receipts(_log: SqliteLog, stream: str) -> tuple[Recorded, ...]:
        assert stream == "log"
        return ()

    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        interleaved(log)
        made = verifying._Pass  # pyright: ignore[reportPrivateUsage]
        pass_ = made(log, None, lambda _done, _total: held.append(len(pass_.histories.streams)), False)
        monkeypatch.setattr(SqliteLog, "read", receipts)
        found = pass_.run()
        assert (found.ok, found.sessions, found.root) == (True, 40, Tree(material(log)).root())
        assert max(held) <= followed + 20
        assert len(pass_.histories.streams) <= followed


def test_sessions_in_memory_that_are_put_away_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """There they are compared with all that they hold, an error's message included."""
    monkeypatch.setattr(verifying, "_PAGE", 20)
    monkeypatch.setattr(histories, "_FOLLOWED", 0)
    log = MemoryLog()
    interleaved(log)
    assert log.load("s-0") is not None
    assert verify(log).ok


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET actor = 'eve' WHERE stream = 's-3' AND version = 1",
        "UPDATE events SET actor = 'eve' WHERE stream = 's-3' AND version = 4",
        "UPDATE events SET hash = upper(hash) WHERE stream = 's-5' AND version = 5",
        "UPDATE events SET hash = replace(hex(zeroblob(32)), '0', 'x') WHERE stream = 's-6' AND version = 5",
        "UPDATE events SET version = 9 WHERE stream = 's-7' AND version = 4",
        "UPDATE events SET stream = 's-8', version = 7 WHERE stream = 's-9' AND version = 5",
        "UPDATE events SET type = 'session.started', data = '{}' WHERE stream = 's-10' AND version = 4",
        "UPDATE events SET type = 'session.dreamt' WHERE stream = 's-11' AND version = 4",
        "UPDATE private SET body = '{}' WHERE event_id = (SELECT failure_id FROM sessions WHERE session_id = 's-0')",
        "DELETE FROM private WHERE event_id = (SELECT event_id FROM events WHERE stream = 's-12' AND version = 3)",
        "DELETE FROM events WHERE stream = 's-13' AND version = 4",
        "UPDATE sessions SET last_at = last_at + 1 WHERE session_id = 's-4'",
        "UPDATE sessions SET version = version + 1 WHERE session_id = 's-5'",
        "UPDATE sessions SET failure_id = 'x' WHERE session_id = 's-0'",
        "DELETE FROM sessions WHERE session_id = 's-8'",
        "INSERT INTO unreadable VALUES ('s-17', 'because')",
    ],
)
def test_a_session_that_was_put_away_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(verifying, "_PAGE", 20)
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        interleaved(log)
        with unguarded(tmp_path / "log.db") as conn:
            assert conn.execute(change).rowcount == 1
        named = verify(log).faults
        assert named
        for followed in (0, 1, 7):
            monkeypatch.setattr(histories, "_FOLLOWED", followed)
            assert sorted(map(str, verify(log).faults)) == sorted(map(str, named))


def test_no_room_for_what_is_put_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_PAGE", 20)
    monkeypatch.setattr(histories, "_FOLLOWED", 0)
    monkeypatch.setattr(shelf, "_TABLE", "PRAGMA max_page_count = 1; CREATE TABLE shelf (session_id)")
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        interleaved(log)
        with pytest.raises(LogUnavailable, match="temporary file"):
            verify(log)
