"""Which browser binary to start, and why that one.

Only looks: no browser is started and nothing is written here. Whatever the answer depends on (platform, environment,
home, the root of the file system, the user) is one argument, so that every platform is tested on any other.

The order, first usable one wins:

1. what the caller names, else what ``$LIFECYCLE_BROWSER`` names (empty means unset);
2. Playwright's own download, newest revision; read from its registry directory, Playwright itself is not imported;
3. the system's headless shell, when no window is wanted: half the start time and memory of a full browser;
4. Chrome, then Chromium.

A wrapper script is passed over where the real binary is known. Debian's wrapper of the headless shell does not exec,
so the process we started and watch would be a shell and not the browser.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lifecycle.errors import BrowserNotFound

__all__ = [
    "MANAGERS",
    "Found",
    "Look",
    "PackageManager",
    "Surroundings",
    "find_browser",
    "package_manager",
    "sandbox_args",
    "survey",
    "what_to_install",
]

VARIABLE = "LIFECYCLE_BROWSER"

Kind = Literal["playwright-headless-shell", "playwright-chromium", "headless-shell", "chrome", "chromium", "named"]

# (real binaries, names on PATH). The binaries come first because a name on PATH is mostly a wrapper.
SYSTEM: Mapping[str, Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "linux": {
        "headless-shell": (
            ("/usr/lib/chromium/chromium-headless-shell", "/usr/lib64/chromium-browser/headless_shell"),
            ("chrome-headless-shell", "headless_shell", "chromium-headless-shell"),
        ),
        "chrome": (
            ("/opt/google/chrome/chrome",),
            ("google-chrome-stable", "google-chrome"),
        ),
        "chromium": (
            (
                "/usr/lib/chromium/chromium",
                "/usr/lib64/chromium-browser/chromium-browser",
                "/usr/lib64/chromium/chromium",
                "/usr/lib/chromium-browser/chromium-browser",
            ),
            ("chromium", "chromium-browser"),
        ),
    },
    "darwin": {
        "headless-shell": ((), ("chrome-headless-shell",)),
        "chrome": (
            (
                "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
                "~/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            ),
            (),
        ),
        "chromium": (
            (
                "/Applications/Chromium.app/Contents/MacOS/Chromium",
                "~/Applications/Chromium.app/Contents/MacOS/Chromium",
            ),
            ("chromium",),
        ),
    },
}

# Wrapper -> the binary that it starts. Somebody who names the wrapper gets the binary.
WRAPPED: Mapping[str, tuple[str, ...]] = {
    "/usr/bin/chromium-headless-shell": ("/usr/lib/chromium/chromium-headless-shell",),
    "/usr/bin/chromium": ("/usr/lib/chromium/chromium", "/usr/lib64/chromium/chromium"),
    "/usr/bin/chromium-browser": ("/usr/lib64/chromium-browser/chromium-browser", "/usr/lib/chromium/chromium"),
    "/usr/bin/google-chrome": ("/opt/google/chrome/chrome",),
    "/usr/bin/google-chrome-stable": ("/opt/google/chrome/chrome",),
    "/opt/google/chrome/google-chrome": ("/opt/google/chrome/chrome",),
}

# Playwright's directory prefix and, inside a revision's directory, where releases from 1.49 on keep the binary.
REVISIONS: Mapping[Kind, tuple[str, tuple[str, ...]]] = {
    "playwright-headless-shell": (
        "chromium_headless_shell",
        ("chrome-headless-shell-*/chrome-headless-shell", "chrome-linux/headless_shell", "chrome-mac/headless_shell"),
    ),
    "playwright-chromium": (
        "chromium",
        ("chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*"),
    ),
}

WHY: Mapping[Kind, str] = {
    "playwright-headless-shell": "Playwright's own headless shell comes first when no window is wanted",
    "playwright-chromium": "Playwright's own browser comes before the system's",
    "headless-shell": "no window is wanted and Playwright has no browser here: the system's headless shell is lightest",
    "chrome": "Playwright has no browser here: the system's Chrome",
    "chromium": "Playwright has no browser here and there is no Chrome: the system's Chromium",
    "named": "it was named",
}

FAMILY: Mapping[str, tuple[Kind, ...]] = {
    "chrome": ("chrome",),
    "chromium": ("playwright-headless-shell", "playwright-chromium", "headless-shell", "chromium"),
}

PROGRAM_MAGIC = (
    b"\x7fELF",
    b"#!",
    # Mach-O, both word sizes and universal binaries.
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)


@dataclass(frozen=True, slots=True)
class PackageManager:
    """A system package manager and the packages that bring a browser, best first."""

    program: str
    packages: tuple[str, ...]
    install: tuple[str, ...]
    refresh: tuple[str, ...] | None = None
    available: tuple[str, ...] | None = None
    """Exits 0 for a package it can install; None: try them and see."""
    needs_root: bool = True
    driver: tuple[str, ...] = ()
    """What Playwright's own Node links and a minimal system lacks."""

    def sentence(self) -> str:
        """The command a person would type."""
        return " ".join((*(("sudo",) if self.needs_root else ()), *self.install, self.packages[0]))


MANAGERS: tuple[PackageManager, ...] = (
    PackageManager(
        "apt-get",
        ("chromium-headless-shell", "chromium"),
        ("apt-get", "install", "-y", "--no-install-recommends"),
        refresh=("apt-get", "update"),
        available=("apt-cache", "show"),
        driver=("libatomic1",),
    ),
    PackageManager(
        "dnf",
        ("chromium-headless", "chromium"),
        ("dnf", "install", "-y"),
        available=("dnf", "info"),
        driver=("libatomic",),
    ),
    PackageManager("pacman", ("chromium",), ("pacman", "-Sy", "--noconfirm", "--needed")),
    PackageManager("apk", ("chromium",), ("apk", "add", "--no-cache")),
    PackageManager("zypper", ("chromium",), ("zypper", "--non-interactive", "install"), driver=("libatomic1",)),
    PackageManager("brew", ("chromium",), ("brew", "install", "--cask"), needs_root=False),
)


def _or_root(folder: Callable[[], Path]) -> Path:
    """What *folder* finds, or /: a user of a container may have no home, and a working directory can be deleted."""
    try:
        return folder()
    except (RuntimeError, OSError):
        return Path("/")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that discovery depends on. `here()` is this process; tests make their own."""

    platform: str
    environ: Mapping[str, str]
    home: Path
    uid: int
    root: Path = Path("/")
    cwd: Path = Path("/")
    playwright_package: Path | None = None
    """Directory of the installed Playwright package, for its browsers installed with PLAYWRIGHT_BROWSERS_PATH=0."""
    can_unshare: Callable[[], bool] = field(default=lambda: True)
    """True if an ordinary process may make a user namespace, which Chromium's sandbox is built on."""

    @classmethod
    def here(cls) -> Surroundings:
        """This process's own."""
        spec = importlib.util.find_spec("playwright")
        return cls(
            platform=sys.platform,
            environ=os.environ,
            home=_or_root(Path.home),
            uid=os.geteuid(),
            cwd=_or_root(Path.cwd),
            playwright_package=Path(spec.origin).parent if spec and spec.origin else None,
            can_unshare=_can_unshare,
        )

    def path(self, place: str) -> Path:
        """*place* under our root; ``~`` is the home directory."""
        if place.startswith("~/"):
            return self.home / place[2:]
        return self.root / place.lstrip("/")

    def which(self, program: str) -> Path | None:
        """*program* as PATH finds it."""
        for folder in self.environ.get("PATH", os.defpath).split(os.pathsep):
            candidate = self.path(folder) / program
            # os.path.isfile, not Path.is_file: PATH may name a directory that this user may not enter.
            if folder.startswith("/") and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
        return None


@dataclass(frozen=True, slots=True)
class Look:
    """One place that was looked at. `problem` is None when a usable browser is there."""

    kind: Kind
    place: str
    problem: str | None
    path: Path | None = None

    @property
    def found(self) -> str:
        if self.problem is not None:
            return self.problem
        return "usable" if str(self.path) == self.place else f"a wrapper of {self.path}"


@dataclass(frozen=True, slots=True)
class Found:
    """The browser to start."""

    path: Path
    kind: Kind
    why: str
    looked_at: tuple[tuple[str, str], ...]
    """(place, what was found there), in the order of preference, including the places after the chosen one."""


def find_browser(*, headless: bool, wanted: str | None = None, surroundings: Surroundings | None = None) -> Found:
    """The browser binary to start.

    *wanted* is a path, a program on PATH, or one of the words ``chrome`` and ``chromium``; None leaves the choice to
    ``$LIFECYCLE_BROWSER`` and then to the order at the top of this file. What is named is used or refused, never
    replaced; only a known wrapper gives way to its binary.

    Raises:
        BrowserNotFound: Nothing usable; the message says what is wrong with what was named, or what to install.
    """
    s = surroundings or Surroundings.here()
    source = "the configuration"
    if wanted is None:
        wanted = s.environ.get(VARIABLE) or None
        source = f"${VARIABLE}"
    if wanted is not None and wanted not in FAMILY:
        return _named(wanted, source, s)
    looks = tuple(survey(headless=headless, surroundings=s))
    if wanted is not None:
        looks = tuple(look for look in looks if look.kind in FAMILY[wanted])
    looked_at = tuple((look.place, look.found) for look in looks)
    for look in looks:
        if look.path is not None:
            why = WHY[look.kind] if wanted is None else f"{source} asks for {wanted}"
            return Found(look.path, look.kind, why, looked_at)
    what = {None: "browser", "chrome": "Chrome", "chromium": "Chromium"}[wanted]
    asked = "" if wanted is None else f" ({source} asks for {wanted})"
    broken = "".join(f"; {look.place} {look.problem}" for look in looks if look.problem not in (None, ABSENT))
    raise BrowserNotFound(f"no {what} was found{asked}{broken}; {what_to_install(s, wanted)}")


def survey(*, headless: bool, surroundings: Surroundings | None = None) -> Iterator[Look]:
    """Every place where a browser may be, in the order of preference, and what is there."""
    s = surroundings or Surroundings.here()
    if headless:
        yield from _playwright("playwright-headless-shell", s)
    yield from _playwright("playwright-chromium", s)
    kinds: tuple[Kind, ...] = ("headless-shell", "chrome", "chromium") if headless else ("chrome", "chromium")
    for kind in kinds:
        yield from _system(kind, s)


def what_to_install(surroundings: Surroundings, wanted: str | None = None) -> str:
    """One instruction that would bring a browser to this machine."""
    if wanted == "chrome":
        return "install it from https://www.google.com/chrome/"
    if manager := package_manager(surroundings):
        return f"install one with `{manager.sentence()}` or `playwright install --only-shell chromium`"
    return "install one with `playwright install --only-shell chromium`, or install Chrome or Chromium"


def package_manager(surroundings: Surroundings) -> PackageManager | None:
    """The system's package manager, if it is one we know."""
    return next((manager for manager in MANAGERS if surroundings.which(manager.program)), None)


def sandbox_args(
    browser: Path | None = None, *, surroundings: Surroundings | None = None
) -> tuple[list[str], str | None]:
    """``["--no-sandbox"]`` and the reason, only where Chromium's own sandbox cannot work; else ``[]`` and None.

    *browser* is the binary that will be started: a setuid ``chrome-sandbox`` beside it works without user namespaces.
    """
    s = surroundings or Surroundings.here()
    if s.platform != "linux":
        return [], None
    if s.uid == 0:
        return ["--no-sandbox"], "Chromium refuses its sandbox when it runs as root"
    if (browser is not None and _has_setuid_sandbox(browser)) or s.can_unshare():
        return [], None
    return ["--no-sandbox"], f"{_why_no_namespaces(s)}, and no setuid chrome-sandbox is installed beside the browser"


ABSENT = "nothing there"


def _named(wanted: str, source: str, s: Surroundings) -> Found:
    shown = ascii(wanted) if len(wanted) <= 200 else f"{wanted[:80]!a} ({len(wanted)} characters)"
    try:
        path = _locate(wanted, s)
        problem = ABSENT if path is None else _problem(path)
    except (OSError, ValueError):  # longer than a path can be, or text no file name can hold
        path, problem = None, "is not a path"
    if path is None or problem is not None:
        said = "does not exist" if problem == ABSENT else problem
        raise BrowserNotFound(
            f"{source} names the browser {shown}, which {said}; name a Chromium or Chrome binary, or leave it unset: "
            "then one is searched for"
        )
    real = _unwrapped(path, s)
    why = f"named by {source}" + ("" if real == path else f", which names the wrapper {path} of this binary")
    return Found(real, "named", why, ((wanted, "usable" if real == path else f"a wrapper of {real}"),))


def _locate(wanted: str, s: Surroundings) -> Path | None:
    if b"\0" in os.fsencode(wanted):
        raise ValueError("a NUL in a path")
    if not wanted.strip():
        return None
    if os.sep not in wanted and wanted != "~":
        return s.which(wanted)
    if wanted.startswith("~/"):
        return s.home / wanted[2:]
    return s.path(wanted) if wanted.startswith("/") else s.cwd / wanted


def _problem(path: Path) -> str | None:
    """What keeps *path* from being started, or None. Starts nothing."""
    if not path.exists():
        return "is a broken link" if path.is_symlink() else ABSENT
    if path.is_dir():
        return "is a directory"
    if not path.is_file():
        return "is not a file"
    if not os.access(path, os.X_OK):
        return "is not executable"
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
    except PermissionError:
        return None  # may be started and not read: for the kernel to judge
    if not head:
        return "is an empty file"
    if not head.startswith(PROGRAM_MAGIC):
        return "is not a program"
    return None


def _unwrapped(path: Path, s: Surroundings) -> Path:
    """The binary behind a known wrapper, or *path* itself."""
    for wrapper, binaries in WRAPPED.items():
        if path == s.path(wrapper):
            for binary in map(s.path, binaries):
                if _problem(binary) is None:
                    return binary
    return path


def _look(kind: Kind, path: Path, s: Surroundings) -> Look:
    try:
        problem = _problem(path) or _snap_stub(path, s)
    except OSError as error:
        problem = f"can't be looked at: {error.strerror}"
    return Look(kind, str(path), problem, None if problem else _unwrapped(path, s))


def _snap_stub(path: Path, s: Surroundings) -> str | None:
    """Ubuntu's /usr/bin/chromium-browser only asks for the snap where that is missing."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    if head.startswith(b"#!") and b"/snap/bin/chromium" in head and not s.path("/snap/bin/chromium").exists():
        return "only says that the Chromium snap is missing"
    return None


def _playwright(kind: Kind, s: Surroundings) -> Iterator[Look]:
    registry = _registry(s)
    prefix, binaries = REVISIONS[kind]
    try:
        names = [entry.name for entry in registry.iterdir()]
    except OSError:
        names = []
    revisions = [registry / name for name in names if re.fullmatch(rf"{prefix}-\d+", name)]
    # A download that was cut short has no marker. It may still be whole (put there by hand), so it comes last.
    revisions.sort(key=lambda f: ((f / "INSTALLATION_COMPLETE").exists(), int(f.name.rpartition("-")[2])), reverse=True)
    for revision in revisions:
        paths = [path for pattern in binaries for path in sorted(revision.glob(pattern))]
        if not paths:
            yield Look(kind, str(revision), "holds no browser")
        for path in paths:
            yield _look(kind, path, s)
    if not revisions:
        yield Look(kind, str(registry / f"{prefix}-*"), ABSENT)


def _registry(s: Surroundings) -> Path:
    """Where Playwright keeps its browsers; the rules are those of its registry/index.ts."""
    told = s.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if told == "0" and s.playwright_package is not None:
        return s.playwright_package / "driver" / "package" / ".local-browsers"
    if told:
        return Path(s.environ.get("INIT_CWD") or s.cwd, told)
    if s.platform == "darwin":
        return s.home / "Library" / "Caches" / "ms-playwright"
    return Path(s.environ.get("XDG_CACHE_HOME") or s.home / ".cache") / "ms-playwright"


def _system(kind: Kind, s: Surroundings) -> Iterator[Look]:
    binaries, names = SYSTEM.get(s.platform, SYSTEM["linux"])[kind]
    for place in binaries:
        yield _look(kind, s.path(place), s)
    for name in names:
        path = s.which(name)
        yield Look(kind, f"{name} on PATH", ABSENT) if path is None else _look(kind, path, s)


def _has_setuid_sandbox(browser: Path) -> bool:
    try:
        status = (browser.resolve().parent / "chrome-sandbox").stat()
    except OSError:
        return False
    return status.st_uid == 0 and bool(status.st_mode & 0o4000)


def _why_no_namespaces(s: Surroundings) -> str:
    for place, off, reason in (
        ("/proc/sys/user/max_user_namespaces", "0", "user namespaces are switched off (user.max_user_namespaces=0)"),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "user namespaces are for root only (kernel.unprivileged_userns_clone=0)",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1)",
        ),
    ):
        try:
            if s.path(place).read_text().strip() == off:
                return reason
        except OSError:
            continue
    return "user namespaces can't be made here (a chroot, or a container's system-call filter, forbids them)"


def _can_unshare() -> bool:
    """Try it: sysctls, AppArmor and a container's system-call filter can each forbid it; only trying sees all three."""
    if shutil.which("unshare") is None:
        return True
    try:
        command = ["unshare", "--user", "--map-root-user", "true"]
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
