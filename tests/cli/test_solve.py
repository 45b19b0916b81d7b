"""`start-sdk solve`: problems of a file, on the batch and the store."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from start_sdk import BackendError, Trace, verify_trace
from start_sdk.cli import app
from start_sdk.testing import CharTokenizer, ScriptedBackend

Script = Callable[[str], Sequence[str]]


class Scripted:
    """Replaces the model by a function of the prompt, and records the prompts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prompts: list[str] = []
        self.script: Script = lambda prompt: [f"Easy.\n</think>\n\n\\boxed{{{len(prompt)}}}"]
        self.backend: ScriptedBackend | None = None
        monkeypatch.setattr("start_sdk.cli._models.open_backend", self.open)

    def open(self, model: str, backend: str) -> ScriptedBackend:
        self.backend = ScriptedBackend(self.answer)
        return self.backend

    def answer(self, prompt: str) -> Sequence[str]:
        self.prompts.append(prompt.partition("user\n")[2].partition("<|im_end|>")[0])
        return self.script(prompt)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    return Scripted(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    lines = [
        '{"id": "a", "problem": "One?", "level": 3}',
        '{"question": "Two?"}',
        "",
        '{"id": 7, "prompt": "Three?", "question": "Not this one?"}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def solve(file: Path, *options: str) -> Result:
    out = file.parent / "out"
    args = ["solve", str(file), "--out", str(out), "--model", "scripted", "--hints", "none"]
    return CliRunner().invoke(app, [*args, *options])


def rows(file: Path) -> list[dict[str, Any]]:
    text = (file.parent / "out" / "rows.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_is_solved_and_solved_once(model: Scripted, file: Path) -> None:
    done = solve(file)
    assert done.exit_code == 0, done.output
    assert model.prompts == ["One?", "Two?", "Not this one?"]
    assert model.backend and model.backend.closed
    first, second, third = rows(file)
    assert first["input"] == {"id": "a", "problem": "One?", "level": 3}
    assert first["problem"].startswith("a:") and third["problem"].startswith("7:")
    trace = Trace.model_validate(second["result"]["trace"])
    verify_trace(trace, CharTokenizer())
    assert second["result"]["answer"] == trace.answer == str(len(trace.segments[0].text))
    assert "3 done, 0 failed, 0 left" in done.stdout and "3 read, 0 skipped" in done.stdout
    usage = trace.usage
    assert f"model {usage.model * 3}" in done.stdout  # answers of equal length
    again = solve(file)
    assert again.exit_code == 0 and len(model.prompts) == 3
    assert rows(file) == [first, second, third]


def test_samples_run_in_rounds_with_distinct_seeds(model: Scripted, file: Path) -> None:
    assert (
        solve(file, "--samples", "2", "--temperature", "0.6", "--max-concurrency", "1").exit_code
        == 0
    )
    assert model.prompts == ["One?", "Two?", "Not this one?"] * 2
    assert [row["sample"] for row in rows(file)] == [0, 0, 0, 1, 1, 1]
    assert len({row["result"]["trace"]["seed"] for row in rows(file)}) == 6


def test_another_setting_or_text_is_another_row(model: Scripted, file: Path) -> None:
    solve(file)
    solve(file, "--max-calls", "1")
    assert len(model.prompts) == 6
    file.write_text(file.read_text(encoding="utf-8").replace("One?", "Eins?"), encoding="utf-8")
    solve(file)
    assert model.prompts[6:] == ["Eins?"] and len(rows(file)) == 3


def test_bad_lines_are_reported_and_the_others_are_solved(model: Scripted, file: Path) -> None:
    bad = {
        b'{"problem": "x"': "not JSON: Expecting ',' delimiter at column 16",
        b'["x"]': "not a JSON object",
        b'{"id": "x"}': "no text in any of 'problem', 'question', 'prompt'",
        b'{"problem": " "}': "no text in any of 'problem', 'question', 'prompt'",
        b'{"problem": "x", "id": 1.5}': "its id is neither a string nor an integer",
        b'{"problem": "x", "y": NaN}': "Out of range float values are not JSON compliant",
        b'{"problem": "\\ud800"}': "surrogates not allowed",
        b'{"problem": "\xff"}': "invalid start byte",
        b"[" * 100_000: "nested too deeply",
    }
    file.write_bytes(b"\n".join([b'{"problem": "Good?"}', *bad]))
    done = solve(file)
    assert done.exit_code == 2 and model.prompts == ["Good?"]
    said = done.stderr.splitlines()
    assert said[-1] == "start-sdk: some lines are not done: see the summary"
    assert len(said) == len(bad) + 1
    for number, (line, reason) in enumerate(zip(said, bad.values(), strict=False), 2):
        assert line.startswith(f"line {number} skipped: ") and reason in line
    assert "skipped  2, 3, 4, 5, 6, 7, 8, 9, 10\n" in done.stdout


def test_a_failed_problem_is_reported_and_retried_on_request(model: Scripted, file: Path) -> None:
    whole = model.script

    def broken(prompt: str) -> Sequence[str]:
        if "Two?" in prompt:
            raise BackendError("out of memory\n\x1b[2J")
        return whole(prompt)

    model.script = broken
    for _ in range(2):  # the second run does not retry it
        done = solve(file)
        assert done.exit_code == 2 and len(model.prompts) == 3
        assert "2 done, 1 failed, 0 left" in done.stdout
        assert "1 x BackendError: out of memory \\x1b[2J" in done.stdout
    failed = rows(file)[1]
    assert (failed["state"], failed["result"]) == ("failed", None)
    model.script = whole
    assert solve(file, "--retry-failed").exit_code == 0 and model.prompts[3:] == ["Two?"]


def test_a_problem_that_does_not_fit_the_context_fails_alone(model: Scripted, file: Path) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write("\n" + json.dumps({"problem": "word " * 30_000}))
    done = solve(file)
    assert done.exit_code == 2 and "3 done, 1 failed, 0 left" in done.stdout
    assert "1 x PromptError: the prompt has 150" in done.stdout


def test_ctrl_c_exits_with_130_and_finished_rows_are_written(model: Scripted, file: Path) -> None:
    whole = model.script

    def stopped(prompt: str) -> Sequence[str]:
        if len(model.prompts) == 2:
            signal.raise_signal(signal.SIGINT)
        return whole(prompt)

    model.script = stopped
    done = solve(file, "--max-concurrency", "1")
    assert done.exit_code == 130 and "Traceback" not in done.stderr
    assert model.backend and model.backend.closed
    before = rows(file)
    assert f"{len(before)} done, 0 failed, {3 - len(before)} left" in done.stdout
    assert 1 <= len(before) < 3
    model.script = whole
    assert solve(file).exit_code == 0 and len(rows(file)) == 3


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ('{"id": 1, "problem": "x"}\n{"id": "1", "problem": "y"}', [], "lines 1 and 2 of {file} have the same id '1'"),
        ('{"problem": "x"}\n\n{"problem": "x"}', [], "lines 1 and 3 of {file} have the same problem and no id"),
        ("", [], "no line of {file} is a problem"),
        ("\n[]", [], "no line of {file} is a problem; line 2: not a JSON object"),
        (None, [], "cannot read {file}: No such file"),
        ('{"problem": "x"}', ["--samples", "0"], "samples=0"),
        ('{"problem": "x"}', ["--max-concurrency", "0"], "max_concurrency=0"),
        ('{"problem": "x"}', ["--seed", str(2**63)], f"seed={2**63}"),
        ('{"problem": "x"}', ["--samples", "2"], "set --temperature"),
        ('{"problem": "x"}', ["--hints", "magic"], "no hint is named 'magic'"),
        ('{"problem": "x"}', ["--out", "/dev/null"], "cannot create folder '/dev/null'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line_before_any_work(
    model: Scripted, tmp_path: Path, text: str | None, options: list[str], says: str
) -> None:
    file = tmp_path / "problems.jsonl"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    done = solve(file, *options)
    assert (done.exit_code, done.stdout, model.prompts) == (2, "", [])
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("start-sdk: ") and says.format(file=repr(str(file))) in line
    assert not (tmp_path / "out" / "rows.sqlite").exists()


def test_a_folder_with_a_foreign_rows_file_is_rejected(model: Scripted, file: Path) -> None:
    out = file.parent / "out"
    out.mkdir()
    (out / "rows.sqlite").write_text("not a database, but as long as a header is " * 9)
    done = solve(file)
    assert (done.exit_code, done.stdout, model.prompts) == (2, "", [])
    assert "file is not a database" in done.stderr


@pytest.mark.torch
def test_a_problem_outside_an_embedded_models_domain_fails_alone(file: Path) -> None:
    file.write_text('{"id": "faust", "problem": "Who wrote Faust?"}', encoding="utf-8")
    done = CliRunner().invoke(app, ["solve", str(file), "--out", str(file.parent / "out")])
    assert done.exit_code == 2 and "it has never seen 'who'" in done.stdout, done.output
