"""Installing a browser with commands that are played, not run: a test is one machine and what its commands would do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lifecycle_chromium.find import Surroundings
from lifecycle_chromium.install import Outcome, ensure_browser, run

SHELL = "/usr/lib/chromium/chromium-headless-shell"
CHROMIUM = "/usr/lib/chromium/chromium"
PLAYWRIGHT_SHELL = (
    "/root/.cache/ms-playwright/chromium_headless_shell-1255/chrome-headless-shell-linux64/chrome-headless-shell"
)


class Computer:
    """A machine that exists as a folder; `effects` says what a command does to it, by the words it holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {"PATH": "/usr/bin"}
        self.uid = 0
        self.said: list[str] = []
        self.ran: list[str] = []
        self.variables: list[Mapping[str, str]] = []
        self.effects: dict[str, Callable[[], Outcome]] = {
            "playwright install": lambda: Outcome(1, "Downloading\nError: getaddrinfo ENOTFOUND\n\n"),
            "--version": lambda: Outcome(0, "Chromium 156.0.0.0"),
        }

    def put(self, place: str) -> None:
        path = self.root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x7fELF")
        path.chmod(0o755)

    def putting(self, place: str) -> Callable[[], Outcome]:
        def effect() -> Outcome:
            self.put(place)
            return Outcome(0)

        return effect

    def run(self, command: Sequence[str], timeout_s: float, variables: Mapping[str, str]) -> Outcome:
        line = " ".join(command)
        assert 0 < timeout_s <= 900, "every command is bounded"
        self.ran.append(line)
        self.variables.append(variables)
        for words, effect in self.effects.items():
            if words in line:
                return effect()
        return Outcome(0)

    def ensure(self) -> str | None:
        surroundings = Surroundings(
            platform="linux",
            environ=self.environ,
            home=self.root / "root",
            uid=self.uid,
            root=self.root,
            cwd=self.root,
            playwright_package=self.root / "playwright",
        )
        found = ensure_browser(surroundings, self.run, self.said.append)
        return None if found is None else f"/{found.path.relative_to(self.root)}"

    @property
    def installs(self) -> list[str]:
        return [line for line in self.ran if " install " in line or " add " in line or " -Sy " in line]


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_a_browser_that_is_there_is_kept_and_named_with_the_reason(computer: Computer) -> None:
    computer.put(SHELL)
    assert computer.ensure() == SHELL
    assert computer.installs == []
    assert SHELL in computer.said[-1]
    assert "headless shell" in computer.said[-1]


def test_playwrights_download_is_tried_first(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.effects["playwright install"] = computer.putting(PLAYWRIGHT_SHELL)
    assert computer.ensure() == PLAYWRIGHT_SHELL
    assert computer.installs == [f"{sys.executable} -m playwright install --only-shell chromium"]


def test_a_failed_download_is_told_in_one_line_and_apt_is_next(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.effects |= {
        "chromium-headless-shell": computer.putting(SHELL),
        "recommends chromium": computer.putting(CHROMIUM),
        "apt-cache show": lambda: Outcome(0),
    }
    # apt-cache is asked before anything is put there; the order of the table decides which effect is played.
    computer.effects = {"apt-cache show": lambda: Outcome(0), **computer.effects}
    assert computer.ensure() == SHELL
    assert "Playwright could not install it: Error: getaddrinfo ENOTFOUND" in computer.said
    assert not any("\n" in sentence for sentence in computer.said)
    apt = [line for line in computer.ran if line.startswith("apt-get")]
    assert apt == [
        "apt-get update",
        "apt-get install -y --no-install-recommends chromium-headless-shell",
        "apt-get install -y --no-install-recommends chromium",
    ]
    assert {"DEBIAN_FRONTEND": "noninteractive"} in computer.variables


def test_a_driver_that_lacks_a_library_gets_it_first_and_the_lists_are_read_once(computer: Computer) -> None:
    """Seen on a minimal Debian: Playwright's Node links libatomic, which neither it nor Chromium brings."""
    computer.put("/usr/bin/apt-get")

    def node() -> Outcome:
        if any("install -y" in line and "libatomic1" in line for line in computer.ran):
            return Outcome(0, "v24")
        return Outcome(127, "node: error while loading shared libraries: libatomic.so.1")

    computer.effects = {
        "driver/node": node,
        "recommends chromium-headless-shell": computer.putting(SHELL),
        **computer.effects,
    }
    assert computer.ensure() == SHELL
    assert any("libatomic.so.1" in sentence for sentence in computer.said)
    words = [line.partition(" ")[2] for line in computer.ran if line.startswith("apt-get")]
    assert words[:2] == ["update", "install -y --no-install-recommends libatomic1"]
    assert words.count("update") == 1


@pytest.mark.parametrize("manager", ["apt-get", "brew", None])
def test_a_driver_that_can_not_be_mended_is_told_even_where_a_browser_is_there(
    computer: Computer, manager: str | None
) -> None:
    computer.put(SHELL)
    if manager:
        computer.put(f"/usr/bin/{manager}")
    computer.effects = {"driver/node": lambda: Outcome(127, "libother.so.1: cannot open"), **computer.effects}
    assert computer.ensure() is None
    assert "libother.so.1" in computer.said[0]
    assert "install" in computer.said[-1]


def test_a_package_that_is_not_in_the_lists_is_not_asked_for(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.effects = {
        "apt-cache show chromium-headless-shell": lambda: Outcome(100, "E: No packages found"),
        "apt-cache show": lambda: Outcome(0),
        "recommends chromium": computer.putting(CHROMIUM),
        **computer.effects,
    }
    assert computer.ensure() == CHROMIUM
    assert not any("recommends chromium-headless-shell" in line for line in computer.ran)


def test_a_downloaded_browser_that_lacks_libraries_gets_them_from_the_package_manager(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.effects["playwright install"] = computer.putting(PLAYWRIGHT_SHELL)

    def version() -> Outcome:
        if any("install -y" in line for line in computer.ran):
            return Outcome(0, "Chromium")
        return Outcome(127, "error while loading shared libraries: libnss3.so")

    computer.effects["--version"] = version
    assert computer.ensure() == PLAYWRIGHT_SHELL
    assert any("libnss3.so" in sentence for sentence in computer.said)
    assert any(line.startswith("apt-get install") for line in computer.ran)


@pytest.mark.parametrize(
    ("program", "install"),
    [
        ("dnf", "dnf install -y chromium-headless"),
        ("pacman", "pacman -Sy --noconfirm --needed chromium"),
        ("apk", "apk add --no-cache chromium"),
        ("zypper", "zypper --non-interactive install chromium"),
        ("brew", "brew install --cask chromium"),
    ],
)
def test_each_package_manager_is_called_in_its_own_words(computer: Computer, program: str, install: str) -> None:
    computer.put(f"/usr/bin/{program}")
    computer.effects[install] = computer.putting(CHROMIUM)
    assert computer.ensure() == CHROMIUM
    assert install in computer.installs


def test_an_ordinary_user_goes_through_sudo_only_where_it_asks_nothing(computer: Computer) -> None:
    computer.uid = 1000
    for program in ("apt-get", "sudo"):
        computer.put(f"/usr/bin/{program}")
    computer.effects["recommends chromium-headless-shell"] = computer.putting(SHELL)
    assert computer.ensure() == SHELL
    assert "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update" in computer.ran

    other = Computer(computer.root.parent / "other")
    other.uid = 1000
    for program in ("apt-get", "sudo"):
        other.put(f"/usr/bin/{program}")
    other.effects["sudo -n true"] = lambda: Outcome(1, "sudo: a password is required")
    assert other.ensure() is None
    assert not any("apt-get" in line for line in other.ran)
    assert any("needs root" in sentence for sentence in other.said)


def test_brew_never_runs_as_root_through_sudo(computer: Computer) -> None:
    computer.uid = 1000
    for program in ("brew", "sudo"):
        computer.put(f"/usr/bin/{program}")
    computer.effects["--cask chromium"] = computer.putting(CHROMIUM)
    assert computer.ensure() == CHROMIUM
    assert not any("sudo" in line for line in computer.ran)


def test_with_no_way_to_install_the_last_sentence_says_what_to_do(computer: Computer) -> None:
    assert computer.ensure() is None
    assert computer.said[-1].startswith("no browser could be installed: install one with")


def test_a_package_manager_that_fails_is_told_with_its_own_error(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.effects["apt-get install"] = lambda: Outcome(
        100, "Reading package lists...\nE: Unable to locate package chromium\n"
    )
    assert computer.ensure() is None
    assert "chromium: E: Unable to locate package chromium" in computer.said
    assert "apt-get install" in computer.said[-1]


def test_a_named_browser_that_is_missing_is_reported_and_nothing_is_installed(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.environ["LIFECYCLE_BROWSER"] = "/no/such/browser"
    assert computer.ensure() is None
    assert computer.installs == []
    assert "$LIFECYCLE_BROWSER" in computer.said[-1]


def test_a_named_browser_that_does_not_start_is_reported_and_nothing_is_installed(computer: Computer) -> None:
    computer.put("/usr/bin/apt-get")
    computer.put("/opt/broken/chrome")
    computer.environ["LIFECYCLE_BROWSER"] = "/opt/broken/chrome"
    computer.effects["--version"] = lambda: Outcome(1, "Exec format error")
    computer.effects = {"driver/node": lambda: Outcome(0), **computer.effects}
    assert computer.ensure() is None
    assert computer.installs == []
    assert "Exec format error" in computer.said[-1]


def test_a_command_is_run_without_standard_input_and_with_its_output_kept() -> None:
    """A package manager that asks gets no answer, and does not eat what was typed ahead."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    try:
        os.write(writing, b"typed ahead")
        os.close(writing)
        os.dup2(reading, 0)
        script = "import sys, os; print([sys.stdin.read(), os.environ['X']])"
        outcome = run([sys.executable, "-c", script], 30, {"X": "y"})
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reading)
    assert outcome == Outcome(0, "['', 'y']\n")


def test_a_command_that_does_not_exist_or_can_not_run_is_an_outcome(tmp_path: Path) -> None:
    assert run([str(tmp_path / "missing")], 5, {}).code is None
    assert "No such file" in run([str(tmp_path / "missing")], 5, {}).one_line()


def test_a_command_at_the_end_of_its_time_is_killed_with_its_children() -> None:
    """The child holds the output pipe: a kill that spared it would keep `run` waiting for its five minutes."""
    began = time.monotonic()
    outcome = run(["sh", "-c", "sleep 300 & wait"], 0.2, {})
    assert time.monotonic() - began < 60
    assert outcome.code is None
    assert "no end after" in outcome.one_line()


def test_the_one_line_of_a_long_output_is_short_and_telling() -> None:
    assert Outcome(1, "a\nError: it broke\n    at somewhere\n").one_line() == "Error: it broke"
    assert Outcome(1, "first\nlast\n\n").one_line() == "last"
    assert Outcome(1, "").one_line() == "it said nothing"
    assert len(Outcome(1, "x" * 5000).one_line()) < 250


def installing(browser: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lifecycle_chromium.install"]
    environ = {**os.environ, "LIFECYCLE_BROWSER": browser}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_prints_the_path_alone_and_talks_on_stderr() -> None:
    done = installing(sys.executable)  # it starts and answers --version: all that is asked here
    assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n")
    assert done.stderr.startswith(f"browser: {sys.executable} (named by $LIFECYCLE_BROWSER")


def test_the_command_without_a_browser_exits_1_with_the_sentence() -> None:
    done = installing("/no/such/browser")
    assert (done.returncode, done.stdout) == (1, "")
    assert "/no/such/browser" in done.stderr
    assert "Traceback" not in done.stderr
