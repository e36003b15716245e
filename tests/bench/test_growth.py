"""What growth is measured on is a log as any other, and its chart can be read."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lifecycle.audit.verify import verify
from lifecycle.log import SqliteLog
from lifecycle.log.codec import decode
from lifecycle.log.driver import sqlite3
from tests.bench import growth
from tests.bench.big import grow, kept_log
from tests.bench.work import life

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_made_in_bulk_is_what_append_would_have_written(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db", synchronous="NORMAL") as log:
        assert grow(log, 1000) == grow(log, 900) == log.last(1)[0].position
        size = grow(log, 1900)
        found = verify(log)
        assert (found.ok, found.events, found.newer) == (True, size, {})
        assert log.sessions.rebuild().equal
        rows = log.read(log.last(1)[0].stream)
        usual = life(rows[0].stream)
        assert [row.type for row in rows] == [new.event.type for new in usual]
        assert decode(rows[0]) == usual[0].event.model_copy(update={"at": rows[0].at})


def test_a_kept_log_with_the_guards_of_another_version_is_made_anew(tmp_path: Path) -> None:
    kept_log(500, directory=tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "500.db")) as conn:
        conn.execute("DROP TRIGGER events_guard")
    with kept_log(500, directory=tmp_path) as log:
        assert verify(log).ok


def test_every_figure_is_taken_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with SqliteLog(path, synchronous="NORMAL") as log:
        grow(log, 5000)
    found = {what: growth.measure(path, what) for what in growth.WORK}
    assert all(figures["us"] > 0 for figures in found.values())
    figures = {"10000": found, "100000": json.loads(json.dumps(found))}
    drawn = growth.drawn(figures)
    texts = [element.text for element in ET.fromstring(drawn).iter() if element.tag.endswith("text")]
    assert {f"{title} 1.00 ×" for title in growth.TITLES.values()} <= set(texts)
    head, _, *lines = growth.table(figures).splitlines()
    assert head == "| µs of CPU time | 10,000 | 100,000 | most memory |"
    assert [line.split(" | ")[0] for line in lines] == [f"| {title}" for title in growth.TITLES.values()]
    times = found["list"]["us"] / found["bare list"]["us"]
    assert times > 1
    assert f"({times:.2f} ×)" in lines[1]
