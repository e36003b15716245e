"""The host application's logging is its own: three ways it may be set up, and what our lines do in each."""

from __future__ import annotations

import subprocess
import sys

_WARN = "from lifecycle.telemetry import logger; logger.warning('said', session_id='s1')"


def _run(before: str, after: str = "") -> subprocess.CompletedProcess[str]:
    code = "\n".join([before, _WARN, after])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_nothing_configured_is_silent_and_does_not_import_structlog() -> None:
    ran = _run("import sys", "assert 'structlog' not in sys.modules")
    assert (ran.stdout, ran.stderr) == ("", "")


def test_standard_logging_gets_one_line_on_its_own_handler() -> None:
    ran = _run("import logging; logging.basicConfig()")
    assert ran.stdout == ""
    assert ran.stderr == "WARNING:lifecycle:event='said' session_id='s1'\n"


def test_standard_logging_gets_the_traceback_of_what_went_wrong() -> None:
    """`exc_info=True` stood in the line as text: whose callback had failed could be read, and not where."""
    ran = _run(
        "import logging; logging.basicConfig()\n"
        "from lifecycle.telemetry import logger\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logger.warning('failed', n=1, exc_info=True)"
    )
    assert ran.stderr.startswith("WARNING:lifecycle:event='failed' n=1\nTraceback (most recent call last):\n")
    assert "\nZeroDivisionError: division by zero\nWARNING:lifecycle:event='said'" in ran.stderr


def test_a_level_above_ours_silences_it() -> None:
    ran = _run("import logging; logging.basicConfig(level=logging.ERROR)")
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_configured_structlog_gets_the_event_as_data() -> None:
    ran = _run(
        "import structlog; structlog.configure(); "
        "structlog.configure(processors=[structlog.processors.JSONRenderer(sort_keys=True)], "
        "logger_factory=structlog.PrintLoggerFactory(__import__('sys').stderr))"
    )
    assert ran.stdout == ""
    assert ran.stderr == '{"event": "said", "session_id": "s1"}\n'


def test_configuring_after_the_import_still_counts() -> None:
    ran = _run("from lifecycle.telemetry import logger\nimport logging; logging.basicConfig()")
    assert "said" in ran.stderr


def test_importing_the_library_configures_nothing() -> None:
    ran = _run(
        "import logging, lifecycle.client.sync_api; assert logging.getLogger().handlers == []",
        "import structlog; assert not structlog.is_configured()",
    )
    assert (ran.stdout, ran.stderr) == ("", "")


def test_what_the_applications_own_processors_raise_ends_nothing() -> None:
    """It came out of stop(), and ended the threads that watch over sessions."""
    ran = _run(
        "import structlog\ndef broken(*_): raise KeyError('request_id')\nstructlog.configure(processors=[broken])",
        "print('goes on')",
    )
    assert ran.stdout == "goes on\n"
    assert ran.stderr.endswith("KeyError: 'request_id'\n")
