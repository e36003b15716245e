"""Task queues, real ones: what they say of a worker that is killed, and what the log says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle import Client
from tests.adapters.recipes.kit import released, until
from tests.docs.run_page import shown

pytestmark = pytest.mark.browser

_QUEUE = """
import os, sys, time
{shown}
folder = os.environ["FOLDER"]
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={{
        "control_folder": folder + "/control",
        "data_folder_in": folder + "/queue",
        "data_folder_out": folder + "/queue",
    }},
    result_backend="file://" + folder + "/results",
    task_track_started=True,
    worker_hijack_root_logger=False,
)

@app.task(bind=True)
def hang(self):
    with Client("sessions.db", correlation_id=self.request.id).Session(labels={{"pid": str(os.getpid())}}) as session:
        session.page.wait_for_timeout(60_000)
"""


class Queue:
    """Celery with a queue of files and one worker process, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("celery", reason="see requirements.txt")
        self.folder = folder
        self.client = Client(folder / "sessions.db")
        for name in ("queue", "results"):
            (folder / name).mkdir()
        (folder / "tasks.py").write_text(_QUEUE.format(shown=shown("how-to/task-queues.md", "py", "Celery(")))
        env = {**os.environ, "FOLDER": str(folder)}
        os.environ["FOLDER"] = str(folder)
        sys.path.insert(0, str(folder))
        import tasks  # type: ignore[import-not-found]

        self.tasks: Any = tasks
        self.worker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "tasks",
                "worker",
                "--concurrency=1",
                "--pool=prefork",
                "--loglevel=ERROR",
            ],
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def running(self) -> Any:
        """The session that lives now."""
        until(lambda: self.client.sessions.count(status="active") == 1, "no session")
        [session] = self.client.sessions.list(status="active")
        until(lambda: "client_connected" in [s.name for s in self.client.history(session.session_id)], "no page")
        return session

    def close(self) -> None:
        if self.worker.poll() is None:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()
        sys.path.remove(str(self.folder))
        self.client.close()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path)
    yield made
    made.close()


def test_celery(queue: Queue) -> None:
    client = queue.client
    done = queue.tasks.visit.delay("data:text/html,<title>task</title>")
    assert done.get(timeout=60) == "task"
    [session] = client.sessions.list()
    assert session.cause == "stopped"
    assert {step.correlation_id for step in client.history(session.session_id)} == {done.id}

    # The hard time limit.
    limited = queue.tasks.hang.apply_async(time_limit=6)
    with pytest.raises(Exception, match="TimeLimitExceeded"):
        limited.get(timeout=60)
    [session] = client.sessions.list(limit=1)
    assert {step.correlation_id for step in client.history(session.session_id)} == {limited.id}
    assert released(client, session.session_id)[-1] == "released"
    assert client.sessions.get(session.session_id).cause in ("exception", "owner_exited")

    # The pool's process is killed; Celery does not know it yet when the log does.
    killed = queue.tasks.hang.delay()
    session = queue.running()
    os.kill(int(session.labels["pid"]), signal.SIGKILL)
    assert released(client, session.session_id)[-1] == "released"
    assert client.sessions.get(session.session_id).cause == "owner_exited"
    assert killed.state == "STARTED"

    # All of it is killed.
    lost = queue.tasks.hang.delay()
    session = queue.running()
    os.killpg(queue.worker.pid, signal.SIGKILL)
    queue.worker.wait()
    assert released(client, session.session_id)[-1] == "released"
    assert client.sessions.get(session.session_id).cause == "owner_exited"
    assert lost.state == "STARTED"
    assert client.sessions.count(status="active") == 0


def test_temporal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("temporalio.testing", reason="see requirements.txt")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(shown("how-to/task-queues.md", "py", "from temporalio"), names)

    async def main() -> None:
        here = testing.ActivityEnvironment()
        assert await here.run(names["visit"], "data:text/html,<title>activity</title>") == "activity"

        def cancelled(*_: object) -> None:
            here.cancel()

        here.on_heartbeat = cancelled
        with pytest.raises(asyncio.CancelledError):
            await here.run(names["visit"], "data:text/html,<title>activity</title>")

    asyncio.run(main())
    with Client("sessions.db") as client:
        assert [session.cause for session in client.sessions.list(order="oldest")] == ["stopped", "cancelled"]


_FLOWS = """
import asyncio, json, os, signal, subprocess, sys, time
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

{shown}

HANGS = '''
from prefect import flow
from prefect.runtime import flow_run
from lifecycle import Client

@flow
def hang():
    with Client("sessions.db", correlation_id=flow_run.id).Session() as session:
        session.page.wait_for_timeout(60_000)

hang()
'''

async def state(run):
    async with get_client() as client:
        return (await client.read_flow_run(run)).state.name

with prefect_test_harness(server_startup_timeout=120):
    told = {{"returned": visit("data:text/html,<title>flow</title>")}}
    told["raised"] = visit("nonsense://", return_state=True).name
    client = Client("sessions.db")
    there = {{**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}}
    flow = subprocess.Popen([sys.executable, "-c", HANGS], env=there)
    while not (living := client.sessions.list(status="active")):
        time.sleep(0.05)
    [session] = living
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    list(client.subscribe(session.session_id))
    told["killed"] = asyncio.run(state(client.history(session.session_id)[0].correlation_id))
print(json.dumps(told))
"""


def test_prefect(tmp_path: Path) -> None:
    pytest.importorskip("prefect", reason="see requirements.txt")
    text = _FLOWS.format(shown=shown("how-to/task-queues.md", "py", "from prefect"))
    env = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect"), "DO_NOT_TRACK": "1"}
    env["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    command = [sys.executable, "-c", text]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {"returned": "flow", "raised": "Failed", "killed": "Running"}
    with Client(tmp_path / "sessions.db") as client:
        found = client.sessions.list(order="oldest")
        assert [session.cause for session in found] == ["stopped", "exception", "owner_exited"]
        assert all(client.history(session.session_id)[-1].name == "released" for session in found)
