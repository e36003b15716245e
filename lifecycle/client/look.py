"""What a site sees of a session: user agent, language, time zone, headers, proxy; checked before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lifecycle.errors import InvalidConfig
from lifecycle.ports import ProxyAuth

__all__ = ["Proxy", "headers", "locale", "proxy", "timezone", "user_agent"]

#: A language tag in the common shape of BCP 47: language, script, region, variants.
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-[A-Za-z0-9]{5,8})*")
#: A field name (RFC 9110, 5.1).
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_HEADERS: Final = 64
_HEADER_VALUE: Final = 8192
#: Headers that the browser itself must write: they say where a message ends, or whose it is.
_FORBIDDEN: Final = frozenset(
    ("connection", "content-length", "cookie", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
_SCHEMES: Final = ("http", "https", "socks4", "socks5")
_SERVER: Final = "must be scheme://host:port with http, https, socks4 or socks5"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A checked proxy: what may be recorded, what stands on the command line, and what may do neither."""

    server: str | None = None
    args: tuple[str, ...] = ()
    auth: ProxyAuth | None = None


def user_agent(value: object) -> str | None:
    """A user agent: printable ASCII, up to 1024 characters."""
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 1024 or not (value.isascii() and value.isprintable()):
        raise InvalidConfig("user_agent", value, "must be printable ASCII of 1 to 1024 characters")
    return value


def locale(value: object) -> str | None:
    """A language tag such as de-DE."""
    if value is None:
        return None
    if not isinstance(value, str) or not _LOCALE.fullmatch(value):
        raise InvalidConfig("locale", value, "must be a language tag such as en-US or zh-Hant-TW")
    return value


def timezone(value: object) -> str | None:
    """A name of the IANA time zone database."""
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidConfig("timezone", value, "must be an IANA time zone such as Europe/Berlin") from None
    return value


def headers(value: object) -> dict[str, str]:
    """Headers for every request: up to 64, each value of printable text up to 8192 characters."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidConfig("extra_http_headers", "…", "must be a dict of texts")
    pairs = cast("dict[object, object]", value)
    if len(pairs) > _HEADERS:
        raise InvalidConfig("extra_http_headers", f"{len(pairs)} headers", f"at most {_HEADERS} headers")
    checked: dict[str, str] = {}
    for name, text in pairs.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name) or name.lower() in _FORBIDDEN:
            allowed = (
                f"must be a header's name, and none that the browser writes itself ({', '.join(sorted(_FORBIDDEN))})"
            )
            raise InvalidConfig("extra_http_headers", name, allowed)
        if not isinstance(text, str) or len(text) > _HEADER_VALUE or not (text.isascii() and text.isprintable()):
            # Its value may be a secret: only its name is told.
            raise InvalidConfig(
                f"extra_http_headers[{name!r}]", "…", f"printable ASCII up to {_HEADER_VALUE} characters"
            )
        checked[name] = text
    return checked


def proxy(value: object) -> Proxy:
    """A proxy from `scheme://host:port` or a dict with server, username, password and bypass."""
    if value is None:
        return Proxy()
    if isinstance(value, str):
        return _proxy({"server": value})
    if not isinstance(value, dict):
        raise InvalidConfig("proxy", "…", f"must be a text or a dict with `server`, which {_SERVER}")
    given = cast("dict[str, Any]", value)
    known = ("server", "username", "password", "bypass")
    if unknown := [name for name in given if name not in known]:
        raise InvalidConfig("proxy", unknown[0], f"unknown; known are {', '.join(known)}")
    return _proxy(given)


def _proxy(given: dict[str, Any]) -> Proxy:
    server = given.get("server")
    try:
        if not isinstance(server, str) or not server.isascii() or not server.isprintable():
            raise ValueError
        parts = urlsplit(server)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidConfig("proxy", "…", _SERVER) from None
    if parts.scheme not in _SCHEMES or not host or port is None or parts.path.strip("/") or parts.query:
        raise InvalidConfig("proxy", "…", _SERVER)  # never shown: it may hold a password
    plain = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    args = [f"--proxy-server={plain}", "--proxy-bypass-list=<-loopback>"]
    bypass = given.get("bypass")
    if bypass is not None:
        if not isinstance(bypass, str) or not bypass.isprintable() or not bypass.isascii():
            raise InvalidConfig("proxy", bypass, "bypass must be hosts, separated by commas")
        args[1] += f";{bypass.replace(',', ';')}"
    return Proxy(plain, tuple(args), _auth(given, parts.username, parts.password))


def _auth(given: dict[str, Any], username: str | None, password: str | None) -> ProxyAuth | None:
    user = given.get("username", unquote(username) if username is not None else None)
    secret = given.get("password", unquote(password) if password is not None else "")
    if user is None:
        return None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise InvalidConfig("proxy", "…", "username and password must be texts")
    return ProxyAuth(user, secret)
