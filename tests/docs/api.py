"""The reference of the Python API, from its signatures and docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lifecycle import (
    Client,
    ExecutionResult,
    MemoryLog,
    Observation,
    Session,
    SessionView,
    SqliteLog,
    errors,
    open_log,
)
from lifecycle.audit.carry import Checked, Imported
from lifecycle.audit.checkpoint import Proof
from lifecycle.audit.diff import Difference
from lifecycle.audit.forward import FileSink, HttpSink, forward
from lifecycle.audit.history import Step
from lifecycle.audit.into_file import Exported
from lifecycle.audit.note import Checkpoint
from lifecycle.audit.retention import Forgotten
from lifecycle.audit.stats import Group, Percentiles, Stats
from lifecycle.audit.verify import Verification
from lifecycle.audit.why import Why
from lifecycle.client.reconcile import Reconciled
from lifecycle.client.replay import Recording
from lifecycle.client.request import DEFAULTS, SessionConfig
from lifecycle.client.sessions import Asked, Sessions
from lifecycle.results import Element, Tab
from lifecycle_playwright import attach, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["the_python_api", "the_tree_of_errors"]

_WIDTH: Final = 100
_SECTION: Final = re.compile(r"^(Args|Raises):(.*)$", re.MULTILINE)
#: name in the page's headings -> the class whose methods stand below it
_ACTING: Final = {"client": Client, "client.sessions": Sessions, "session": Session}
_VALUES: Final = (
    *(SessionView, Step, Why, Stats, Percentiles, Group, Difference, Reconciled, Recording),
    *(Observation, Element, Tab, ExecutionResult),
    *(Verification, Checkpoint, Proof, Checked, Exported, Imported, Forgotten),
)
_LOGS: Final = (SqliteLog, MemoryLog, open_log)
#: where it is imported from, where that is not `lifecycle` -> what
_APART: Final = {"lifecycle_playwright": (attach, launch), "lifecycle.audit.forward": (forward, FileSink, HttpSink)}
#: for adapters and for the library itself
_LEFT_OUT: Final = {"session_on", "then", "resolve", "unreleased"}


def the_python_api() -> str:
    """Every class and function a caller meets, in the order in which one meets them."""
    return "\n".join(_parts())


def the_tree_of_errors() -> str:
    """As it is drawn where the errors stand."""
    tree, _, rest = inspect.getdoc(errors).partition("\n\n")[2].partition("\n\n")  # type: ignore[union-attr]
    return f"```text\n{textwrap.dedent(tree)}\n```\n\n{_flat(rest)}\n"


def _parts() -> Iterator[str]:
    yield _callable("Client", Client, level=2)
    for name, cls in _ACTING.items():
        if cls is not Client:
            yield f"## {'Session' if cls is Session else name}\n\n{_prose(cls)}"
        for member, thing in vars(cls).items():
            if not member.startswith("_") and member not in _LEFT_OUT:
                yield _member(f"{name}.{member}", thing)
    for cls in _VALUES:
        yield f"## {cls.__name__}\n\n{_prose(cls)}\n{_fields(cls)}"
    for log in _LOGS:
        yield _callable(log.__name__, log, level=2)
    for module, things in _APART.items():
        for thing in things:
            name = thing.__name__
            yield _callable(name, thing, level=2).replace("```text\n", f"```text\nfrom {module} import {name}\n\n", 1)


def _member(name: str, thing: Any) -> str:
    if isinstance(thing, property | cached_property):
        getter = thing.fget if isinstance(thing, property) else thing.func
        return (
            f"### {name}\n\n```text\n{name} -> {inspect.signature(getter).return_annotation}\n```\n\n{_prose(getter)}"  # type: ignore[arg-type]
        )
    return _callable(name, thing, level=3)


def _callable(name: str, thing: Callable[..., Any], *, level: int) -> str:
    return f"{'#' * level} {name}\n\n```text\n{_signature(name, thing)}\n```\n\n{_prose(thing)}"


def _signature(name: str, thing: Callable[..., Any]) -> str:
    signature = inspect.signature(thing)
    shown: list[str] = []
    starred = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        if parameter.kind is parameter.VAR_KEYWORD and "SessionConfig" in str(parameter.annotation):
            shown += ["*", *_typed(SessionConfig, dict(DEFAULTS))]
        elif parameter.kind is parameter.VAR_KEYWORD and "Asked" in str(parameter.annotation):
            shown += [*([] if starred else ["*"]), *_typed(Asked, {})]
        else:
            shown.append(_plain(parameter))
    returns = "" if signature.return_annotation in (signature.empty, "None") else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {one}," for one in shown), f"){returns}"])


def _plain(parameter: inspect.Parameter) -> str:
    bare = parameter.replace(annotation=parameter.empty, default=parameter.empty)
    kind = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
    value = "…" if callable(parameter.default) else repr(parameter.default)
    default = "" if parameter.default is parameter.empty else f" = {value}"
    return f"{bare}{kind}{default}"


def _typed(kind: type, defaults: dict[str, Any]) -> Iterable[str]:
    for name, annotation in kind.__annotations__.items():
        words = getattr(annotation, "__forward_arg__", annotation)
        yield f"{name}: {words} = {defaults.get(name)!r}"


def _prose(thing: Any) -> str:
    """A docstring as Markdown: paragraphs as they are, arguments and errors as lists."""
    found = inspect.getdoc(thing) or ""
    pieces = _SECTION.split(found)
    shown = [pieces[0].strip()]
    for heading, beside, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        entries, _, after = re.sub(r"\n(?=\S)", "\0", body.strip("\n") + "\n", count=1).partition("\0")
        title = "" if heading == "Args" else f"{heading}: {beside.strip()}".strip()
        shown += [title, "\n".join(_entries(entries)), after.strip()]
    return "\n\n".join(piece for piece in shown if piece) + "\n"


def _entries(text: str) -> Iterator[str]:
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text).strip("\n")):
        names, colon, what = entry.partition(":")
        if colon:
            yield f"- {', '.join(f'`{name.strip()}`' for name in names.split(','))}: {_flat(what)}"
        elif entry:
            yield f"- {_flat(entry)}"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _fields(cls: type) -> str:
    named = {
        **{name: str(kind) for name, kind in cls.__annotations__.items() if not name.startswith(("_", "model_"))},
        **{
            name: str(inspect.signature(found.fget).return_annotation)
            for name, found in vars(cls).items()
            if isinstance(found, property) and not name.startswith("_") and found.fget is not None
        },
    }
    return "| field | type |\n| --- | --- |\n" + "".join(
        f"| `{name}` | `{kind.replace('|', chr(92) + '|')}` |\n" for name, kind in named.items()
    )
