"""What models, cells, servers, files and plugins wrote cannot control the terminal."""

from __future__ import annotations

import io
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner, Result

from start_sdk import BackendError, CallRecord, Delta, Segment, Trace
from start_sdk._printing import Terminal, report_visibly, styled
from start_sdk.batch import BatchProgress, Job, Row
from start_sdk.cli import app
from start_sdk.cli._terminal import TerminalView
from start_sdk.testing import Check, ScriptedBackend

ACTING = [
    "\x1b]52;c;cm0gLXJmIH4=\x1b\\",  # fills the clipboard
    "\x1b]0;owned\x07",  # sets the title
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b[8m",  # hides what follows
    "\x1b]8;;http://x\x1b\\",  # makes a link
    "\x9b2J",
    "\x9d0;c1-title\x9c",
    "\u202eevil\u202c",
    "\u2066x\u2069\u200f",
    "pay\u200bpal",
    "ok\r\x08\x7f",
]
HOSTILE = "".join(ACTING)
SHOWN = "\\x1b]52;c;cm0gLXJmIH4=\\x1b\\\\x1b]0;owned\\x07"


def acts(text: str) -> list[str]:
    """The characters that are neither shown nor a line break."""
    return [c for c in text if not (c.isprintable() or c == "\n")]


def survives(text: str) -> list[str]:
    """The sequences that reach a terminal which has colours."""
    return [sequence for sequence in ACTING if sequence in text]


def on_terminal(make: Callable[..., Console]) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return make(file=file, force_terminal=True, color_system="standard", width=200), file


@pytest.mark.parametrize("make", [Terminal, Console])
@pytest.mark.parametrize("cut", [1, 2, 7, 10**6])
def test_no_event_of_a_run_acts_however_it_is_cut(make: type[Console], cut: int) -> None:
    console, file = on_terminal(make)
    view = TerminalView(console)

    def show(text: str, phase: Any = "thinking") -> None:
        for at in range(0, len(text), cut):
            view.show(Delta(text[at : at + cut], (0,), phase))

    def segment(source: Any, text: str, **more: Any) -> Segment:
        return Segment(source=source, text=text, token_ids=(1,), phase="thinking", **more)

    show(f"A thought {HOSTILE} goes on.\n```python\nprint(1)  # {HOSTILE}\n```\n")
    output = f"4 {HOSTILE}"
    call = CallRecord(code="x", output=output, status="ok", seconds=0.1, state_kept=True)
    view.show(segment("tool", f"\n```output\n{output}\n```\n", call=call))
    view.show(segment("hint", f"Wait {HOSTILE}\n```python\n"))
    show(f"x = '{HOSTILE}'\n```\n")
    view.show(segment("notice", f"No tokens {HOSTILE}\n"))
    show(f"```{HOSTILE}\nx\n```\n")
    show(f"The answer {HOSTILE}\n", "answer")
    prompt = Segment(source="prompt", text="q", token_ids=(1,), phase="prompt")
    answer = Segment(source="model", text=f"\\boxed{{4{HOSTILE}}}", token_ids=(2,), phase="answer")
    view.finish(Trace(segments=(prompt, answer), finish="eos"))
    assert survives(file.getvalue()) == []
    assert file.getvalue().count("owned") >= 7


def test_the_terminal_escapes_whatever_is_printed() -> None:
    console, file = on_terminal(Terminal)
    assert isinstance(console, Terminal)
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE, HOSTILE)
    raw = Text(HOSTILE)
    panel = Panel(raw, title=styled(HOSTILE))
    for thing in (HOSTILE, raw, table, panel, [HOSTILE]):
        console.print(thing)
    console.out(HOSTILE)
    console.log(HOSTILE)
    console.rule(HOSTILE)
    console.show(HOSTILE, (f"\n{HOSTILE}", "red"))
    assert survives(file.getvalue()) == []
    assert file.getvalue().splitlines()[-1].count("owned") == 2
    assert f"\x1b[31m\\n{SHOWN}" in file.getvalue()  # its own colours are there


@pytest.mark.parametrize("text", ["[bold]x[/]", "[/nothing]", "[link=http://x]y[/link]", ":skull:"])
def test_the_terminal_reads_no_markup(text: str) -> None:
    console, file = on_terminal(Terminal)
    table = Table(text)
    table.add_row(text)
    console.print(text)
    console.print(table)
    assert file.getvalue().count(text) == 3


def test_columns_are_as_wide_as_what_they_show() -> None:
    console, file = on_terminal(Terminal)
    table = Table("a", "b")
    table.add_row("\x1b]0;x\x07", "1")
    console.print(table)
    assert "│ \\x1b]0;x\\x07 │ 1 │" in file.getvalue()


def test_progress_escapes_what_rows_contain() -> None:
    for make in (Terminal, Console):
        console, file = on_terminal(make)
        with BatchProgress(2, console=console) as progress:
            progress.add(Row(Job(problem="p"), "done", {"trace": {"usage": {HOSTILE: 3}}}))
        assert survives(file.getvalue()) == [] and "owned" in file.getvalue()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptedBackend], None]:
    def use(backend: ScriptedBackend) -> None:
        monkeypatch.setattr("start_sdk.cli._models.open_backend", lambda *_: backend)

    return use


def invoke(*args: str) -> Result:
    done = CliRunner().invoke(app, args)
    assert acts(done.stdout + done.stderr) == [], (done.stdout, done.stderr)
    return done


def test_ask_shows_what_a_model_writes(scripted: Any) -> None:
    script = [f"Hm {HOSTILE}.\n</think>\n\nThe answer is \\boxed{{4{HOSTILE}}}."]
    scripted(ScriptedBackend(script))
    done = invoke("ask", "What?", "--model", f"m{HOSTILE}")
    assert done.exit_code == 0 and SHOWN in done.stdout and f"m{SHOWN}" in done.stderr


def test_demo_shows_what_a_model_writes(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "800")  # titles of panels are cut
    texts = [f"Hm {HOSTILE}.\n</think>\n\n\\boxed{{[/x]{HOSTILE}}}"] * 2
    scripted(ScriptedBackend(lambda _: texts))
    done = invoke("demo", "--model", "scripted")
    assert done.exit_code == 0 and f"Hm {SHOWN}" in done.stdout
    assert f"answer [/x]{SHOWN}" in done.stdout


def test_json_is_the_same_text_in_ascii(scripted: Any) -> None:
    script = [f"中文 {HOSTILE}.\n</think>\n\n\\boxed{{4}}"]
    scripted(ScriptedBackend(script))
    done = invoke("ask", "What?", "--model", "scripted", "--json")
    assert done.stdout.isascii()
    trace = Trace.model_validate(json.loads(done.stdout))
    assert HOSTILE in trace.text and "中文" in trace.text


def test_an_error_of_a_server_is_one_line(scripted: Any, tmp_path: Path) -> None:
    def broken(prompt: str) -> Sequence[str]:
        raise BackendError(f"no {HOSTILE}\nTraceback")

    scripted(ScriptedBackend(broken))
    done = invoke("ask", "What?", "--model", "scripted")
    assert done.exit_code == 2 and f"start-sdk: no {SHOWN}" in done.stderr
    file = tmp_path / "problems.jsonl"
    file.write_text('{"problem": "x"}', encoding="utf-8")
    done = invoke("solve", str(file), "--out", str(tmp_path / "out"), "--model", "scripted")
    assert done.exit_code == 2 and f"1 x BackendError: no {SHOWN}" in done.stdout


def test_check_backend_shows_names_and_reasons(
    scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ScriptedBackend([""])
    backend.capabilities = replace(backend.capabilities, model=f"m{HOSTILE}\n  ✓ forged")

    async def checks(_: object) -> list[Check]:
        return [Check(name=HOSTILE, ok=False, required=True, cost=HOSTILE, detail=HOSTILE)]

    monkeypatch.setattr("start_sdk.testing.check_backend", checks)
    scripted(backend)
    done = invoke("check-backend", "scripted")
    first, second, costs = done.stdout.splitlines()
    assert first.startswith(f"m{SHOWN}") and "\\n  ✓ forged" in first
    assert second.count("owned") == 2 and costs.count("owned") == 1 and SHOWN in done.stderr


def test_doctor_shows_names_of_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("start_sdk.plugins.names", lambda group: [f"{group}{HOSTILE}"])
    assert f"hints{SHOWN}" in invoke("doctor").stdout


def test_errors_of_usage_quote_names_of_files(tmp_path: Path) -> None:
    done = invoke("solve", f"a{HOSTILE}.jsonl", f"b{HOSTILE}.jsonl", "--out", str(tmp_path))
    assert done.exit_code == 2 and "owned" in done.stderr
    done = invoke("solve", f"a{HOSTILE}.jsonl", "--out", str(tmp_path))
    assert done.exit_code == 2 and "cannot read" in done.stderr
    file = tmp_path / "problems.jsonl"
    file.write_text(f'{{"problem": "{HOSTILE[:5]}\n[]\n', encoding="utf-8")
    done = invoke("solve", str(file), "--out", str(tmp_path))
    assert done.exit_code == 2 and "no line of" in done.stderr


def test_warnings_and_bugs_quote_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.excepthook", None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        report_visibly()
        warnings.warn(f"careful {HOSTILE}", UserWarning, stacklevel=1)
        error = ValueError(f"a bug {HOSTILE}")
        sys.excepthook(ValueError, error, None)
    said = capsys.readouterr().err
    assert acts(said) == []
    assert said.startswith(f"UserWarning: careful {SHOWN}")
    assert f"\nValueError: a bug {SHOWN}" in said
