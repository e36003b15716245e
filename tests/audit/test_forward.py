"""Forwarding: in order, at least once, whatever the receiver answers and whatever kills the forwarder."""

from __future__ import annotations

import contextlib
import errno
import http.server
import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from lifecycle.audit import forward as module
from lifecycle.audit.forward import FileSink, HttpSink, forward, sink_for
from lifecycle.audit.mark import Mark
from lifecycle.errors import InvalidConfig, SinkRefused, SinkUnavailable
from lifecycle.log import SqliteLog
from lifecycle.log.port import Cursor
from lifecycle.testing.log_contract import everything as rows_of
from lifecycle.testing.log_samples import begin, closed, new
from tests.audit.tampering import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lifecycle.log.port import EventLog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    made = written(tmp_path / "log.db", 30)
    yield made
    made.close()


@dataclass
class Receiver:
    """An endpoint: `took` are the ids of the events it answered 2xx to, `came` everything; *answers* come first."""

    url: str
    answers: list[int | str] = field(default_factory=list[int | str])
    took: list[str] = field(default_factory=list[str])
    came: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            events: list[dict[str, Any]] = [body] if isinstance(body, dict) else body
            here.came.append(events)
            here.headers.append(dict(self.headers))
            answer = here.answers.pop(0) if here.answers else 202
            if answer == "take and hang up":  # the receiver has it, and the answer is lost
                here.took += [event["id"] for event in events]
                self.close_connection = True
                return
            assert isinstance(answer, int)
            if answer < 300:
                here.took += [event["id"] for event in events]
            self.send_response(answer)
            if answer == 429:
                self.send_header("Retry-After", "1")
            if answer == 307:
                self.send_header("Location", "http://elsewhere.example/")
            text = b"" if answer < 300 else b"because I say so"
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Receiver(f"http://127.0.0.1:{server.server_address[1]}/in?key=secret")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield here
    server.shutdown()
    thread.join()
    server.server_close()


def ids(log: EventLog) -> list[str]:
    return [row.event_id for row in rows_of(log, 1000)]


def once(events: list[str]) -> list[str]:
    return list(dict.fromkeys(events))


def test_the_name_of_a_new_file_is_on_the_disk_before_its_events_count_as_taken(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may take a file that was synced and whose directory was not; its cursor lies in another one."""
    synced: list[Path] = []
    monkeypatch.setattr(module, "sync_directory", synced.append)
    forward(log, FileSink(tmp_path / "out.jsonl"), tmp_path / "cursor")
    assert synced == [tmp_path / "out.jsonl"]


def test_a_file_gets_each_event_once_and_goes_on_from_its_cursor(log: SqliteLog, tmp_path: Path) -> None:
    out, cursor = tmp_path / "out.jsonl", tmp_path / "out.cursor"
    done = forward(log, FileSink(out), cursor)
    lines = out.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids(log)
    assert done.events == len(lines)
    assert out.stat().st_mode & 0o777 == 0o600
    for line in lines:
        JSONFormat().read(CloudEvent, line)  # validates

    assert forward(log, FileSink(out), cursor).events == 0
    begin(log, "more")
    assert forward(log, FileSink(out), cursor).events == 2
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ids(log)


def test_what_is_private_stays_unless_asked_for(log: SqliteLog, tmp_path: Path) -> None:
    private = {row.event_id for row in rows_of(log, 1000) if row.private is not None}
    assert private
    plain, told = tmp_path / "plain", tmp_path / "told"
    forward(log, FileSink(plain), tmp_path / "1")
    forward(log, FileSink(told), tmp_path / "2", private=True)
    differ = {
        json.loads(a)["id"]
        for a, b in zip(plain.read_text().splitlines(), told.read_text().splitlines(), strict=True)
        if a != b
    }
    assert differ == private


def test_a_line_that_a_crash_cut_is_taken_away(log: SqliteLog, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    forward(log, FileSink(out), tmp_path / "cursor")
    for rest in (b'{"id": "half', b"x" * 10_000):
        out.write_bytes(out.read_bytes() + rest)
        begin(log, f"more-{len(rest)}")
        forward(log, FileSink(out), tmp_path / "cursor")
        assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ids(log)


def test_an_endpoint_gets_each_event_in_its_order(log: SqliteLog, tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [503, 500, 202, "take and hang up", 408]
    pauses: list[float] = []
    sink = HttpSink(receiver.url, {"Authorization": "Bearer x"})
    done = forward(log, sink, tmp_path / "c", trouble=lambda _, pause: pauses.append(pause))
    assert once(receiver.took) == ids(log)
    assert len(receiver.took) == len(ids(log)) + 1  # the one whose answer was lost came twice, side by side
    assert done.events == len(ids(log))
    assert pauses == [0.5, 1.0, 0.5, 1.0]
    assert {one["Content-Type"] for one in receiver.headers} == {"application/cloudevents+json; charset=utf-8"}
    assert {one["Authorization"] for one in receiver.headers} == {"Bearer x"}


def test_batches(log: SqliteLog, tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = ["take and hang up"]
    forward(log, HttpSink(receiver.url, batch=7), tmp_path / "c")
    assert once(receiver.took) == ids(log)
    assert {len(events) for events in receiver.came[:-1]} == {7}
    assert {one["Content-Type"] for one in receiver.headers} == {"application/cloudevents-batch+json; charset=utf-8"}


def test_an_endpoint_that_asks_for_time_gets_it(log: SqliteLog, tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [429]
    told: list[tuple[str, float]] = []
    forward(log, HttpSink(receiver.url), tmp_path / "c", trouble=lambda error, pause: told.append((str(error), pause)))
    [(said, pause)] = told
    assert pause == 1.0
    assert "429" in said
    assert "secret" not in said


@pytest.mark.parametrize("answer", [400, 404, 307])
def test_a_no_stops_before_the_event_and_the_next_run_begins_with_it(
    log: SqliteLog, tmp_path: Path, receiver: Receiver, answer: int
) -> None:
    receiver.answers = [202, 202, answer]
    with pytest.raises(SinkRefused, match=rf"{ids(log)[2]}: {answer}.*because I say so") as refused:
        forward(log, HttpSink(receiver.url), tmp_path / "c")
    assert refused.value.event_id == ids(log)[2]
    assert not refused.value.retryable
    assert receiver.took == ids(log)[:2]
    forward(log, HttpSink(receiver.url), tmp_path / "c")
    assert receiver.took == ids(log)


def test_giving_up_keeps_the_place(log: SqliteLog, tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [202, 503, 503]
    with pytest.raises(SinkUnavailable, match="503"):
        forward(log, HttpSink(receiver.url), tmp_path / "c", give_up_s=1)
    with pytest.raises(SinkUnavailable, match="refused"):
        forward(log, HttpSink("http://127.0.0.1:9/"), tmp_path / "c", give_up_s=0)
    forward(log, HttpSink(receiver.url), tmp_path / "c")
    assert receiver.took == ids(log)


def test_only_some_types_and_only_what_comes(log: SqliteLog, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = [row.event_id for row in rows_of(log, 1000) if row.type == "session.closed"]
    for name in ("session.closed", "closed"):
        out.unlink(missing_ok=True)
        forward(log, FileSink(out), tmp_path / f"c-{name}", types=[name])
        assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == wanted
    last = log.last(1)[0].position
    assert forward(log, FileSink(tmp_path / "new"), tmp_path / "n", after=last).events == 0
    assert not (tmp_path / "new").exists()


def test_a_type_that_there_is_not_is_refused_and_nothing_counts_as_sent(log: SqliteLog, tmp_path: Path) -> None:
    """Its short name was none either: no event went, and the cursor went on."""
    with pytest.raises(InvalidConfig, match=r"clsed.*known are created, .*log\.sealed"):
        forward(log, FileSink(tmp_path / "out"), tmp_path / "c", types=["clsed"])
    assert list(tmp_path.glob("c*")) == []
    assert forward(log, FileSink(tmp_path / "out"), tmp_path / "c", types=["log.sealed"]).events == 0


def test_following_hears_another_writer_and_stops_when_told(log: SqliteLog, tmp_path: Path) -> None:
    out, stop = tmp_path / "out", threading.Event()
    thread = threading.Thread(
        target=forward, args=(log, FileSink(out), tmp_path / "c"), kwargs={"follow": True, "stop": stop}
    )
    thread.start()
    with contextlib.closing(SqliteLog(tmp_path / "log.db", synchronous="NORMAL")) as other:
        begin(other, "later")
        _until(lambda: out.exists() and len(out.read_text().splitlines()) == len(ids(log)))
        stop.set()
        thread.join()
        with Mark(tmp_path / "c") as mark:
            assert mark.cursor == log.last(1)[0].position


def test_stop_is_heard_while_a_sink_is_down(log: SqliteLog, tmp_path: Path) -> None:
    stop = threading.Event()
    down = HttpSink("http://127.0.0.1:9/")
    done = forward(log, down, tmp_path / "c", stop=stop, trouble=lambda error, pause: stop.set())
    assert (done.events, done.cursor) == (0, None)


def test_a_killed_forwarder_leaves_nothing_out(log: SqliteLog, tmp_path: Path, receiver: Receiver) -> None:
    """Killed at any moment, seven times; each next one goes on."""
    command = [sys.executable, "-m", "lifecycle", "forward", receiver.url, "--cursor", str(tmp_path / "c"), "--follow"]
    command += ["--log", str(tmp_path / "log.db")]
    for more in range(7):
        before = len(receiver.took)
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begin(log, f"m-{more}")
        log.append(f"m-{more}", [new(closed())], expected=2)
        _until(lambda before=before, more=more: len(receiver.took) > before + more % 3)  # type: ignore[misc]
        started.send_signal(signal.SIGKILL)
        started.wait()
    subprocess.run([*command[:-3], *command[-2:]], check=True, capture_output=True)
    assert once(receiver.took) == ids(log)
    place = {name: index for index, name in enumerate(ids(log))}
    went = [place[name] for name in receiver.took]
    backwards = sum(b <= a for a, b in itertools.pairwise(went))
    assert backwards <= 7, "an event came again where nothing had died"


def test_sigterm_keeps_the_place(log: SqliteLog, tmp_path: Path, receiver: Receiver) -> None:
    command = [sys.executable, "-m", "lifecycle", "forward", receiver.url, "--cursor", str(tmp_path / "c"), "-f"]
    started = subprocess.Popen([*command, "--log", str(tmp_path / "log.db"), "--json"], stdout=subprocess.PIPE)
    _until(lambda: len(receiver.took) == len(ids(log)))
    started.terminate()
    said, _ = started.communicate(timeout=20)
    assert started.returncode == 0
    assert json.loads(said) == {"events": len(ids(log)), "cursor": len(ids(log))}


class TestCursorFile:
    def test_of_another_log_it_is_refused(self, log: SqliteLog, tmp_path: Path) -> None:
        forward(log, FileSink(tmp_path / "out"), tmp_path / "c")
        other = written(tmp_path / "other.db", 40)
        with contextlib.closing(other), pytest.raises(InvalidConfig, match=r"which is not in sqlite:.*other\.db"):
            forward(other, FileSink(tmp_path / "out2"), tmp_path / "c")
        assert not (tmp_path / "out2").exists()

    @pytest.mark.parametrize(
        "text", ["", "42", "{", "[]", '{"cursor": -1}', '{"cursor": 3}', '{"cursor": true}', "\xff"]
    )
    def test_something_else_is_refused(self, log: SqliteLog, tmp_path: Path, text: str) -> None:
        (tmp_path / "c").write_bytes(text.encode("latin-1"))
        with pytest.raises(InvalidConfig, match="cursor file"):
            forward(log, FileSink(tmp_path / "out"), tmp_path / "c")
        assert (tmp_path / "c").read_bytes() == text.encode("latin-1")
        assert not (tmp_path / "out").exists()

    def test_two_cannot_have_it(self, log: SqliteLog, tmp_path: Path) -> None:
        with Mark(tmp_path / "c"), pytest.raises(SinkUnavailable, match="another process"):
            forward(log, FileSink(tmp_path / "out"), tmp_path / "c")
        assert forward(log, FileSink(tmp_path / "out"), tmp_path / "c").events
        assert not (tmp_path / "c.lock").exists()

    def test_a_cursor_that_no_event_has(self, log: SqliteLog, tmp_path: Path) -> None:
        with pytest.raises(InvalidConfig, match="cursor of an event"):
            forward(log, FileSink(tmp_path / "out"), tmp_path / "c", after=Cursor(10**6))


@pytest.mark.parametrize(
    ("to", "more", "said"),
    [
        ("ftp://example.com/", {}, "https://host/path"),
        ("http://", {}, "https://host/path"),
        ("ftp://ada:secret@example.com/", {}, "https://host/path"),
        ("http://ada:secret@example.com:99999/", {}, "https://host/path"),
        ("http://[example.com/?key=secret", {}, "https://host/path"),
        ("http://example..com/?key=secret", {}, "https://host/path"),
        (f"http://{'a' * 64}.com/?key=secret", {}, "https://host/path"),
        ("http://example.com:0/?key=secret", {}, "https://host/path"),
        ("http://example com/?key=secret", {}, "https://host/path"),
        ("http://example.com/a b?key=secret", {}, "https://host/path"),
        ("http://ada:secret@example.com/", {}, "as a header"),
        ("http://example.com/", {"batch": 0}, "from 1 to 500"),
        ("http://example.com/", {"timeout_s": 0}, "seconds"),
        ("http://example.com/", {"headers": {"X": "a\r\nY: b"}}, "printable"),
        ("http://example.com/", {"headers": {"X Y": "a"}}, "a name"),
        ("file.jsonl", {"batch": 2}, "is for a URL"),
        ("file.jsonl", {"headers": {"X": "y"}}, "is for a URL"),
    ],
)
def test_bad_input(to: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig, match=said) as refused:
        sink_for(to, **more)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("trickle", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_an_answer_that_never_comes_to_its_end_is_given_up(log: SqliteLog, tmp_path: Path, trickle: bytes) -> None:
    """Each byte of it was in time; forwarding hung for as long as bytes came."""
    gone = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), listening.accept()[0] as connection:
            connection.sendall(trickle)
            while not gone.wait(0.005):
                connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        sink = HttpSink(f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout_s=0.1)
        with pytest.raises(SinkUnavailable, match="timed out"):
            forward(log, sink, tmp_path / "c", give_up_s=0)
        gone.set()
        thread.join()


def test_the_pieces_of_an_answer_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, left = iter([0.0, 4.0, 8.0, 12.0]), list[float]()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    sock: Any = SimpleNamespace(gettimeout=lambda: 10.0, settimeout=left.append)
    raw: Any = io.BytesIO(b"abc")
    answer = module._InTime(sock, raw)  # pyright: ignore[reportPrivateUsage]
    assert [answer.read(1), answer.read(1)] == [b"a", b"b"]
    with pytest.raises(TimeoutError, match="in the middle of the answer"):
        answer.read(1)
    assert left == [6.0, 2.0]


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://[::1]/", ("::1", 80)),
        ("https://[::1]/", ("::1", 443)),
        ("http://[fe80::1%25eth0]:8080/", ("fe80::1%25eth0", 8080)),
        ("http://example.com", ("example.com", 80)),
    ],
)
def test_an_address_is_what_the_url_says(url: str, where: tuple[str, int]) -> None:
    """http.client took the end of an IPv6 address for the port."""
    connection = HttpSink(url)._connection  # pyright: ignore[reportPrivateUsage]
    assert (connection.host, connection.port) == where


def test_each_request_on_a_connection_has_the_whole_time(receiver: Receiver) -> None:
    sink = HttpSink(receiver.url)
    sink.take([{"id": "1"}])
    sink._connection.sock.settimeout(1e-9)  # pyright: ignore[reportPrivateUsage] # what a slow answer leaves
    sink.take([{"id": "2"}])
    assert receiver.took == ["1", "2"]
    sink.close()


def test_a_new_file_into_which_nothing_can_be_written_is_taken_back(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    (tmp_path / "old").touch()
    for name in ("new", "old"):
        with pytest.raises(SinkUnavailable, match="No space left"):
            forward(log, FileSink(tmp_path / name), tmp_path / "c", give_up_s=0)
    assert [path.name for path in tmp_path.iterdir() if path.name in ("new", "old")] == ["old"]


@pytest.mark.parametrize("stood", [b"{", b'{"a": 1}', b"SQLite format 3\x00", b'{"cursor": 1}\n', b"\n", b"x" * 10_000])
def test_a_file_of_something_else_is_left_as_it_is(log: SqliteLog, tmp_path: Path, stood: bytes) -> None:
    """What stood behind its last line's end was cut off, as if a crash had cut a line of ours."""
    (tmp_path / "out").write_bytes(stood)
    if stood == b"{":  # as a crash may leave it
        assert forward(log, FileSink(tmp_path / "out"), tmp_path / "c").events
        return
    with pytest.raises(InvalidConfig, match="a new file, or one of events that were forwarded before"):
        forward(log, FileSink(tmp_path / "out"), tmp_path / "c")
    assert (tmp_path / "out").read_bytes() == stood


def test_the_log_itself_is_not_forwarded_to(log: SqliteLog, tmp_path: Path) -> None:
    """`lifecycle forward sessions.db`, with the log where the receiver belongs, destroyed the log."""
    assert log.locator is not None
    path = tmp_path / "link"
    path.symlink_to(log.locator.removeprefix("sqlite:"))
    for to, cursor in ((path, tmp_path / "c"), (tmp_path / "out", path)):
        with pytest.raises(InvalidConfig, match="must not be the log itself"):
            forward(log, FileSink(to), cursor)
    with pytest.raises(InvalidConfig, match="must not be the file to which the events go"):
        forward(log, FileSink(tmp_path / "out"), tmp_path / "." / "out")
    assert not (tmp_path / "out").exists()
    assert log.sessions.rebuild().equal


def test_a_file_that_cannot_be_written(log: SqliteLog, tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="No such file or directory"):
        forward(log, FileSink(tmp_path / "no" / "out"), tmp_path / "c", give_up_s=0)
    with pytest.raises(SinkUnavailable, match="No such file or directory"):
        forward(log, FileSink(tmp_path / "out"), tmp_path / "no" / "c")
    if os.path.exists("/dev/full"):
        with pytest.raises(SinkUnavailable, match="No space left"):
            forward(log, FileSink("/dev/full"), tmp_path / "c", give_up_s=0)


def _until(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not done():
        assert time.monotonic() < limit, "it never came"
        time.sleep(0.01)
