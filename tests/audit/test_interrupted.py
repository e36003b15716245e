"""Long work that is interrupted goes on where it stopped, and comes to what it would have come to in one go."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from lifecycle import AsyncClient, Client
from lifecycle.audit import histories
from lifecycle.audit import verify as verifying
from lifecycle.audit.export import FORMATS, Format, export
from lifecycle.audit.into_file import export_to
from lifecycle.audit.note import Checkpoint
from lifecycle.audit.retention import forget
from lifecycle.audit.verify import Verification, verify
from lifecycle.cli.app import app
from lifecycle.errors import InvalidConfig
from lifecycle.log import ANY, SqliteLog
from lifecycle.testing.log_samples import MAX, SECOND, T0, annotated, begin, closed, new, released
from tests.audit.tampering import checkpointed, rehash, unguarded, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from lifecycle.log.port import EventLog

SESSIONS: Final = 60


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    path = tmp_path_factory.mktemp("original") / "log.db"
    log = written(path, SESSIONS)
    taken = checkpointed(log)
    log.close()
    return path, taken


@pytest.fixture
def path(original: tuple[Path, Checkpoint], tmp_path: Path) -> Path:
    """A copy, whose sessions of every kind have lives that overlap: the living ones end at its end."""
    return Path(shutil.copy(original[0], tmp_path))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_PAGE", 7)
    monkeypatch.setattr(histories, "_FOLLOWED", 2)
    monkeypatch.setattr("lifecycle.log.paged._PAGE", 2)
    monkeypatch.setattr("lifecycle.audit.export._PAGE", 3)


class _StoppedError(Exception):
    """Something went wrong in the middle."""


def stopping(at: int) -> Callable[[int, int], None]:
    def tell(done: int, _total: int) -> None:
        if done >= at:
            raise _StoppedError

    return tell


def _into(told: list[tuple[int, int]]) -> Callable[[int, int], None]:
    return lambda done, total: told.append((done, total))


def stopped(log: EventLog, at: int, **more: Any) -> None:
    with pytest.raises(_StoppedError):
        verify(log, progress=stopping(at), **more)


def test_a_verify_interrupted_after_any_page_comes_to_the_same(original: tuple[Path, Checkpoint], path: Path) -> None:
    taken = original[1]
    with SqliteLog(path, synchronous="NORMAL") as log:
        kept = log.runtime_dir / "verify.json"
        whole = verify(log, against=taken)
        for at in range(7, whole.events, 14):
            stopped(log, at)
            told: list[tuple[int, int]] = []
            again = verify(log, against=taken, resume=True, progress=_into(told))
            assert replace(again, resumed=0) == whole
            assert (again.resumed, told[0][0]) == (at, min(at + 7, whole.events))
            assert not kept.exists()
        assert verify(log, resume=True).resumed == 0  # nothing to go on with


def test_a_verify_interrupted_anywhere_comes_to_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pass_ = verifying._Pass  # pyright: ignore[reportPrivateUsage]
    plain = pass_._event  # pyright: ignore[reportPrivateUsage]
    left = 0

    def event(self: object, raw: tuple[Any, ...]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        plain(self, raw)  # type: ignore[arg-type]  # it is one

    monkeypatch.setattr(pass_, "_event", event)
    with SqliteLog(path, synchronous="NORMAL") as log:
        whole = verify(log)
        for step in range(5, 80, 11):  # and the resumed ones are interrupted too
            left, resume = step, False
            while True:
                try:
                    again = verify(log, resume=resume)
                    break
                except KeyboardInterrupt:
                    left, resume = max(step, 8), True
            assert replace(again, resumed=0) == whole
            left = 0


def test_sessions_go_on_in_between(path: Path) -> None:
    with SqliteLog(path, synchronous="NORMAL") as log:
        stopped(log, 100)
        at = T0 + 8 * MAX
        log.append("s-00008", [new(annotated(at + 10 * SECOND)), new(closed(at + 20 * SECOND))], expected=ANY)
        log.append("s-00008", [new(released(at + 30 * SECOND))], expected=ANY)
        begin(log, "later", T0 + 1000 * MAX)
        again = verify(log, resume=True)
        assert again.ok
        assert replace(again, resumed=0) == verify(log)


def test_what_was_forgotten_before_the_interrupt_counts(path: Path) -> None:
    with SqliteLog(path, synchronous="NORMAL") as log:
        assert forget(log, "s-00001", new).rows
        stopped(log, 140)
        again = verify(log, resume=True)
        assert (again.ok, again.resumed) == (True, 140)
        assert again.forgotten == verify(log).forgotten > 0


def test_a_session_of_a_newer_library_is_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not judged, before the interrupt nor after it."""
    monkeypatch.setattr(histories, "_FOLLOWED", 0)  # so that it is gone through at once
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET type = 'session.dreamt' WHERE stream = 's-00008' AND version = 4")
        rehash(conn, "s-00008")
        conn.execute("DELETE FROM tree")
    with SqliteLog(path, synchronous="NORMAL") as log:
        log.sessions.rebuild()
        whole = verify(log)
        assert (whole.ok, list(whole.newer)) == (True, ["s-00008"])
        stopped(log, 140)
        assert verify(log, resume=True) == replace(whole, resumed=140)


def test_going_on_holds_no_more_in_memory_and_leaves_nothing(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        begin(log, f"goes-on-{number}", T0 + 900 * MAX)
    at = verify(log).events // 7 * 7
    stopped(log, at)
    held: list[int] = []
    again = histories.Histories.again

    def watched(self: histories.Histories, name: str, until: int) -> bool:
        sound = again(self, name, until)
        held.append(len(self.streams))
        return sound

    monkeypatch.setattr(histories.Histories, "again", watched)
    made = verifying._Pass(log, None, None, resume=True)  # pyright: ignore[reportPrivateUsage]
    assert made.run().resumed == at
    assert len(held) > 20
    assert max(held) <= 2
    assert made.histories.shelf.ids() == []


def looked_at(path: Path) -> tuple[Verification, Verification]:
    """What one that goes on finds, and what one finds that looks at everything."""
    with SqliteLog(path, create=False, read_only=True) as log:
        return verify(log, resume=True), verify(log)


def halfway(path: Path) -> None:
    with SqliteLog(path, synchronous="NORMAL") as log:
        stopped(log, 140)


def test_what_was_rewritten_consistently_in_between_is_found_only_by_the_one_that_goes_on(path: Path) -> None:
    halfway(path)
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET actor = 'eve' WHERE stream = 's-00001' AND version = 2")
        rehash(conn, "s-00001")
        conn.execute("DELETE FROM tree")
    again, whole = looked_at(path)
    assert again.faults[0].what == "the root over the first 140 events, which an interrupted run looked at"
    assert (again.resumed, again.events, again.root) == (0, whole.events, whole.root)
    assert whole.ok


def test_what_was_changed_in_a_session_that_goes_on_is_found_by_both(path: Path) -> None:
    halfway(path)
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET actor = 'eve' WHERE stream = 's-00008' AND version = 2")
    again, whole = looked_at(path)
    assert (again, again.resumed) == (whole, 0)
    assert not whole.ok


def test_what_was_changed_in_an_ended_session_is_what_the_one_that_goes_on_does_not_find(path: Path) -> None:
    """And it says that it has not looked; the documentation stands on this."""
    halfway(path)
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET actor = 'eve' WHERE stream = 's-00001' AND version = 2")
    again, whole = looked_at(path)
    assert (again.ok, again.resumed) == (True, 140)
    assert (whole.ok, whole.resumed) == (False, 0)


def test_a_checkpoint_that_does_not_hold_is_told_once_though_everything_is_looked_at_again(path: Path) -> None:
    halfway(path)
    with SqliteLog(path, synchronous="NORMAL") as log:
        kept = log.runtime_dir / "verify.json"
        kept.write_text(json.dumps({**json.loads(kept.read_text()), "root": "0" * 64}))
        again = verify(log, resume=True, against=Checkpoint("another", 70, bytes(32)))
    assert [fault.where for fault in again.faults] == ["events", "checkpoint"]


def test_after_a_fault_there_is_nothing_to_go_on_with(path: Path) -> None:
    with unguarded(path) as conn:
        conn.execute("UPDATE events SET actor = 'eve' WHERE stream = 's-00001' AND version = 2")
    halfway(path)
    again, whole = looked_at(path)
    assert (again, again.resumed, whole.ok) == (whole, 0, False)


@pytest.mark.parametrize(
    "said",
    ["", "{}", "[]", '{"position": 140}', "of another log", "one too far", "a session too many"],
)
def test_a_file_that_says_nonsense_makes_a_verify_look_at_everything(path: Path, said: str) -> None:
    halfway(path)
    with SqliteLog(path, synchronous="NORMAL") as log:
        kept = log.runtime_dir / "verify.json"
        found = json.loads(kept.read_text())
        match said:
            case "of another log":
                kept.write_text(json.dumps({**found, "root": "0" * 64}))
                assert not verify(log, resume=True).ok
            case "one too far":
                kept.write_text(json.dumps({**found, "position": 10_000}))
            case "a session too many":
                kept.write_text(json.dumps({**found, "open": [*found["open"], "nobody"]}))
                assert verify(log, resume=True) == replace(verify(log), resumed=140)
            case _:
                kept.write_text(said)
        again = verify(log, resume=True)
        assert (again.ok, again.resumed) == (True, 0)


# Exports


@pytest.fixture
def log(path: Path) -> Any:
    with SqliteLog(path, synchronous="NORMAL") as log:
        yield log


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_taken_up_at_any_byte_is_the_whole_one(log: SqliteLog, tmp_path: Path, form: Format) -> None:
    whole = "".join(export(log, form)).encode()
    part, to = tmp_path / "all.part", tmp_path / "all"
    but_for_its_end = whole.find(b"\n", whole.find(b'{"session":'))
    for size in [*range(0, len(whole), len(whole) // 10), but_for_its_end, len(whole) - 1, len(whole)]:
        part.write_bytes(whole[:size])
        done = export_to(log, to, form, resume=True)
        assert to.read_bytes() == whole
        assert (done.bytes, done.events) == (len(whole), verify(log).events)
        assert size - 2500 < done.there <= size
        assert not part.exists()
        to.unlink()


def test_what_is_there_and_is_not_the_log_s_is_written_anew(log: SqliteLog, tmp_path: Path) -> None:
    whole = "".join(export(log)).encode()
    part, to = tmp_path / "all.part", tmp_path / "all"
    middle = len(whole) // 2
    lines = whole.splitlines(keepends=True)
    for wrong in (
        b"".join(line for line in lines if not line.startswith(b'{"session":')),
        b"".join(b"[]\n" if line.startswith(b'{"session":') else line for line in lines),
        whole[:middle] + b"x" + whole[middle + 1 :],
        whole.replace(b'"session_id":"s-00030"', b'"session_id":"s-00031"'),
        whole + b"more\n",
        b"\xff\n" * 1000,
        "".join(export(log, "csv")).encode(),
    ):
        part.write_bytes(wrong)
        export_to(log, to, resume=True)
        assert to.read_bytes() == whole
        to.unlink()
    part.write_bytes(whole[:-1])
    assert export_to(log, to).there == 0  # not asked to go on
    with pytest.raises(InvalidConfig, match="a file that is not there yet"):
        export_to(log, to, resume=True)
    with pytest.raises(InvalidConfig, match="can be written: No such file or directory"):
        export_to(log, tmp_path / "nowhere" / "all")
    with pytest.raises(InvalidConfig, match="a path without a NUL"):
        export_to(log, "a\0ll")


@pytest.mark.parametrize("resume", [False, True])
def test_two_exports_to_one_file_do_not_meet(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, resume: bool
) -> None:
    whole, to = "".join(export(log)).encode(), tmp_path / "all"
    refused: list[Path] = []

    def another(_count: int, _total: int) -> None:
        with pytest.raises(InvalidConfig, match="a file that no other export is writing now"):
            export_to(log, to, "csv", resume=resume)
        refused.append(to)

    export_to(log, to, progress=another)
    assert refused
    assert to.read_bytes() == whole
    to.rename(tmp_path / "all.part")
    lock = fcntl.flock

    def after_the_other(fd: int, how: int) -> None:
        (tmp_path / "all.part").rename(to)
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", after_the_other)
    with pytest.raises(InvalidConfig, match="a file that is not there yet"):
        export_to(log, to, "csv", resume=resume)
    assert to.read_bytes() == whole


def test_one_session_is_exported_whole_and_as_it_was_when_it_began(log: SqliteLog) -> None:
    whole = [line for line in export(log) if '"s-00008"' in line]
    assert len(whole) > 4
    lines = export(log, sessions=["s-00008"])
    found = [next(lines)]
    log.append("s-00008", [new(closed(T0 + 8 * MAX + 20 * SECOND))], expected=ANY)
    found += (line for line in lines if '"s-00008"' in line)
    assert found == whole


def test_what_others_may_read_or_have_linked_is_not_taken_up(log: SqliteLog, tmp_path: Path) -> None:
    part, to = tmp_path / "all.part", tmp_path / "all"
    for resume in (False, True):
        part.touch()
        part.chmod(0o666)
        export_to(log, to, resume=resume)
        assert to.stat().st_mode & 0o777 == 0o600
        to.unlink()
        part.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(InvalidConfig, match="a file that can be written"):
            export_to(log, to, resume=resume)
        assert not (tmp_path / "elsewhere").exists()
        part.unlink()


def test_an_export_goes_on_though_sessions_did(log: SqliteLog, tmp_path: Path) -> None:
    """Those whose beginning stands in the file end after it."""
    to = tmp_path / "all"
    export_to(log, to)
    to.rename(tmp_path / "all.part")
    at = T0 + 8 * MAX
    log.append("s-00008", [new(closed(at + 20 * SECOND)), new(released(at + 30 * SECOND))], expected=ANY)
    begin(log, "later", T0 + 1000 * MAX)
    assert export_to(log, to, resume=True).there > 100_000
    assert to.read_text() == "".join(export(log))


def test_both_clients_go_on(path: Path, tmp_path: Path) -> None:
    whole = Client(path).verify()

    async def asynchronous() -> None:
        async with AsyncClient(path) as client:
            with pytest.raises(_StoppedError):
                await client.verify(progress=stopping(70))
            assert await client.verify(resume=True) == replace(whole, resumed=70)
            (tmp_path / "two.part").write_bytes((tmp_path / "one").read_bytes()[:5000])
            done = await client.export_to(tmp_path / "two", resume=True)
            assert (done.events, done.there > 0) == (whole.events, True)
        async with AsyncClient(tmp_path / "two.db") as copy:
            with pytest.raises(_StoppedError):
                await copy.import_export(tmp_path / "one", progress=stopping(1))
            assert (await copy.import_export(tmp_path / "one")).events == whole.events

    with Client(path) as client:
        with pytest.raises(_StoppedError):
            client.verify(progress=stopping(70))
        assert client.verify(resume=True) == replace(whole, resumed=70)
        with pytest.raises(InvalidConfig, match="one of jsonl"):
            client.export_to(tmp_path / "one", "xml")  # type: ignore[arg-type]
        assert client.export_to(tmp_path / "one").events == whole.events
    asyncio.run(asynchronous())
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()


# The command, and a real Ctrl-C

#: Runs the command, and waits for the signal in the middle of a call.
WAITING: Final = """
import importlib, lifecycle.log, signal, sys
module, name, attribute, count = sys.argv[1:5]
owner = getattr(importlib.import_module(module), name)
plain, left = getattr(owner, attribute), int(count)
def wrapped(*args, **more):
    global left
    left -= 1
    if left == 0:
        print("here", flush=True)
        signal.pause()
    return plain(*args, **more)
setattr(owner, attribute, wrapped)
import lifecycle.audit.carry, lifecycle.audit.verify
lifecycle.audit.carry._BATCH = lifecycle.audit.verify._PAGE = 20
from lifecycle.cli.app import app
app(sys.argv[5:], prog_name="lifecycle")
"""


def interrupted(where: tuple[str, str, str, int], *words: object) -> None:
    line = [sys.executable, "-c", WAITING, *map(str, (*where, *words))]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "here\n"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.endswith("\ninterrupted\n")  # after how far it was, if it took long
    assert "Traceback" not in said


def command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="lifecycle")


def found(*words: object) -> dict[str, Any]:
    result = command(*words, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    told.pop("took_s", None)
    return told


def test_ctrl_c_in_a_verify(path: Path) -> None:
    whole = found("verify", "--log", path)
    for words in ((), ("--resume",)):
        interrupted(("lifecycle.audit.verify", "_Pass", "_event", 130), "verify", "--log", path, *words)
    again = found("verify", "--log", path, "--resume")
    assert again == {**whole, "resumed": 240}
    interrupted(("lifecycle.audit.verify", "_Pass", "_event", 130), "verify", "--log", path)
    said = command("verify", "--log", path, "--resume")
    assert said.exit_code == 0
    assert "the first 120 were looked at by a run that was interrupted, since then only their hashes" in said.stdout
    assert "nothing was changed" not in said.stdout


def test_ctrl_c_in_an_export(path: Path, tmp_path: Path) -> None:
    whole = command("export", "--log", path).stdout
    to = tmp_path / "all.jsonl"
    interrupted(("lifecycle.audit.export", "Summaries", "add", 130), "export", "--log", path, "--to", to)
    assert not to.exists()
    told = found("export", "--log", path, "--to", to, "--resume")
    assert to.read_text() == whole
    assert (told["to"], told["there"] > 0, told["bytes"]) == (str(to), True, len(whole.encode()))
    assert (to.stat().st_mode & 0o777) == 0o600
    assert command("export", "--log", path, "--resume").exit_code == 2
    assert command("export", "--log", path, "--to", to).exit_code == 2
    one = command("export", "s-00001", "--log", path, "--to", tmp_path / "one")
    assert one.stdout.startswith("7 events exported to ")


def test_ctrl_c_in_an_import(path: Path, tmp_path: Path) -> None:
    command("export", "--log", path, "--to", tmp_path / "all")
    copy = tmp_path / "copy.db"
    interrupted(("lifecycle.log.sqlite", "SqliteLog", "restore", 4), "import", tmp_path / "all", "--log", copy)
    interrupted(
        ("lifecycle.projections.sessions", "SqlSessions", "rebuild", 1), "import", tmp_path / "all", "--log", copy
    )
    whole = found("verify", "--log", path)
    told = found("import", tmp_path / "all", "--log", copy)
    assert (told["events"], told["there"]) == (0, whole["events"])
    assert found("verify", "--log", copy) == whole
    assert command("export", "--log", copy).stdout == (tmp_path / "all").read_text()


def test_ctrl_c_in_a_rebuild(path: Path) -> None:
    with unguarded(path) as conn:
        conn.execute("UPDATE sessions SET version = 99 WHERE session_id IN ('s-00000', 's-00059')")
    interrupted(("lifecycle.projections.replay", "Rebuild", "_strangers", 1), "rebuild", "--log", path)
    result = command("rebuild", "--log", path, "--resume", "--json")
    assert (result.exit_code, json.loads(result.stdout)["differing"]) == (4, ["s-00000", "s-00059"])
    assert found("rebuild", "--log", path)["equal"]
