"""Six questions without a hint and with one, side by side: `python -m recipes.real.demo`.

SmolLM2-135M-Instruct, a small public chat model that nobody here trained, on a processor. Twenty
questions are drawn by a fixed seed. The model first answers all of them by itself; the first six
that it gets wrong are asked again with a hint before the end of the thought, and whatever comes of
it is shown. A calculator judges. Decoding is greedy. About two minutes on two cores.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from start_tools.python import PythonTool

from recipes.command import CommandLine
from recipes.real import FOLDER
from recipes.real.prepare import is_ready
from recipes.real.questions import Question, draw
from start_sdk import (
    Backend,
    BeforeEnd,
    ConfigError,
    HintPolicy,
    Limits,
    NoHints,
    ReasoningSession,
    Sampling,
    StartError,
    Trace,
    open_backend,
)
from start_sdk.cli import Terminal, say, styled, visible

DRAWN, SHOWN, SEED = 20, 6, 0
LIMITS = Limits(max_tokens=250, max_calls=2, max_repeats=4, answer_reserve=64)
"""It rambles and repeats itself: longer thoughts only take longer."""
STYLES = {"model": "", "hint": "bold yellow", "tool": "green", "notice": "magenta"}


async def ask(backend: Backend, hints: HintPolicy, questions: Sequence[Question]) -> list[Trace]:
    """The traces of some questions, in one batch; a run without an answer is asked for it."""
    session = ReasoningSession(
        backend,
        interpreter=PythonTool(),
        hints=hints,
        limits=LIMITS,
        conclude="always",
        sampling=Sampling(temperature=0),
    )
    return await asyncio.gather(*(session.run(str(q)) for q in questions))


async def solve(model: Path, console: Terminal) -> list[tuple[Question, Trace, Trace]]:
    """The first questions that the model gets wrong, with its traces without and with a hint."""
    questions = draw(DRAWN, SEED)
    backend = open_backend(str(model))
    try:
        alone = await ask(backend, NoHints(), questions)
        pairs = list(zip(questions, alone, strict=True))
        wrong = [(q, t) for q, t in pairs if not q.is_answered_by(t.answer)]
        console.print(
            f"By itself it answers {DRAWN - len(wrong)} of {DRAWN} questions; the first "
            f"{len(wrong[:SHOWN])} of the others, again with a hint:\n"
        )
        wrong = wrong[:SHOWN]
        hinted = await ask(backend, BeforeEnd(), [q for q, _ in wrong])
    finally:
        await backend.aclose()
    return [(q, without, trace) for (q, without), trace in zip(wrong, hinted, strict=True)]


def panel(title: str, question: Question, trace: Trace) -> Panel:
    """A run, its sources in colours."""
    body = Text()
    for source, run in groupby(trace.segments[1:], key=lambda s: s.source):
        text = "".join(s.text for s in run).replace("<|im_end|>", "")
        body.append(visible(text), STYLES[source])
    correct = question.is_answered_by(trace.answer)
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


def show(results: Sequence[tuple[Question, Trace, Trace]], console: Terminal) -> None:
    """Every pair side by side, then a table of them all."""
    table = Table("question", "calculator", "without a hint", "with one", "a cell printed it")
    for question, without, hinted in results:
        sides = Table.grid(expand=True)
        sides.add_column(ratio=1)
        sides.add_column(ratio=1)
        left, right = (
            panel(title, question, trace)
            for title, trace in (("without a hint", without), ("with a hint", hinted))
        )
        sides.add_row(left, right)
        console.print(styled(f"{question} (the calculator says {question.result})", "bold"), sides)
        printed = question.is_printed_in(call.output for call in hinted.calls)
        verdicts = (verdict_of(question.is_answered_by(t.answer)) for t in (without, hinted))
        table.add_row(str(question), str(question.result), *verdicts, "yes" if printed else "no")
    console.print(table)


def more(model: Path) -> str:
    """Commands to go on with, as they have to be typed here."""
    program = Path(sys.executable).with_name("start-sdk")
    name = os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)
    return (
        "Ask it yourself:\n"
        f'  {name} ask "What is 12*13?" --model {model} --hints end\n'
        f'  {name} ask "What is the capital of France?" --model {model}'
    )


def main() -> int:
    """Shows the questions; 2 without the model."""
    about = (__doc__ or "").partition("\n\n")
    parser = CommandLine(prog="python -m recipes.real.demo", description=about[2])
    parser.add_argument("--model", type=Path, default=FOLDER, help="the folder of the model")
    model = parser.parse_args().model
    console, began = Terminal(), time.monotonic()
    os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        if not is_ready(model):
            command = f"python -m recipes.real.prepare --out {model}"
            raise ConfigError(f"there is no model in {model}: make it with `{command}`")
        results = asyncio.run(solve(model, console))
    except StartError as error:
        say(f"error: {error}", error=True)
        return 2
    show(results, console)
    correct = sum(question.is_answered_by(hinted.answer) for question, _, hinted in results)
    console.print(
        f"\nWith a hint it answers {correct} of {len(results)} questions that it got wrong by "
        f"itself, in {time.monotonic() - began:.0f} s.\n"
    )
    say(more(model))
    return 0


if __name__ == "__main__":
    sys.exit(main())
