"""Changes to the core that no test can tell from the original, each with the reason. `make mutmut` checks the list."""
# ruff: noqa: E501  # a table: one change, one line

from __future__ import annotations

from typing import Final

_LIVE: Final = (
    "decide has looked before: a session that is live can always expire, so nothing is refused and named here"
)

#: The change as `make mutmut` prints it -> why it makes no difference.
EXPLAINED: Final[dict[str, str]] = {
    'commands.py _plain: - kept = "".join(char if char >= " " or char in "\\t\\n\\r" else "\\ufffd" for char in text) + kept = "".join(char if char >= " " or char in "XX\\t\\n\\rXX" else "\\ufffd" for char in text)': "an X is not below a space, and kept already",
    "decide.py decide: - fire(session.status, Trigger.EXPIRE, session.session_id) + fire(session.status, Trigger.EXPIRE, None)": _LIVE,
    "decide.py decide: - fire(session.status, Trigger.EXPIRE, session.session_id) + fire(session.status, Trigger.EXPIRE, )": _LIVE,
}  # fmt: skip
