"""The coins problem without a hint and with one, side by side: `python -m recipes.demo`.

A real model (the embedded one, about a million parameters, trained from scratch), a real Jupyter
kernel, no network. The problem is the paper's own example (START, arXiv 2503.04625); its numbers
appear in no text that the model was trained on. This shows the mechanism; `recipes.evaluate`
measures it.
"""

from __future__ import annotations

import asyncio
import time
from itertools import groupby

from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from start_tools.python import PythonTool

from start_sdk import BeforeEnd, NoHints, ReasoningSession, Sampling, Trace, models, open_backend
from start_sdk.cli import Terminal, styled, visible

QUESTION = (
    "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made? "
    "Give the sum of its digits."
)
GOLD = "11"
STYLES = {"model": "", "hint": "bold yellow", "tool": "green", "notice": "magenta"}


async def solve() -> list[Trace]:
    """The traces without a hint and with one, greedy."""
    backend = open_backend(models.BASE)
    try:
        python, greedy = PythonTool(), Sampling(temperature=0)
        sessions = [
            ReasoningSession(backend, interpreter=python, hints=hints, sampling=greedy)
            for hints in (NoHints(), BeforeEnd())
        ]
        return await asyncio.gather(*(session.run(QUESTION) for session in sessions))
    finally:
        await backend.aclose()


def panel(title: str, trace: Trace, correct: bool) -> Panel:
    """A run, its sources in colours."""
    body = Text()
    for source, run in groupby(trace.segments[1:], key=lambda s: s.source):
        body.append(visible("".join(s.text for s in run)), STYLES[source])
    verdict = f"answer {' '.join((trace.answer or 'none').split())}: {verdict_of(correct)}"
    return Panel(
        body,
        title=styled(title),
        subtitle=styled(verdict),
        border_style="green" if correct else "red",
    )


def verdict_of(correct: bool) -> str:
    """In a word."""
    return "right" if correct else "wrong"


def side_by_side(*panels: Panel) -> Table:
    """The panels in a row, each as wide as the others."""
    row = Table.grid(expand=True)
    for _ in panels:
        row.add_column(ratio=1)
    row.add_row(*panels)
    return row


def main() -> None:
    console, began = Terminal(), time.monotonic()
    without, hinted = asyncio.run(solve())
    console.print(Text(QUESTION, "bold"), "\n")
    console.print(
        side_by_side(
            panel("without a hint", without, without.answer == GOLD),
            panel("with a hint before the end", hinted, hinted.answer == GOLD),
        )
    )
    seconds = time.monotonic() - began
    console.print(
        f"\nHinted answer: {hinted.answer} (the right one is {GOLD}), in {seconds:.1f} s."
    )


if __name__ == "__main__":
    main()
