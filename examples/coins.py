"""A hint rescues a wrong answer: `python examples/coins.py`.

The embedded base model has never called a tool. Asked for the largest amount that coins of 6, 10
and 15 cents cannot make, it loses count by hand. A hint before the end of its thought makes it
write a program; the kernel runs it (29), and the answer is the sum of its digits (11).
"""

import asyncio

from start_sdk import ReasoningSession, Sampling

QUESTION = (
    "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made? "
    "Give the sum of its digits."
)


async def main() -> None:
    for hints in (None, "end"):
        async with ReasoningSession(
            "start-tiny-base",
            interpreter="python",
            hints=hints,
            sampling=Sampling(temperature=0),
        ) as session:
            trace = await session.run(QUESTION)
        print(f"--- hints: {hints}; cells: {[call.output for call in trace.calls]}")
        print(trace.thinking.strip())
        print(f"--- answer: {trace.answer}")


if __name__ == "__main__":
    asyncio.run(main())
