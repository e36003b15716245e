"""IndexContract: what the session index of every log must do. Part of LogContract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifecycle.core import State, deadline, fold
from lifecycle.errors import InvalidConfig
from lifecycle.log.codec import events
from lifecycle.log.port import ANY
from lifecycle.testing.contract import equal, holds
from lifecycle.testing.log_samples import (
    IDLE,
    SECOND,
    T0,
    accessed,
    begin,
    closed,
    created,
    failed,
    navigated,
    new,
    released,
    timed_out,
)

if TYPE_CHECKING:
    from lifecycle.core import Session
    from lifecycle.log.port import EventLog

__all__ = ["IndexContract", "raises_invalid"]

#: a moment at which a session of `begin` lives
_NOW = T0 + 2 * SECOND


def _ids(sessions: list[Session]) -> list[str]:
    return [session.session_id for session in sessions]


class IndexContract(ABC):
    """The session index of a log under test."""

    @abstractmethod
    def log(self) -> EventLog:
        """A new, empty log."""

    def _zoo(self) -> EventLog:
        """One session of each status, created a second after one another, oldest first."""
        log = self.log()
        log.append("created", [new(created("created", T0, {"kind": "zoo", "age": "1"}))], expected=0)
        for number, name in enumerate(("active", "closed", "error", "timed_out"), start=1):
            begin(log, name, T0 + number * SECOND, {"kind": "zoo", "age": str(number)})
        late = T0 + 10 * SECOND
        log.append("closed", [new(closed(late)), new(released(late))], expected=2)
        log.append("error", [new(failed(late))], expected=2)
        log.append("timed_out", [new(timed_out(T0 + 4 * SECOND))], expected=2)
        return log

    def check_every_session_equals_the_fold_of_its_history(self) -> None:
        with closing(self._zoo()) as log:
            for name in ("created", "active", "closed", "error", "timed_out"):
                equal(
                    f"the index has what the history of {name} amounts to",
                    log.sessions.get(name),
                    fold(events(log.read(name))),
                )
            error = log.sessions.get("error")
            equal("the index knows the error of a session", error and error.error_message, "it broke")
            for nobody in ("nobody", "", "'; --", "a\0b", "\ud800", "x" * 1000):
                equal("the index has no session that is not in the log", log.sessions.get(nobody), None)

    def check_the_index_follows_every_append(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            for at in (T0 + 60 * SECOND, T0 + 120 * SECOND):
                log.append("s-1", [new(accessed(at))], expected=ANY)
                session = log.sessions.get("s-1")
                seen = session and (session.last_accessed_at, deadline(session))
                equal("the index follows every append", seen, (at, at + IDLE))

    def check_lists_are_newest_first_and_filtered_by_status(self) -> None:
        with closing(self._zoo()) as log:
            now = T0 + 20 * SECOND
            equal(
                "lists are newest first",
                _ids(log.sessions.list(now=now)),
                ["timed_out", "error", "closed", "active", "created"],
            )
            for status in State:
                equal("lists filter by status", _ids(log.sessions.list(now=now, status=status)), [status.value])
                equal("counts filter by status", log.sessions.count(now=now, status=status), 1)
            equal(
                "lists filter by several statuses",
                _ids(log.sessions.list(now=now, status=["active", "error"])),
                ["error", "active"],
            )
            equal("no status asked for, none listed", log.sessions.list(now=now, status=[]), [])
            equal("no status asked for, none counted", log.sessions.count(now=now, status=[]), 0)
            equal("count counts every session", log.sessions.count(now=now), 5)
            raises_invalid(lambda: log.sessions.list(now=now, status="running"))
            raises_invalid(lambda: log.sessions.list(now=now, status=["closed", "x"]))

    def check_a_session_at_its_deadline_counts_as_timed_out(self) -> None:
        with closing(self.log()) as log:
            begin(log, "s-1")
            log.append("s-2", [new(created("s-2", T0))], expected=0)
            ends = T0 + SECOND + IDLE
            for now, live, over in ((ends - 1, ["s-1"], ["s-2"]), (ends, [], ["s-2", "s-1"])):
                equal(
                    "a session lives until its deadline",
                    _ids(log.sessions.list(now=now, status=["active", "created"])),
                    live,
                )
                equal(
                    "a session at its deadline is listed as timed out",
                    _ids(log.sessions.list(now=now, status="timed_out")),
                    over,
                )
                equal(
                    "a session at its deadline is counted as timed out",
                    log.sessions.count(now=now, status="timed_out"),
                    len(over),
                )
            equal("reading writes nothing", log.head("s-1"), 2)

    def check_lists_filter_by_labels_and_time(self) -> None:
        with closing(self._zoo()) as log:
            now = T0 + 20 * SECOND
            cases: list[tuple[dict[str, Any], list[str]]] = [
                ({"labels": {"kind": "zoo"}}, ["timed_out", "error", "closed", "active", "created"]),
                ({"labels": {"kind": "zoo", "age": "1"}}, ["active", "created"]),
                ({"labels": {"kind": "other"}}, []),
                ({"labels": {"nothing": "zoo"}}, []),
                ({"labels": {}}, ["timed_out", "error", "closed", "active", "created"]),
                ({"labels": {"age": "1"}, "status": "active"}, ["active"]),
                ({"since": T0 + 2 * SECOND}, ["timed_out", "error", "closed"]),
                ({"until": T0 + 2 * SECOND}, ["active", "created"]),
                ({"since": T0 + SECOND, "until": T0 + 3 * SECOND}, ["closed", "active"]),
                ({"since": T0 + SECOND, "labels": {"age": "1"}}, ["active"]),
            ]
            for question, expected in cases:
                equal(f"a list filters by {question}", _ids(log.sessions.list(now=now, **question)), expected)
                equal(f"a count filters by {question}", log.sessions.count(now=now, **question), len(expected))
            nonsense: list[dict[str, Any]] = [
                {"labels": {"a": 1}},
                {"labels": {"\ud800": "x"}},
                {"since": 1.5},
                {"until": 2**70},
            ]
            for wrong in nonsense:
                raises_invalid(lambda: log.sessions.list(now=now, **wrong))  # noqa: B023

    def check_lists_page_without_gaps_or_repeats(self) -> None:
        with closing(self.log()) as log:
            # Five share one creation time, so the id has to break the tie.
            for number in range(7):
                begin(log, f"s-{number}", T0 + max(number - 4, 0) * SECOND, {"n": str(number % 2)})
            whole = _ids(log.sessions.list(now=_NOW))
            equal("lists are newest first, then by id", whole, ["s-6", "s-5", "s-4", "s-3", "s-2", "s-1", "s-0"])
            questions: list[dict[str, Any]] = [{}, {"status": ["active", "timed_out"]}, {"labels": {"n": "1"}}]
            for question in questions:
                expected = _ids(log.sessions.list(now=_NOW, **question))
                for limit in (1, 2, 3, 7, 8):
                    found: list[str] = []
                    page = log.sessions.list(now=_NOW, limit=limit, **question)
                    while page:
                        holds("a page is no longer than its limit", len(page) <= limit)
                        found += _ids(page)
                        page = log.sessions.list(now=_NOW, limit=limit, after=found[-1], **question)
                    equal(f"pages of {limit} of {question} have no gaps or repeats", found, expected)
            bad: Any
            for bad in (0, -1, True, 2.0):
                raises_invalid(lambda: log.sessions.list(now=_NOW, limit=bad))  # noqa: B023
            raises_invalid(lambda: log.sessions.list(now=_NOW, after="nobody"))
            raises_invalid(lambda: log.sessions.list(now=_NOW, after="\ud800"))

    def check_lists_filter_by_cause_duration_owner_and_what_the_events_say(self) -> None:
        with closing(self._zoo()) as log:
            visit = navigated(T0 + 3 * SECOND, "https://Shop.example/Prices")
            log.append("active", [new(visit)], expected=2)
            log.append("active", [new(accessed(T0 + 4 * SECOND), actor="ada", correlation_id="job-7")], expected=3)
            now, over = T0 + 20 * SECOND, T0 + 1000 * SECOND
            cases: list[tuple[int, dict[str, Any], list[str]]] = [
                (now, {"cause": "stopped"}, ["closed"]),
                (now, {"cause": ["exception", "idle"]}, ["timed_out", "error"]),
                (now, {"cause": "exception", "status": "closed"}, []),
                (now, {"cause": []}, []),
                (over, {"cause": "idle"}, ["timed_out", "active", "created"]),
                (over, {"cause": "idle", "status": ["active", "created"]}, []),
                (over, {"cause": ["max_duration", "stopped"]}, ["closed"]),
                (now, {"longer_us": 19 * SECOND}, ["timed_out", "active", "created"]),
                (now, {"longer_us": 7 * SECOND, "shorter_us": 19 * SECOND}, ["error", "closed"]),
                (now, {"shorter_us": 8 * SECOND}, ["error"]),
                (now, {"ended_since": T0 + 10 * SECOND}, ["timed_out", "error", "closed"]),
                (now, {"ended_since": T0 + 10 * SECOND + 1}, ["timed_out"]),
                (now, {"ended_until": T0 + 10 * SECOND}, []),
                (now, {"ended_until": T0 + 10 * SECOND + 1, "status": ["active", "error"]}, ["error"]),
                (now, {"ended_since": T0, "status": "active"}, []),
                (over, {"ended_since": T0 + IDLE, "ended_until": T0 + 2 * SECOND + IDLE}, ["created"]),
                (over, {"ended_since": T0 + 2 * SECOND + IDLE, "cause": "idle"}, ["timed_out", "active"]),
                (now, {"owner": "host"}, ["timed_out", "error", "closed", "active", "created"]),
                (now, {"owner": "host:100", "status": "closed"}, ["closed"]),
                (now, {"owner": "100", "status": "closed"}, ["closed"]),
                (now, {"owner": "host:101"}, []),
                (now, {"owner": "elsewhere"}, []),
                (now, {"actor": "ada"}, ["active"]),
                (now, {"actor": "tester", "limit": 1}, ["timed_out"]),
                (now, {"actor": "ad"}, []),
                (now, {"correlation_id": "job-7"}, ["active"]),
                (now, {"correlation_id": "c-1", "status": "closed"}, ["closed"]),
                (now, {"correlation_id": "job"}, []),
                (now, {"url": "shop.EXAMPLE/p"}, ["active"]),
                (now, {"url": "%"}, []),
                (now, {"error": "valueerror: IT"}, ["error"]),
                (now, {"error": "broke", "status": ["error", "closed"]}, ["error"]),
                (now, {"error": "broke", "status": "closed"}, []),
                (now, {"error": "fixed"}, []),
            ]
            for at, question, expected in cases:
                equal(f"a list filters by {question}", _ids(log.sessions.list(now=at, **question)), expected)
                if "limit" not in question:
                    equal(f"a count filters by {question}", log.sessions.count(now=at, **question), len(expected))

    def check_every_order_pages_without_gaps_or_repeats_while_sessions_are_added(self) -> None:
        # Lives of 0 to 3 s, each twice, so that the id has to break ties.
        orders = {"newest": "76543210", "oldest": "01234567", "longest": "73625140", "shortest": "04152637"}
        for order, expected in orders.items():
            with closing(self.log()) as log:
                for number in range(8):
                    name = f"s-{number}"
                    begin(log, name, T0 + number * SECOND)
                    log.append(name, [new(closed(T0 + (number + 1 + number % 4) * SECOND))], expected=2)
                whole = _ids(log.sessions.list(now=_NOW, order=order))
                equal(f"a list is ordered by {order}", whole, [f"s-{number}" for number in expected])
                found = _ids(log.sessions.list(now=_NOW, order=order, limit=3))
                for number in range(20, 26):  # added on either side of the mark while somebody pages
                    name = f"t-{number}"
                    begin(log, name, T0 + (number - 23) * SECOND)
                    log.append(name, [new(closed(T0 + (number - 22 + number % 4) * SECOND))], expected=2)
                    page = log.sessions.list(now=_NOW, order=order, limit=2, after=found[-1])
                    found += _ids(page)
                equal(
                    f"pages keep the order {order} while sessions are added",
                    [name for name in found if name.startswith("s-")],
                    [name for name in whole if name in found],
                )
                equal(f"pages by {order} repeat nothing while sessions are added", len(set(found)), len(found))
                rest = log.sessions.list(now=_NOW, order=order, after=found[-1])
                equal(
                    f"pages by {order} have no gaps while sessions are added",
                    {name for name in (*found, *_ids(rest)) if name.startswith("s-")},
                    set(whole),
                )

    def check_ids_by_their_beginning(self) -> None:
        with closing(self._zoo()) as log:
            begin(log, "clone")
            equal("ids are found by their beginning, sorted", log.sessions.ids("cl", 10), ["clone", "closed"])
            equal("no more ids than were asked for", log.sessions.ids("cl", 1), ["clone"])
            equal("an id is a beginning of itself", log.sessions.ids("closed", 10), ["closed"])
            for nobody in ("closed-", "C", "%", "_", "\ud800", "'"):
                equal(f"nothing is found by {nobody!r}, which begins no id", log.sessions.ids(nobody, 10), [])
            equal("every id begins with nothing", len(log.sessions.ids("", 100)), 6)

    def check_live_is_whose_browser_is_not_confirmed_gone(self) -> None:
        with closing(self._zoo()) as log:
            equal(
                "live are those whose browser is not confirmed gone",
                _ids(log.sessions.live()),
                ["created", "active", "error", "timed_out"],
            )

    def check_a_rebuild_finds_the_index_equal(self) -> None:
        with closing(self._zoo()) as log:
            before = log.sessions.list(now=_NOW)
            told: list[tuple[int, int]] = []
            report = log.sessions.rebuild(lambda done, total: told.append((done, total)))
            equal(
                "a rebuild counts sessions and events and finds none that differ",
                (report.sessions, report.events, report.differing),
                (5, 13, ()),
            )
            holds("a rebuild finds the index equal", report.equal)
            equal("a rebuild tells how far it is", told[-1], (13, 13))
            equal("a rebuild changes no list", log.sessions.list(now=_NOW), before)
            log.append("active", [new(closed(T0 + 11 * SECOND))], expected=2)
            holds("a rebuild finds the index equal", log.sessions.rebuild().equal)


def raises_invalid(call: Any) -> None:
    """Assert that *call* raises InvalidConfig."""
    try:
        result = call()
    except InvalidConfig:
        return
    raise AssertionError(f"expected InvalidConfig, the call gave {result!r}")
