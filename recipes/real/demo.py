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
from pathlib import Path

from rich.table import Table
from start_tools.python import PythonTool

from recipes.command import CommandLine
from recipes.demo import panel, side_by_side, verdict_of
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
from start_sdk.cli import Terminal, say, styled

DRAWN, SHOWN, SEED = 20, 6, 0
LIMITS = Limits(max_tokens=250, max_calls=2, max_repeats=4, answer_reserve=64)
"""It rambles and repeats itself: longer thoughts only take longer."""


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
        pairs = zip(questions, alone, strict=True)
        wrong = [(q, t) for q, t in pairs if not q.is_answered_by(t.answer)]
        shown = wrong[:SHOWN]
        console.print(
            f"By itself it answers {DRAWN - len(wrong)} of {DRAWN} questions; the first "
            f"{len(shown)} of the others, again with a hint:\n"
        )
        hinted = await ask(backend, BeforeEnd(), [q for q, _ in shown])
    finally:
        await backend.aclose()
    return [(q, without, trace) for (q, without), trace in zip(shown, hinted, strict=True)]


def show(results: Sequence[tuple[Question, Trace, Trace]], console: Terminal) -> None:
    """Every pair side by side, then a table of them all."""
    table = Table("question", "calculator", "without a hint", "with one", "a cell printed it")
    for question, *traces in results:
        correct = [question.is_answered_by(trace.answer) for trace in traces]
        console.print(styled(f"{question} (the calculator says {question.result})", "bold"))
        titles = ("without a hint", "with a hint")
        console.print(side_by_side(*map(panel, titles, traces, correct)))
        printed = question.is_printed_in(call.output for call in traces[1].calls)
        cells = (*map(verdict_of, correct), "yes" if printed else "no")
        table.add_row(str(question), str(question.result), *cells)
    console.print(table)


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
        parser.exit(2, f"error: {error}\n")
    show(results, console)
    correct = sum(question.is_answered_by(hinted.answer) for question, _, hinted in results)
    console.print(
        f"\nWith a hint it answers {correct} of {len(results)} questions that it got wrong by "
        f"itself, in {time.monotonic() - began:.0f} s.\n"
    )
    program = Path(sys.executable).with_name("start-sdk")
    name = os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)
    say("Ask it yourself:")
    for question in ('"What is 12*13?" --hints end', '"What is the capital of France?"'):
        say(f"  {name} ask {question} --model {model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
