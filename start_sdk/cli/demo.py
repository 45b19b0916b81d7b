"""`start-sdk demo`: questions without a hint and with one, side by side.

The embedded model, trained from scratch, is asked the paper's own example (START, arXiv
2503.04625), whose numbers appear in no text that it was trained on. Another model is asked twenty
arithmetic questions, drawn by a fixed seed; the first six that it gets wrong are asked again with a
hint before the end of the thought, and whatever comes of it is shown. Cells run in a real kernel,
and decoding is greedy. This shows the mechanism; `recipes.evaluate` measures it.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from itertools import groupby
from typing import Annotated

import typer
from rich.columns import Columns
from rich.panel import Panel
from rich.text import Text

from start_sdk import models, plugins
from start_sdk._printing import Terminal, styled
from start_sdk._text.visible import visible
from start_sdk.cli._common import one_line_errors, quiet_libraries
from start_sdk.cli._models import Choice
from start_sdk.generation import Sampling
from start_sdk.hints import BeforeEnd
from start_sdk.protocols import Backend
from start_sdk.session import Limits, ReasoningSession
from start_sdk.trace import Trace

COINS = {
    "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made? "
    "Give the sum of its digits.": 11
}
DRAWN, SHOWN, SEED = 20, 6, 0
SHORT = Limits(max_tokens=250, max_calls=2, max_repeats=4, answer_reserve=64)
"""For a small chat model: it repeats itself, so that longer thoughts only take longer."""
STYLES = {"model": "", "hint": "bold yellow", "tool": "green", "notice": "magenta"}


@one_line_errors
def demo(
    model: Annotated[
        str,
        typer.Option(help="An embedded model, a folder, a GGUF file, a hub id, or an address."),
    ] = models.BASE,
) -> None:
    """Show what a hint changes: questions without one and with one, side by side."""
    quiet_libraries(model)
    embedded = model == models.BASE
    questions, limits = (COINS, Limits()) if embedded else (draw(DRAWN, SEED), SHORT)
    console, began = Terminal(), time.monotonic()
    alone, hinted = asyncio.run(asked(Choice(model).open(), questions, limits))
    for question, trace in hinted.items():
        gold = questions[question]
        both = panel("without a hint", alone[question], gold), panel("with a hint", trace, gold)
        console.show((f"{question} ({gold})", "bold"))
        console.print(Columns(both, width=max(1, console.width // 2 - 1)))
    seconds = time.monotonic() - began
    right, rescued = right_of(alone, questions), right_of(hinted, questions)
    console.print(f"\nBy itself, {right} of {len(questions)} questions are right.")
    console.print(f"With a hint, {rescued} of the {len(hinted)} shown are, in {seconds:.0f} s.")


async def asked(
    backend: Backend, questions: Mapping[str, int], limits: Limits
) -> tuple[dict[str, Trace], dict[str, Trace]]:
    """The traces without a hint, and those with one of the first questions answered wrong."""
    session = partial(
        ReasoningSession,
        backend,
        interpreter=plugins.load("interpreters", "python")(),
        limits=limits,
        sampling=Sampling(temperature=0),
        conclude="always",
    )
    async with aclosing(backend):
        traces = await session().run_many([*questions])
        alone = dict(zip(questions, traces, strict=True))
        wrong = [q for q, trace in alone.items() if not is_right(trace.answer, questions[q])]
        shown = wrong[:SHOWN]
        traces = await session(hints=BeforeEnd()).run_many(shown)
    return alone, dict(zip(shown, traces, strict=True))


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


def right_of(traces: Mapping[str, Trace], questions: Mapping[str, int]) -> int:
    """How many traces answer their question right."""
    return sum(is_right(trace.answer, questions[q]) for q, trace in traces.items())


def panel(title: str, trace: Trace, gold: int) -> Panel:
    """A run, its sources in colours."""
    body = Text()
    for source, run in groupby(trace.segments[1:], key=lambda s: s.source):
        body.append(visible("".join(s.text for s in run)), STYLES[source])
    answer = " ".join((trace.answer or "none").split())
    verdict, colour = ("right", "green") if is_right(trace.answer, gold) else ("wrong", "red")
    below = f"answer {answer}: {verdict}"
    return Panel(body, title=styled(title), subtitle=styled(below), border_style=colour)
