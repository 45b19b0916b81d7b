"""What the miniature world is made of: questions with parameters, honest work, programs, splits.

A `Family` is a handful of functions over one tuple of integers; to add a family, write one
file in `recipes/tiny/families/` and name it in that package's `MATH` or `CODE`.
Nothing here needs torch.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

Params = tuple[int, ...]
Split = Literal["train", "validation", "test"]

#: Coin values that no question and no training text may hold, in any order: the demo's.
HELD_OUT_COINS: frozenset[int] = frozenset({6, 10, 15})
#: The same for the prime of the least m with m^4 + 1 divisible by p^2.
HELD_OUT_PRIME = 17

#: Of 20 equal hash buckets, the first is for testing, the second for validation.
BUCKETS = 20


@dataclass(frozen=True)
class Program:
    """Python source and what it prints, both without a newline at the end.

    `lead` stands between the output before and this program, where there is one before: what
    that output means and what is to be done now.
    """

    code: str
    output: str
    lead: str = ""


@dataclass(frozen=True)
class Sample:
    """One call of the function that a code task asks for: f(argument) == value."""

    argument: int
    value: int


@dataclass(frozen=True)
class Family:
    """One kind of question; every function is pure, given the parameters and the generator.

    `key` reduces parameters to what makes two questions the same one: it decides the split.
    `plan` says what is to be done without giving a result; `work` reaches the answer honestly.
    `programs` run one after the other in one kernel; the last one's output ends with the answer.
    `answer` is a number in decimal, or, for a code task, the source of a function f(n);
    code tasks have `samples`: what the question shows (its tests are `hidden_samples`).
    """

    name: str
    draw: Callable[[Random], Params]
    key: Callable[[Params], Params]
    answer: Callable[[Params], str]
    ask: Callable[[Params, Random], str]
    plan: Callable[[Params, Random], str]
    work: Callable[[Params, Random], str]
    programs: Callable[[Params, Random], tuple[Program, ...]]
    samples: Callable[[Params], tuple[Sample, ...]] | None = None
    hidden_samples: Callable[[Params], tuple[Sample, ...]] | None = None

    @property
    def is_code(self) -> bool:
        """Whether the answer is a function and not a number."""
        return self.samples is not None


@dataclass(frozen=True)
class Problem:
    """One question of a family, with its right answer."""

    family: Family
    params: Params
    question: str
    answer: str


def split_of(family: str, key: Params) -> Split:
    """Split that a question belongs to: a stable hash, the same on every machine and run."""
    text = f"{family}:{','.join(map(str, key))}"
    bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % BUCKETS
    return {0: "test", 1: "validation"}.get(bucket, "train")  # type: ignore[return-value]


def draw_problem(family: Family, split: Split, rng: Random) -> Problem:
    """A question of this family that belongs to `split`."""
    while True:
        params = family.draw(rng)
        if split_of(family.name, family.key(params)) == split:
            return Problem(family, params, family.ask(params, rng), family.answer(params))


def problems(family: Family, split: Split, seed: int, count: int) -> Iterator[Problem]:
    """`count` problems, different by their keys as far as the family has that many.

    Small families run dry: after 100 misses in a row, repeats are let through.
    """
    rng = Random(f"{family.name}:{split}:{seed}")
    seen: set[Params] = set()
    for _ in range(count):
        for _ in range(100):
            problem = draw_problem(family, split, rng)
            if family.key(problem.params) not in seen:
                break
        seen.add(family.key(problem.params))
        yield problem
