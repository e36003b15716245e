"""Export, import, check, backup: what is carried away is the record, to the hash."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from lifecycle.audit import carry
from lifecycle.audit.checkpoint import checkpoint
from lifecycle.audit.envelope import envelope
from lifecycle.audit.envelope import line as line_of
from lifecycle.audit.export import export
from lifecycle.audit.verify import verify
from lifecycle.errors import BadExport, InvalidConfig, LogTampered, LogUnsuitable
from lifecycle.log import MemoryLog, SqliteLog
from lifecycle.log.codec import FIRST, hash_of
from lifecycle.testing.log_contract import everything as rows_of
from lifecycle.testing.log_samples import begin, closed, created, new
from tests.audit.tampering import KEY, checkpointed, unguarded, written

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLog]:
    made = written(tmp_path_factory.mktemp("log") / "log.db", 30)
    checkpointed(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def lines(log: SqliteLog) -> list[str]:
    return list(export(log))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SqliteLog]:
    made = SqliteLog(tmp_path / "empty.db", synchronous="NORMAL")
    yield made
    made.close()


def test_the_whole_log_comes_back_to_the_hash_and_the_root(log: SqliteLog, lines: list[str], empty: SqliteLog) -> None:
    done = carry.import_lines(lines, empty)
    assert (done.there, done.unreadable) == (0, {})
    assert list(rows_of(empty, 1000)) == list(rows_of(log, 1000))
    assert empty.sessions.list(now=0) == log.sessions.list(now=0)
    assert verify(empty, against=checkpoint(log, KEY)).ok
    assert list(export(empty)) == lines


def test_a_part_comes_back_with_the_hashes_it_had(log: SqliteLog, empty: SqliteLog) -> None:
    chosen = ["s-00004", "s-00008"]
    carry.import_lines(export(log, sessions=chosen), empty)
    for stream in (*chosen, "log"):
        assert [row.hash for row in empty.read(stream)] == [row.hash for row in log.read(stream)]
    assert {session.session_id for session in empty.sessions.list(now=0)} == set(chosen)
    assert verify(empty).ok
    many = [f"s-{number:05}" for number in range(30)] + [f"s-{number:05}" for number in range(30, 80)]
    assert list(export(log, sessions=many)) == list(export(log))


@pytest.mark.parametrize("stop", [1, 60, 119])
def test_an_interrupted_import_goes_on(
    lines: list[str], empty: SqliteLog, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "_BATCH", 7)
    with pytest.raises(BadExport, match="is missing"):
        carry.import_lines(lines[:stop], empty)
    again = SqliteLog(Path((empty.locator).removeprefix("sqlite:")))  # as after a crash
    assert verify(again).ok
    again.close()
    done = carry.import_lines(lines, empty)
    assert done.there == done.there // 7 * 7
    assert carry.import_lines(lines, empty).events == 0
    assert verify(empty).ok


def test_a_log_that_holds_something_else_is_left_alone(lines: list[str], empty: SqliteLog) -> None:
    begin(empty, "other")
    with pytest.raises(LogUnsuitable, match="not empty: its event 1 is not"):
        carry.import_lines(lines, empty)
    assert empty.head("other") == 2
    with pytest.raises(LogUnsuitable, match="SQLite file"):
        carry.import_lines(lines, MemoryLog())


def changed(line: str, **fields: Any) -> str:
    return json.dumps({**json.loads(line), **fields}) + "\n"


def test_what_was_changed_is_named_by_its_line(lines: list[str], empty: SqliteLog) -> None:
    bad = {
        "expected the hash [0-9a-f]{64}, found [0-9a-f]{64}": changed(lines[2], actor="nobody"),
        "expected version 3": changed(lines[2], version=5),
        "version is a str": changed(lines[2], version="3"),
        "not the fields of an event: more": changed(lines[2], more=1),
        "a key stands twice": lines[2].replace('{"actor"', '{"actor":"x","actor"', 1),
        "no JSON object": lines[2][:50] + "\n",
        "is cut: it has no end": lines[2][:-1],
        "private part of version 3": changed(lines[2], private='{"url":"https://example.com/other"}'),
        "go together": changed(lines[2], private=None),
        "surrogates not allowed": changed(lines[2], private='{"url":"\ud83d"}'),
    }
    for said, line in bad.items():
        with pytest.raises(BadExport, match=f"line 3 of the export: .*{said}"):
            carry.import_lines([*lines[:2], line, *lines[3:]], empty)
    assert empty.read_all(limit=1).events == ()


@pytest.mark.parametrize("name", ["", "../x", "a\nb", "\x1b[2J"])
def test_a_stream_that_nobody_could_read_is_refused(log: SqliteLog, empty: SqliteLog, name: str) -> None:
    """It was written, and no verb could look at it by its name."""
    row = replace(next(iter(rows_of(log, 1000))), stream=name)
    text = line_of(envelope(replace(row, hash=hash_of(row, FIRST))))
    with pytest.raises(BadExport, match=r"line 1 .*stream=.*A-Z a-z 0-9"):
        carry.import_lines([text], empty)
    assert empty.last(1) == ()


def test_a_file_cut_between_two_lines_or_with_one_left_out_is_noticed(lines: list[str]) -> None:
    with pytest.raises(BadExport, match=f"line {len(lines)} of the export: is missing"):
        carry.check_lines(lines[:-1])
    session = next(number for number, line in enumerate(lines) if line.startswith('{"session"'))
    with pytest.raises(BadExport, match=r"says .* found"):
        carry.check_lines([*lines[:session], *lines[session + 1 :]])
    with pytest.raises(BadExport, match="stands after the end"):
        carry.check_lines([*lines, lines[0]])


def test_lines_that_are_no_text_are_named(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(lines[0].encode() + b'{"\xff"}\n')
    with pytest.raises(BadExport, match="line 2 of the export: is not UTF-8"):
        list(carry.lines_of(path))
    with pytest.raises(InvalidConfig, match="No such file"):
        list(carry.lines_of(tmp_path / "nothing"))


def test_what_was_recorded_comes_out_the_same_today(log: SqliteLog, lines: list[str]) -> None:
    for found in (carry.check_lines(lines), carry.check(log)):
        assert found.ok, found
        assert found.sessions == 30


def test_the_first_field_that_differs_is_named(lines: list[str], tmp_path: Path) -> None:
    other = [line.replace('"status":"error"', '"status":"closed"') for line in lines[:-1]]
    end = json.loads(lines[-1])
    end["end"]["sha256"] = sha256("".join(other).encode()).hexdigest()
    found = carry.check_lines([*other, json.dumps(end) + "\n"])
    assert found.differs == ("s-00001", "status", "closed", "error")


def resealed(lines: list[str]) -> list[str]:
    """The same with a last line that fits."""
    end = json.loads(lines[-1])
    end["end"]["sha256"] = sha256("".join(lines[:-1]).encode()).hexdigest()
    return [*lines[:-1], json.dumps(end) + "\n"]


def test_sessions_that_differ_are_counted_once_each(lines: list[str]) -> None:
    whole = carry.check_lines(lines)
    found = carry.check_lines(resealed([line.replace('"status":"error"', '"status":"closed"') for line in lines]))
    assert found.differs is not None
    assert (found.events, found.sessions) == (whole.events, whole.sessions)


@pytest.mark.parametrize("told", [{}, {"session_id": ["x"], "version": 1}, {"version": "1"}, {"version": None}])
def test_a_session_without_its_id_or_version_is_named(lines: list[str], told: dict[str, Any]) -> None:
    at, session = next((at, found["session"]) for at, found in enumerate(map(json.loads, lines)) if "session" in found)
    spoiled = {**session, **told} if told else {}
    other = [*lines[:at], json.dumps({"session": spoiled}) + "\n", *lines[at + 1 :]]
    with pytest.raises(BadExport, match=f"line {at + 1} of the export: a session needs"):
        carry.check_lines(resealed(other))


@pytest.mark.parametrize("character", ["x", "é"])
def test_a_line_that_is_too_long_is_called_so_and_not_read_to_its_end(tmp_path: Path, character: str) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text(f'{{"x":"{character * (1024 * 1024)}"}}\n', encoding="utf-8")
    with pytest.raises(BadExport, match="line 1 of the export: is longer than 1048576 bytes"):
        carry.check_lines(carry.lines_of(file))


def test_the_first_event_that_would_be_refused_is_named(log: SqliteLog, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    carry.backup(log, path)
    with unguarded(path) as conn:
        sql = "UPDATE events SET data = ? WHERE stream = 's-00004' AND version = 3"
        conn.execute(sql, ('{"tab":7}',))
    copy = SqliteLog(path)
    found = carry.check(copy)
    assert found.refused is not None
    assert found.refused[:2] == ("s-00004", 3)
    assert found.broken is not None
    assert (found.broken.id, found.broken.stream, found.broken.version) == ("8", "s-00004", 3)
    copy.close()


def test_a_row_that_was_touched_is_named_where_the_rules_would_take_it(log: SqliteLog, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    carry.backup(log, path)
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET actor = 'nobody' WHERE stream = 's-00004' AND version = 2")
    copy = SqliteLog(path)
    found = carry.check(copy)
    assert (found.refused, found.differs, found.ok) == (None, None, False)
    assert found.broken is not None
    assert (found.broken.id, found.broken.version) == ("55", 2)
    copy.close()


def test_cloud_events_are_what_the_formats_own_sdk_takes(log: SqliteLog) -> None:
    found = list(export(log, "cloudevents", source="https://example.com/crawler"))
    for line in found:
        event = JSONFormat().read(CloudEvent, line)
        assert event.get_source() == "https://example.com/crawler"
        assert event.get_type().startswith(("session.", "log."))
        assert event.get_time() is not None
    assert "https://example.com/0" not in "".join(found)
    assert "https://example.com/0" in "".join(export(log, "cloudevents", private=True))
    assert len({json.loads(line)["id"] for line in found}) == len(found)


def test_a_cloud_event_of_what_is_no_data_is_refused_as_tampered_with(log: SqliteLog, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    carry.backup(log, path)
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET data = '{x}' WHERE stream = 's-00004' AND version = 2")
    with SqliteLog(path) as copy, pytest.raises(LogTampered, match="data of version 2 of stream s-00004"):
        list(export(copy, "cloudevents"))


def test_csv_has_a_header_and_one_line_an_event(log: SqliteLog) -> None:
    text = "".join(export(log, "csv"))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["hash"] for row in rows] == [row.hash for row in rows_of(log, 1000)]
    assert "https://" not in text
    assert "private" not in rows[0]


def test_csv_holds_no_text_that_a_spreadsheet_computes() -> None:
    """What a request's header says may have become a correlation id."""
    log = MemoryLog()
    for number, said in enumerate(("=1+1", "+1", "-1", "@SUM(A1)", "a=1")):
        first = new(created(f"s-{number}"), actor=said, correlation_id=said)
        log.append(f"s-{number}", [first], expected=0)
    rows = list(csv.DictReader(io.StringIO("".join(export(log, "csv")), newline="")))
    for column in ("actor", "correlation_id"):
        assert [row[column] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "a=1"]
    assert [row["version"] for row in rows] == ["1"] * 5


def test_a_backup_is_the_log_and_writers_go_on(log: SqliteLog, tmp_path: Path) -> None:
    source = SqliteLog(tmp_path / "source.db", synchronous="NORMAL")
    begin(source, "s-1")
    went_on = False

    def goes_on(done: int, total: int) -> None:
        nonlocal went_on
        if not went_on and source.durability.journal == "wal":
            source.append("s-1", [new(closed())], expected=2)
            went_on = True

    found = carry.backup(source, tmp_path / "backup.db", goes_on)
    assert found.ok
    assert found.events == 2
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup.db"], "one file is to be carried away"
    with pytest.raises(InvalidConfig, match="not there yet"):
        carry.backup(source, tmp_path / "backup.db")
    source.close()


def test_a_backup_of_a_spoiled_log_says_so(log: SqliteLog, tmp_path: Path) -> None:
    carry.backup(log, tmp_path / "copy.db")
    with unguarded(tmp_path / "copy.db") as conn:
        conn.execute("UPDATE events SET actor = 'x' WHERE position = 5")
    copy = SqliteLog(tmp_path / "copy.db")
    found = carry.backup(copy, tmp_path / "again.db")
    assert found.faults[0].position == 5
    copy.close()
    shutil.rmtree(tmp_path / "copy.db.d", ignore_errors=True)
