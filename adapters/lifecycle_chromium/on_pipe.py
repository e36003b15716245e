"""`lifecycle-pipe`: stands where a program expects a browser's binary, and brings it to a session that runs already.

For programs that start their browser with `--remote-debugging-pipe`, speak CDP over its file descriptors 3 and 4, and
can't be given an address with a token in it, as chromedriver. Of what such a program puts on the command line only
`--lifecycle-session=ID` and `--lifecycle-log=LOCATOR` are read. Neither is a secret: the way in is looked up in the
log's runtime directory, which is its owner's alone.

The session is never ended from here: Browser.close closes the connection, and so does the program's end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from lifecycle.errors import LifecycleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.sync.client import ClientConnection

__all__ = ["main"]

_FROM, _TO = 3, 4
_CHUNK_BYTES: Final = 1 << 20


def main(args: Sequence[str] | None = None) -> int:
    """Carry messages until either side ends. The exit code: 1 with a word on stderr where there is no such session."""
    given = dict(arg.split("=", 1) for arg in (sys.argv[1:] if args is None else args) if "=" in arg)
    try:
        url = _cdp_url(given.get("--lifecycle-session"), given.get("--lifecycle-log"))
    except LifecycleError as error:
        print(f"lifecycle-pipe: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 2 if isinstance(error, UsageError) else 1
    from websockets.sync.client import connect

    # No proxy from the environment, no compression: as the gate's other clients.
    with connect(f"{url}?client=pipe", max_size=None, compression=None, proxy=None) as line:
        threading.Thread(target=_back, args=(line,), daemon=True).start()
        _forth(line)
    return 0


def _cdp_url(session_id: str | None, log: str | None) -> str:
    from lifecycle import Client, InvalidConfig

    if session_id is None:
        raise InvalidConfig("--lifecycle-session", None, "must be the id of a session that runs")
    with Client(log) as client:
        return client.Session(session_id, page=False).start().cdp_url()


def _forth(line: ClientConnection) -> None:
    begun = b""
    while chunk := os.read(_FROM, _CHUNK_BYTES):
        *messages, begun = (begun + chunk).split(b"\0")
        for message in messages:
            if b'"Browser.close"' in message and json.loads(message)["method"] == "Browser.close":
                return
            line.send(message, text=True)


def _back(line: ClientConnection) -> None:
    for message in line:
        data = memoryview((message.encode() if isinstance(message, str) else message) + b"\0")
        while data:
            data = data[os.write(_TO, data) :]
    os._exit(0)  # the session is over, and the other thread reads a pipe that says nothing more


if __name__ == "__main__":
    sys.exit(main())
