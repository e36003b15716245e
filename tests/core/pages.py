"""The parts of the docs that are made from the source: diagram, tables, events, receipts, invariants, the Python API.

    python -m tests.core.pages      writes them again; test_pages.py fails until they are what the core says

A page holds `<!-- made: NAME -->` and `<!-- /made -->`; what stands between them is replaced.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle.core import (
    EVENTS,
    TABLE,
    Config,
    Limits,
    ProcessIdentity,
    deadline,
    decide,
    diagram,
    fold,
    private_fields,
)
from lifecycle.core.evolve import trigger_of
from lifecycle.errors import LifecycleError
from lifecycle.log.receipts import RECEIPTS
from lifecycle.testing.samples import COMMANDS, HISTORIES
from tests.docs.api import the_python_api, the_tree_of_errors
from tests.mutants.laws import SEEN
from tests.testing.engines import ALL_LAWS, ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import BaseModel

    from lifecycle.core import Command, Event, Session
    from lifecycle.testing.invariants import Invariant

ROOT: Final = Path(__file__).parents[2]
PARTS: Final[tuple[type[BaseModel], ...]] = (Config, Limits, ProcessIdentity)
MARK: Final = re.compile(r"(?P<begin><!-- made: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- /made -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def the_diagram() -> str:
    return f"```mermaid\n{diagram()}```\n"


def the_table() -> str:
    moves = ((trigger, ", ".join(sources), dest or "(unchanged)") for trigger, sources, dest in TABLE)
    return table(("trigger", "from", "to"), moves)


def the_laws() -> str:
    """Every invariant, a variant after the law it belongs to; those of the simulation's own last."""

    def place(law: Invariant) -> tuple[bool, int, str]:
        own, number, variant = re.fullmatch(r"(sim-)?(\d+)-?(.*)", law.id).groups()  # type: ignore[union-attr]
        return own is not None, int(number), variant

    def engines(law: Invariant) -> str:
        return ", ".join(name for name, engine in ENGINES.items() if law.id in engine.laws())

    rows = (
        (law.id, law.sentence, engines(law), f"`{SEEN[law.id][0]}`: {SEEN[law.id][1]}")
        for law in sorted(ALL_LAWS, key=place)
    )
    return table(("id", "law", "met by", "sees, planted alone"), rows)


def the_engines() -> str:
    """The engines, and where each is run."""
    rows = (
        (
            name,
            ", ".join(f"`{kind.__name__}`" for kind in engine.subjects),
            str(len(engine.laws())),
            f"`{engine.where}`",
        )
        for name, engine in ENGINES.items()
    )
    return table(("engine", "subjects", "laws", "run by"), rows)


def what_decide_does(late: int) -> str:
    """Every command in every standing, *late* µs after the deadline, as decide answers it."""
    sessions = {"(none)": None, **{name: fold(HISTORIES[name]) for name in HISTORIES if name != "extended"}}
    rows = ([f"`{name}`", *(_answer(session, command, late) for session in sessions.values())]
            for name, command in COMMANDS.items())  # fmt: skip
    return table(("command", *sessions), rows)


def _answer(session: Session | None, command: Command, late: int) -> str:
    try:
        events = decide(session, command, deadline(session) + late if session else 0)
    except LifecycleError:
        return "refused"
    return events[0].type.removeprefix("session.") if events else "nothing"


def the_catalogue() -> str:
    return "\n".join([*(_event(cls) for cls in EVENTS), *(_part(cls) for cls in PARTS)])


def the_receipts() -> str:
    return "\n".join(
        f"### {cls.type}\n\n{_about(cls)}\n\nSchema version {cls.schema_version}.\n\n{_fields(cls, frozenset())}"
        for cls in RECEIPTS.values()
    )


def _event(cls: type[Event]) -> str:
    return f"## {cls.type}\n\n{_about(cls)}\n\n{_standing(cls)}\n\n{_fields(cls, private_fields(cls.type))}"


def _part(cls: type[BaseModel]) -> str:
    return f"## {cls.__name__}\n\n{_about(cls)}\n\n{_fields(cls, frozenset())}"


def _about(cls: type[BaseModel]) -> str:
    return " ".join((cls.__doc__ or "").split())


def _standing(cls: type[Event]) -> str:
    """Version, trigger, and what becomes of the status."""
    version = f"Schema version {cls.schema_version}."
    if cls is EVENTS[0]:
        return f"{version} Begins the history; the status is `created`."
    (source,) = [row for row in TABLE if row[0] is trigger_of(cls.type)]
    trigger, _, dest = source
    status = f"the status becomes `{dest}`" if dest else "the status stays as it is"
    return f"{version} Trigger `{trigger}`; {status}."


def _fields(cls: type[BaseModel], private: frozenset[str]) -> str:
    schema, said = cls.model_json_schema(), _said(cls)
    rows = [
        (
            f"`{name}`",
            _kind(name, spec),
            _default(name, spec, schema),
            "; ".join(filter(None, ("private" if name in private else "", said.get(name, "")))),
        )
        for name, spec in schema["properties"].items()
        if name != "at"
    ]
    if not rows:
        return "No data.\n"
    return table(("field", "value", "default", ""), rows)


def _said(cls: type[BaseModel]) -> dict[str, str]:
    """What the comments behind the fields say of them."""
    return dict(re.findall(r"^    (\w+): .*  # (.+)$", inspect.getsource(cls), re.MULTILINE))


def _default(name: str, spec: dict[str, Any], schema: dict[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "required"
    match spec.get("default", ...):
        case None | []:
            return "none"
        case bool(flag):
            return "yes" if flag else "no"
        case builtins if builtins is ...:
            return "its defaults" if "$ref" in spec else "empty"
        case value:
            return str(value)


def _kind(name: str, spec: dict[str, Any]) -> str:
    """What a value may be, in words, with its unit."""
    match spec:
        case {"$ref": ref}:
            part = ref.rpartition("/")[2]
            return f"[{part}](#{part.lower()})" if part in {cls.__name__ for cls in PARTS} else "any JSON value"
        case {"anyOf": options}:
            return ", or ".join(dict.fromkeys(_kind(name, option) for option in options))
        case {"type": "null"}:
            return "none"
        case {"enum": words}:
            return "one of " + ", ".join(f"`{word}`" for word in words)
        case {"type": "boolean"}:
            return "yes or no"
        case {"type": "integer"}:
            return _number(name, spec)
        case {"type": "string", "pattern": pattern}:
            return f"text like `{pattern}`"
        case {"type": "string", "maxLength": limit}:
            return f"text, up to {limit} characters"
        case {"type": "string"}:
            return "text"
        case {"type": "array", "items": items, "maxItems": limit}:
            return f"up to {limit} of: {_kind(name, items)}"
        case {"type": "object"}:
            return _mapping(name, spec)
        case _:
            raise AssertionError(f"{name}: no words for {spec}")


def _number(name: str, spec: dict[str, Any]) -> str:
    least, most = spec["minimum"], spec["maximum"]
    if name in ("last_at", "until"):
        return "µs since the Unix epoch, UTC"
    if name.endswith("_us"):
        return "µs" if least == 0 else f"µs, {least} or more"
    if most < 2**53 - 1:
        return f"whole number from {least} to {most}"
    return f"whole number, {least} or more" if least >= 0 else "whole number"


def _mapping(name: str, spec: dict[str, Any]) -> str:
    limit = f"up to {spec['maxProperties']} pairs" if "maxProperties" in spec else "pairs"
    keys = ""
    for pattern in spec.get("patternProperties", {}):
        keys = f", keys like `{pattern}`"
    values = next(iter(spec.get("patternProperties", {}).values()), spec.get("additionalProperties", {}))
    kind = "any JSON value" if values in ({}, True) else _kind(name, values)
    return f"{limit}{keys}, values: {kind}"


MADE: Final[dict[str, Callable[[], str]]] = {
    "diagram": the_diagram,
    "table": the_table,
    "before-the-deadline": lambda: what_decide_does(-1),
    "from-the-deadline-on": lambda: what_decide_does(0),
    "events": the_catalogue,
    "receipts": the_receipts,
    "laws": the_laws,
    "engines": the_engines,
    "python": the_python_api,
    "errors": the_tree_of_errors,
}

PAGES: Final[dict[str, tuple[str, ...]]] = {
    "lifecycle/core/README.md": ("table", "diagram"),
    "docs/reference/state-machine.md": ("diagram", "table", "before-the-deadline", "from-the-deadline-on"),
    "docs/reference/invariants.md": ("engines", "laws"),
    "docs/reference/events.md": ("events", "receipts"),
    "docs/reference/python.md": ("python", "errors"),
}


def made(text: str) -> str:
    """*text* with every made part as the core makes it now."""
    return MARK.sub(lambda found: f"{found['begin']}{MADE[found['name']]()}{found['end']}", text)


def marks(text: str) -> tuple[str, ...]:
    """The names of the made parts of *text*, in order."""
    return tuple(found["name"] for found in MARK.finditer(text))


def main() -> None:
    for page in PAGES:
        path = ROOT / page
        text = path.read_text("utf-8")
        path.write_text(made(text), "utf-8")


if __name__ == "__main__":
    main()
