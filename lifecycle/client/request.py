"""What a user asks of a session, validated before anything starts: one clear error for each bad argument."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict, cast
from urllib.parse import urlsplit

from lifecycle.client import look, recording
from lifecycle.client.cookies import read
from lifecycle.client.origin import ORIGIN
from lifecycle.client.text import clean
from lifecycle.core import Config, Limits, limits
from lifecycle.core.events import LABEL_NAME, MAX_LABEL, MAX_LABELS
from lifecycle.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from lifecycle.client.recording import Wish
    from lifecycle.core import SessionView
    from lifecycle.core.deadlines import Minutes
    from lifecycle.ports import ProxyAuth

__all__ = ["DEFAULTS", "Request", "SessionConfig", "attaching", "file_of", "labels_of", "request"]

#: An argument for the browser that would take it out of its keeper's hands, or open it to others.
_RESERVED: Final = (
    "--remote-debugging-port",
    "--remote-debugging-address",
    "--remote-debugging-pipe",
    "--remote-allow-origins",
    "--user-data-dir",
    "--headless",
    "--lifecycle-session",
    "--proxy-server",
    "--proxy-bypass-list",
    "--user-agent",
)
_SWITCH: Final = re.compile(r"--\w[\w-]*(?:=.*)?", re.ASCII | re.DOTALL)


class ProxySettings(TypedDict, total=False):
    """A proxy: `server` as scheme://host:port; what it asks for; and hosts that go past it."""

    server: Required[str]
    username: str
    password: str
    bypass: str


class SessionConfig(TypedDict, total=False):
    """The keyword arguments of `Client.Session` and `AsyncClient.Session`; what each means stands there."""

    headless: bool
    timeout_minutes: Minutes | None
    idle_timeout_minutes: Minutes | None
    max_duration_minutes: Minutes | None
    viewport_width: int | None
    viewport_height: int | None
    browser: str | PathLike[str] | None
    browser_args: Iterable[str]
    cdp_url: str | None
    cookie_file: str | PathLike[str] | None
    user_data_dir: str | PathLike[str] | None
    downloads_dir: str | PathLike[str] | None
    user_agent: str | None
    locale: str | None
    timezone: str | None
    extra_http_headers: Mapping[str, str] | None
    proxy: str | ProxySettings | None
    labels: Mapping[str, str] | None
    keep_alive: bool
    record: bool | str | PathLike[str]
    record_limit_bytes: int | None
    page: bool
    actor: str | None
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    on_end: Callable[[SessionView], object] | None


DEFAULTS: Final[SessionConfig] = {
    "headless": True,
    "timeout_minutes": None,
    "idle_timeout_minutes": None,
    "max_duration_minutes": None,
    "viewport_width": None,
    "viewport_height": None,
    "browser": None,
    "browser_args": (),
    "cdp_url": None,
    "cookie_file": None,
    "user_data_dir": None,
    "downloads_dir": None,
    "user_agent": None,
    "locale": None,
    "timezone": None,
    "extra_http_headers": None,
    "proxy": None,
    "labels": None,
    "keep_alive": False,
    "record": False,
    "record_limit_bytes": None,
    "page": True,
    "actor": None,
    "correlation_id": None,
    "causation_id": None,
    "traceparent": None,
    "on_end": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A session's configuration, complete and valid."""

    config: Config
    limits: Limits
    browser_path: str | None
    cdp_url: str | None
    browser_args: tuple[str, ...]
    cookie_file: str | None
    user_data_dir: str | None
    downloads_dir: str | None
    extra_http_headers: dict[str, str]
    proxy: ProxyAuth | None
    labels: dict[str, str]
    keep_alive: bool
    record: Wish | None
    page: bool

    def make_downloads_dir(self) -> None:
        """Make the directory for downloads, if one is asked for and not there.

        Raises:
            InvalidConfig: It can't be made.
        """
        if self.downloads_dir is not None:
            try:
                Path(self.downloads_dir).mkdir(exist_ok=True)
            except OSError as error:
                why = f"can't be made: {error.strerror}"
                raise InvalidConfig("downloads_dir", self.downloads_dir, why) from None


def request(given: SessionConfig) -> Request:
    """The validated form of a new session's arguments.

    Raises:
        InvalidConfig: Names the first argument that is unknown or wrong, and what is allowed.
        MissingExtra: record, without an encoder.
    """
    _refuse_unknown(given)
    full: dict[str, Any] = {**DEFAULTS, **given}
    kind, path = _browser(full["browser"])
    cdp_url = _cdp_url(full)
    headers = look.headers(full["extra_http_headers"])
    proxy = look.proxy(full["proxy"])
    return Request(
        config=Config(
            headless=_flag("headless", full["headless"]),
            **_viewport(full["viewport_width"], full["viewport_height"]),
            browser=kind if cdp_url is None else "external",
            user_agent=look.user_agent(full["user_agent"]),
            locale=look.locale(full["locale"]),
            timezone=look.timezone(full["timezone"]),
            proxy=proxy.server,
            extra_http_headers=tuple(headers),
        ),
        limits=limits(
            timeout_minutes=full["timeout_minutes"],
            idle_timeout_minutes=full["idle_timeout_minutes"],
            max_duration_minutes=full["max_duration_minutes"],
        ),
        browser_path=path,
        cdp_url=cdp_url,
        browser_args=(*_args(full["browser_args"]), *proxy.args),
        cookie_file=_cookie_file(full["cookie_file"]),
        user_data_dir=_directory("user_data_dir", full["user_data_dir"]),
        downloads_dir=_directory("downloads_dir", full["downloads_dir"]),
        extra_http_headers=headers,
        proxy=proxy.auth,
        labels=labels_of(full["labels"]),
        keep_alive=_flag("keep_alive", full["keep_alive"]),
        record=recording.wish(full["record"], full["record_limit_bytes"]),
        page=_flag("page", full["page"]),
    )


def attaching(given: SessionConfig) -> bool:
    """Check the arguments that stand beside a session id; whether pages are wanted.

    Raises:
        InvalidConfig: Any configuration: the session has its own.
    """
    _refuse_unknown(given)
    for name, value in given.items():
        if name not in ("page", "on_end", *ORIGIN):
            raise InvalidConfig(name, value, "a session that is attached to by id has its configuration already")
    return _flag("page", given.get("page", True))


def _refuse_unknown(given: SessionConfig) -> None:
    if not callable(given.get("on_end") or callable):
        raise InvalidConfig("on_end", given.get("on_end"), "must be a function that takes the ending, a SessionView")
    for name, value in given.items():
        if name not in DEFAULTS:
            close = difflib.get_close_matches(name, DEFAULTS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(DEFAULTS))}"
            raise InvalidConfig(name, value, f"unknown argument; {hint}")


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidConfig(name, value, "must be True or False")
    return value


def _viewport(width: object, height: object) -> dict[str, int]:
    if width is None and height is None:
        return {}
    sides = {"viewport_width": width, "viewport_height": height}
    for name, value in sides.items():
        if value is None:
            raise InvalidConfig(name, value, "give both viewport_width and viewport_height, or neither")
    checked: dict[str, int] = {}
    for name, value in sides.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 16_384:
            raise InvalidConfig(name, value, "must be a whole number of pixels from 1 to 16384")
        checked[name] = value
    return checked


def _browser(value: object) -> tuple[Any, str | None]:
    if value is None:
        return None, None
    if value in ("chromium", "chrome"):
        return value, None
    allowed = 'must be "chromium", "chrome", or the path of a browser binary'
    try:
        path = Path(cast("str", value))  # anything at all may come in here; the except below answers it
        whole = str(path.absolute())
    except (TypeError, OSError):  # no path at all; relative to a directory that was removed
        raise InvalidConfig("browser", value, allowed) from None
    text = str(path)
    if not text.strip() or not clean(text) or len(path.parts) < 2:
        raise InvalidConfig("browser", value, allowed)
    return "named", whole


#: What only a browser of our own can be given.
_AT_LAUNCH: Final = (
    ("headless", True),
    ("browser", None),
    ("browser_args", ()),
    ("user_data_dir", None),
    ("downloads_dir", None),
    ("user_agent", None),
    ("timezone", None),
    ("proxy", None),
)


def _cdp_url(given: dict[str, Any]) -> str | None:
    url: object = given["cdp_url"]
    if url is None:
        return None
    allowed = "must be ws://, wss://, http:// or https:// with a host: the CDP endpoint of a browser that runs already"
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isascii() and url.isprintable() else None
        good = parts is not None and parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname)
        _ = parts.port if parts is not None else None
    except ValueError:
        good = False
    if not good:
        raise InvalidConfig("cdp_url", "…", allowed)  # never shown: it is a credential
    for name, default in _AT_LAUNCH:
        if given[name] != default:
            raise InvalidConfig(name, given[name], "can't be given with cdp_url: that browser runs already")
    return str(url)


def file_of(name: str, value: object) -> Path:
    """*value* as an absolute path whose directory exists.

    Raises:
        InvalidConfig: It names *name*.
    """
    allowed = "must be the path of a file in a directory that exists"
    try:
        path = Path(cast("str", value)).absolute()
        good = clean(str(path)) and bool(path.name) and path.parent.is_dir() and not path.is_dir()
    except (TypeError, OSError):  # no path at all; a name that is too long
        raise InvalidConfig(name, value, allowed) from None
    if not good:
        raise InvalidConfig(name, value, allowed)
    return path


def _cookie_file(value: object) -> str | None:
    if value is None:
        return None
    path = file_of("cookie_file", value)
    read(path)  # a malformed file is refused here, before anything starts
    return str(path)


def _directory(name: str, value: object) -> str | None:
    if value is None:
        return None
    allowed = "must be the path of a directory, or of one that can be made in a directory that exists"
    try:
        path = Path(cast("str", value)).absolute()
        there = path.is_dir()
        good = there or (path.parent.is_dir() and not os.path.lexists(path))
    except (TypeError, OSError):  # no path at all; a name that is too long
        raise InvalidConfig(name, value, allowed) from None
    if not good or not clean(str(path)) or not str(value).strip():
        raise InvalidConfig(name, value, allowed)
    place = path if there else path.parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise InvalidConfig(name, value, f"{str(place)!r} can't be written")
    return str(path)


def _args(value: object) -> tuple[str, ...]:
    allowed = "must be a list of texts that look like --name or --name=value"
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise InvalidConfig("browser_args", value, allowed)
    args: list[object] = list(cast("Iterable[object]", value))
    for arg in args:
        if not isinstance(arg, str) or not _SWITCH.fullmatch(arg) or not clean(arg) or len(arg) > 4096:
            raise InvalidConfig("browser_args", arg, allowed)
        if arg.partition("=")[0] in _RESERVED:
            raise InvalidConfig("browser_args", arg, f"the keeper decides about {', '.join(_RESERVED)}")
    return tuple(str(arg) for arg in args)


def labels_of(value: object) -> dict[str, str]:
    """Validated labels: up to 64, names of 1 to 64 characters A-Z a-z 0-9 _ . : / -, values up to 1024 characters."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidConfig("labels", value, "must be a dict of texts")
    pairs = cast("dict[object, object]", value)
    if len(pairs) > MAX_LABELS:
        raise InvalidConfig("labels", f"{len(pairs)} labels", f"at most {MAX_LABELS} labels")
    checked: dict[str, str] = {}
    for key, text in pairs.items():
        if not isinstance(key, str) or not re.fullmatch(LABEL_NAME, key):
            raise InvalidConfig("labels", key, "a label's name has 1 to 64 characters from A-Z a-z 0-9 _ . : / -")
        if not isinstance(text, str) or len(text) > MAX_LABEL or not clean(text):
            allowed = f"a label's value is text of at most {MAX_LABEL} characters, none of them NUL or half a surrogate"
            raise InvalidConfig(f"labels[{key!r}]", text, allowed)
        checked[key] = text
    return checked
