"""Contract: what LogContract and BrowserContract have in common: their checks by name, and running all of them.

Checks tell with `equal` and `holds`, not with `assert`: they speak without a test runner, and under `python -O` too.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Final

__all__ = ["Contract", "equal", "holds"]

#: What is longer is told by where it differs.
_SHORT: Final = 200


def equal(promise: str, seen: object, expected: object) -> None:
    """Raise AssertionError with *promise* and both values, or where they differ, unless they are equal."""
    if seen != expected:
        raise AssertionError(f"{promise}: {_difference(seen, expected)}")


def _difference(seen: Any, expected: Any) -> str:
    whole = f"expected {expected!r}, seen {seen!r}"
    if len(whole) <= _SHORT or type(seen) is not type(expected):
        return whole
    if isinstance(seen, list | tuple):
        return _of_sequences(seen, expected) or whole
    if is_dataclass(seen):
        names = [field.name for field in fields(seen)]
        found = [
            f"{name}: {_difference(getattr(seen, name), getattr(expected, name))}"
            for name in names
            if getattr(seen, name) != getattr(expected, name)
        ]
        return "; ".join(found) or whole
    return whole


def _of_sequences(seen: Any, expected: Any) -> str | None:
    for number, (one, other) in enumerate(zip(seen, expected, strict=False)):
        if one != other:
            return f"the first that differs of {len(expected)} is [{number}], {_difference(one, other)}"
    if len(seen) < len(expected):
        return f"expected {len(expected)}, seen {len(seen)}; the first that is missing is {expected[len(seen)]!r}"
    if len(seen) > len(expected):
        return f"expected {len(expected)}, seen {len(seen)}; the first too many is {seen[len(expected)]!r}"
    return None


def holds(promise: str, kept: object) -> None:
    """Raise AssertionError with *promise* unless it is *kept*."""
    if not kept:
        raise AssertionError(f"not kept: {promise}")


class Contract:
    """Methods named check_*, each of which raises AssertionError where the subject does not do what it must."""

    @classmethod
    def checks(cls) -> list[str]:
        """The names of all checks."""
        return sorted(name for name in dir(cls) if name.startswith("check_"))

    def close(self) -> None:
        """Called after each check; for a contract that holds on to something."""

    @classmethod
    def failures(cls, *args: object, **kwargs: object) -> dict[str, Exception]:
        """What each check that fails has raised. Every check gets a contract of its own, made with these arguments."""
        found: dict[str, Exception] = {}
        for name in cls.checks():
            contract = cls(*args, **kwargs)
            try:
                getattr(contract, name)()
            except Exception as error:
                found[name] = error
            finally:
                contract.close()
        return found

    @classmethod
    def prove(cls, *args: object, **kwargs: object) -> int:
        """Run all checks; how many there are.

        Raises:
            ExceptionGroup: Some fail; it holds what each has raised, with the check's name as a note.
        """
        failures = cls.failures(*args, **kwargs)
        for name, error in failures.items():
            error.add_note(f"in {cls.__name__}.{name}")
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(cls.checks())} checks fail", list(failures.values()))
        return len(cls.checks())
