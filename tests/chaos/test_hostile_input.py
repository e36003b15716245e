"""What an attacker can type: SQL, canaries, and what must not be in the source at all."""

from __future__ import annotations

import ast
import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import lifecycle
import lifecycle_chromium
import lifecycle_playwright
import lifecycle_viewer
from lifecycle import Client
from lifecycle.client.redact import message, url
from lifecycle.errors import LifecycleError
from lifecycle.log import SqliteLog
from lifecycle.testing.log_samples import begin
from tests.log.support import foreign

PACKAGES = (lifecycle, lifecycle_chromium, lifecycle_playwright, lifecycle_viewer)
SOURCES = [path for package in PACKAGES for path in Path(str(package.__file__)).parent.rglob("*.py")]
CANARY = "c4n4ryS3cr3t"
SQL = ["' OR 1=1 --", "'; DROP TABLE events; --", '" OR ""="', "x') UNION SELECT data FROM events --", "%", "_", "*"]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_any_filter_finds_nothing_and_changes_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        begin(log, "s-1", labels={"job": "x"})
    with foreign(path) as conn:
        before = conn.execute("SELECT * FROM events").fetchall()
    with Client(path) as client:
        for ask in (
            lambda: client.sessions.list(labels={"job": text}),
            lambda: client.sessions.list(labels={text: "x"}),
            lambda: client.sessions.list(status=text),
            lambda: client.sessions.get(text),
            lambda: client.history(text),
        ):
            with contextlib.suppress(LifecycleError):
                assert not ask()
    with foreign(path) as conn:
        assert conn.execute("SELECT * FROM events").fetchall() == before


WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    st.sampled_from(["https", "http", "ws", "wss"]),
    WORDS,
    st.lists(st.tuples(WORDS, st.just(CANARY)), min_size=1, max_size=3),
    st.sampled_from(["query", "fragment", "user", "password", "both"]),
    st.sampled_from(["{}", "page.goto: failed at {}", "navigating to '{}' \n waiting", '<a href="{}">', "({})"]),
)
@example("https", "x", [("sig", CANARY)], "both", "{}")
def test_no_canary_survives_redaction(
    scheme: str, host: str, pairs: list[tuple[str, str]], place: str, sentence: str
) -> None:
    """Wherever a URL may hold a secret, under whatever name: alone, and inside an error's message."""
    user = {"user": f"{CANARY}@", "password": f"u:{CANARY}@", "both": f"{CANARY}:{CANARY}@"}.get(place, "")
    query = "?" + "&".join(f"{key}={value}" for key, value in pairs) if place in ("query", "both") else ""
    fragment = f"#{pairs[0][0]}={CANARY}" if place in ("fragment", "both") else ""
    whole = f"{scheme}://{user}{host}.example/path{query}{fragment}"
    assert CANARY not in url(whole)
    assert CANARY not in message(sentence.format(whole))


def test_nothing_is_unpickled_evaluated_or_run_by_a_shell() -> None:
    assert len(SOURCES) > 100
    found: list[str] = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found += [f"{path}: {n.name}" for n in node.names if n.name in ("pickle", "marshal", "shelve", "yaml")]
            if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "marshal", "shelve", "yaml"):
                found.append(f"{path}: {node.module}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                found.append(f"{path}: {node.func.id}")
            if isinstance(node, ast.keyword) and node.arg == "shell":
                found.append(f"{path}: shell=")
    assert found == []


def test_no_rule_lives_in_an_assert() -> None:
    """`python -O` leaves asserts out: those outside the kit only narrow a type, and call nothing that acts."""
    acting: list[str] = []
    for path in SOURCES:
        if "testing" in path.parts or "demo" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assert):
                calls = [call for call in ast.walk(node.test) if isinstance(call, ast.Call)]
                acting += [
                    f"{path}:{node.lineno}"
                    for call in calls
                    if not (
                        isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "callable", "len", "type")
                    )
                ]
    assert acting == []
