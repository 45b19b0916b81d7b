"""What a stranger's rows contain is text: on the terminal, and in reports."""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from markdown_it import MarkdownIt
from rows import write_rows

from recipes import compare
from recipes.bases import Bases
from recipes.command import CommandLine
from recipes.hint_rft.report import samples
from recipes.markup import fenced, inline, row
from recipes.report import markdown, summary
from recipes.reproduce.report import examples
from start_sdk import ConfigError, Segment, Trace
from start_sdk.batch import Job, LiveTable, Row, read_rows
from start_sdk.batch.scoring import results

ESCAPES = "\x1b]0;owned\x07\x9b2J\u202e\u200b\r\x08"
MARKUP = (
    "a | b\n\n<script>alert(1)</script>\n# Owned\n\n`````\n![i](http://x/i.png)"
    '<img src="x"> [click](javascript:alert(1)) [ref][id]\n\n[id]: http://x\n~~~\n'
)
HOSTILE = f"{MARKUP}{ESCAPES}"
TITLE = {"suite": f"s {HOSTILE}", "model": f"m {HOSTILE}", "k": 1}


def acts(text: str) -> list[str]:
    return [c for c in text if not (c.isprintable() or c in "\n")]


def html(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def is_inert(text: str) -> bool:
    made = html(text)
    return not acts(text) and not re.search(r"<(script|img|a)\b|<h\d>Owned", made)


def evaluated(correct: bool, **more: Any) -> Row:
    family = f"f {HOSTILE}"
    job = Job(problem="p", input={"question": f"q {HOSTILE}", "family": family})
    graded = {"answer": f"4 {HOSTILE}", "correct": correct, "how": HOSTILE, "calls": 1}
    trace = {"usage": {HOSTILE: 3}, "finish": HOSTILE}
    return Row(job, "done", {**graded, "trace": trace, **more})


def traced(text: str) -> dict[str, Any]:
    parts = [("prompt", "q"), ("model", f"thought {text}")]
    segments = tuple(
        Segment(source=source, text=part, token_ids=(1,), phase="thinking")  # type: ignore[arg-type]
        for source, part in parts
    )
    return Trace(segments=segments, finish="eos").model_dump(mode="json")


def test_a_line_of_markdown_stays_one_line_of_text() -> None:
    assert is_inert(f"# {inline(HOSTILE)}\n\n> {inline(HOSTILE)}\n\n- {inline(HOSTILE)}\n")
    assert inline("25.0 [20.0, 30.0] `end` (4)") == "25.0 [20.0, 30.0] `end` (4)"


@pytest.mark.parametrize("text", [HOSTILE, r"x\|y", r"x\\|y", "`|`", "```|```", "\u2028|\x85|"])
def test_a_cell_stays_in_its_column(text: str) -> None:
    table = "\n".join([row(["a", "b"]), row(["---", "---:"]), row([text, "1"])])
    assert is_inert(table)
    made = html(table)
    assert made.count("<tr>") == 2 and made.count("<td") == 2
    assert '<td style="text-align:right">1</td>' in made


@pytest.mark.parametrize("text", [HOSTILE, "`" * 40, "x\n``````\ny", "~~~", "\r`````\r# Owned"])
def test_text_stays_in_its_fence(text: str) -> None:
    made = html(f"before\n\n{fenced(text)}\nafter")
    assert is_inert(fenced(text))
    assert made.startswith("<p>before</p>\n<pre><code") and made.endswith("</pre>\n<p>after</p>\n")


def test_a_report_of_an_evaluation_is_inert() -> None:
    text = markdown(summary(results([evaluated(True)]), TITLE))
    assert is_inert(text)
    assert html(text).count("<tr>") == 3


def test_samples_of_a_training_set_are_inert(tmp_path: Path) -> None:
    datum = {"problem": HOSTILE, "policy": HOSTILE, "sample": 0, "trace": traced(HOSTILE)}
    (tmp_path / "data.jsonl").write_text(json.dumps(datum) + "\n", encoding="utf-8")
    text = samples(tmp_path / "data.jsonl")
    assert is_inert(text) and html(text).count("<pre>") == 1


def test_examples_of_a_run_are_inert(tmp_path: Path) -> None:
    problem = {"id": HOSTILE, "family": HOSTILE, "question": HOSTILE, "gold": HOSTILE}
    for name, correct in (("eval-base", False), ("eval-start", True), ("plain", True)):
        result = {"answer": HOSTILE, "correct": correct, "calls": 1, "trace": traced(HOSTILE)}
        write_rows(tmp_path / name, [Row(Job(problem="p", input=problem), "done", result)])
    text = "".join(examples(tmp_path))
    assert is_inert(text) and html(text).count("<pre>") == 2 and "START answers" in text


def test_the_live_table_escapes_families(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with LiveTable([], 2) as table:
        table.add(evaluated(True))
    said = capsys.readouterr().err
    assert "\x1b[" in said and "owned" in said  # a terminal, with codes of its own
    assert not {"\x07", "\x9b", "\u202e", "\u200b", "\x08"} & {*said} and "\x1b]" not in said


def test_a_comparison_escapes_what_it_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, correct in (("a", False), ("b", True)):
        write_rows(tmp_path / name, [evaluated(correct)])
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert compare.main() == 0
    said = capsys.readouterr().out
    assert acts(said) == [] and "wrong -> right" in said and "<script>" in said


def test_errors_of_a_command_line_escape_what_they_quote(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = CommandLine(prog="p")
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([f"file{ESCAPES}.jsonl"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert acts(said) == [] and "file\\x1b]0;owned\\x07" in said


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "7", "{}", '{"problem": 1}', f'"{"x" * 9}"', "1" * 5000]
)
def test_lines_that_are_no_rows_are_one_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a row"):
        list(read_rows(tmp_path))


def test_a_row_without_a_trace_is_one_line_where_a_hint_is_to_go(tmp_path: Path) -> None:
    write_rows(tmp_path, [Row(Job(problem="p"), "done", {"trace": HOSTILE})])
    with ExitStack() as stack:
        bases = Bases(tmp_path, 0, stack)
        with pytest.raises(ConfigError, match=r"^the row of p does not hold a trace$"):
            bases.trace("p")
        assert not bases.correct
