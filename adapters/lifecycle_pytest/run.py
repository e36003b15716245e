"""One run of pytest: which log, which labels, what became of each test, and the summary at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import weakref
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from lifecycle import AsyncClient, Client
from lifecycle.core import LIVE
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lifecycle.client.request import SessionConfig

__all__ = ["RUN", "Run"]

#: A run lives as long as its process, which is watched; a test that waits for something else is not idle.
_LIMITS: Final[SessionConfig] = {"idle_timeout_minutes": 24 * 60, "max_duration_minutes": 24 * 60}
#: the run of a configuration
RUN: Final = pytest.StashKey["Run"]()
_WORKER_INPUT: Final = "lifecycle_run"
_LONGEST: Final = 1024


class Run:
    """This process's part of a run. With xdist there are several; their common id is the label `run`."""

    def __init__(self, config: pytest.Config) -> None:
        worker: Mapping[str, Any] = getattr(config, "workerinput", {})
        self.run_id: str = worker.get(_WORKER_INPUT) or secrets.token_hex(6)
        self.worker: str | None = worker.get("workerid")
        log = self.log_of(config)
        self.client = Client(log, actor="pytest", correlation_id=self.run_id)
        self.async_client = AsyncClient(log, actor="pytest", correlation_id=self.run_id)
        self.launching_for: pytest.Item | None = None
        self.session_of: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # browser: session
        self._failures: dict[str, BaseException] = {}
        self._outcomes: dict[str, str] = {}
        self._sessions: dict[str, list[str]] = {}
        self._interrupt: BaseException | None = None

    @staticmethod
    def log_of(config: pytest.Config) -> Path | None:
        """The log that was asked for; None leaves it to the client."""
        given: str | None = config.getoption("--lifecycle-log")
        if given:
            return config.invocation_params.dir / given
        paths: list[Path] = config.getini("lifecycle_log")
        return paths[0] if paths else None

    def config(self, item: pytest.Item | None = None) -> SessionConfig:
        """What every session is given; *item* is the test that it is for."""
        return {**_LIMITS, "labels": self.labels(item)}

    def labels(self, item: pytest.Item | None = None) -> dict[str, str]:
        """Whose a session is."""
        labels = {"run": self.run_id}
        if self.worker is not None:
            labels["worker"] = self.worker
        if item is not None:
            labels["test"] = _plain(item.nodeid)
        return labels

    def began(self, item: pytest.Item, session_id: str) -> None:
        """*item* uses a session."""
        used = self._sessions.setdefault(item.nodeid, [])
        if session_id not in used:
            used.append(session_id)

    def outcome(self, item: pytest.Item) -> dict[str, str]:
        """What is known of *item* now: before its last teardowns."""
        return {"nodeid": item.nodeid, "outcome": self._outcomes.get(item.nodeid, "interrupted")}

    def failure(self, item: pytest.Item) -> BaseException | None:
        """Why *item* failed, or was interrupted; None where it did not."""
        return self._failures.get(item.nodeid) or self._interrupt

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Remember what the sessions of this test end with; tell a test that failed what became of its browser."""
        report = yield
        if report.when == "setup":
            self._failures.pop(item.nodeid, None)
            self._outcomes.pop(item.nodeid, None)
            self._sessions.setdefault(item.nodeid, [])
        if report.when == "call" or not report.passed:
            self._outcomes.setdefault(item.nodeid, "xfailed" if hasattr(report, "wasxfail") else report.outcome)
        if report.failed:
            error = AssertionError(str(report.longrepr)) if call.excinfo is None else call.excinfo.value
            self._failures.setdefault(item.nodeid, error)
            self._tell(item, report)
        if report.when == "teardown":
            for kept in (self._failures, self._outcomes, self._sessions):
                kept.pop(item.nodeid, None)
        return report

    def _tell(self, item: pytest.Item, report: pytest.TestReport) -> None:
        with contextlib.suppress(LifecycleError):
            for session_id in self._sessions.get(item.nodeid, []):
                if self.client.sessions.get(session_id).status not in LIVE:
                    report.sections.append(("lifecycle", str(self.client.why(session_id))))

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C: the fixtures are torn down after this, without a report."""
        if isinstance(excinfo.value, KeyboardInterrupt):
            self._interrupt = excinfo.value

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give xdist's workers the id of the run."""
        node.workerinput[_WORKER_INPUT] = self.run_id

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """How many sessions there were, how they ended, and where that stands."""
        terminalreporter.section("lifecycle")
        try:
            self.client.reconcile()  # a worker that was killed leaves its contexts to us
            lines = self._summary()
        except LifecycleError as error:
            lines = [f"no summary: {error}"]
        for line in lines:
            terminalreporter.line(line)

    def _summary(self) -> list[str]:
        views = self.client.sessions.list(labels={"run": self.run_id})
        ends = Counter(str(view.status) if view.cause is None else f"{view.status} {view.cause}" for view in views)
        told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
        log = (self.client.log.locator or "").removeprefix("sqlite:")
        return [
            f"{len(views)} sessions: {told}" if views else "no sessions",
            f"log: {log}  (lifecycle list --log {os.path.relpath(log)} --label run={self.run_id})",
        ]

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Let go of the log."""
        self.client.close()
        self.async_client.close()


def _plain(text: str) -> str:
    """*text* as a label can hold it."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST]
