"""given / when / then: what does not come as it was said is told as a difference."""

from __future__ import annotations

import pytest

from lifecycle.core import Cause, Close, Expire, Record
from lifecycle.testing import given
from lifecycle.testing.samples import MINUTE, T0, D, closed, created, navigated, started, timed_out

STOP = Close(cause=Cause.STOPPED)


def test_a_difference_is_shown_field_by_field() -> None:
    with pytest.raises(AssertionError) as caught:
        given(created(), started()).when(STOP, at=D).then(closed(at=D))
    assert str(caught.value).splitlines() == [
        f"close on a session that is active, at {D}",
        "--- expected",
        "+++ seen",
        "-1. session.closed",
        "+1. session.timed_out",
        f"      at = {D}  2027-01-15 08:03:00.000000",
        "-     cause = <Cause.STOPPED: 'stopped'>",
        "+     rule = <Cause.IDLE: 'idle'>",
        "+     evidence = {'found': 'close/stopped'}",
    ]


def test_order_counts() -> None:
    with pytest.raises(AssertionError, match=r"-2\. session\.closed"):
        given(created()).when(STOP, at=T0 + 1).then(closed(at=T0 + 1), closed(at=T0 + 1))


def test_nothing_and_refusals_are_told_apart() -> None:
    given(created()).when(Expire(), at=T0).then_nothing()
    given(created(), closed(T0)).when(Record(event=navigated(0)), at=T0).then_refused("note/session.navigated")
    with pytest.raises(AssertionError, match="nothing happens"):
        given(created()).when(Expire(), at=D).then_nothing()
    with pytest.raises(AssertionError, match="refused"):
        given(created()).when(STOP, at=T0).then_refused("close")
    with pytest.raises(AssertionError, match=r"note is not legal|note/session.navigated"):
        given(created(), closed(T0)).when(Record(event=navigated(0)), at=T0).then_nothing()
    with pytest.raises(AssertionError, match="the refusal is not what it should be"):
        given(created(), closed(T0)).when(Record(event=navigated(0)), at=T0).then_refused("another")


def test_a_story_can_be_told_on() -> None:
    session = given(created(), started()).when(Expire(), at=D + MINUTE).then(timed_out(at=D))
    assert session.status == "timed_out"
