"""lifecycle_pytest on pytest-playwright: a session per context or per test, whose ending is the test's outcome."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from lifecycle import Client
from tests.adapters.hosting import kill_browser, steps
from tests.adapters.hosts import Row, hold
from tests.adapters.suites import by_test, counted, ends, errors, outcomes, suite

pytestmark = pytest.mark.browser

SHOP = "data:text/html,<title>Shop</title>"
#: pytest-playwright's own example, and one that fails; nothing is added to either, only --lifecycle to the command
EXAMPLE = f"""
import re
from playwright.sync_api import Page, expect


def test_has_title(page: Page):
    page.goto("{SHOP}")
    expect(page).to_have_title(re.compile("Shop"))


def test_has_another_title(page: Page):
    page.goto("{SHOP}")
    assert page.title() == "Bank"
"""
WAITS = f"""
def test_waits(page):
    page.goto("{SHOP}")
    print("waiting")
    page.wait_for_timeout(20_000)
"""


def test_hosts_say_less_than_the_log(tmp_path: Path) -> None:
    """The rows of docs/reference/hosts.md."""
    suites = {"tests": EXAMPLE, "browser": WAITS, "host": WAITS}
    with contextlib.ExitStack() as stack:
        hosts = {name: stack.enter_context(suite(tmp_path / name, one, "--lifecycle")) for name, one in suites.items()}
        hosts["host"].until("waiting")
        hosts["host"].kill()
        hosts["browser"].until("waiting")
        kill_browser(hosts["browser"].log)
        said = {name: counted(hosts[name]) for name in ("tests", "browser")}
        assert "closed stopped" in hosts["tests"].until("3 sessions: ")
        assert str(hosts["tests"].log) in hosts["tests"].until("log: ")
        assert "browser_crashed" in hosts["browser"].until("2 sessions: ")
        error = errors(hosts["browser"])
        assert "browser_crashed" in hosts["browser"].until(
            "Session "
        )  # the failed test tells what became of its browser
    with Client(hosts["host"].log) as client:
        client.reconcile()  # the context is no keeper's; `lifecycle reconcile` or the next run

    def told(name: str, count: int) -> str:
        ended = ends(hosts[name].log, count)
        browser = ended.pop("")
        return f"browser `{browser}`; " + ", ".join(f"`{test}` `{end}`" for test, end in sorted(ended.items()))

    rows = [
        Row("one test passes, one fails", f"`{said['tests']}`", told("tests", 3)),
        Row("`kill -9` of Chrome during a test", f"`{said['browser']}`, a `{error}`", told("browser", 2)),
        Row("`kill -9` of pytest", "nothing", told("host", 2)),
    ]
    hold("pytest", rows)


MANY = """
import os, signal
import pytest

@pytest.fixture
def broken(page):
    raise OSError("no shop")

@pytest.fixture
def leaves_badly(context):
    yield
    raise OSError("left badly")

def test_passes(page): page.title()
def test_fails(page): assert page.title() == "Bank"
def test_is_skipped(page): pytest.skip("closed today")
@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail(page): assert False
@pytest.mark.xfail(strict=True, reason="known")
def test_passes_unexpectedly(page): page.title()
def test_has_no_page(broken): ...
def test_is_torn_down_badly(leaves_badly): ...
def test_forks(page):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    page.title()
"""
EXPECTED = {
    "test_passes": ("passed", "closed stopped"),
    "test_fails": ("failed", "error exception"),
    "test_is_skipped": ("skipped", "closed stopped"),
    "test_is_expected_to_fail": ("xfailed", "closed stopped"),
    "test_passes_unexpectedly": ("failed", "error exception"),
    "test_has_no_page": ("failed", "error exception"),
    # What fails at the very end comes after the session's.
    "test_is_torn_down_badly": ("passed", "closed stopped"),
    "test_forks": ("passed", "closed stopped"),
}
COUNTED = "2 failed, 3 passed, 1 skipped, 1 xfailed, 2 errors"


def test_each_context_ends_as_its_test_does(tmp_path: Path) -> None:
    with suite(tmp_path, MANY, ini="lifecycle = true\n") as host:
        assert counted(host) == COUNTED
    assert outcomes(host.log) == {test: outcome for test, (outcome, _) in EXPECTED.items()}
    assert ends(host.log, 9) == {"": "closed stopped"} | {test: ended for test, (_, ended) in EXPECTED.items()}
    with Client(host.log) as client:
        assert (
            len({event.correlation_id for view in client.sessions.list() for event in client.log.read(view.session_id)})
            == 1
        )


FEW = """
import pytest

@pytest.fixture
def broken(page):
    raise OSError("no shop")

def test_passes(page): page.title()
def test_fails(page): assert page.title() == "Bank"
def test_is_skipped(page): pytest.skip("closed today")
def test_has_no_page(broken): ...
"""


def test_each_test_has_a_browser_of_its_own_also_with_xdist(tmp_path: Path) -> None:
    with suite(tmp_path, FEW, "--lifecycle", "--lifecycle-per=test", "--lifecycle-log=runs.db", "-n2") as host:
        assert counted(host) == "1 failed, 1 passed, 1 skipped, 1 error"
        host.until("4 sessions: ")
    log = tmp_path / "runs.db"
    tests = ("test_passes", "test_fails", "test_is_skipped", "test_has_no_page")
    assert outcomes(log) == {test: EXPECTED[test][0] for test in tests}
    assert ends(log, 4) == {test: EXPECTED[test][1] for test in tests}
    views = [view for views in by_test(log, 4).values() for view in views]
    assert {view.labels["worker"] for view in views} == {"gw0", "gw1"}
    assert len({view.labels["run"] for view in views}) == 1
    assert len({event["browser"]["pid"] for event in steps(log, "started")}) == 4
    assert not host.log.exists()


CLOSES = """
def test_closes_the_browser(page):
    page.context.browser.close()
    page.context.browser.close()
"""
CRASHES = """
import os, signal

def test_kills_its_worker(page):
    os.kill(os.getpid(), signal.SIGKILL)
"""
EXITS = """
import os

def test_exits(page):
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("tests", "options", "context_ends", "browser_ends"),
    [
        (CLOSES, (), "closed browser_closed", "closed stopped"),
        (CRASHES, ("-n1", "--max-worker-restart=0"), "closed owner_exited", "closed owner_exited"),
        (EXITS, (), "closed owner_exited", "closed owner_exited"),
    ],
    ids=["closed behind its back", "worker killed", "exit"],
)
def test_whatever_a_test_does_the_history_is_right(
    tmp_path: Path, tests: str, options: tuple[str, ...], context_ends: str, browser_ends: str
) -> None:
    with suite(tmp_path, tests, "--lifecycle", *options) as host:
        host.finish()
    with Client(host.log) as client:
        client.reconcile()
    ended = ends(host.log, 2)
    assert (ended.pop(""), *ended.values()) == (browser_ends, context_ends)


def test_an_interrupted_test_is_interrupted(tmp_path: Path) -> None:
    with suite(tmp_path, WAITS, "--lifecycle") as host:
        host.until("waiting")
        os.kill(host.process.pid, signal.SIGINT)
        host.finish()
    assert ends(host.log, 2) == {"": "closed stopped", "test_waits": "closed interrupted"}


def test_what_no_keeper_can_do_is_launched_as_ever_and_recorded(tmp_path: Path) -> None:
    with suite(tmp_path, EXAMPLE, "--lifecycle", "--lifecycle-per=test", more='"env": {"LANG": "C"}') as host:
        assert counted(host) == "1 failed, 1 passed"
    assert ends(host.log, 2) == {"test_has_title": "closed stopped", "test_has_another_title": "error exception"}
    assert [event["ownership"] for event in steps(host.log, "started")] == ["attached"] * 2


def test_a_run_without_the_flag_is_untouched(tmp_path: Path) -> None:
    loads = "def test_loads_nothing():\n    import sys\n    assert 'lifecycle_pytest.run' not in sys.modules\n"
    with suite(tmp_path, f"{EXAMPLE}\n\n{loads}") as host:
        assert counted(host) == "1 failed, 2 passed"
    assert not host.log.exists()
    assert not [line for line in host.said if "sessions: " in line]


@pytest.mark.parametrize(
    ("options", "ini", "said"),
    [
        (("--lifecycle", "-p", "no:playwright"), "", "needs pytest-playwright"),
        (("--lifecycle",), "lifecycle_per = run\n", "allowed are context and test"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, options: tuple[str, ...], ini: str, said: str) -> None:
    with suite(tmp_path, "def test_nothing(): ...", *options, ini=ini) as host:
        assert host.finish() == pytest.ExitCode.USAGE_ERROR
        host.until(said)
