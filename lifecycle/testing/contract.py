"""Contract: what LogContract and BrowserContract have in common: their checks by name, and running all of them.

Checks tell with `equal` and `holds`, not with `assert`: they speak without a test runner, and under `python -O` too.
"""

from __future__ import annotations

__all__ = ["Contract", "equal", "holds"]


def equal(promise: str, seen: object, expected: object) -> None:
    """Raise AssertionError with *promise* and both values unless they are equal."""
    if seen != expected:
        raise AssertionError(f"{promise}: expected {expected!r}, seen {seen!r}")


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
