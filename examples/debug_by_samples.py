"""A program debugged inside the thought: `python examples/debug_by_samples.py`.

START's debug hint (its section 3) asks the model to test its code on a problem's samples. The
thought writes a program, runs it on them, reads that it fails, and tries again: twice wrong, then
right. A script replaces the model; the hint is filled in by `debug_hint`, the kernel is real.
"""

import asyncio

from start_sdk import BeforeEnd, ReasoningSession
from start_sdk.hints import debug_hint
from start_sdk.testing import ScriptedBackend

QUESTION = (
    "Given a list of integers, return the length of the longest strictly increasing run of "
    "neighbours.\n\ndef longest_run(numbers: list[int]) -> int:"
)
SAMPLES = [("[1, 2, 2, 3, 4]", "3"), ("[5, 4, 3]", "1")]


def attempt(body: str) -> str:
    calls = "\n".join(
        f"print(longest_run({given}), 'expected {expected}')" for given, expected in SAMPLES
    )
    return f"def longest_run(numbers):\n{body}\n\n{calls}\n```\n"


COUNTS_PAIRS = """\
    return sum(a < b for a, b in zip(numbers, numbers[1:]))"""
RESETS_TO_ZERO = """\
    best = run = 0
    for a, b in zip(numbers, numbers[1:]):
        run = run + 1 if a < b else 0
        best = max(best, run)
    return best"""
RIGHT = RESETS_TO_ZERO.replace("= 0", "= 1").replace("else 0", "else 1")
SCRIPT = [
    "I count the steps up.\n</think>",
    f"\n{attempt(COUNTS_PAIRS)}",
    f"3 is right, but a falling list gives 0: a run has at least one element, and runs must not be "
    f"added up.\n```python\n{attempt(RESETS_TO_ZERO)}",
    f"Now both are one too low: I counted steps, not elements.\n```python\n{attempt(RIGHT)}",
    f"Both samples pass.\n</think>\n\n```python\ndef longest_run(numbers):\n{RIGHT}\n```",
]


async def main() -> None:
    hint = debug_hint(SAMPLES, starter_code="def longest_run(numbers: list[int]) -> int:")
    session = ReasoningSession(
        ScriptedBackend(SCRIPT), interpreter="python", hints=BeforeEnd(hints=(hint,))
    )
    trace = await session.run(QUESTION)
    print(trace.thinking.strip())
    print("--- outputs:", [call.output.splitlines() for call in trace.calls])
    print(f"--- answer:\n{trace.response}")


if __name__ == "__main__":
    asyncio.run(main())
