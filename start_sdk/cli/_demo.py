"""Questions without a hint and with one, side by side: `python -m recipes.demo [--model FOLDER]`.

By default a model of about a million parameters, trained from scratch and shipped with the SDK, is
asked the paper's own example (START, arXiv 2503.04625), whose numbers appear in no text that it was
trained on. Another model (`make real`: SmolLM2-135M-Instruct, which nobody here trained) is asked
twenty arithmetic questions, drawn by a fixed seed. The first six that it gets wrong are asked again
with a hint before the end of the thought, and whatever comes of it is shown: with a real Jupyter
kernel, greedily, without network. This shows the mechanism; `recipes.evaluate` measures it.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from contextlib import aclosing
from functools import partial
from itertools import groupby
from typing import Any

from rich.columns import Columns
from rich.panel import Panel
from rich.text import Text
from start_tools.python import PythonTool

from recipes.command import CommandLine, program
from start_sdk import (
    BeforeEnd,
    Limits,
    NoHints,
    ReasoningSession,
    Sampling,
    Trace,
    models,
    open_backend,
)
from start_sdk.cli import Terminal, styled, visible

COINS = {
    "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made? "
    "Give the sum of its digits.": 11
}
DRAWN, SHOWN, SEED = 20, 6, 0
SHORT = Limits(max_tokens=250, max_calls=2, max_repeats=4, answer_reserve=64)
"""For a small chat model: it repeats itself, so that longer thoughts only take longer."""
OPTIONS: dict[str, Any] = {"conclude": "always", "sampling": Sampling(temperature=0)}
STYLES = {"model": "", "hint": "bold yellow", "tool": "green", "notice": "magenta"}


def draw(count: int, seed: int) -> dict[str, int]:
    """Different questions with their answers: products of two digits, sums and differences of
    three."""
    noise, found = random.Random(seed), dict[str, int]()
    while len(found) < count:
        sign = noise.choice("+-*")
        digits = (10, 99) if sign == "*" else (100, 999)
        b, a = sorted((noise.randint(*digits), noise.randint(*digits)))
        found[f"What is {a} {sign} {b}?"] = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return found


def is_right(answer: str | None, gold: int) -> bool:
    """Whether the last number of an answer is the right one: "12 * 13 = 156" answers 156."""
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", answer or "")
    return bool(numbers) and float(numbers[-1].replace(",", "")) == gold


async def show(model: str, questions: dict[str, int], limits: Limits) -> None:
    """Asks, and shows the first questions that the model gets wrong, without and with a hint."""
    console, began = Terminal(), time.monotonic()
    async with aclosing(open_backend(model)) as backend:
        options = {**OPTIONS, "interpreter": PythonTool(), "limits": limits}
        session = partial(ReasoningSession, backend, **options)
        alone = await session(hints=NoHints()).run_many([*questions])
        pairs = zip(questions.items(), alone, strict=True)
        wrong = [(q, gold, t) for (q, gold), t in pairs if not is_right(t.answer, gold)]
        shown = wrong[:SHOWN]
        hinted = await session(hints=BeforeEnd()).run_many([question for question, *_ in shown])
    rescued = 0
    for (question, gold, without), trace in zip(shown, hinted, strict=True):
        rescued += is_right(trace.answer, gold)
        both = panel("without a hint", without, gold), panel("with a hint", trace, gold)
        console.print(styled(f"{question} ({gold})", "bold"))
        console.print(Columns(both, width=console.width // 2 - 1))
    right, seconds = len(questions) - len(wrong), time.monotonic() - began
    console.print(f"\nBy itself, {right} of {len(questions)} questions are right.")
    console.print(f"With a hint, {rescued} of the {len(hinted)} shown are, in {seconds:.0f} s.")


def panel(title: str, trace: Trace, gold: int) -> Panel:
    """A run, its sources in colours."""
    body = Text()
    for source, run in groupby(trace.segments[1:], key=lambda s: s.source):
        body.append(visible("".join(s.text for s in run)), STYLES[source])
    answer = " ".join((trace.answer or "none").split())
    verdict, colour = ("right", "green") if is_right(trace.answer, gold) else ("wrong", "red")
    below = f"answer {answer}: {verdict}"
    return Panel(body, title=styled(title), subtitle=styled(below), border_style=colour)


def main() -> int:
    """Shows the questions; 2 without the model."""
    parser = CommandLine(prog="python -m recipes.demo", description=__doc__)
    about = "folder of a chat model; by default the embedded one"
    parser.add_argument("--model", default=models.BASE, help=about)
    model = parser.parse_args().model
    os.environ.setdefault("TQDM_DISABLE", "1")
    asked = (COINS, Limits()) if model == models.BASE else (draw(DRAWN, SEED), SHORT)
    return program(parser, lambda: asyncio.run(show(model, *asked)))


if __name__ == "__main__":
    sys.exit(main())
