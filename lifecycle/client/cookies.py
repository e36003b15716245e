"""Cookie files: read in three forms, merged without duplicates, replaced whole or not at all.

Read are a JSON array of cookie objects, Playwright's storage_state (a JSON object with `cookies`) and Netscape's
cookies.txt. Written are the two JSON forms, each as it was found; a file that is not there yet becomes an array.
A cookie in here is CDP's CookieParam as a plain dict: name, value, domain, path, expires (seconds), httpOnly, secure,
sameSite, partitionKey. Values are secrets: no error, repr or log line in here holds one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from lifecycle.errors import InvalidConfig
from lifecycle.log.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["CookieFile", "Cookies", "Receipt", "cookies_of", "read", "save"]

Cookies = list[dict[str, Any]]
_SAME_SITE: Final = {"lax": "Lax", "strict": "Strict", "none": "None", "no_restriction": "None"}
_LIMIT_BYTES: Final = 16 * 2**20
_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: How long a save waits for others in the same directory, and how often it looks; an ending must not wait for long.
_TURN_S: Final = 1.0
_LOOK_S: Final = 0.002
_LARGEST: Final = sys.float_info.max
_EXPIRY: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_ALLOWED: Final = "a JSON array of cookies, a Playwright storage_state, or a Netscape cookies.txt"


@dataclass(frozen=True, slots=True)
class CookieFile:
    """What stood in a cookie file; `rest` is what a storage_state holds besides cookies, None for an array."""

    cookies: Cookies
    form: str  # "array", "storage_state" or "netscape"
    rest: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a load or save did: how many cookies and the SHA-256 of the file's bytes, or why not."""

    count: int | None = None
    sha256: str | None = None
    why_not: str | None = None


def read(path: Path) -> tuple[CookieFile, str] | None:
    """The file's cookies and the SHA-256 of its bytes; None when there is no file.

    Raises:
        InvalidConfig: Not a cookie file, a symbolic link, or unreadable; it names the place, never a value.
    """
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, _READING)) as file:
            data = file.read(_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidConfig("cookie_file", str(path), f"can't be read: {error.strerror}") from None
    if len(data) > _LIMIT_BYTES:
        raise InvalidConfig("cookie_file", str(path), f"holds more than {_LIMIT_BYTES} bytes")
    try:
        return _parse(data.decode("utf-8-sig")), hashlib.sha256(data).hexdigest()
    except UnicodeDecodeError:
        raise InvalidConfig("cookie_file", str(path), f"is not text; allowed is {_ALLOWED}") from None
    except ValueError as error:
        raise InvalidConfig("cookie_file", str(path), f"{error}; allowed is {_ALLOWED}") from None


def _parse(text: str) -> CookieFile:
    if text.lstrip().startswith(("[", "{")):
        try:
            document: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "it"
            raise ValueError(f"{where} is not JSON") from None
        if isinstance(document, list):
            return CookieFile(cookies_of(cast("list[object]", document)), "array")
        fields = cast("dict[str, Any]", document)
        if not isinstance(fields.get("cookies"), list):
            raise ValueError("the JSON object has no array `cookies`")
        rest = {name: value for name, value in fields.items() if name != "cookies"}
        return CookieFile(cookies_of(fields["cookies"]), "storage_state", rest)
    if not text.strip():
        return CookieFile([], "array")
    return CookieFile(_netscape(text), "netscape")


def cookies_of(items: list[object]) -> Cookies:
    """Cookie objects as CDP takes them. Known fields are checked, unknown ones (hostOnly, storeId, …) left out.

    Raises:
        ValueError: Names the first cookie that is wrong and the field; never its value.
    """
    return [_cookie(item, number) for number, item in enumerate(items, start=1)]


def _cookie(item: object, number: int) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"cookie {number} is not an object")
    given = cast("dict[str, Any]", item)
    cookie: dict[str, Any] = {}
    for field in ("name", "value", "domain"):
        if not isinstance(given.get(field), str) or (field != "value" and not given[field]):
            raise ValueError(f"cookie {number} has no text `{field}`")
        cookie[field] = given[field]
    cookie["path"] = given.get("path", "/")
    if not isinstance(cookie["path"], str):
        raise ValueError(f"the `path` of cookie {number} is not text")
    for field in ("httpOnly", "secure"):
        if not isinstance(given.get(field, False), bool):
            raise ValueError(f"the `{field}` of cookie {number} is not true or false")
        cookie[field] = given.get(field, False)
    expires = given.get("expires", given.get("expirationDate"))
    if given.get("session") is not True and expires is not None and expires != -1:
        # NaN, the infinities, and a whole number too large for the browser's: JSON may hold any.
        if isinstance(expires, bool) or not isinstance(expires, int | float) or not abs(expires) <= _LARGEST:
            raise ValueError(f"the `expires` of cookie {number} is not a number of seconds")
        cookie["expires"] = expires
    same_site = given.get("sameSite")
    if same_site is not None:
        if not isinstance(same_site, str):
            raise ValueError(f"the `sameSite` of cookie {number} is not text")
        if (known := _SAME_SITE.get(same_site.lower())) is not None:  # browsers' extensions write "unspecified"
            cookie["sameSite"] = known
    partition = given.get("partitionKey")
    if partition is not None:
        cookie["partitionKey"] = _partition(partition, number)
    return cookie


def _partition(value: object, number: int) -> dict[str, Any]:
    if isinstance(value, str):
        return {"topLevelSite": value, "hasCrossSiteAncestor": False}
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if not isinstance(fields.get("topLevelSite"), str):
        raise ValueError(f"the `partitionKey` of cookie {number} is neither text nor an object with topLevelSite")
    return {
        "topLevelSite": fields["topLevelSite"],
        "hasCrossSiteAncestor": bool(fields.get("hasCrossSiteAncestor", False)),
    }


def _netscape(text: str) -> Cookies:
    cookies: Cookies = []
    for number, line in enumerate(re.split(r"\r?\n", text), start=1):  # what else Unicode calls a line's end is text
        http_only = line.startswith("#HttpOnly_")
        line = line.removeprefix("#HttpOnly_")
        if not line.strip() or (line.startswith("#") and not http_only):
            continue
        fields = line.split("\t")
        if len(fields) != 7:
            raise ValueError(f"line {number} is neither JSON nor a cookies.txt line of seven fields")
        domain, _, path, secure, expires, name, value = fields
        if not _EXPIRY.fullmatch(expires):
            raise ValueError(f"line {number} has no number for its expiry")
        cookie = {
            "name": name,
            "value": value,
            "domain": domain,
            "path": path,
            "httpOnly": http_only,
            "secure": secure.upper() == "TRUE",
        }
        cookies.append(cookie | ({"expires": int(expires)} if int(expires) > 0 else {}))
    return cookies


def _key(cookie: dict[str, Any]) -> tuple[str, str, str, str]:
    partition: dict[str, Any] = cookie.get("partitionKey") or {}
    return cookie["name"], cookie["domain"], cookie["path"], str(partition.get("topLevelSite", ""))


def save(path: Path, now: Cookies, loaded: Cookies) -> Receipt:
    """Merge the browser's cookies into the file and replace it; the receipt says what stands there, or why not.

    The browser's word counts for every cookie it has and for those that were *loaded* into it: what it has lost since
    is gone. Cookies that others have put into the file meanwhile stay. Durable on return; mode 0600; a symbolic link is
    not followed; a failure leaves the old file as it was.
    """
    try:
        with _turn(path.parent):
            found = read(path)
            before = found[0] if found is not None else CookieFile([], "array")
            if before.form == "netscape":
                return Receipt(why_not="the file is in Netscape form, which is only read")
            mine = {_key(cookie) for cookie in loaded}
            merged = {_key(cookie): cookie for cookie in before.cookies if _key(cookie) not in mine}
            merged.update((_key(cookie), cookie) for cookie in now)
            data = _written(before, list(merged.values()))
            replace_file(path, data)
    except InvalidConfig as error:
        return Receipt(why_not=error.allowed[:256])
    except OSError as error:
        return Receipt(why_not=f"can't be written: {error.strerror}")
    return Receipt(count=len(merged), sha256=hashlib.sha256(data).hexdigest())


@contextmanager
def _turn(directory: Path) -> Generator[None]:
    """One at a time, of all threads and processes: of two who read the same file the later would undo the other's.

    The directory is what is locked, so that nothing is left beside the file. Whoever does not get its turn in time goes
    on without it.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # it may be written and not read
        yield
        return
    try:
        until = time.monotonic() + _TURN_S
        while time.monotonic() < until:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOOK_S)
            except OSError:  # a file system without such locks
                break
            else:
                break
        yield
    finally:
        os.close(fd)


def _written(before: CookieFile, cookies: Cookies) -> bytes:
    shown = [{**cookie, "expires": cookie.get("expires", -1)} for cookie in cookies]
    if before.rest is None:
        document: object = shown
    else:
        # Playwright writes partitionKey as text and refuses an object.
        document = {"cookies": [_as_playwright(cookie) for cookie in shown], **before.rest}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate, as a page may store it, becomes \udXXX, which is how JSON writes it.
    return text.encode(errors="backslashreplace")


def _as_playwright(cookie: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in cookie.items() if name != "partitionKey"}
    plain.setdefault("sameSite", "Lax")
    if (partition := cookie.get("partitionKey")) is not None:
        plain["partitionKey"] = partition["topLevelSite"]
    return plain
