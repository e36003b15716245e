"""Events as far as a fold looks at them, from the stored text: what pydantic would say, in a tenth of its time.

A text is taken only where a pattern covers all of it, so that nothing but one JSON object of that type's shape can have
been meant: the keys in canonical order, each value within its field's limits. Whatever else a text is, legal or not, is
decode's to judge. Private parts, of which a fold takes an error's message only, are not looked at: as if forgotten.
tests/log/test_loading.py holds this against decode and the core's fold.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from lifecycle.core.events import (
    EVENT_TYPES,
    MAX_EVIDENCE,
    MAX_TIME,
    Cause,
    ClosedCause,
    Config,
    Event,
    Labels,
    Limits,
    ProcessIdentity,
    SessionAccessed,
    SessionClosed,
    SessionCreated,
    SessionFailed,
    SessionNavigated,
    SessionOperation,
    SessionReleased,
    SessionStarted,
    SessionTimedOut,
    TabClosed,
    TabOpened,
    TimeoutRule,
)
from lifecycle.log.canonical import parse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOTES", "covers_private", "outline"]

# Patterns of canonical JSON. A text without backslash holds no escapes, and none of a log's holds lone surrogates; a
# number of 15 digits is below 2^53.
_CHARS: Final = r'[^"\\\x00-\x1f]'
_WORD: Final = f'"{_CHARS}{{0,256}}"'
_NAME: Final = f'"{_CHARS}{{1,256}}"'
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,14})"
_INTEGER: Final = rf"(?:{_NUMBER}|-[1-9][0-9]{{0,14}})"
#: µs of any time up to 2286; MAX_TIME has 16 digits and begins with 9
_TIME: Final = r"(?:0|[1-8][0-9]{0,15}|9[0-9]{0,14})"
_FLAG: Final = "(?:true|false)"
#: an object that holds none, to be read by itself
_FLAT: Final = r"\{[^{}]*\}"
_ENTRY: Final = rf'("{_CHARS}{{0,256}}"):(?:"{_CHARS}{{0,1024}}"|{_INTEGER}|true|false|null)'
_PROOFS: Final = rf"\{{(?:{_ENTRY.replace('(', '(?:', 1)}(?:,{_ENTRY.replace('(', '(?:', 1)}){{0,31}})?\}}"
_WORDS: Final = rf"\[(?:{_WORD}(?:,{_WORD}){{0,1023}})?\]"


def _one_of(values: object) -> str:
    return f'"(?:{"|".join(str(value) for value in getattr(values, "__args__", ()))})"'


def _full(*parts: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile("".join(parts)).fullmatch


def _optional(fields: dict[str, str]) -> str:
    """Of objects with any of *fields*, at least one, in the order given."""
    # The lookahead counts: a field follows the brace or a comma, and a comma only a field.
    parts = [rf'(?:(?<=[{{,])"{name}":{pattern}(?:,(?=")|(?=\}})))?' for name, pattern in fields.items()]
    return "".join((r"\{(?=\")", *parts, r"(?<!,)\}"))


#: note -> what covers its whole public text; of an access the one group is last_at
NOTES: Final[dict[str, Callable[[str], re.Match[str] | None]]] = {
    SessionAccessed.type: _full(r'\{"by":"(?:gate|api|attach)","last_at":(', _TIME, r")\}"),
    SessionNavigated.type: _full(r'\{"tab":', _WORD, r"\}"),
    TabOpened.type: _full(r'\{"tab":', _WORD, r"\}"),
    TabClosed.type: _full(r'\{"tab":', _WORD, r"\}"),
    SessionOperation.type: _full(rf'\{{(?:"error_type":{_WORD},)?"kind":{_WORD},"ok":{_FLAG},"took_us":{_NUMBER}\}}'),
}

_CREATED: Final = _full(
    rf'\{{"config":({_FLAT}),"keep_alive":({_FLAG})(?:,"keeper":({_FLAT}))?(?:,"keeper_id":"({_CHARS}{{0,256}})")?',
    rf',"labels":({_FLAT}),"limits":({_FLAT}),"owner":({_FLAT})(?:,"recording_limit_bytes":{_NUMBER})?',
    rf',"session_id":"([A-Za-z0-9][A-Za-z0-9_-]{{0,63}})"(?:,"waited_us":{_NUMBER})?\}}',
)
_STARTED: Final = _full(
    rf'\{{(?:"attached_to":"(?:browser|context)",)?(?:"browser":({_FLAT}),)?',
    rf'(?:"browser_version":"({_CHARS}{{0,256}})",)?(?:"keeper":({_FLAT}),)?',
    rf'"ownership":"(launched|attached|external)"(?:,"window":{_FLAG})?\}}',
)
_CLOSED: Final = _full(rf'\{{"cause":({_one_of(ClosedCause)}),"evidence":({_PROOFS})\}}')
_TIMED_OUT: Final = _full(rf'\{{"evidence":({_PROOFS}),"rule":({_one_of(TimeoutRule)})\}}')
_RELEASED: Final = _full(
    rf'\{{"clients":{_WORDS},"evidence":({_PROOFS})(?:,"exit_code":{_INTEGER})?,"how":"',
    rf'(?:graceful|killed|detached|never_started|left_running)","profile_removed":{_FLAG},"receipts":({_PROOFS})',
    rf'(?:,"signal":{_NUMBER})?,"took_us":{_NUMBER}\}}',
)
_keys: Final = re.compile(_ENTRY).findall

# Private texts: of addresses and messages, whose limits are 4096 and 16,384 characters, all are held to the smaller.
_TEXT: Final = rf'"{_CHARS}{{0,4096}}"'
_ARGUMENTS: Final = rf"\[(?:{_TEXT}(?:,{_TEXT}){{0,255}})?\]"
#: type -> what covers its private text; not those with data of any shape
_PRIVATE: Final[dict[str, str]] = {
    SessionCreated.type: _optional(
        {
            "browser_args": _ARGUMENTS,
            **dict.fromkeys(("browser_path", "cookie_file", "downloads_dir", "recording", "user_data_dir"), _TEXT),
        }
    ),
    SessionStarted.type: _optional({"browser_path": _TEXT, "profile": _TEXT}),
    SessionNavigated.type: _optional({"url": _TEXT}),
    TabOpened.type: _optional({"url": _TEXT}),
    SessionOperation.type: _optional({"error_message": _TEXT, "target": _TEXT}),
    SessionFailed.type: _optional({"error_message": _TEXT, "last_words": _TEXT}),
    SessionReleased.type: _optional({"recording": _TEXT}),
}

M = TypeVar("M")


def _part(model: Callable[[Any], M]) -> Callable[[str], M]:
    # The same few processes own and keep many sessions, and configure them alike.
    @lru_cache(maxsize=256)
    def read(text: str) -> M:
        return model(parse(text))

    return read


_config: Final = _part(Config.model_validate)
_limits: Final = _part(Limits.model_validate)
_identity: Final = _part(ProcessIdentity.model_validate)


# Made when they are needed: every command of the command line would pay for them otherwise.
@cache
def _adapter() -> TypeAdapter[dict[str, str]]:
    return TypeAdapter(Labels)


_labels: Final = _part(lambda value: _adapter().validate_python(value))


@cache
def _private(event_type: str) -> Callable[[str], re.Match[str] | None]:
    return _full(_PRIVATE[event_type])


def _proves(text: str) -> bool:
    """Whether evidence of that shape is short enough, and no key stands in it twice."""
    if len(text) == 2:  # {}
        return True
    keys = _keys(text)
    return len(text) <= MAX_EVIDENCE and len(set(keys)) == len(keys)


def _made(event_type: str, **fields: Any) -> Event:
    """An event with these fields and no others, unchecked; nothing but evolve gets to see it."""
    event = object.__new__(EVENT_TYPES[event_type])
    object.__setattr__(event, "__dict__", fields)
    return event


def _created(text: str, at: int) -> Event | None:
    if (found := _CREATED(text)) is None or found[8] == "log":
        return None
    config, keep_alive, keeper, keeper_id, labels, limits, owner, session_id = found.groups()
    return _made(
        SessionCreated.type,
        at=at,
        session_id=session_id,
        config=_config(config),
        limits=_limits(limits),
        labels=_labels(labels),
        keep_alive=keep_alive == "true",
        owner=_identity(owner),
        keeper=None if keeper is None else _identity(keeper),
        keeper_id=keeper_id,
    )


def _started(text: str, at: int) -> Event | None:
    if (found := _STARTED(text)) is None:
        return None
    browser, version, keeper, ownership = found.groups()
    return _made(
        SessionStarted.type,
        at=at,
        ownership=ownership,
        keeper=None if keeper is None else _identity(keeper),
        browser=None if browser is None else _identity(browser),
        browser_version=version,
    )


def _closed(text: str, at: int) -> Event | None:
    if (found := _CLOSED(text)) is None or not _proves(found[2]):
        return None
    return _made(SessionClosed.type, at=at, cause=Cause(found[1][1:-1]))


def _timed_out(text: str, at: int) -> Event | None:
    if (found := _TIMED_OUT(text)) is None or not _proves(found[1]):
        return None
    return _made(SessionTimedOut.type, at=at, rule=Cause(found[2][1:-1]))


def _released(text: str, at: int) -> Event | None:
    if (found := _RELEASED(text)) is None or not _proves(found[1]) or not _proves(found[2]):
        return None
    return _made(SessionReleased.type, at=at)


_OUTLINES: Final[dict[str, Callable[[str, int], Event | None]]] = {
    SessionCreated.type: _created,
    SessionStarted.type: _started,
    SessionClosed.type: _closed,
    SessionTimedOut.type: _timed_out,
    SessionReleased.type: _released,
}


def covers_private(event_type: str, text: str) -> bool:
    """Whether *text* is plainly what the private fields of *event_type* may be; otherwise decode has to say."""
    return event_type in _PRIVATE and _private(event_type)(text) is not None


def outline(event_type: str, schema_version: int, at: int, text: str) -> Event | None:
    """What evolve looks at of a stored event, or None: then decode has to read it. Never for the notes in NOTES."""
    read = _OUTLINES.get(event_type)
    if read is None or schema_version != 1 or type(at) is not int or not 0 <= at <= MAX_TIME:
        return None
    try:
        return read(text, at)
    except (ValueError, ValidationError, TypeError):
        return None  # a part that is not what it should be; decode says what


# The patterns are those of the first shapes.
if any(EVENT_TYPES[name].schema_version != 1 for name in (*NOTES, *_OUTLINES)):
    raise AssertionError("a type has a new schema_version; its pattern has to follow, behind what upcast does")
