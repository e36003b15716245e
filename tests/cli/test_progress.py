"""A sign of life on stderr, where a person looks at it, for what takes longer than a second."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from lifecycle.cli import progress

if TYPE_CHECKING:
    from collections.abc import Iterator


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Sign:
    """What stands in for the spinner: how often it was begun and ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def status(self, _what: str) -> Sign:
        return self

    def start(self) -> None:
        self.begun += 1

    def stop(self) -> None:
        self.ended += 1


@pytest.fixture
def sign(monkeypatch: pytest.MonkeyPatch) -> Sign:
    """The sign, without patience: it is begun at once."""
    found = Sign()

    def console(*, stderr: bool) -> Sign:
        return found

    monkeypatch.setattr(progress, "console", console)
    monkeypatch.setattr("lifecycle.cli.progress.threading.Timer", _AtOnce)
    return found


class _AtOnce:
    daemon = False

    def __init__(self, _after_s: float, call: object) -> None:
        self._call = call

    def start(self) -> None:
        assert callable(self._call)
        self._call()

    def cancel(self) -> None: ...

    def join(self) -> None: ...


def _lines(sign: Sign, seen: list[bool]) -> Iterator[int]:
    for number in range(3):
        seen.append(sign.begun > sign.ended)
        yield number


@pytest.mark.parametrize(
    ("out", "while_read", "begun"),
    [(io.StringIO, True, 1), (Screen, False, 4)],
    ids=["into a file", "on the same screen"],
)
def test_a_stream_shows_that_it_works_and_not_between_its_own_lines_on_a_screen(
    monkeypatch: pytest.MonkeyPatch, sign: Sign, out: type[io.StringIO], while_read: bool, begun: int
) -> None:
    monkeypatch.setattr(sys, "stderr", Screen())
    monkeypatch.setattr(sys, "stdout", out())
    seen: list[bool] = []
    for _ in progress.working_on("looking", _lines(sign, seen)):
        assert (sign.begun > sign.ended) == while_read
    assert seen == [True] * 3
    assert (sign.begun, sign.ended) == (begun, begun)


def test_nobody_looks_and_nothing_is_shown(monkeypatch: pytest.MonkeyPatch, sign: Sign) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(progress.working_on("looking", range(3))) == [0, 1, 2]
    assert sign.begun == 0
