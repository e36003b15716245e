"""Cookie files: three forms in, two out, merged without duplicates, replaced whole, and never a value in an error."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from lifecycle.client import cookies
from lifecycle.client.cookies import cookies_of, read, save
from lifecycle.errors import InvalidConfig

SECRET = "s3cr3t-value"
ONE: dict[str, Any] = {"name": "a", "value": SECRET, "domain": "example.com", "path": "/", "httpOnly": True}


def _write(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _cookies(path: Path) -> list[dict[str, Any]]:
    found = read(path)
    assert found is not None
    return found[0].cookies


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") is None


def test_an_empty_file_holds_no_cookies(tmp_path: Path) -> None:
    assert _cookies(_write(tmp_path / "c.json", "")) == []


def test_an_array_is_read(tmp_path: Path) -> None:
    (cookie,) = _cookies(_write(tmp_path / "c.json", [{**ONE, "expirationDate": 1900000000.5, "hostOnly": True}]))
    assert cookie == {**ONE, "secure": False, "expires": 1900000000.5}


@pytest.mark.parametrize(
    ("given", "stands"),
    [("lax", "Lax"), ("Strict", "Strict"), ("no_restriction", "None"), ("None", "None"), ("unspecified", None)],
)
def test_same_site_is_normalised(given: str, stands: str | None) -> None:
    (cookie,) = cookies_of([{**ONE, "sameSite": given}])
    assert cookie.get("sameSite") == stands


@pytest.mark.parametrize("fields", [{"session": True, "expires": 5}, {"expires": -1}, {}])
def test_a_session_cookie_has_no_expiry(fields: dict[str, object]) -> None:
    (cookie,) = cookies_of([{**ONE, **fields}])
    assert "expires" not in cookie


def test_a_storage_state_keeps_what_else_it_holds(tmp_path: Path) -> None:
    origins = [{"origin": "https://example.com", "localStorage": [{"name": "k", "value": "v"}]}]
    path = _write(tmp_path / "state.json", {"cookies": [ONE], "origins": origins})
    receipt = save(path, cookies_of([{**ONE, "value": "new"}]), _cookies(path))
    document = json.loads(path.read_text())
    assert receipt.count == 1
    assert document["origins"] == origins
    assert [cookie["value"] for cookie in document["cookies"]] == ["new"]


def test_a_netscape_file_is_read_and_never_written(tmp_path: Path) -> None:
    lines = (
        "# Netscape HTTP Cookie File\n"
        "#HttpOnly_.example.com\tTRUE\t/\tTRUE\t1900000000\ta\tb\n"
        "x.org\tFALSE\t/p\tFALSE\t0\tc\td\n"
    )
    path = _write(tmp_path / "cookies.txt", lines)
    first, second = _cookies(path)
    assert first == {
        "name": "a",
        "value": "b",
        "domain": ".example.com",
        "path": "/",
        "httpOnly": True,
        "secure": True,
        "expires": 1900000000,
    }
    assert "expires" not in second
    assert save(path, [], []).why_not == "the file is in Netscape form, which is only read"
    assert path.read_text() == lines


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{not json", "line 1 is not JSON"),
        ({"origins": []}, "no array `cookies`"),
        (["text"], "cookie 1 is not an object"),
        ([{"value": SECRET, "domain": "d"}], "cookie 1 has no text `name`"),
        ([{**ONE, "domain": ""}], "cookie 1 has no text `domain`"),
        ([ONE, {**ONE, "httpOnly": "yes"}], "the `httpOnly` of cookie 2"),
        ([{**ONE, "expires": "tomorrow"}], "the `expires` of cookie 1"),
        ([{**ONE, "partitionKey": 5}], "the `partitionKey` of cookie 1"),
        ("one\ttwo\n", "line 1 is neither JSON nor"),
        *(
            (f"d\tTRUE\t/\tTRUE\t{expiry}\tn\tv\n", "line 1 has no number")
            for expiry in ("--5", "²", "1.5", "9" * 5000)
        ),
    ],
)
def test_a_malformed_file_says_where_and_never_a_value(tmp_path: Path, document: object, says: str) -> None:
    path = _write(tmp_path / "c.json", document)
    before = path.read_bytes()
    with pytest.raises(InvalidConfig) as refused:
        read(path)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
    assert save(path, cookies_of([ONE]), []).why_not is not None
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ['[{"name": "n", "value": "v", "domain": "d"}]', "d\tTRUE\t/\tTRUE\t0\tn\tv\n"])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, text: str) -> None:
    """Editors of another system put one before the text."""
    found = read(_write(tmp_path / "c", f"\ufeff{text}"))
    assert found is not None
    assert [cookie["name"] for cookie in found[0].cookies] == ["n"]


def test_a_file_nested_deeper_than_python_goes_is_refused(tmp_path: Path) -> None:
    gc.collect()  # garbage that is collected down there has finalizers that fail, for want of a frame
    path = _write(tmp_path / "c.json", "[" * 100_000)
    with pytest.raises(InvalidConfig, match="is not JSON"):
        read(path)
    assert save(path, cookies_of([ONE]), []).why_not is not None


@pytest.mark.parametrize("number", ["nan", "inf", "1e999"])
def test_an_expiry_that_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="expires"):
        cookies_of([{**ONE, "expires": float(number)}])


def test_an_expiry_that_no_browser_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="expires"):
        cookies_of([{**ONE, "expires": 10**400}])


def test_only_line_feeds_end_a_line_of_a_netscape_file(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_bytes("x.org\tTRUE\t/\tFALSE\t0\ta\tb\u2028c\x85d\r\nx.org\tTRUE\t/\tFALSE\t0\te\tf\n".encode())
    found = read(path)
    assert found is not None
    assert [cookie["value"] for cookie in found[0].cookies] == ["b\u2028c\x85d", "f"]


def test_a_symbolic_link_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    target = _write(tmp_path / "target", "keep me")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    with pytest.raises(InvalidConfig):
        read(link)
    assert save(link, cookies_of([ONE]), []).why_not is not None
    assert target.read_text() == "keep me"
    assert link.is_symlink()


def test_a_new_file_is_the_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        save(tmp_path / "c.json", cookies_of([ONE]), [])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "c.json").stat().st_mode) == 0o600


def test_saving_again_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    now = cookies_of([ONE, {**ONE, "path": "/other"}, {**ONE, "partitionKey": "https://top.example"}])
    assert [save(path, now, now).count for _ in range(3)] == [3, 3, 3]
    assert _cookies(path) == now


def test_cookies_that_the_browser_lost_are_gone_and_those_of_others_stay(tmp_path: Path) -> None:
    path = _write(tmp_path / "c.json", [ONE, {**ONE, "name": "logged-in"}])
    loaded = _cookies(path)
    _write(path, [*loaded, {**ONE, "name": "others"}])
    save(path, cookies_of([{**ONE, "value": "new"}]), loaded)
    assert sorted((cookie["name"], cookie["value"]) for cookie in _cookies(path)) == [("a", "new"), ("others", SECRET)]


def test_sessions_that_save_into_one_file_at_once_keep_each_other_s(tmp_path: Path) -> None:
    """Each read the file, merged and replaced it: what another one had put into it in between was gone."""
    path = tmp_path / "c.json"
    for _ in range(10):
        path.unlink(missing_ok=True)
        begin = threading.Barrier(4)

        def saves(name: str, begin: threading.Barrier = begin) -> None:
            begin.wait()
            assert save(path, [{**ONE, "name": name}], []).why_not is None

        threads = [threading.Thread(target=saves, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {cookie["name"] for cookie in _cookies(path)} == set("abcd")


def test_a_directory_that_somebody_else_has_locked_keeps_no_cookies_from_being_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cookies, "_TURN_S", 0.01)
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert save(tmp_path / "c.json", [ONE], []).count == 1
    os.close(fd)


def test_half_a_surrogate_in_a_page_s_storage_is_kept(tmp_path: Path) -> None:
    """A text that a page has cut in the middle of an emoji; the file could not be written, and the session ended."""
    path = _write(tmp_path / "s.json", {"cookies": [], "origins": [{"value": "cut: \ud83d"}]})
    assert save(path, [ONE], []).count == 1
    assert json.loads(path.read_text())["origins"] == [{"value": "cut: \ud83d"}]


def test_a_directory_in_place_of_the_file_is_told_and_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        assert save(tmp_path, [ONE], []).why_not == "can't be read: Is a directory"
    assert len(os.listdir("/dev/fd")) == before


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "c.json", [ONE])
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    receipt = save(path, cookies_of([{**ONE, "name": "b"}]), [])
    assert receipt.why_not == "can't be written: No space left on device"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_receipt_names_the_bytes_that_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    receipt = save(path, cookies_of([ONE]), [])
    found = read(path)
    assert found is not None
    assert receipt.sha256 == found[1]
