"""launch(): what a host gets in place of Playwright's own launch(), in both twins.

A keeper launches the browser and watches it, Playwright is connected to it through the gate, and the host has the same
Browser object as ever. Its close() ends the session, after Playwright's own: contexts write videos and traces there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, overload

from lifecycle.core.deadlines import microseconds
from lifecycle.errors import LifecycleError
from lifecycle.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from playwright import async_api, sync_api

    from lifecycle import AsyncClient, AsyncSession, Client, Session
    from lifecycle.client.request import SessionConfig

__all__ = ["AsyncLaunched", "Launched", "can_launch", "lasting", "launch"]

#: options of Playwright's launch(), and the session's argument of the same meaning
_SAME: Final = {"headless": "headless", "args": "browser_args", "executable_path": "browser", "proxy": "proxy"}
#: what Playwright does with the connection as well as with a browser that it launches
_CONNECTION: Final = ("slow_mo", "timeout")
#: what a keeper sees to by itself: signals end no browser, the sandbox is used where it works
_OURS: Final = ("handle_sighup", "handle_sigint", "handle_sigterm", "chromium_sandbox")
_CHANNELS: Final = ("chrome", "chromium")
_UNUSED: Final = timedelta(hours=1)
_LONGEST: Final = timedelta(days=1)
#: How long closing a browser that has gone by itself waits for its keeper, which is writing down why at this moment.
_VERDICT_WAIT_S: Final = 2.0


class Launched(NamedTuple):
    """A session that runs, and Playwright's way to its browser."""

    session: Session
    browser: sync_api.Browser


class AsyncLaunched(NamedTuple):
    """As Launched."""

    session: AsyncSession
    browser: async_api.Browser


def can_launch(browser_type: Any, options: Mapping[str, Any]) -> str | None:
    """None where launch() honours these options of Playwright's launch(); else why not, for attach() to be used."""
    if browser_type.name != "chromium":
        return f"a keeper starts Chromium, not {browser_type.name}"
    for name, value in options.items():
        if value is None or name in _SAME or name in _CONNECTION or name in _OURS:
            continue
        if name == "channel" and value in _CHANNELS:
            continue
        return f"a keeper has no {name}={value!r}" if name == "channel" else f"a keeper has no option {name}"
    return None


def lasting(config: SessionConfig) -> SessionConfig:
    """*config* for a browser that lives as long as its process, which is watched: an hour unused, a day in all.

    A limit that *config* gives counts, and the hour gives way to a shorter maximum.

    Raises:
        InvalidConfig: The maximum is no duration.
    """
    longest = config.get("max_duration_minutes")
    if longest is None:
        longest = _LONGEST
    given: SessionConfig = {**config, "max_duration_minutes": longest}
    if config.get("timeout_minutes") is None and config.get("idle_timeout_minutes") is None:
        maximum = timedelta(microseconds=microseconds("max_duration_minutes", longest))
        given["idle_timeout_minutes"] = min(_UNUSED, maximum)
    return given


@overload
def launch(
    client: Client, browser_type: sync_api.BrowserType, options: Mapping[str, Any], config: SessionConfig
) -> Launched: ...
@overload
def launch(
    client: AsyncClient, browser_type: async_api.BrowserType, options: Mapping[str, Any], config: SessionConfig
) -> Awaitable[AsyncLaunched]: ...
def launch(
    client: Client | AsyncClient, browser_type: Any, options: Mapping[str, Any], config: SessionConfig
) -> Launched | Awaitable[AsyncLaunched]:
    """A started session, and a Browser connected to it, for the *options* that Playwright's launch() would have had.

    *config* is that of Client.Session and comes first where both say something. Closing the Browser ends the session,
    as stop() does; so does whatever else ends sessions.

    Raises:
        InvalidConfig: can_launch() says no, or an argument is wrong; nothing was started.
        BrowserNotFound, LaunchFailed, LogUnavailable: As Session.start().
    """
    from lifecycle import AsyncClient
    from lifecycle.errors import InvalidConfig

    if (why := can_launch(browser_type, options)) is not None:
        raise InvalidConfig("options", dict(options), why)
    given = cast("SessionConfig", {**_config(options), **config, "page": False})
    connection = {name: options[name] for name in _CONNECTION if options.get(name) is not None}
    if isinstance(client, AsyncClient):
        return _launch_async(client.Session(**given), browser_type, connection)
    return _launch(client.Session(**given), browser_type, connection)


def _config(options: Mapping[str, Any]) -> dict[str, Any]:
    config = {_SAME[name]: value for name, value in options.items() if name in _SAME and value is not None}
    channel = options.get("channel")
    return config if channel is None else {"browser": channel, **config}


def _launch(session: Session, browser_type: sync_api.BrowserType, connection: dict[str, Any]) -> Launched:
    session.start()
    try:
        browser = browser_type.connect_over_cdp(session.cdp_url(), **connection)
    except BaseException as error:
        session.__exit__(type(error), error, error.__traceback__)
        raise
    close = browser.close

    def closing(*args: Any, **named: Any) -> None:
        died = not browser.is_connected()
        try:
            close(*args, **named)
        finally:
            try:
                if died:
                    session.wait_ended(_VERDICT_WAIT_S)
                session.stop()
            except LifecycleError as error:
                _not_recorded(session.session_id, error)

    browser.__dict__["close"] = closing
    return Launched(session, browser)


async def _launch_async(
    session: AsyncSession, browser_type: async_api.BrowserType, connection: dict[str, Any]
) -> AsyncLaunched:
    await session.start()
    try:
        browser = await browser_type.connect_over_cdp(await session.cdp_url(), **connection)
    except BaseException as error:
        await session.__aexit__(type(error), error, error.__traceback__)
        raise
    close = browser.close

    async def closing(*args: Any, **named: Any) -> None:
        died = not browser.is_connected()
        try:
            await close(*args, **named)
        finally:
            try:
                if died:
                    await session.wait_ended(_VERDICT_WAIT_S)
                await session.stop()
            except LifecycleError as error:
                _not_recorded(session.session_id, error)

    browser.__dict__["close"] = closing
    return AsyncLaunched(session, browser)


def _not_recorded(session_id: str, error: LifecycleError) -> None:
    """The browser is ended all the same; a host that closes it has nothing to do about the log."""
    logger.warning("end_not_recorded", session_id=session_id, error=str(error))
