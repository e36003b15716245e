"""The sessions of the demo, and what is promised of each: data, and the checks that hold a history against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lifecycle.cli.demo.scripts import IDLE_S
from lifecycle.core import ENDINGS, Cause, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifecycle.audit.history import Step
    from lifecycle.core import SessionView

__all__ = ["CAST", "Part", "Played", "broken_promises"]

#: A promise is for an idle machine; the demo itself keeps two cores busy, so it fails only this many times later.
_SLACK: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One session: the script's name, what happens to it in words, and how it must end."""

    name: str
    plot: str
    status: State
    cause: Cause
    exit_code: int = 0
    raised: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    bound_us: int | None = None


CAST: Final = (
    Part(name="normal", plot="its script does its work and leaves", status=State.CLOSED, cause=Cause.STOPPED),
    Part(
        name="raises",
        plot="its script raises",
        status=State.ERROR,
        cause=Cause.EXCEPTION,
        exit_code=1,
        raised="LookupError",
    ),
    Part(
        name="killed",
        plot="its browser is killed from outside (SIGKILL)",
        status=State.ERROR,
        cause=Cause.BROWSER_CRASHED,
        raised="BrowserLost",
        evidence={"signal": 9},
        bound_us=250_000,
    ),
    Part(
        name="idle",
        plot=f"nobody uses it for {IDLE_S} s, which is all it may be idle",
        status=State.TIMED_OUT,
        cause=Cause.IDLE,
        raised="SessionTimedOut",
        bound_us=250_000,
    ),
    Part(name="shared", plot="another process attaches by id and leaves", status=State.CLOSED, cause=Cause.STOPPED),
    Part(
        name="orphan",
        plot="its owner process is killed (SIGKILL)",
        status=State.CLOSED,
        cause=Cause.OWNER_EXITED,
        exit_code=-9,
        bound_us=1_000_000,
    ),
)


@dataclass(slots=True, kw_only=True)
class Played:
    """What became of a part. `struck_at` is when the director killed something, µs since the epoch."""

    part: Part
    session_id: str | None = None
    steps: list[Step] = field(default_factory=list["Step"])
    live: SessionView | None = None
    saw: dict[str, Any] | None = None
    exit_code: int | None = None
    struck_at: int | None = None
    visitor_exit_code: int | None = None
    words: str = ""

    @property
    def released(self) -> bool:
        """Whether the log says that nothing of it is left."""
        return bool(self.steps) and self.steps[-1].type == "session.released"

    @property
    def ending(self) -> Step | None:
        """The terminal event."""
        return next((step for step in self.steps if step.type in ENDINGS), None)

    @property
    def took_us(self) -> int | None:
        """From what ended it (a kill, or the deadline) to the record of it; None where nothing is measured."""
        if self.part.bound_us is None or self.ending is None:
            return None
        return self.ending.recorded_at - (self.ending.at if self.struck_at is None else self.struck_at)


def broken_promises(played: Played) -> list[str]:
    """What of the promise was not kept, in sentences; nothing, normally."""
    part, live, ending = played.part, played.live, played.ending
    if played.session_id is None:
        return [_with_words("its script has not started a session", played)]
    if ending is None or not played.released or live is None:
        last = played.steps[-1].type if played.steps else "nothing"
        return [_with_words(f"its history stops at {last}", played)]
    if (live.status, live.cause) != (part.status, part.cause):
        error = f" ({live.error})" if live.error else ""
        return [f"it is {live.status}/{live.cause}{error}, promised was {part.status}/{part.cause}"]
    broken: list[str] = []
    if played.exit_code != part.exit_code:
        broken.append(_with_words(f"its script ended with {played.exit_code}, expected {part.exit_code}", played))
    if part.raised is not None and (played.saw or {}).get("raised") != part.raised:
        broken.append(_with_words(f"its script was to get {part.raised}", played))
    found = ending.data.get("evidence", {})
    for name, value in part.evidence.items():
        if found.get(name) != value:
            broken.append(f"its evidence {name} is {found.get(name)!r}, expected {value!r}")
    if part.bound_us is not None and (played.took_us or 0) > part.bound_us * _SLACK:
        broken.append(
            f"its end was recorded {(played.took_us or 0) / 1e6:.2f} s late, promised are {part.bound_us / 1e6:g} s"
        )
    if part.name == "idle" and ending.at - _last_access(played.steps) != IDLE_S * 1_000_000:
        broken.append("it did not time out exactly its idle timeout after its last access")
    if part.name == "shared":
        broken += _not_shared(played)
    return broken


def _last_access(steps: Sequence[Step]) -> int:
    accessed: list[int] = [step.data["last_at"] for step in steps if step.type == "session.accessed"]
    return max([*accessed, *(step.at for step in steps if step.type == "session.started")])


def _not_shared(played: Played) -> list[str]:
    owner = played.steps[0].writer
    visits = [step for step in played.steps if step.type == "session.accessed" and step.data.get("by") == "attach"]
    broken: list[str] = []
    if played.visitor_exit_code != 0:
        broken.append(_with_words(f"its visitor ended with {played.visitor_exit_code}", played))
    if not visits or visits[0].writer == owner:
        broken.append("its history names no visitor")
    if not str((played.saw or {}).get("found", "")).endswith("/prices"):
        broken.append("its owner did not find the page that the visitor had opened")
    return broken


def _with_words(sentence: str, played: Played) -> str:
    """With the last line that the script printed on stderr: the sentence of the error that ended it."""
    return f"{sentence}: {played.words.splitlines()[-1][:400]}" if played.words else sentence
