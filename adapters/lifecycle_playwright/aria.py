"""Playwright's accessibility snapshot (`aria_snapshot(mode="ai")`) as nodes, and as text without what was typed.

A line is `- role "name" [state] [ref=e3]: text`, deeper lines are children, `- /url: …` a property of the node above.
A line that YAML would read otherwise is quoted as a whole. The snapshot shows the contents of fields, passwords too:
they are taken out here, from names as well (a label may have a field in its middle).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["FIELDS", "Node", "outline", "parse"]

#: Roles whose text is what somebody put into them.
FIELDS: Final = frozenset({"textbox", "searchbox", "spinbutton", "combobox"})

_KEY: Final = re.compile(
    r'(?P<role>[\w-]+)(?: (?P<name>"(?:[^"\\]|\\.)*"))?(?P<states>(?: \[[^\]]*\])*)(?::(?: (?P<text>.*))?)?$'
)
_STATE: Final = re.compile(r"\[([\w-]+)(?:=([^\]]*))?\]")
_HIDDEN: Final = "…"
#: Shorter values say nothing, and taking them out of every name would spoil many.
_TELLING: Final = 4


@dataclass(slots=True)
class Node:
    """One line of a snapshot; `text` stands behind its colon, `states` maps ref, checked, … to a word or True."""

    depth: int
    role: str
    name: str
    states: dict[str, str | bool]
    text: str
    parent: Node | None
    children: list[Node] = field(default_factory=list["Node"])
    properties: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def ref(self) -> str | None:
        """What Playwright knows the element by."""
        ref = self.states.get("ref")
        return ref if isinstance(ref, str) else None

    def up(self) -> list[Node]:
        """The nodes around it, nearest first."""
        around: list[Node] = []
        node = self.parent
        while node is not None:
            around.append(node)
            node = node.parent
        return around

    def words(self) -> str:
        """The text in it and below it."""
        return " ".join(part for part in (self.text, *(child.words() for child in self.children)) if part)


def parse(snapshot: str) -> list[Node]:
    """All nodes of *snapshot* in its order; what is in fields is left out. Lines of another form are passed over."""
    nodes = _nodes(snapshot)
    values = {node.text for node in nodes if _typed(node) and len(node.text) >= _TELLING}
    for node in nodes:
        if _typed(node):
            node.text = ""
        for value in values:
            node.name = node.name.replace(value, _HIDDEN)
    return nodes


def _typed(node: Node) -> bool:
    """Whether the node's text may have been typed: a field's own, or that of an editor's lines below it."""
    return node.role in FIELDS or any(around.role in FIELDS - {"combobox"} for around in node.up())


def _nodes(snapshot: str) -> list[Node]:
    nodes: list[Node] = []
    stack: list[Node] = []
    # Not splitlines(): a page may have what else Python takes for a line's end in an attribute, and forge elements.
    for line in snapshot.split("\n"):
        depth = (len(line) - len(line.lstrip(" "))) // 2
        body = line.strip().removeprefix("- ")
        while stack and stack[-1].depth >= depth:
            stack.pop()
        parent = stack[-1] if stack else None
        if body.startswith("/") and parent is not None:
            name, _, value = body[1:].partition(": ")
            parent.properties[name] = _plain(value)
        elif (found := _KEY.match(_unquoted(body))) is not None:
            node = _node(found, depth, parent)
            nodes.append(node)
            stack.append(node)
    return nodes


def _node(found: re.Match[str], depth: int, parent: Node | None) -> Node:
    states: dict[str, str | bool] = {key: value or True for key, value in _STATE.findall(found["states"])}
    name = json.loads(found["name"], strict=False) if found["name"] else ""
    node = Node(depth, found["role"], name, states, _plain(found["text"] or ""), parent)
    if parent is not None:
        parent.children.append(node)
    return node


def _unquoted(body: str) -> str:
    """*body* with a key in single quotes as if it had none."""
    if not body.startswith("'"):
        return body
    end = re.match(r"'((?:[^']|'')*)'(.*)$", body)
    return end[1].replace("''", "'") + end[2] if end else body


def _plain(value: str) -> str:
    """A YAML value as text."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", value), strict=False))
        except ValueError:
            return value[1:-1]
    return value


def outline(nodes: list[Node]) -> str:
    """The nodes as lines again, in the same notation, without quotes that only YAML needs."""
    lines: list[str] = []
    for node in nodes:
        key = node.role + (f" {json.dumps(node.name, ensure_ascii=False)}" if node.name else "")
        states = "".join(f" [{name}]" if value is True else f" [{name}={value}]" for name, value in node.states.items())
        lines.append(f"{'  ' * node.depth}- {key}{states}" + (f": {_on_one_line(node.text)}" if node.text else ""))
        lines += [
            f"{'  ' * (node.depth + 1)}- /{name}: {_on_one_line(value)}" for name, value in node.properties.items()
        ]
    return "\n".join(lines)


def _on_one_line(text: str) -> str:
    """*text* with a blank for every white space: what a page breaks into lines would stand there as elements."""
    return " ".join(text.split())
