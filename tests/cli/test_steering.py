"""`start-sdk ask --steer`: lines from standard input are inserted into the running thought."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installing import PLUGINS, install

from start_sdk import Trace, verify_trace
from start_sdk.testing import CharTokenizer

COMMAND = [sys.executable, "-c", "from start_sdk.cli import main; main()", "ask"]
PARROT = ["How are you?", "--model", "polly", "--backend", "listening", "--hints", "none"]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a backend that keeps talking until it reads "Enough"."""
    site = install(tmp_path_factory.mktemp("site"), PLUGINS / "start-backend-parrot")
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def ask(env: dict[str, str], stdin: str) -> tuple[Trace, str]:
    """The trace and standard error of a run with these lines piped in."""
    done = subprocess.run(
        [*COMMAND, *PARROT, "--steer", "--json"],
        input=stdin, capture_output=True, text=True, env=env, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trace = Trace.model_validate_json(done.stdout)
    verify_trace(trace, CharTokenizer())
    return trace, done.stderr


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_typed_while_the_thought_streams_is_inserted(
    terminal: bool, env: dict[str, str], tmp_path: Path
) -> None:
    keyboard, stdin = pty.openpty() if terminal else os.pipe()[::-1]
    path = tmp_path / "trace.json"
    with subprocess.Popen(
        [*COMMAND, *PARROT, "--steer", "--trace", str(path)],
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**env, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        seen = process.stdout.read(1)  # the model is thinking
        os.write(keyboard, b"Enough of that.\n")
        seen += process.stdout.read()  # it ends although its standard input stays open
        errors = process.stderr.read()
    os.close(keyboard)
    os.close(stdin)
    assert process.returncode == 0, errors
    trace = Trace.model_validate_json(path.read_text(encoding="utf-8"))
    verify_trace(trace, CharTokenizer())
    assert [(s.source, s.phase) for s in trace.segments[1:4]] == [
        ("model", "thinking"),
        ("hint", "thinking"),
        ("model", "close"),
    ]
    (hint,) = trace.hints
    assert (hint.id, hint.position, trace.answer) == ("steer", "steer", "4")
    assert trace.thinking.endswith("Enough of that.") and "Enough of that." in seen
    assert ("Enter to insert it into the thought" in errors) == terminal
    assert "Fatal" not in errors and "late" not in errors


def test_piped_lines_are_inserted_as_they_arrive(env: dict[str, str]) -> None:
    trace, errors = ask(env, "Go on. Größer?\n\n  \nEnough")  # the last line has no end
    texts = [s.text.strip() for s in trace.segments if s.hint]
    assert texts == ["Go on. Größer?", "Enough"] and "late" not in errors
    assert [h.round for h in trace.hints] == [1, 2]


def test_a_line_that_was_not_inserted_is_reported(env: dict[str, str]) -> None:
    trace, errors = ask(env, "Enough: ```python\nbe 4.\n")  # nothing is inserted inside a block
    assert [s.text.strip() for s in trace.segments if s.hint] == ["Enough: ```python"]
    assert errors.splitlines()[-1] == "not inserted, too late: be 4."


def test_without_lines_steering_changes_nothing(env: dict[str, str]) -> None:
    args = ["Hi", "--model", "polly", "--backend", "parrot", "--hints", "none", "--json"]

    def trace(redirect: str, *more: str) -> dict[str, Any]:
        shell = ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, *args, *more]
        done = subprocess.run(shell, capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, done.stderr
        return Trace.model_validate_json(done.stdout).model_dump(exclude={"seconds"})

    plain = trace("")
    assert trace("<&-", "--steer") == plain == trace("</dev/null", "--steer")
