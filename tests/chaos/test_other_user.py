"""Another user of this machine, beside a running session: nothing of it is open to them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos.aftermath import CANARY, launched, leaked
from tests.chaos.check import whole
from tests.chaos.record import judged
from tests.client.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.record import Figures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="becoming another user needs root"),
]

#: Run as nobody: reads, lists, writes, connects to whatever it is told of, and looks at every process.
NOBODY = """
import json, os, socket, sys, urllib.request, urllib.error
paths, port, secrets = json.loads(sys.stdin.read())
got = []
for path in paths:
    for what, how in (("read", lambda: open(path, "rb").read(1)), ("listed", lambda: os.listdir(path)),
                      ("written", lambda: open(path, "ab")), ("made a file in", lambda: open(path + "/x", "w"))):
        try:
            how()
        except OSError:
            continue
        got.append(f"{what} {path}")
for path in ("/", "/json/version", "/json/list", "/json", "/" + "a" * 43 + "/devtools/browser/x"):
    try:
        got.append(f"{path}: {urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=5).status}")
    except urllib.error.HTTPError as error:
        if error.code != 403:
            got.append(f"{path}: {error.code}")
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("cmdline", "environ"):
        try:
            text = open(f"/proc/{pid}/{name}", "rb").read().decode("utf-8", "replace")
        except OSError:
            continue
        got += [f"a secret in {name} of {pid}" for secret in secrets if secret in text]
print(json.dumps(got))
"""


@pytest.fixture
def world() -> Iterator[World]:
    world = World("http://127.0.0.1:1")
    yield world
    world.close()


def as_nobody(paths: list[Path], port: int, secrets: list[str]) -> list[str]:
    """What a process of the user nobody gets."""
    python = next(str(p) for p in (Path("/usr/bin/python3"), Path("/usr/local/bin/python3")) if p.exists())
    done = subprocess.run(
        [python, "-I", "-c", NOBODY],
        input=json.dumps([list(map(str, paths)), port, secrets]),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=[],
        env={},
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(
    not any(Path(p).exists() for p in ("/usr/bin/python3", "/usr/local/bin/python3")),
    reason="no Python that another user may run",
)
def test_nothing_of_a_running_session_is_open_to_another_user(world: World, figures: Figures) -> None:
    world.folder.chmod(0o755)  # the way in is open: what is inside has to protect itself
    with world.client().Session(page=False, proxy=f"http://user:{CANARY}@127.0.0.1:9") as session:
        url = session.cdp_url()
        assert url is not None
        port, token = int(url.split(":")[2].split("/")[0]), url.split("/")[3]
        assert len(token) * 6 >= 128
        paths = [path for path in (world.folder, *world.folder.rglob("*")) if not path.is_symlink()]
        inside = [path for path in paths if path not in (world.folder, world.tmp)]
        assert any("profiles" in str(path) for path in inside)
        assert as_nobody(inside, port, [token, CANARY]) == []
        for path in (world.log, *world.runtime.iterdir()):
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
        # The look itself can see: what is opened to them shows.
        world.log.chmod(0o644)
        assert as_nobody([world.log], port, [token]) == [f"read {world.log}"]
        assert as_nobody([], port, ["remote-debugging-pipe"]), "no command line was looked at"
        world.log.chmod(0o600)
    found = [*whole(world.log, ()), *leaked(world)]
    assert found == []
    # Four ways into each file and folder, five addresses of the gate.
    tried = 4 * len(inside) + 5
    figures("another user of the machine", bad=tried, **judged([found]), browsers=launched(world))
