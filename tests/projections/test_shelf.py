"""The shelf gives back what was put there, however many slots its ids share, and begins anew when it was closed."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from lifecycle.core import fold
from lifecycle.projections import shelf as module
from lifecycle.projections.shelf import Kept, Shelf
from lifecycle.testing.log_samples import T0, annotated, created, failed, started

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[1, 1 << 22])
def shelf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(module, "_SLOTS", request.param)
    made = Shelf()
    yield made
    made.close()


def kept(session_id: str, *, error: bool = False) -> Kept:
    session = fold([created(session_id), started(), failed(T0 + 60_000_000) if error else annotated()])
    assert session is not None
    return Kept(session, "the failure" if error else None, session.version, "h" * 64)


def test_what_was_put_is_given_back_until_it_is_dropped(shelf: Shelf) -> None:
    all_of_them = [kept(f"s-{number}", error=number % 2 == 1) for number in range(7)]
    shelf.put(all_of_them[:3])
    shelf.put(all_of_them[3:])
    for one in all_of_them:
        assert shelf.get(one.session.session_id) == one
    assert shelf.get("s-7") is None
    assert sorted(shelf.ids()) == [f"s-{number}" for number in range(7)]
    for size in (1, 3, 7, 8):
        batches = list(shelf.all(size))
        assert list(chain(*batches)) == all_of_them
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    shelf.drop("s-3")
    assert shelf.get("s-3") is None
    assert len(shelf.ids()) == 6


def test_what_is_put_again_counts(shelf: Shelf) -> None:
    one = kept("s-1")
    shelf.put([one])
    later = one._replace(session=replace(one.session, error_message="it broke"), version=9, hash="i" * 64)
    shelf.put([later])
    assert shelf.get("s-1") == later
    assert len(shelf.ids()) == 1


def test_before_the_first_and_after_the_end_it_is_empty(shelf: Shelf) -> None:
    for _ in range(2):
        assert (shelf.get("s-1"), shelf.ids(), list(shelf.all(5))) == (None, [], [])
        shelf.drop("s-1")
        shelf.put([kept("s-1")])
        assert shelf.ids() == ["s-1"]
        shelf.close()
        shelf.close()
