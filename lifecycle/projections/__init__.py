"""Read models: what the events amount to, kept ready for questions. Each can be dropped and rebuilt from the log.

`SessionIndex` is what every log offers as `log.sessions`; its `rebuild` replays the log and proves the index equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, Unpack

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping

    from lifecycle.core.evolve import Session
    from lifecycle.projections.outcomes import Outcome
    from lifecycle.projections.query import Filters

__all__ = ["Progress", "RebuildReport", "SessionIndex"]

#: called with the number of events replayed so far and their total
Progress: TypeAlias = "Callable[[int, int], None]"


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild replayed, and where the old read model was not what the events say (nowhere, if all is well)."""

    sessions: int
    events: int
    differing: tuple[str, ...]
    unreadable: Mapping[str, str]

    @property
    def equal(self) -> bool:
        """Whether every session's status, duration and all else was what the replay gave."""
        return not self.differing


class SessionIndex(Protocol):
    """The sessions of a log, by id and in lists. Newest first means descending by (created_at, session_id).

    A session whose stream can't be read typed (an unknown or newer event, an illegal history) is left out of lists and
    counts and named in `unreadable`. Times are µs since the epoch; *now* is the reader's clock: a session at or past
    its deadline counts as timed_out, whatever is stored. Sessions are complete: equal to the fold of their history.
    """

    def get(self, session_id: str) -> Session | None:
        """The session, or None if there is none of that id.

        Raises:
            HistoryError: Its stream can't be read typed.
        """
        ...

    def list(
        self,
        *,
        now: int,
        order: str = "newest",
        limit: int | None = None,
        after: str | None = None,
        **asked: Unpack[Filters],
    ) -> builtins.list[Session]:
        """Sessions to which all holds that is asked; all of them without *limit*.

        status, cause: one or several. labels: all of them. since <= created_at < until. ended_since <= closed_at <
        ended_until, of sessions that have ended. longer_us <= duration < shorter_us. owner: HOST, HOST:PID or PID of
        the process that started it. error: text in its error's type and message; url: text in an address that it
        visited; both whatever the case of A to Z, and not where it was forgotten. actor: somebody who acted in it.
        correlation_id: what one of its events belongs to. url, actor and correlation_id read events of every session
        that all else left, and error its message; owner, endings and durations read the sessions; the rest is indexed.

        *order* is newest, oldest (by created_at), longest or shortest (by duration; by id where equal). *after* is
        the id of the last session of the page before: what is added meanwhile moves nothing. Only in an order by
        duration sessions that live move on by themselves.

        Raises:
            InvalidConfig: An unknown status, cause or order, a limit below 1, an *after* that names no session.
        """
        ...

    def count(self, *, now: int, **asked: Unpack[Filters]) -> int:
        """How many sessions list would give."""
        ...

    def ids(self, prefix: str, limit: int) -> builtins.list[str]:
        """Up to *limit* ids that begin with *prefix*, sorted; also of sessions that can't be read typed."""
        ...

    def live(self) -> builtins.list[Session]:
        """Sessions whose browser is not confirmed gone: not ended, or ended and not released. Oldest first."""
        ...

    def unreadable(self) -> dict[str, str]:
        """Streams that can't be read typed, and why."""
        ...

    def outcomes(self) -> Iterator[Outcome]:
        """Status, cause and times of every session, replayed from the events alone, in no order.

        As its events left it: a session past its deadline without an ending counts as live. Histories have to be legal;
        `rebuild` checks that, and takes many times as long. Nobody who writes waits meanwhile.

        Raises:
            LogUnavailable, LogTampered: As reading.
        """
        ...

    def rebuild(self, progress: Progress | None = None, *, resume: bool = False) -> RebuildReport:
        """Replay every event, compare, and put what the events say in place of what was there.

        In a SQLite file writers go on meanwhile, and each session is right at the moment when it is compared and from
        then on. An interrupted one leaves how far it came; with *resume* the next goes on there.

        Raises:
            LogUnavailable, LogTampered, ReadOnlyLog: As reading and appending.
        """
        ...
