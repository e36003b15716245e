"""Changes to the core that no test can tell from the original, each with the reason. `make mutmut` checks the list."""
# ruff: noqa: E501  # a table: one change, one line

from __future__ import annotations

from typing import Final

_LIVE: Final = (
    "decide has looked before: a session that is live can always expire, so nothing is refused and named here"
)
_CLOSE: Final = "what has ended was answered before, and everything else can be closed, so nothing is refused here"
_UNUSED: Final = "of an error only its place and its words are used"
_EQUAL: Final = "of two equal times it does not matter which is taken"

#: The change as `make mutmut` prints it -> why it makes no difference.
EXPLAINED: Final[dict[str, str]] = {
    'commands.py _plain: - kept = "".join(char if char >= " " or char in "\\t\\n\\r" else "\\ufffd" for char in text) + kept = "".join(char if char >= " " or char in "XX\\t\\n\\rXX" else "\\ufffd" for char in text)': "an X is not below a space, and kept already",
    "decide.py decide: - fire(session.status, Trigger.EXPIRE, session.session_id) + fire(session.status, Trigger.EXPIRE, None)": _LIVE,
    "decide.py decide: - fire(session.status, Trigger.EXPIRE, session.session_id) + fire(session.status, Trigger.EXPIRE, )": _LIVE,
    "decide.py decide: - fire(session.status, Trigger.CLOSE, session.session_id) + fire(session.status, Trigger.CLOSE, None)": _CLOSE,
    "decide.py decide: - fire(session.status, Trigger.CLOSE, session.session_id) + fire(session.status, Trigger.CLOSE, )": _CLOSE,
    "decide.py decide: - assert_never(command) + assert_never(None)": "it is for the type checker: every command has its case",
    "decide.py decide: - if now < earliest: + if now <= earliest:": _EQUAL,
    "decide.py decide: - elif now > MAX_TIME: + elif now >= MAX_TIME:": _EQUAL,
    "deadlines.py deadline: - if idle is not None and session.last_accessed_at + idle < at: + if idle is not None and session.last_accessed_at + idle <= at:": _EQUAL,
    "deadlines.py deadline: - if until is not None and until > at: + if until is not None and until >= at:": _EQUAL,
    "deadlines.py deadline: - return at if at < MAX_TIME else MAX_TIME + return at if at <= MAX_TIME else MAX_TIME": _EQUAL,
    "deadlines.py microseconds: - exact = round(value * _MINUTE) if abs(value) <= MAX_MINUTES else 0  # NaN is not; 0 is refused below + exact = round(value * _MINUTE) if abs(value) <= MAX_MINUTES else 1  # NaN is not; 0 is refused below": "one microsecond is refused as none is",
    "upcast.py load: - first = error.errors(include_url=False, include_input=False)[0] + first = error.errors(include_input=False)[0]": _UNUSED,
    "upcast.py load: - first = error.errors(include_url=False, include_input=False)[0] + first = error.errors(include_url=False, )[0]": _UNUSED,
    "upcast.py load: - first = error.errors(include_url=False, include_input=False)[0] + first = error.errors(include_url=True, include_input=False)[0]": _UNUSED,
    "upcast.py load: - first = error.errors(include_url=False, include_input=False)[0] + first = error.errors(include_url=False, include_input=True)[0]": _UNUSED,
    "machine.py _build: - auto_transitions=False,  # the default adds unguarded to_<state>() from everywhere, endings included + auto_transitions=None,  # the default adds unguarded to_<state>() from everywhere, endings included": "no is no",
    "machine.py fire: - return State(scratch.state) + return State(None)": "what the Machine allows is in the lookup, which is compiled from it",
}  # fmt: skip
