"""The SQL side of the sessions read model: its tables, and views for any SQLite browser.

A row of `sessions` is a whole core Session but for the error message, which is private and joined when it is asked for.
Times are µs since the epoch. Nothing here is the truth: all of it can be dropped and is built again from `events`.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TABLES", "VIEWS", "ended"]


def ended(column: str) -> str:
    """SQL for whether *column* is the type of an ending; the index of endings serves whoever writes it like this.

    Not with IN: a guard and a partial index would make the list that it looks into anew for each row that is added,
    which took a sixth of an append in a batch (measured).
    """
    return f"({column} = 'session.closed' OR {column} = 'session.failed' OR {column} = 'session.timed_out')"


#: name -> text, in the order in which they are made
TABLES: Final[dict[str, str]] = {
    "sessions": """CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_accessed_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    started_at INTEGER,
    closed_at INTEGER,
    idle_timeout_us INTEGER,
    max_duration_us INTEGER NOT NULL,
    extended_until INTEGER,
    cause TEXT,
    error_type TEXT,
    failure_id TEXT,
    released INTEGER NOT NULL,
    keep_alive INTEGER NOT NULL,
    ownership TEXT,
    keeper_id TEXT,
    browser_version TEXT,
    config TEXT NOT NULL,
    labels TEXT NOT NULL,
    owner TEXT NOT NULL,
    keeper TEXT,
    browser TEXT
) STRICT""",
    "session_labels": """CREATE TABLE session_labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    PRIMARY KEY (name, value, created_at, session_id)
) STRICT, WITHOUT ROWID""",
    "unreadable": """CREATE TABLE unreadable (
    stream TEXT PRIMARY KEY NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID""",
    # Hashes of the log's Merkle tree: one row a complete subtree of 256^level events. Filled at checkpoints.
    "tree": """CREATE TABLE tree (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID""",
    "sessions_newest": "CREATE INDEX sessions_newest ON sessions (created_at, session_id)",
    "sessions_status": "CREATE INDEX sessions_status ON sessions (status, created_at, session_id)",
    "sessions_cause": "CREATE INDEX sessions_cause ON sessions (cause, created_at, session_id) WHERE cause IS NOT NULL",
    "sessions_longest": (
        "CREATE INDEX sessions_longest ON sessions (closed_at - created_at, session_id) WHERE closed_at IS NOT NULL"
    ),
    "sessions_unreleased": "CREATE INDEX sessions_unreleased ON sessions (created_at, session_id) WHERE released = 0",
}

_NOW: Final = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


def _iso(column: str) -> str:
    """SQL for µs since the epoch as ISO 8601 text, exactly; SQLite's own fractions stop at milliseconds."""
    return f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch') || printf('.%06dZ', {column} % 1000000)"


_OVERDUE: Final = f"status IN ('created', 'active') AND deadline <= {_NOW}"


#: name -> text
VIEWS: Final[dict[str, str]] = {
    "sessions_view": f"""CREATE VIEW sessions_view AS SELECT
    session_id,
    CASE WHEN {_OVERDUE} THEN 'timed_out' ELSE status END AS status,
    {_iso("created_at")} AS created_at,
    {_iso("started_at")} AS started_at,
    {_iso(f"coalesce(closed_at, CASE WHEN {_OVERDUE} THEN deadline END)")} AS closed_at,
    {_iso("last_accessed_at")} AS last_accessed_at,
    {_iso("deadline")} AS deadline,
    (coalesce(closed_at, min(deadline, {_NOW})) - created_at) / 1e6 AS duration_s,
    cause, error_type, released, keep_alive, browser_version, labels, version
FROM sessions""",
    # No JSON functions: a browser that opens files with trusted_schema off refuses them in views.
    "endings": f"""CREATE VIEW endings AS SELECT
    e.stream AS session_id,
    {_iso("e.at")} AS closed_at,
    CASE e.type WHEN 'session.closed' THEN 'closed' WHEN 'session.failed' THEN 'error' ELSE 'timed_out' END AS status,
    s.cause AS cause,
    e.data AS evidence,
    {_iso("e.recorded_at")} AS recorded_at,
    (e.recorded_at - e.at) / 1e6 AS recorded_after_s,
    e.actor AS actor,
    e.version AS version,
    e.hash AS hash
FROM events AS e LEFT JOIN sessions AS s ON s.session_id = e.stream
WHERE {ended("e.type")}""",
    "durations": f"""CREATE VIEW durations AS SELECT
    created.stream AS session_id,
    {_iso("created.at")} AS created_at,
    {_iso("ended.at")} AS closed_at,
    (ended.at - created.at) / 1e6 AS duration_s
FROM events AS ended JOIN events AS created ON created.stream = ended.stream AND created.version = 1
WHERE {ended("ended.type")}""",
}
