"""Shows the events of a run on a terminal as they arrive, with cells as in a notebook."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from start_sdk._printing import styled
from start_sdk._text.blocks import Block, opening
from start_sdk._text.visible import visible
from start_sdk.session import Delta, Event
from start_sdk.trace import Segment, Trace

_STATUS = {"ok": "green", "error": "red"}


class TerminalView:
    """Dims the thought, marks hints, frames cells and outputs, and prints the answer plain."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._syntax = Syntax("", "python", theme="ansi_dark")
        self._line = ""
        self._printed = 0
        self._cell: Block | None = None
        self._runs = 0
        self._skip_break = False

    def show(self, event: Event) -> None:
        if isinstance(event, Delta):
            self._write(event.text, "dim" if event.phase == "thinking" else "")
        elif event.source == "hint":
            self._write(event.text, "bold yellow")
            if opened := opening(self._line):
                self._end_line("bold yellow", opened)
                self._skip_break = True  # the model writes the line break after the fence
        elif event.source == "tool":
            self._output(event)
        elif event.source == "notice" and event.phase != "close":
            self._write(event.text, "italic magenta")
        elif event.phase == "close":
            self._rest_of_line("")

    def finish(self, trace: Trace) -> None:
        """Ends an open line and prints the answer in a frame."""
        self._rest_of_line("")
        self._console.print()
        answer = trace.answer if trace.answer is not None else "(no answer)"
        self._console.print(Panel(styled(answer, "bold"), title="answer", expand=False))
        self._console.print(styled(f"{summary(trace)}\n{timing(trace)}", "dim"))

    def _write(self, text: str, style: str) -> None:
        """Prints text as it arrives; a line that may become a fence is held until it ends."""
        if self._skip_break and text:
            text, self._skip_break = text.removeprefix("\n"), False
        head, *rest = text.split("\n")
        self._grow(head, style)
        for line in rest:
            self._end_line(style, opening(self._line))
            self._grow(line, style)

    def _grow(self, text: str, style: str) -> None:
        self._line += text
        if self._cell is None and not {"`", "~"} & set(self._line):
            self._print(self._line[self._printed :], style)
            self._printed = len(self._line)

    def _end_line(self, style: str, opened: Block | None) -> None:
        line = self._line
        start = line.rfind(opened.fence) if opened else -1
        if self._cell is not None:
            if self._cell.end(line) is not None:
                self._frame("╰─")
                self._cell = None
            else:
                self._code(line)
        elif opened and start >= self._printed:
            before = line[self._printed : start]
            if before.strip() or self._printed:
                self._print(before + "\n", style)
            self._cell, language = opened, opened.language
            name = f"In [{self._runs + 1}]" if language.startswith("py") else language
            self._frame(f"╭─ {name}")
        else:
            self._print(line[self._printed :] + "\n", style)
        self._line, self._printed = "", 0

    def _rest_of_line(self, style: str) -> None:
        if self._line:
            self._end_line(style, None)
        if self._cell is not None:
            self._frame("╰─ (not closed)")
            self._cell = None

    def _output(self, segment: Segment) -> None:
        assert segment.call is not None
        self._rest_of_line("")
        self._runs += 1
        call = segment.call
        style = _STATUS.get(call.status, "bold red")
        self._frame(f"╭─ Out [{self._runs}] · {call.status} · {call.seconds:.2f} s", style)
        for line in segment.text.strip("\n").split("\n")[1:-1]:  # without its fences
            self._console.print(Text("│ ", style) + styled(line), soft_wrap=True)
        self._frame("╰─", style)

    def _code(self, line: str) -> None:
        code = self._syntax.highlight(visible(line))
        code.rstrip()
        self._console.print(Text("│ ", "cyan") + code, soft_wrap=True)

    def _frame(self, text: str, style: str = "cyan") -> None:
        self._console.print(styled(text, style), soft_wrap=True)

    def _print(self, text: str, style: str) -> None:
        self._console.print(styled(text, style), end="", soft_wrap=True)


def summary(trace: Trace) -> str:
    """One line: what a run used, and why it ended."""
    used = trace.usage
    counts = f"{used.model} tokens, {len(trace.hints)} hints, {len(trace.calls)} calls"
    limited = f" (the thought ended at a limit: {trace.limit})" if trace.limit else ""
    return f"{counts}, finish {trace.finish}{limited}"


def timing(trace: Trace) -> str:
    """One line: seconds in model and tool, engine idle time, recomputed tokens."""
    model, tool = trace.seconds.get("model", 0.0), trace.seconds.get("tool", 0.0)
    recomputed = "unknown" if trace.recomputed is None else sum(trace.recomputed)
    return (
        f"model {model:.2f} s, tool {tool:.2f} s (engine idle {trace.idle:.2f} s), "
        f"tokens recomputed: {recomputed}"
    )
