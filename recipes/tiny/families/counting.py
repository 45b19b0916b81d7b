"""How many numbers up to n are divisible by one number and not by another."""

from math import lcm
from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = (
    "How many integers from 1 to {n} are divisible by {a} but not by {b}?",
    "Count the integers from 1 to {n} that are multiples of {a} but not of {b}.",
    "How many numbers up to {n} are divisible by {a} and not by {b}?",
)
PLANS = (
    "I need to count the multiples of {a} up to {n} that {b} does not divide.",
    "I count what {a} divides and {b} does not, from 1 to {n}.",
    "The task is to count multiples of {a} but not of {b} up to {n}.",
)


def draw(rng: Random) -> Params:
    """(n, a, b), b no divisor of a; half of them small."""
    while True:
        a, b = rng.sample(range(2, 13), 2)
        if a % b:
            break
    return rng.randint(15, 60) if rng.random() < 0.5 else rng.randint(60, 1500), a, b


def key(params: Params) -> Params:
    """All three."""
    return params


def answer(params: Params) -> str:
    """The multiples of a, less those of both."""
    n, a, b = params
    return str(n // a - n // lcm(a, b))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    n, a, b = params
    return rng.choice(ASKS).format(n=n, a=a, b=b)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    n, a, b = params
    return rng.choice(PLANS).format(n=n, a=a, b=b)


def work(params: Params, rng: Random) -> str:
    """A list where it is short, else two divisions."""
    n, a, b = params
    few = [m for m in range(a, n + 1, a) if m % b]
    if len(few) <= 9 and rng.random() < 0.5:
        shown = ", ".join(map(str, few)) if few else "none"
        return f"These are {shown}. That makes {len(few)}."
    both = lcm(a, b)
    return (
        f"{n} = {n // a} * {a} + {n % a}, so {a} has {n // a} multiples. "
        f"Both divide every {both}. {n} = {n // both} * {both} + {n % both}, so {n // both} of "
        f"them go. {n // a} - {n // both} = {answer(params)}."
    )


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four counts."""
    n, a, b = params
    test = f"i % {a} == 0 and i % {b} != 0"
    codes = (
        f"print(sum(1 for i in range(1, {n} + 1) if {test}))",
        f"n = {n}\nprint(len([i for i in range(1, n + 1) if {test}]))",
        f"count = 0\nfor i in range(1, {n} + 1):\n    if {test}:\n        count += 1\nprint(count)",
        f"print(len([i for i in range({a}, {n} + 1, {a}) if i % {b}]))",
    )
    return (Program(rng.choice(codes), answer(params)),)


FAMILY = Family("counting", draw, key, answer, ask, plan, work, programs)
