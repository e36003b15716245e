"""The canary: what is typed, chosen, evaluated, uploaded or read is in no column of the log and in no text of ours."""

from __future__ import annotations

import logging
import sqlite3
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle import ActionFailed, Client, ExecutionResult, SessionEnded
from lifecycle.actions import ACTIONS
from tests.actions.twins import Twin

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser

#: told apart, so that a leak names its way
TYPED = "canary-typed-4711"
CODE = "canaryCode4711"
FORM = "canary-form-4711"
KEY = "canary-key-4711"
PAGE = "canary-page-4711"
CONTENT = "canary-content-4711"
FILE = "canary-file-4711"
QUERY = "canary-query-4711"
ALL = (TYPED, CODE, FORM, KEY, PAGE, CONTENT, FILE, QUERY, "4711")


@pytest.fixture(params=["sync", "async"])
def own(request: pytest.FixtureRequest, site: str, tmp_path: Path) -> Iterator[Twin]:
    """A session of its own, whose log is read when it has ended."""
    twin = Twin(request.param, tmp_path / "log.db", site)
    yield twin
    twin.stop()


def orders(site: str, upload: Path) -> list[dict[str, Any]]:
    """Operations that carry secrets: those that succeed, and those that fail in every way."""
    form = {"Name": FORM, "password": FORM, "Terms": True}
    return [
        {"type": "goto", "url": f"{site}/form?token={QUERY}#{QUERY}"},
        {"type": "fill", "selector": "[name=password]", "value": TYPED},
        {"type": "fill", "selector": "[name=name]", "value": TYPED, "clear_before_fill": False},
        {"type": "fill", "selector": "[name=old]", "value": TYPED, "timeout": 200},
        {"type": "fill", "selector": "[name=age]", "value": TYPED, "timeout": 200},
        {"type": "fill", "selector": ".none", "value": TYPED, "timeout": 200},
        {"type": "fill", "selector": "input", "value": TYPED, "timeout": 200},
        {"type": "fill", "id": "e99999", "value": TYPED},
        {"type": "fill", "selector": "<<", "value": TYPED},
        {"type": "fill", "selector": "#times", "value": TYPED},
        {"type": "select_dropdown_option", "selector": "select", "value": TYPED, "timeout": 200},
        {"type": "form_fill", "value": form},
        {"type": "form_fill", "value": {**form, FORM: FORM}},
        {"type": "form_fill", "value": {"size": FORM}},
        {"type": "form_fill", "value": {"born": FORM}},
        {"type": "press_key", "key": KEY},
        *({"type": "press_key", "key": one} for one in "4711"),
        {"type": "evaluate_js", "code": f"'{CODE}'"},
        {"type": "evaluate_js", "code": f"throw new Error('{CODE}')"},
        {"type": "evaluate_js", "code": f"{CODE}()"},
        {"type": "evaluate_js", "code": f"let {CODE} {CODE}"},
        {"type": "evaluate_js", "code": f"'{CODE}'; while (true);", "timeout": 200},
        {"type": "evaluate_js", "code": f"document.body.append('{PAGE}')"},
        {"type": "scrape"},
        {"type": "goto", "url": f"{site}/files"},
        {"type": "upload_file", "selector": "#file", "file_path": upload},
        {"type": "upload_file", "selector": "#file", "file_path": upload.with_name(f"not-{FILE}")},
        {"type": "upload_file", "selector": "#none", "file_path": upload, "timeout": 200},
        {"type": "download_file", "selector": "#report", "directory": upload.parent},
        {"type": "download_file", "selector": "#report", "directory": upload.parent / FILE},
        {"type": "goto", "url": f"{site}/dialogs"},
        {"type": "evaluate_js", "code": f"alert('{PAGE}')"},
        {"type": "completion", "success": True, "answer": PAGE},
    ]


def test_no_secret_in_the_log_or_in_any_text(own: Twin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lifecycle")
    folder = tmp_path / FILE
    folder.mkdir()
    upload = folder / f"{FILE}.txt"
    upload.write_text(CONTENT)
    said: list[str] = []
    kinds: set[str] = set()
    failures = 0
    for order in orders(own.site, upload):
        kinds.add(order["type"])
        result, error = _tried(own, order)
        if error is not None:
            failures += 1
            said += ["".join(traceback.format_exception(error)).replace(_for_the_caller(error), ""), str(error)]
            assert (error.__cause__, error.__context__) == (None, None)
        said += [repr(result.action), result.summary]
        if order["type"] not in ("download_file", "upload_file", "evaluate_js"):
            said += [repr(result), result.message]
    own.js(f"document.querySelector('#said').innerHTML = '<button>{TYPED}</button>'")
    button = own.observe().elements[-1]
    own.execute("click", id=button.id)  # a page that repeats what was typed
    said += [repr(own.session), repr(own.last())]
    own.run(lambda: own.session.stop())
    with pytest.raises(SessionEnded) as ended:
        own.run(lambda: own.session.execute(type="fill", selector="#a", value=TYPED))
    said += ["".join(traceback.format_exception(ended.value)), caplog.text]

    assert failures >= 15
    assert (
        {"fill", "form_fill", "press_key", "evaluate_js", "upload_file", "select_dropdown_option"}
        <= kinds
        <= set(ACTIONS)
    )
    for text in said:
        for secret in ALL[:-1]:
            assert secret not in text, text
    for text in _columns(tmp_path / "log.db"):
        for secret in ALL[:-1]:
            assert secret not in text, text
    keys = [event.target for event in own.operations() if event.kind == "press_key"]
    assert keys == [None] * 5


def _tried(own: Twin, order: dict[str, Any]) -> tuple[ExecutionResult, ActionFailed | None]:
    try:
        return own.run(partial(own.session.execute, **order)), None
    except ActionFailed as error:
        return error.result, error


def _for_the_caller(error: ActionFailed) -> str:
    """The note of a failure about a file or a script names it, for the caller's eyes; the error's own text does not."""
    note = error.result.message if error.result.reason in ("file", "script", "dialog", "not_found") else ""
    return note or "\0"


def _columns(log: Path) -> Iterator[str]:
    """Every value in every table of the log, and its files as they are."""
    with sqlite3.connect(log) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from (str(value) for value in row)
    connection.close()
    for path in log.parent.glob("log.db*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def test_a_failure_that_leaves_the_block_takes_no_secret_into_the_ending(site: str, tmp_path: Path) -> None:
    client = Client(tmp_path / "log.db")
    session = client.Session()

    def block() -> None:
        with session:
            session.execute(type="goto", url=f"{site}/files")
            session.execute(type="upload_file", selector="#file", file_path=f"/none/{FILE}")

    with pytest.raises(ActionFailed) as failed:
        block()
    assert FILE in "".join(traceback.format_exception(failed.value))  # the caller sees which
    assert FILE not in str(failed.value)
    view = client.sessions.get(session.session_id)
    assert view.error == "lifecycle.errors.ActionFailed: upload_file failed: the path is not a file that can be read"
    client.close()
    for text in _columns(tmp_path / "log.db"):
        assert FILE not in text
