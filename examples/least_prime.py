"""One kernel, two cells: `python examples/least_prime.py`.

Let p be the least prime for which a positive integer m exists with p^2 dividing m^4 + 1. Which is
the least such m? The thought searches for p, reads the result, and uses it in the next cell: the
kernel keeps its variables. The embedded models are too small for this question, so a script
replaces the model; the kernel and its outputs are real.
"""

import asyncio

from start_sdk import ReasoningSession
from start_sdk.testing import ScriptedBackend

QUESTION = (
    "Let p be the least prime number for which there exists a positive integer m such that m^4 + 1 "
    "is divisible by p^2. Find the least such m."
)
SCRIPT = [
    """\
I do not see p at once, so I look for it: for each prime, try every residue modulo p^2.
```python
from sympy import primerange

p = next(
    p for p in primerange(2, 1000) if any((m**4 + 1) % p**2 == 0 for m in range(1, p**2))
)
print(p)
```
""",
    """\
So p = 17. Now the least m with 289 dividing m^4 + 1.
```python
m = next(m for m in range(1, p**2) if (m**4 + 1) % p**2 == 0)
print(m, (m**4 + 1) % p**2)
```
""",
    "The least m is 110, and the remainder is 0, as it should be.\n</think>\n\n\\boxed{110}",
]


async def main() -> None:
    session = ReasoningSession(ScriptedBackend(SCRIPT), interpreter="python")
    trace = await session.run(QUESTION)
    print(trace.thinking.strip())
    print(f"--- answer: {trace.answer}")


if __name__ == "__main__":
    asyncio.run(main())
