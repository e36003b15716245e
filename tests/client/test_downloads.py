"""What pages download stays: whole, under its name, in the session's directory, whoever is connected; in both twins."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from websockets.sync.client import connect

from lifecycle import Client, InvalidConfig
from lifecycle.client.downloads import free_name, harmless
from lifecycle.core.events import SessionCreated, SessionReleased
from lifecycle_chromium import downloads
from lifecycle_chromium.downloads import Downloads
from tests.actions.twins import Twin
from tests.client.world import World, until
from tests.site import Handler, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lifecycle.core import Event

GO = threading.Event()
PAGE = """<!doctype html><title>shop</title><a href="/file/report.txt" id="report">Report</a>
<script>
const get = (name) => { const link = document.createElement('a'); link.href = '/file/' + name; link.click() }
if (location.hash) fetch('/go').then(() => get(location.hash.slice(1)))
</script>"""


class _Shop(Handler):
    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        with contextlib.suppress(ConnectionError):  # the browser may be gone by now
            if path.startswith("/file/"):
                self._file(path.removeprefix("/file/"))
            elif path == "/go":
                GO.wait(20)
                self._answer(b"go", "text/plain")
            else:
                self._answer(PAGE.encode(), "text/html")

    def _file(self, name: str) -> None:
        body = name.encode() * 50_000
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{self.path.rpartition('/file/')[2]}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000])
        if name.startswith("slow"):
            GO.wait(20)
        self.wfile.write(body[1000:])

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with serve(_Shop) as address:
        yield address
        GO.set()


@pytest.fixture(autouse=True)
def not_yet() -> None:
    GO.clear()


@pytest.fixture(params=["sync", "async"])
def begin(request: pytest.FixtureRequest, world: World, shop: str) -> Iterator[Callable[..., Twin]]:
    """Starts a session of either twin that keeps its downloads in world.folder/kept."""
    made: list[Twin] = []

    def start(**config: Any) -> Twin:
        made.append(Twin(request.param, world.log, shop, downloads_dir=world.folder / "kept", **config))
        return made[-1]

    yield start
    for twin in made:
        twin.stop()


def kept(world: World, *names: str) -> None:
    """Wait until exactly these files are kept, each whole."""
    folder = world.folder / "kept"
    until(lambda: sorted(os.listdir(folder)) == sorted(names), f"{names} expected, {os.listdir(folder)} found")
    for name in names:
        stem, _, suffix = name.partition(" (2)")
        assert (folder / name).read_bytes() == (stem + suffix).encode() * 50_000


def event(world: World, twin: Twin, kind: type[Event]) -> Any:
    return next(event for event in world.history(twin.session.session_id) if isinstance(event, kind))


def left(world: World, twin: Twin, clients: int) -> None:
    """Wait until so many clients have come and gone."""

    def gone() -> int:
        return sum(row.type == "session.client_disconnected" for row in world.rows(twin.session.session_id))

    until(lambda: gone() == clients, "somebody is still connected")


def expected(twin: Twin, copy: Path) -> tuple[Path, bytes]:
    """page.expect_download(), path() and save_as(), in the twin's own way: where the file is and what is in it."""

    def sync(page: Any) -> tuple[Path, bytes]:
        with page.expect_download() as waiting:
            page.click("#report")
        path = Path(waiting.value.path())
        waiting.value.save_as(copy)
        return path, copy.read_bytes()

    async def asynchronous(page: Any) -> tuple[Path, bytes]:
        async with page.expect_download() as waiting:
            await page.click("#report")
        download = await waiting.value
        path = Path(await download.path())
        await download.save_as(copy)
        return path, copy.read_bytes()  # noqa: ASYNC240 # a test's own loop

    found: tuple[Path, bytes] = twin.page(sync if twin.name == "sync" else asynchronous)
    return found


@pytest.mark.browser
def test_what_is_downloaded_is_kept_and_the_script_has_it_too(begin: Callable[..., Twin], world: World) -> None:
    twin = begin()
    twin.goto("/")
    copy, mine = world.folder / "copy.txt", world.folder / "mine"
    mine.mkdir()
    path, content = expected(twin, copy)
    assert content == path.read_bytes() == b"report.txt" * 50_000
    assert path.parent != world.folder / "kept"
    assert twin.do("download_file", selector="#report", directory=mine)["path"] == str(mine / "report.txt")
    kept(world, "report.txt", "report (2).txt")
    twin.run(lambda: twin.session.stop())
    assert not path.exists()  # the session's own; what is kept stays
    kept(world, "report.txt", "report (2).txt")
    assert event(world, twin, SessionCreated).downloads_dir == str(world.folder / "kept")
    assert event(world, twin, SessionReleased).receipts == {"downloads_saved": 2}
    assert str(world.folder / "kept") not in "".join(row.data for row in world.rows(twin.session.session_id))


@pytest.mark.browser
def test_nobody_has_to_be_connected(begin: Callable[..., Twin], world: World, shop: str) -> None:
    """Chromium refuses downloads as soon as the client that allowed them has left: the keeper allows them again."""
    twin = begin(page=False)
    session_id: str = twin.session.session_id
    url: str = twin.run(lambda: twin.session.cdp_url())
    with connect(url, proxy=None) as line:
        line.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": f"{shop}/#never.txt"}}))
        line.recv(10)
    left(world, twin, 1)
    with world.client().Session(session_id) as playwright:
        playwright.page.goto(f"{shop}/#after.txt")
        with playwright.page.expect_download():
            playwright.page.evaluate("get('slow.txt')")
    left(world, twin, 2)
    kept(world)
    GO.set()
    kept(world, "never.txt", "after.txt", "slow.txt")
    twin.run(lambda: twin.session.stop())
    assert event(world, twin, SessionReleased).receipts == {"downloads_saved": 3}


@pytest.mark.browser
def test_what_is_not_whole_at_the_end_is_not_kept(begin: Callable[..., Twin], world: World) -> None:
    twin = begin()
    twin.goto("/")
    twin.js("get('slow.txt')")
    own: Path = world.runtime / "profiles" / twin.session.session_id / "artifacts"
    until(lambda: any(own.iterdir()), "the download does not begin")
    twin.do("click", selector="#report")
    kept(world, "report.txt")
    twin.run(lambda: twin.session.stop())
    kept(world, "report.txt")
    assert event(world, twin, SessionReleased).receipts == {"downloads_saved": 1, "downloads_unfinished": 1}


@pytest.mark.browser
def test_a_clients_own_contexts_and_folders(world: World, shop: str) -> None:
    from playwright.sync_api import sync_playwright

    client = world.client()
    with client.Session(page=False, downloads_dir=world.folder / "kept") as session, sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(session.cdp_url(), artifacts_dir=world.folder / "theirs")
        for page in (browser.new_context().new_page(), browser.contexts[0].pages[0]):
            page.goto(shop)
            with page.expect_download() as waiting:
                page.click("#report")
            assert waiting.value.path().parent == world.folder / "theirs"
        kept(world, "report.txt", "report (2).txt")
        browser.close()
    kept(world, "report.txt", "report (2).txt")


WRONG: dict[str, Any] = {
    "blank": " ",
    "no path": 7,
    "no parent": "/no/such/parent/here",
    "a file": __file__,
    "in a file": __file__ + "/x",
    "NUL": "/tmp/a\0b",
    "long": "x" * 5000,
    "surrogate": "/tmp/\ud800",
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_what_is_no_directory_is_refused_before_anything_starts(value: Any, tmp_path: Path) -> None:
    with Client(tmp_path / "log.db") as client:
        with pytest.raises(InvalidConfig, match="downloads_dir") as refused:
            client.Session(downloads_dir=value)
        assert "directory" in str(refused.value)
        assert client.sessions.count() == 0


def unwritable(_path: object, _mode: int) -> bool:
    return False


def test_a_directory_that_can_not_be_written_or_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    with Client(tmp_path / "log.db") as client:
        with pytest.raises(InvalidConfig, match="downloads_dir"):
            client.Session(downloads_dir=tmp_path / "dangling")
        session = client.Session(downloads_dir=tmp_path / "taken")
        (tmp_path / "taken").touch()
        with pytest.raises(InvalidConfig, match="can't be made"):
            session.start()
        monkeypatch.setattr(os, "access", unwritable)
        with pytest.raises(InvalidConfig, match="can't be written"):
            client.Session(downloads_dir=tmp_path)
        assert client.sessions.count() == 0


def test_a_browser_that_is_somewhere_else_keeps_none_here(tmp_path: Path) -> None:
    with Client(tmp_path / "log.db") as client, pytest.raises(InvalidConfig, match=r"downloads_dir.*cdp_url"):
        client.Session(downloads_dir=tmp_path, cdp_url="ws://127.0.0.1:1/")


NAMES = {
    "report.txt": "report.txt",
    "../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    r"..\..\windows\win.ini": "win.ini",
    r"C:\autoexec.bat": "autoexec.bat",
    "": "download",
    ".": "download",
    "..": "download",
    "/": "download",
    "a/": "a",
    ".bashrc": "bashrc",
    "... ": "download",
    "a\0b\nc\x1b[31m.txt": "abc[31m.txt",
    "evil\u202etxt.exe": "eviltxt.exe",
    "\ud800": "download",
    "x" * 300 + ".txt": "x" * 236 + ".txt",
    "ü" * 300: "ü" * 120,
    "名" * 300 + ".txt": "名" * 78 + ".txt",
}


@pytest.mark.parametrize("suggested", NAMES, ids=[name[:20].encode("unicode-escape").decode() for name in NAMES])
def test_a_suggested_name_is_never_a_path(suggested: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    assert harmless(suggested) == NAMES[suggested]
    for number in range(12):
        path = free_name(inside, suggested, lambda path: path.open("xb").close())
        assert path.parent == inside
        assert (path.name == NAMES[suggested]) == (number == 0)
    assert len(list(inside.iterdir())) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


def test_names_run_out_at_ten_thousand(tmp_path: Path) -> None:
    tried: list[Path] = []

    def take(path: Path) -> None:
        tried.append(path)
        raise FileExistsError

    with pytest.raises(FileExistsError, match="too many files"):
        free_name(tmp_path, "a.tar.gz", take)
    assert (tried[0].name, tried[-1].name, len(tried)) == ("a.tar.gz", "a (9999).tar.gz", 9999)


class Pipe:
    """A browser that says what a test wants of downloads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[tuple[str, Any]] = []
        self.hear: Callable[[bytes, int], None] = lambda _message, _end: None
        self.close: Callable[[], None] = lambda: None

    def attach_browser(self) -> str:
        return "S"

    def add_route(self, session_id: str, route: Callable[[bytes, int], None]) -> None:
        self.hear = route

    def on_closed(self, callback: Callable[[], None]) -> None:
        self.close = callback

    def post(self, method: str, params: Any, *, session_id: str) -> None:
        self.said.append((method, params))

    def tell(self, method: str, **params: object) -> None:
        self.hear(json.dumps({"method": f"Browser.{method}", "params": params}, separators=(",", ":")).encode(), 0)

    def complete(self, guid: str, name: str, content: bytes = b"all", **more: object) -> None:
        (self.folder / guid).write_bytes(content)
        self.tell("downloadWillBegin", guid=guid, url="http://x/", suggestedFilename=name)
        self.tell("downloadProgress", guid=guid, state="inProgress")
        self.tell("downloadProgress", guid=guid, state="completed", **more)


class Case:
    """Downloads of a pretended browser, and the directory that they are kept in."""

    def __init__(self, folder: Path) -> None:
        self.pipe = Pipe(folder / "own")
        self.directory = folder / "kept"
        self.directory.mkdir()
        pipe: Any = self.pipe
        self.downloads = Downloads(pipe, folder / "own", self.directory)

    def receipt(self) -> dict[str, Any]:
        self.pipe.close()
        return dict(self.downloads.receipt(10))

    def kept(self) -> list[str]:
        return sorted(os.listdir(self.directory))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    made = Case(tmp_path)
    yield made
    made.receipt()


def test_a_hostile_name_never_leaves_the_directory(case: Case, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        case.pipe.complete(str(number), name)
    assert case.receipt() == {"downloads_saved": len(NAMES)}
    assert len(case.kept()) == len(NAMES)
    assert not any(name.startswith(".") for name in case.kept())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "own"]


def test_nothing_is_written_over_nor_through(case: Case, tmp_path: Path) -> None:
    (case.directory / "a.txt").write_text("mine")
    (case.directory / "b.txt").symlink_to(tmp_path / "elsewhere")
    for number, name in enumerate(["a.txt", "b.txt"]):
        case.pipe.complete(str(number), name)
    case.receipt()
    assert case.kept() == ["a (2).txt", "a.txt", "b (2).txt", "b.txt"]
    assert (case.directory / "a.txt").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_taken_from_where_the_browser_says_it_is(case: Case, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    case.pipe.complete("1", "a.txt", filePath=str(tmp_path / "theirs"))
    case.receipt()
    assert (case.directory / "a.txt").read_text() == "theirs"


@pytest.mark.parametrize("links", ["none across", "none at all"])
def test_another_file_system(case: Case, monkeypatch: pytest.MonkeyPatch, links: str) -> None:
    """It is copied, and has no name of its own until it is whole."""
    link, seen = os.link, list[list[str]]()

    def refuse(source: Any, path: Any) -> None:
        seen.append(case.kept())
        if links == "none at all" or Path(source).parent != case.directory:
            raise OSError(18 if links == "none across" else 1, "no link")
        link(source, path)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(downloads, "_CHUNK_BYTES", 10)
    (case.directory / "a.txt").write_text("mine")
    case.pipe.complete("1", "a.txt", b"0123456789" * 10)
    (case.pipe.folder / "1").chmod(0o640)
    assert case.receipt() == {"downloads_saved": 1}
    assert case.kept() == ["a (2).txt", "a.txt"]
    assert (case.directory / "a (2).txt").read_bytes() == b"0123456789" * 10
    assert all(name == "a.txt" or name.startswith(".") for names in seen for name in names)


def test_a_full_disk_costs_the_file_and_is_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "fchmod", refuse)
    case.pipe.complete("1", "a.txt")
    assert case.receipt() == {
        "downloads_saved": 0,
        "downloads_not_saved": 1,
        "downloads_why_not": "No space left on device",
    }
    assert case.kept() == []


def test_a_slow_copy_is_given_up_and_leaves_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    copying = threading.Event()

    def refuse(*_: object) -> None:
        copying.set()
        raise OSError(18, "no link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(downloads, "_CHUNK_BYTES", 1)
    case.pipe.complete("1", "a.bin", b"0" * 20_000_000)
    case.pipe.complete("2", "b.bin")
    assert copying.wait(10)
    found = case.downloads.receipt(0)
    assert (found["downloads_saved"], found["downloads_not_saved"]) == (0, 2)
    assert case.kept() == []


def test_what_a_client_removed_before_is_told(case: Case, tmp_path: Path) -> None:
    case.pipe.complete("1", "a.txt", filePath=str(tmp_path / "gone"))
    assert case.receipt()["downloads_why_not"] == "No such file or directory"


def test_a_cancelled_download_is_none(case: Case) -> None:
    case.pipe.tell("downloadWillBegin", guid="1", url="http://x/", suggestedFilename="a.txt")
    case.pipe.tell("downloadProgress", guid="1", state="canceled")
    assert case.receipt() == {"downloads_saved": 0}


def test_what_waits_is_bounded(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "QUEUE_BYTES", 1000)
    case.pipe.tell("downloadWillBegin", guid="1", url="data:," + "x" * 1000, suggestedFilename="a.txt")
    case.pipe.complete("2", "b.txt")
    assert case.receipt() == {
        "downloads_saved": 1,
        "downloads_not_saved": 1,
        "downloads_why_not": "too many at once",
    }
