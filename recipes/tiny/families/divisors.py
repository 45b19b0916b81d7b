"""How many positive divisors a number has."""

from math import prod
from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = (
    "How many positive divisors does {n} have?",
    "Count the divisors of {n}.",
    "Find the number of positive divisors of {n}.",
    "What is the number of divisors of {n}?",
)
PLANS = (
    "I need the number of divisors of {n}.",
    "I have to count the numbers that divide {n}.",
    "The task is to count all divisors of {n}.",
)


def draw(rng: Random) -> Params:
    """(n,), spread evenly over the orders of size from 6 to 600."""
    return (round(6 * 100 ** rng.random()),)


def key(params: Params) -> Params:
    """The number itself."""
    return params


def factorise(n: int) -> dict[int, int]:
    """Prime factors of n >= 2 with their exponents, in rising order."""
    powers: dict[int, int] = {}
    prime = 2
    while n > 1:
        while n % prime == 0:
            powers[prime] = powers.get(prime, 0) + 1
            n //= prime
        prime += 1
    return powers


def answer(params: Params) -> str:
    """The count, from the exponents."""
    return str(prod(exponent + 1 for exponent in factorise(params[0]).values()))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    return rng.choice(ASKS).format(n=params[0])


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    return rng.choice(PLANS).format(n=params[0])


def work(params: Params, rng: Random) -> str:
    """Pairs of divisors for small numbers, else the prime factors."""
    n = params[0]
    if n <= 120 and rng.random() < 0.4:
        pairs = [(d, n // d) for d in range(1, n + 1) if n % d == 0 and d * d <= n]
        text = ", ".join(f"{d} * {e}" if d != e else f"{d} squared" for d, e in pairs)
        return f"The pairs are {text}. So {n} has {answer(params)} divisors."
    powers = factorise(n)
    steps = []
    rest = n
    for prime, exponent in powers.items():
        for _ in range(exponent):
            steps.append(f"{rest} / {prime} = {rest // prime}.")
            rest //= prime
    form = " * ".join(f"{p}^{e}" for p, e in powers.items())
    count = " * ".join(f"({e} + 1)" for e in powers.values())
    return f"{' '.join(steps)} So {n} = {form}. The count is {count} = {answer(params)}."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four counts."""
    n = params[0]
    value = answer(params)
    divisors = [d for d in range(1, n + 1) if n % d == 0]
    codes = (
        (f"print(sum(1 for d in range(1, {n} + 1) if {n} % d == 0))", value),
        (f"n = {n}\nprint(len([d for d in range(1, n + 1) if n % d == 0]))", value),
        (
            f"n = {n}\ncount = 0\nfor d in range(1, n + 1):\n    if n % d == 0:\n"
            "        count += 1\nprint(count)",
            value,
        ),
        (
            f"divs = [d for d in range(1, {n} + 1) if {n} % d == 0]\nprint(divs)\nprint(len(divs))",
            f"{divisors}\n{value}",
        ),
    )
    # Long lists cost tokens and teach nothing.
    return (Program(*rng.choice(codes if len(divisors) <= 8 else codes[:3])),)


FAMILY = Family("divisors", draw, key, answer, ask, plan, work, programs)
