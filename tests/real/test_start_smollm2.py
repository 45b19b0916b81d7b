"""The shipped adapter on its base, a public chat model: `make test-real`."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest
from start_tools.python import PythonTool
from typer.testing import CliRunner

from start_sdk import Limits, ReasoningSession, Sampling, open_backend, verify_trace
from start_sdk.cli import app

FOLDER = Path(os.environ.get("START_SMOLLM2", "runs/smollm2"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no model in {FOLDER}: see `make test-real`"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
NAME = "start-smollm2"
LIMITS = Limits(max_tokens=192, answer_reserve=32, max_repeats=4)


def questions(n: int, seed: int) -> dict[str, str]:
    """Questions of kinds that it was trained on, in other words, with their answers."""
    random = Random(seed)
    found = {}
    for _ in range(n // 2):
        a, b = random.randrange(100, 1000), random.randrange(100, 1000)
        found[f"Multiply {a} by {b}. What is the product?"] = str(a * b)
        a, b = random.randrange(5, 40), random.randrange(5, 40)
        found[f"What is the Least Common Multiple (LCM) of {a} and {b}?"] = str(math.lcm(a, b))
    return found


async def test_it_calls_python_by_itself_and_is_right_where_its_base_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("START_SMOLLM2", str(FOLDER))
    asked = questions(24, seed=5)
    right, called = {}, {}
    for model in (str(FOLDER), NAME):
        opened = open_backend(model, dtype="bfloat16", device="cpu", max_batch=32)
        async with aclosing(opened) as backend:
            session = ReasoningSession(
                backend,
                interpreter=PythonTool(),
                limits=LIMITS,
                sampling=Sampling(temperature=0),
                conclude="So the final answer is",
            )
            traces = await asyncio.gather(*map(session.run, asked))
            for trace in traces:
                await asyncio.to_thread(verify_trace, trace, backend.tokenizer)
        answers = zip(traces, asked.values(), strict=True)
        right[model] = sum(trace.answer == gold for trace, gold in answers)
        called[model] = sum(bool(trace.calls) for trace in traces)
    print(f"right: {right}, called: {called}, of {len(asked)}")
    assert called[str(FOLDER)] <= 2 and called[NAME] >= 18
    assert right[NAME] >= right[str(FOLDER)] + 8


def test_ask_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("START_SMOLLM2", str(FOLDER))
    question = "What is the Least Common Multiple (LCM) of 12 and 18?"
    done = CliRunner().invoke(app, ["ask", question, "--model", NAME])
    assert done.exit_code == 0, done.output
    assert "36" in done.output and "1 calls" in done.output
