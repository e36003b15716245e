"""Bugs to plant in the core, one at a time: every one must be caught by a test, or the tests prove less than they say.

    python -m tests.core.mutants            plant them all, on copies; prints bug -> the first test that caught it
    python -m tests.core.mutants deadline   only those whose name contains the word

Not part of the test run: about ten minutes on two cores. A bug whose text no longer stands in the source is an error.
"""
# ruff: noqa: E501  # a table: one bug, one line

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]


class Bug(NamedTuple):
    """*old* in *file* becomes *new*."""

    name: str
    file: str
    old: str
    new: str


def _in(file: str, *bugs: tuple[str, str, str]) -> list[Bug]:
    return [Bug(name, file, old, new) for name, old, new in bugs]


_DEADLINE = "now >= (ends := deadline(session))"

BUGS: Final = [
    *_in(
        "core/decide.py",
        ("deadline: > for >=", _DEADLINE, _DEADLINE.replace(">=", ">")),
        ("deadline: expires 1 µs early", _DEADLINE, _DEADLINE.replace("now >=", "now + 1 >=")),
        ("deadline: a stop beats it", "isinstance(command, Create | Release)", "isinstance(command, Create | Release | Close)"),
        ("deadline: a failure beats it", "isinstance(command, Create | Release)", "isinstance(command, Create | Release | Fail)"),
        ("deadline: a release is taken for an ending", "isinstance(command, Create | Release)", "isinstance(command, Create)"),
        ("timed_out stamped now", "SessionTimedOut(at=ends,", "SessionTimedOut(at=now,"),
        ("timeout forgets what was found", 'return {**evidence, "found": f"{command.name}/{cause}"}', "return evidence"),
        ("timeout forgets the evidence", 'return {**evidence, **error, "found"', 'return {**error, "found"'),
        ("timeout tells the private message", '{"error_type": error_type} if error_type', '{"error_type": command.error_message} if error_type'),
        ("clock behind the history not clamped", "max(now, session.last_at if session else 0)", "max(now, 0)"),
        ("clock before 1970 not clamped", "min(max(now, session.last_at if session else 0), MAX_TIME)", "min(max(now, session.last_at) if session else now, MAX_TIME)"),
        ("clock past the end of time not clamped", "now = min(max(now, session.last_at if session else 0), MAX_TIME)", "now = max(now, session.last_at if session else 0)"),
        ("float clock taken", "if type(now) is not int:", "if type(now) is str:"),
        ("second start accepted", "fire(session.status, Trigger.START, session.session_id)", "fire(session.status, Trigger.NOTE, session.session_id)"),
        ("note accepted in ended states", "fire(session.status, Trigger.NOTE, session.session_id, _named(command))\n            return (_noted", "return (_noted"),
        ("extend accepted in ended states", "fire(session.status, Trigger.NOTE, session.session_id, _named(command))\n            return (SessionExt", "return (SessionExt"),
        ("fail accepted in ended states", "fire(session.status, Trigger.FAIL, session.session_id)\n", "\n"),
        ("second stop emits", "if session.status in ENDED:\n                return ()\n            fire(session.status, Trigger.CLOSE, session.session_id)\n", ""),
        ("second stop refused", "            if session.status in ENDED:\n                return ()\n", ""),
        ("expire refused in ended states", "return ()  # ended already, or too early", "fire(session.status, Trigger.EXPIRE)\n            return ()"),
        ("second release emits", "return () if session.released else (_at(now, event),)", "return (_at(now, event),)"),
        ("release accepted while live", "fire(session.status, Trigger.RELEASE, session.session_id)\n", "\n"),
        ("create accepted twice", "case Create():\n            raise", "case Create():\n            return ()\n            raise"),
        ("extend from the deadline, not from now", "until=min(now + by_us, MAX_TIME)", "until=min(deadline(session) + by_us, MAX_TIME)"),
        ("extend past the end of time", "until=min(now + by_us, MAX_TIME)", "until=now + by_us"),
        ("access in the future", "last_at=min(max(event.last_at, session.created_at), now)", "last_at=max(event.last_at, session.created_at)"),
        ("access before creation", "last_at=min(max(event.last_at, session.created_at), now)", "last_at=min(event.last_at, now)"),
        ("access counts as now", "last_at=min(max(event.last_at, session.created_at), now)", "last_at=now"),
        ("refusal does not say what it was", 'return f"{command.name}/{event.type}"', "return command.name"),
        ("decide reads a clock", "    match command:\n        case Create():", "    import time\n    now = max(now, time.time_ns() // 10**12)\n    match command:\n        case Create():"),
    ),
    *_in(
        "core/evolve.py",
        ("equal times refused", "event.at < session.last_at", "event.at <= session.last_at"),
        ("at going back accepted", "if event.at < session.last_at:", "if event.at < session.created_at:"),
        ("timed_out accepted anywhere", "event.at != ends or ", ""),
        ("timed_out accepted late", "event.at != ends or ", "event.at < ends or "),
        ("timed_out accepted early", "event.at != ends or ", "event.at > ends or "),
        ("wrong rule accepted", " or event.rule != rule(session)", ""),
        ("event on the deadline accepted", "elif event.at >= ends:", "elif event.at > ends:"),
        ("events after the deadline accepted", "elif event.at >= ends:", "elif False:"),
        ("events after released accepted", "if session.released:", "if False:"),
        ("created accepted twice", "if status is None or isinstance(event, SessionCreated):", "if status is None:"),
        ("invented events accepted", "if type(event) not in _KNOWN:", "if False:"),
        ("invented beginnings accepted", "if type(event) is not SessionCreated:", "if not isinstance(event, SessionCreated | SessionStarted):"),
        ("access in the future accepted", "session.created_at <= event.last_at <= event.at", "session.created_at <= event.last_at"),
        ("access before creation accepted", "session.created_at <= event.last_at <= event.at", "event.last_at <= event.at"),
        ("extension to its own moment accepted", "event.until <= event.at", "event.until < event.at"),
        ("a shorter extension moves D back", "extended_until=max(until, session.extended_until or until)", "extended_until=until"),
        ("extension is no access", "session, last_accessed_at=event.at, extended_until", "session, extended_until"),
        ("an older access moves D back", "max(session.last_accessed_at, last_at)", "last_at"),
        ("start is no access", "                last_accessed_at=event.at,\n                ownership", "                ownership"),
        ("operation is no access", "return replace(session, last_accessed_at=event.at)\n        case SessionExtended", "return session\n        case SessionExtended"),
        ("navigation is access", "change nothing but version and last_at\n            return session", "\n            return replace(session, last_accessed_at=event.at)"),
        ("planned keeper lost on start", "keeper=event.keeper or session.keeper", "keeper=event.keeper"),
        ("version stands still", "version=version, status=status", "status=status"),
        ("last_at stands still", "status=status, last_at=event.at", "status=status"),
        ("ending not stamped", "return replace(session, closed_at=event.at, cause=cause)", "return replace(session, cause=cause)"),
        ("error message lost", "                error_message=event.error_message,\n", ""),
        ("release ends a second time", "return replace(session, released=True)", "return replace(session, released=True, closed_at=event.at)"),
        ("failed is a note", "    SessionFailed.type: Trigger.FAIL,\n", ""),
    ),
    *_in(
        "core/deadlines.py",
        ("extension forgotten in D", "max(at, session.extended_until or 0)", "at"),
        ("extension capped by the limits", "max(at, session.extended_until or 0)", "min(at, session.extended_until or at)"),
        ("D past the end of time", "return min(max(at, session.extended_until or 0), MAX_TIME)", "return max(at, session.extended_until or 0)"),
        ("limits that meet are idle", "longest <= session.last_accessed_at + idle", "longest < session.last_accessed_at + idle"),
        ("maximum forgotten", "if idle is None or longest <= session.last_accessed_at + idle:", "if idle is None:"),
        ("idle counted from creation", "return session.last_accessed_at + idle, Cause.IDLE", "return session.created_at + idle, Cause.IDLE"),
        ("bool taken for minutes", "isinstance(value, bool) or not", "not"),
        ("NaN and infinity not refused", "if abs(value) <= MAX_MINUTES else 0", "if not abs(value) > MAX_MINUTES else 0"),
        ("below a second accepted", "if not _SECOND <= exact", "if not 0 < exact"),
        ("a century not the limit", "<= MAX_MINUTES * _MINUTE:", "<= 2 * MAX_MINUTES * _MINUTE:"),
        ("fractions cut instead of rounded", "round(value * _MINUTE)", "int(value * _MINUTE)"),
        ("whole minutes become float", "return us / _MINUTE if rest else whole", "return us / _MINUTE"),
        ("both names accepted", "if timeout_minutes is not None and idle_timeout_minutes is not None:", "if False:"),
        ("alias named wrongly", 'name = "idle_timeout_minutes" if timeout_minutes is None else "timeout_minutes"', 'name = "idle_timeout_minutes"'),
        ("idle equal to max refused", "if idle > longest:", "if idle >= longest:"),
        ("idle above given max accepted", "if given_idle is not None:\n            raise", "if False:\n            raise"),
        ("default max not lifted", "max_duration_us=max(idle, DEFAULT_MAX * _MINUTE)", "max_duration_us=DEFAULT_MAX * _MINUTE"),
        ("default idle above a short max", "idle = longest  # the default", "pass  # the default"),
    ),
    *_in(
        "core/view.py",
        ("duration not capped at D", "State.TIMED_OUT, rule(session), ends", "State.TIMED_OUT, rule(session), now"),
        ("view: > for >= at D", "status in LIVE and now >= ends", "status in LIVE and now > ends"),
        ("overdue shown as live", "if status in LIVE and now >= ends:", "if False:"),
        ("ended sessions overdue too", "if status in LIVE and now >= ends:", "if now >= ends:"),
        ("reader's clock not clamped", "now = max(now, session.last_at)", "now = max(now, session.created_at)"),
        ("duration grows after the ending", "until = now if closed_at is None else closed_at", "until = now"),
        ("naive datetime taken", "if at.utcoffset() is None:", "if False:"),
        ("zone without offset taken", "if at.utcoffset() is None:", "if at.tzinfo is None:"),
        ("instant through float", "(at - _EPOCH) // timedelta(microseconds=1)", "int((at - _EPOCH).total_seconds() * 1e6)"),
        ("alias field differs", "timeout_minutes=idle_minutes,\n        idle_", "timeout_minutes=None,\n        idle_"),
        ("labels of a view can be changed", "labels: Labels", "labels: dict[str, str]"),
    ),
    *_in(
        "core/events.py",
        ("NUL accepted", 'if "\\0" in text:', "if False:"),
        ("surrogates accepted in data", "text.encode()\n", "pass\n"),
        ("labels can be changed", "Field(max_length=64), AfterValidator(FrozenDict)]", "Field(max_length=64)]"),
        ("evidence can be changed", "    return FrozenDict(value)\n", "    return value\n"),
        ("data can be changed", "    return freeze(value)\n", "    return value\n"),
        ("data frozen on top only", "    return freeze(value)\n", "    return FrozenDict(value)\n"),
        ("65 labels", "Field(max_length=64), AfterValidator", "Field(max_length=65), AfterValidator"),
        ("label values without limit", "_LabelValue = Annotated[str, Field(max_length=MAX_LABEL, strict=True)", "_LabelValue = Annotated[str, Field(strict=True)"),
        ("texts without limit", "_Text = Annotated[str, Field(max_length=MAX_TEXT, strict=True)", "_Text = Annotated[str, Field(strict=True)"),
        ("data without limit", "if (size := _size(value)) > MAX_DATA:", "if (size := _size(value)) < 0:"),
        ("evidence without limit", "if (size := _size(value)) > MAX_EVIDENCE:", "if (size := _size(value)) < 0:"),
        ("data without depth", "if isinstance(value, dict | list) and depth > MAX_DEPTH:", "if False:"),
        ("huge integers in data", "not -MAX_TIME <= value <= MAX_TIME:", "False:"),
        ("NaN accepted", 'extra="forbid", allow_inf_nan=False', 'extra="forbid"'),
        ("unknown fields accepted", 'extra="forbid", allow_inf_nan=False', "allow_inf_nan=False"),
        ("events can be changed", "ConfigDict(frozen=True, ", "ConfigDict("),
        ("flags coerced", "_Flag = Annotated[bool, Field(strict=True)]", "_Flag = bool"),
        ("counts coerced", "_Count = Annotated[int, Field(ge=0, le=MAX_TIME, strict=True)]", "_Count = Annotated[int, Field(ge=0, le=MAX_TIME)]"),
        ("bytes taken for text", "_Word = Annotated[str, Field(max_length=MAX_WORD, strict=True)", "_Word = Annotated[str, Field(max_length=MAX_WORD)"),
        ("the log's own stream as session", 'if value == "log":', "if False:"),
        ("a path as session id", "[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "[A-Za-z0-9.][A-Za-z0-9_./-]{0,63}"),
        ("URLs public", "AfterValidator(_writable), PRIVATE]\n_Path", "AfterValidator(_writable)]\n_Path"),
        ("no room for what was found", "Field(max_length=34)", "Field(max_length=32)"),
        ("an event forgotten in the registry", "    PageCrashed,\n    SessionAnnotated,\n    CookiesLoaded,\n    CookiesSaved,\n)", "    SessionAnnotated,\n    CookiesLoaded,\n    CookiesSaved,\n)"),
    ),
    *_in(
        "core/frozen.py",
        ("a frozen dict takes |=", "__ior__ = clear", "clear"),
        ("a frozen list can be sorted", "reverse = sort = _REFUSE", "reverse = _REFUSE"),
        ("frozen dicts don't pickle", "    def __reduce__(self) -> tuple[Any, ...]:\n        return type(self), (dict", "    def _reduce(self) -> tuple[Any, ...]:\n        return type(self), (dict"),
        ("hash depends on order", "return hash(frozenset(self.items()))", "return hash(tuple(self.items()))"),
    ),
    *_in(
        "core/commands.py",
        ("an ending lost for a long message", "_Message = Annotated[str, _fitted(_MESSAGE_BYTES), Field(strict=True)]", "_Message = Annotated[str, Field(strict=True)]"),
        ("last words lose their end", "_fitted(_LAST_WORDS_BYTES, tail=True)", "_fitted(_LAST_WORDS_BYTES)"),
        ("limits in characters, not bytes", "len(value) <= limit_bytes and len(encoded) <= limit_bytes", "len(value) <= limit_bytes"),
        ("control characters kept", 'char >= " " or char in "\\t\\n\\r"', "char"),
        ("extend by nothing", "by_us: int = Field(gt=0, strict=True)", "by_us: int = Field(ge=0, strict=True)"),
        ("extend by a fraction", "by_us: int = Field(gt=0, strict=True)", "by_us: float = Field(gt=0)"),
    ),
    *_in(
        "core/states.py",
        ("table: an ending can be noted", "(Trigger.NOTE, LIVE, None)", "(Trigger.NOTE, (*LIVE, State.CLOSED), None)"),
        ("table: start from active", "(Trigger.START, (State.CREATED,), State.ACTIVE)", "(Trigger.START, LIVE, State.ACTIVE)"),
        ("table: close leads to error", "(Trigger.CLOSE, LIVE, State.CLOSED)", "(Trigger.CLOSE, LIVE, State.ERROR)"),
        ("table: an ending reopened", "(Trigger.RELEASE, ENDED, None)", "(Trigger.RELEASE, ENDED, State.CLOSED)"),
    ),
    *_in(
        "core/machine.py",
        ("guards compiled away", "if only.conditions or only.before or only.after or only.prepare or not only.dest:", "if not only.dest:"),
        ("two candidates compiled to one", "if len(candidates) != 1:", "if not candidates:"),
        ("lookup can be changed", "return MappingProxyType(moves)", "return moves"),
        ("choices of another state", "state=state, command=command or trigger, legal=legal(state)", "state=state, command=command or trigger, legal=legal(State.CREATED)"),
        ("diagram forgets endings", "for state in ENDED]", "for state in ENDED[:2]]"),
    ),
    *_in(
        "core/upcast.py",
        ("gap accepted", "for version in range(1, newest):", "for version in range(1, newest - 1):"),
        ("step of an unknown type accepted", "if event_type not in current:\n            raise", "if event_type not in current:\n            continue\n            raise"),
        ("step past current accepted", "if not 1 <= version < current[event_type]:", "if not 1 <= version:"),
        ("steps in reverse", "for version in range(schema_version, newest):", "for version in reversed(range(schema_version, newest)):"),
        ("steps can change what is stored", "    data = dict(data)\n", ""),
        ("future schema read", "if schema_version > cls.schema_version:", "if False:"),
        ("version 0 read", "if schema_version < 1:", "if False:"),
        ("at in the data overrides nothing", ' or "at" in stored', ""),
        ("a failing step escapes", "except Exception as error:", "except AttributeError as error:"),
        ("what is no object escapes", 'if not isinstance(stored, dict) or "at"', 'if "at"'),
    ),
    *_in(
        "errors.py",
        ("errors don't pickle", "    def __reduce__(self)", "    def _reduce(self)"),
        ("huge int breaks the refusal", "except Exception:  # an int", "except KeyError:  # an int"),
        ("megabytes in a sentence", "return shown if len(shown) <= 80 else", "return shown if len(shown) <= 80_000_000 else"),
        ("a branch of the drawing moved", "    │   ├── NotStarted ", "    │   │   ├── NotStarted "),
        ("an error left out of __all__", '    "WrongThread",\n', ""),
        ("LogUnavailable not retryable", '    """The log can\'t be reached or written now. Nothing was acknowledged; the same call is safe to repeat."""\n\n    retryable = True', '    """The log can\'t be reached or written now. Nothing was acknowledged; the same call is safe to repeat."""'),
    ),
]  # fmt: skip

_COPIED: Final = ("lifecycle", "tests/core", "tests/conftest.py", "docs", "pyproject.toml")


def plant(bug: Bug) -> str:
    """The first test that catches *bug*, or SURVIVED."""
    with tempfile.TemporaryDirectory() as place:
        for name in _COPIED:
            source, target = ROOT / name, Path(place, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        file = Path(place, "lifecycle", bug.file)
        text = file.read_text("utf-8")
        if text.count(bug.old) != 1:
            return f"STALE: the text stands {text.count(bug.old)} times in {bug.file}"
        planted = text.replace(bug.old, bug.new)
        compile(planted, bug.file, "exec")  # a syntax error would be caught, and prove nothing
        file.write_text(planted, "utf-8")
        # The mirrored file and the laws first: what they catch, they catch for the right reason. The made pages are
        # left out, because they notice every change for the wrong one.
        mirrored = f"tests/core/test_{file.stem}.py"
        near = [name for name in (mirrored, "tests/core/test_invariants.py") if Path(place, name).exists()]
        return _caught(place, near) or _caught(place, ["tests/core"]) or "SURVIVED"


def _caught(place: str, tests: list[str]) -> str | None:
    """The first of *tests* that fails."""
    # -m puts the copy first on sys.path, before the checkout that is installed.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
    command += ["--ignore=tests/core/test_pages.py"]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return None
    found = re.search(r"^FAILED tests/core/(.+?)(?: - .*)?$", run.stdout, re.MULTILINE)
    # Tests that can't even be collected fail whatever they would have found out.
    return found[1] if found else f"BROKEN, exit code {run.returncode}: {(run.stdout + run.stderr)[-300:]}"


def main() -> int:
    words = sys.argv[1:]
    bugs = [bug for bug in BUGS if not words or any(word in f"{bug.file} {bug.name}" for word in words)]
    survivors = 0
    with ThreadPoolExecutor(2) as pool:
        for bug, caught in zip(bugs, pool.map(plant, bugs), strict=True):
            survivors += caught.startswith(("SURVIVED", "STALE", "BROKEN"))
            print(f"{bug.file}: {bug.name} -> {caught}", flush=True)
    print(f"{len(bugs)} planted, {len(bugs) - survivors} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
