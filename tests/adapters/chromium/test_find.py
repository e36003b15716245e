"""Discovery on made-up machines: a file tree below tmp_path, an environment and a user, for each platform."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.errors import BrowserNotFound
from lifecycle_chromium.find import Found, Surroundings, find_browser, sandbox_args, survey, what_to_install

ELF = b"\x7fELF\x02\x01\x01\x00"
SHELL = "/usr/lib/chromium/chromium-headless-shell"
CHROMIUM = "/usr/lib/chromium/chromium"
CHROME = "/opt/google/chrome/chrome"
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


class Computer:
    """A machine that exists as a folder."""

    def __init__(self, root: Path, platform: str = "linux") -> None:
        self.root = root
        self.environ: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.surroundings = Surroundings(
            platform=platform,
            environ=self.environ,
            home=root / "home/me",
            uid=1000,
            root=root,
            cwd=root / "srv/project",
        )

    def put(self, place: str, content: bytes = ELF, mode: int = 0o755) -> Path:
        path = self.root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def find(self, *, headless: bool = True, wanted: str | None = None) -> Found:
        return find_browser(headless=headless, wanted=wanted, surroundings=self.surroundings)

    def refusal(self, *, headless: bool = True, wanted: str | None = None) -> str:
        with pytest.raises(BrowserNotFound) as caught:
            self.find(headless=headless, wanted=wanted)
        return str(caught.value)


def test_a_process_without_a_home_or_a_working_directory_looks_for_browsers_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids without a name, as containers run under; a directory that was deleted meanwhile."""

    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", str)  # a path comes back as it was
    monkeypatch.setattr(Path, "cwd", gone)
    here = Surroundings.here()
    assert (here.home, here.cwd) == (Path("/"), Path("/"))


@pytest.fixture
def linux(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


@pytest.fixture
def mac(tmp_path: Path) -> Computer:
    return Computer(tmp_path, "darwin")


def playwright_shell(revision: int) -> str:
    folder = f"/home/me/.cache/ms-playwright/chromium_headless_shell-{revision}"
    return f"{folder}/chrome-headless-shell-linux64/chrome-headless-shell"


def playwright_chromium(revision: int) -> str:
    return f"/home/me/.cache/ms-playwright/chromium-{revision}/chrome-linux64/chrome"


# In the order of preference; each is found when all before it are gone.
HEADLESS_ORDER = (
    (playwright_shell(1255), "playwright-headless-shell"),
    (playwright_chromium(1255), "playwright-chromium"),
    (SHELL, "headless-shell"),
    (CHROME, "chrome"),
    (CHROMIUM, "chromium"),
)


@pytest.mark.parametrize("gone", range(len(HEADLESS_ORDER)))
def test_without_a_window_the_order_is_playwright_headless_shell_chrome_chromium(linux: Computer, gone: int) -> None:
    for place, _ in HEADLESS_ORDER[gone:]:
        linux.put(place)
    found = linux.find()
    assert (found.path, found.kind) == (linux.root / HEADLESS_ORDER[gone][0].lstrip("/"), HEADLESS_ORDER[gone][1])


@pytest.mark.parametrize("gone", range(3))
def test_with_a_window_a_headless_shell_is_never_chosen(linux: Computer, gone: int) -> None:
    linux.put(playwright_shell(1255))
    linux.put(SHELL)
    order = [entry for entry in HEADLESS_ORDER if "shell" not in entry[1]]
    for place, _ in order[gone:]:
        linux.put(place)
    assert linux.find(headless=False).kind == order[gone][1]


def test_the_newest_revision_wins_by_number_and_not_by_text(linux: Computer) -> None:
    linux.put(playwright_shell(999))
    newest = linux.put(playwright_shell(1255))
    assert linux.find().path == newest


def test_a_download_that_was_cut_short_comes_after_a_whole_one(linux: Computer) -> None:
    whole = linux.put(playwright_shell(1200))
    (whole.parent.parent / "INSTALLATION_COMPLETE").touch()
    linux.put(playwright_shell(1255))
    assert linux.find().path == whole


def test_an_empty_revision_is_passed_over_and_told(linux: Computer) -> None:
    folder = linux.root / "home/me/.cache/ms-playwright/chromium_headless_shell-1255"
    folder.mkdir(parents=True)
    linux.put(SHELL)
    found = linux.find()
    assert found.kind == "headless-shell"
    assert (str(folder), "holds no browser") in found.looked_at


@pytest.mark.parametrize(
    "place",
    [
        "chromium_headless_shell-1255/chrome-headless-shell-linux-arm64/chrome-headless-shell",
        "chromium_headless_shell-1150/chrome-linux/headless_shell",
        "chromium-1255/chrome-linux-arm64/chrome",
        "chromium-1150/chrome-linux/chrome",
    ],
)
def test_each_layout_of_playwrights_folders_is_known(linux: Computer, place: str) -> None:
    binary = linux.put(f"/home/me/.cache/ms-playwright/{place}")
    assert linux.find().path == binary


def test_other_browsers_of_playwright_are_not_taken_for_chromium(linux: Computer) -> None:
    linux.put("/home/me/.cache/ms-playwright/chromium_tip_of_tree-1300/chrome-linux64/chrome")
    linux.put("/home/me/.cache/ms-playwright/firefox-1500/firefox/firefox")
    linux.refusal()


def test_playwrights_folder_follows_its_own_variables(linux: Computer) -> None:
    moved = linux.put("/srv/browsers/chromium-1255/chrome-linux64/chrome")
    linux.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(linux.root / "srv/browsers")
    assert linux.find().path == moved

    cached = linux.put("/var/cache/me/ms-playwright/chromium-1255/chrome-linux64/chrome")
    linux.environ["PLAYWRIGHT_BROWSERS_PATH"] = ""
    linux.environ["XDG_CACHE_HOME"] = str(linux.root / "var/cache/me")
    assert linux.find().path == cached


def test_playwright_browsers_inside_its_package_are_found(linux: Computer) -> None:
    package = linux.root / "site-packages/playwright"
    inside = linux.put("/site-packages/playwright/driver/package/.local-browsers/chromium-1255/chrome-linux64/chrome")
    linux.environ["PLAYWRIGHT_BROWSERS_PATH"] = "0"
    linux.surroundings = replace(linux.surroundings, playwright_package=package)
    assert linux.find().path == inside


def test_a_named_browser_comes_before_everything(linux: Computer) -> None:
    linux.put(playwright_shell(1255))
    linux.put("/opt/other/chrome")
    linux.environ["LIFECYCLE_BROWSER"] = "/opt/other/chrome"
    by_variable = linux.find()
    assert (by_variable.path, by_variable.kind) == (linux.root / "opt/other/chrome", "named")
    assert "$LIFECYCLE_BROWSER" in by_variable.why

    third = linux.put("/opt/third/chrome")
    by_argument = linux.find(wanted="/opt/third/chrome")
    assert by_argument.path == third
    assert "configuration" in by_argument.why


def test_an_empty_variable_is_unset(linux: Computer) -> None:
    linux.put(SHELL)
    linux.environ["LIFECYCLE_BROWSER"] = ""
    assert linux.find().kind == "headless-shell"


def test_a_name_is_looked_up_on_path_and_a_home_path_below_home(linux: Computer) -> None:
    brave = linux.put("/usr/local/bin/brave")
    assert linux.find(wanted="brave").path == brave
    own = linux.put("/home/me/bin/chrome")
    assert linux.find(wanted="~/bin/chrome").path == own
    relative = linux.put("/srv/project/build/chrome")
    assert linux.find(wanted="build/chrome").path == relative


def test_the_words_chrome_and_chromium_restrict_the_search(linux: Computer) -> None:
    linux.put(SHELL)
    linux.put(CHROME)
    linux.put(CHROMIUM)
    assert linux.find(wanted="chrome").kind == "chrome"
    assert linux.find(wanted="chromium", headless=False).kind == "chromium"
    assert linux.find(wanted="chromium").kind == "headless-shell"
    linux.environ["LIFECYCLE_BROWSER"] = "chrome"
    assert linux.find().kind == "chrome"


@pytest.mark.parametrize(
    ("wrapper", "binary", "kind"),
    [
        ("/usr/bin/chromium-headless-shell", SHELL, "headless-shell"),
        ("/usr/bin/chromium", CHROMIUM, "chromium"),
        ("/usr/bin/google-chrome", CHROME, "chrome"),
    ],
)
def test_a_wrapper_gives_way_to_its_binary_even_when_it_is_named(
    linux: Computer, wrapper: str, binary: str, kind: str
) -> None:
    script = linux.put(wrapper, b"#!/bin/sh\n")
    real = linux.put(binary)
    assert (linux.find().path, linux.find().kind) == (real, kind)
    found = linux.find(wanted=wrapper)
    assert found.path == real
    assert str(script) in found.why
    assert dict(linux.find().looked_at)[str(script)] == f"a wrapper of {real}"


def test_a_wrapper_is_taken_where_no_binary_is_known(linux: Computer) -> None:
    script = linux.put("/usr/bin/chromium", b"#!/bin/sh\n")
    assert linux.find().path == script


def test_ubuntus_stub_that_asks_for_the_snap_is_passed_over(linux: Computer) -> None:
    stub = linux.put("/usr/bin/chromium-browser", b"#!/bin/sh\nif ! [ -x /snap/bin/chromium ]; then exit 1; fi\n")
    assert "snap is missing" in linux.refusal()
    linux.put("/snap/bin/chromium")
    assert linux.find().path == stub


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (ELF, 0o644, "is not executable"),
        (b"", 0o755, "is an empty file"),
        (b"<html>404</html>", 0o755, "is not a program"),
    ],
)
def test_what_can_not_be_started_is_refused_when_named_and_passed_over_when_not(
    linux: Computer, content: bytes, mode: int, said: str
) -> None:
    path = linux.put(SHELL, content, mode)
    assert said in linux.refusal(wanted=SHELL)
    assert f"{path} {said}" in linux.refusal()
    linux.put(CHROMIUM)
    found = linux.find()
    assert found.kind == "chromium"
    assert (str(path), said) in found.looked_at


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("/no/such/browser", "does not exist"),
        ("/usr", "is a directory"),
        ("/dev/null-like", "is a broken link"),
        ("no-such-program", "does not exist"),
        ("", "does not exist"),
        ("  ", "does not exist"),
        ("/nul\0byte", "is not a path"),
        ("/lone\udfffsurrogate", "is not a path"),
        ("/" + "a" * 100_000, "is not a path"),
    ],
)
def test_a_bad_name_is_one_printable_sentence_that_names_it(linux: Computer, wanted: str, said: str) -> None:
    linux.put(SHELL)
    (linux.root / "usr").mkdir(exist_ok=True)
    (linux.root / "dev").mkdir()
    (linux.root / "dev/null-like").symlink_to("nowhere")
    message = linux.refusal(wanted=wanted)
    assert said in message
    assert ascii(wanted[:40])[1:-1] in message
    message.encode()
    assert "\n" not in message
    assert len(message) < 600


def test_a_named_browser_that_is_missing_is_never_replaced(linux: Computer) -> None:
    linux.put(SHELL)
    linux.environ["LIFECYCLE_BROWSER"] = "/no/such/browser"
    assert "$LIFECYCLE_BROWSER" in linux.refusal()


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("apt-get", "sudo apt-get install -y --no-install-recommends chromium-headless-shell"),
        ("dnf", "sudo dnf install -y chromium-headless"),
        ("pacman", "sudo pacman -Sy --noconfirm --needed chromium"),
        ("apk", "sudo apk add --no-cache chromium"),
        ("zypper", "sudo zypper --non-interactive install chromium"),
        ("brew", "`brew install --cask chromium"),
    ],
)
def test_with_nothing_installed_the_error_says_what_to_type_here(linux: Computer, program: str, sentence: str) -> None:
    linux.put(f"/usr/bin/{program}", b"#!/bin/sh\n")
    message = linux.refusal()
    assert message.startswith("no browser was found")
    assert sentence in message


def test_with_nothing_installed_and_no_package_manager_the_error_still_says_what_to_do(linux: Computer) -> None:
    assert "playwright install --only-shell chromium" in linux.refusal()
    assert "google.com/chrome" in linux.refusal(wanted="chrome")


def test_a_mac_is_searched_in_its_own_places(mac: Computer) -> None:
    chromium = mac.put("/Applications/Chromium.app/Contents/MacOS/Chromium", b"\xcf\xfa\xed\xfe")
    assert mac.find().path == chromium
    chrome = mac.put("/home/me/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", b"\xca\xfe\xba\xbe")
    assert mac.find().path == chrome
    chrome = mac.put(MAC_CHROME, b"\xca\xfe\xba\xbe")
    assert mac.find().path == chrome
    full = mac.put(
        "/home/me/Library/Caches/ms-playwright/chromium-1255/chrome-mac-arm64/Google Chrome for Testing.app"
        "/Contents/MacOS/Google Chrome for Testing",
        b"\xcf\xfa\xed\xfe",
    )
    assert mac.find().path == full
    shell = mac.put(
        "/home/me/Library/Caches/ms-playwright/chromium_headless_shell-1255/chrome-headless-shell-mac-arm64"
        "/chrome-headless-shell",
        b"\xcf\xfa\xed\xfe",
    )
    assert mac.find().path == shell
    assert mac.find(headless=False).path == full


def test_what_was_looked_at_names_every_place_also_those_after_the_chosen_one(linux: Computer) -> None:
    linux.put(SHELL)
    found = linux.find()
    places = [place for place, _ in found.looked_at]
    assert places == [look.place for look in survey(headless=True, surroundings=linux.surroundings)]
    assert str(linux.root / CHROMIUM.lstrip("/")) in places
    assert dict(found.looked_at)[str(linux.root / SHELL.lstrip("/"))] == "usable"


def test_a_relative_path_entry_is_not_searched(linux: Computer) -> None:
    linux.put("/srv/project/chromium")
    linux.put("/chromium")
    linux.environ["PATH"] = ".:"
    linux.refusal()


def test_root_gets_no_sandbox_and_the_reason(linux: Computer) -> None:
    args, reason = sandbox_args(surroundings=replace(linux.surroundings, uid=0))
    assert args == ["--no-sandbox"]
    assert reason is not None
    assert "root" in reason


def test_an_ordinary_user_keeps_the_sandbox(linux: Computer, mac: Computer) -> None:
    assert sandbox_args(surroundings=linux.surroundings) == ([], None)
    assert sandbox_args(surroundings=replace(mac.surroundings, can_unshare=lambda: False)) == ([], None)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("/proc/sys/user/max_user_namespaces", "0\n", "max_user_namespaces=0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone=0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor"),
        ("/proc/sys/user/max_user_namespaces", "63000\n", "container"),
    ],
)
def test_without_user_namespaces_the_sandbox_goes_and_the_reason_is_the_machines(
    linux: Computer, place: str, value: str, said: str
) -> None:
    linux.put(place, value.encode())
    args, reason = sandbox_args(
        linux.put(CHROMIUM), surroundings=replace(linux.surroundings, can_unshare=lambda: False)
    )
    assert args == ["--no-sandbox"]
    assert reason is not None
    assert said in reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a setuid file of root's")
def test_a_setuid_sandbox_beside_the_browser_needs_no_namespaces(linux: Computer) -> None:
    browser = linux.put(CHROME)
    surroundings = replace(linux.surroundings, can_unshare=lambda: False)
    helper = linux.put("/opt/google/chrome/chrome-sandbox")
    assert sandbox_args(browser, surroundings=surroundings)[0] == ["--no-sandbox"]
    helper.chmod(0o4755)
    assert sandbox_args(browser, surroundings=surroundings) == ([], None)


def test_finding_imports_neither_playwright_nor_a_driver() -> None:
    """The keeper imports this; Playwright would cost it 100 ms and 20 MiB."""
    script = (
        "import sys, lifecycle_chromium.find as f\n"
        "s = f.Surroundings.here(); list(f.survey(headless=True, surroundings=s)); f.sandbox_args(surroundings=s)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] == 'playwright'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.browser
def test_the_browser_of_this_machine_is_a_real_binary_that_starts() -> None:
    found = find_browser(headless=True)
    with found.path.open("rb") as stream:
        assert stream.read(2) != b"#!"
    done = subprocess.run([found.path, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert "Chrom" in done.stdout


def test_this_process_can_describe_its_own_surroundings() -> None:
    here = Surroundings.here()
    assert (here.platform, here.uid) == (sys.platform, os.geteuid())
    assert here.can_unshare() in (True, False)
    assert what_to_install(here)
