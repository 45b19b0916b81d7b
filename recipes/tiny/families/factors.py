"""Greatest common divisors and least common multiples."""

from math import gcd, lcm
from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = {
    0: (
        "What is the greatest common divisor of {a} and {b}?",
        "Find the greatest common divisor of {a} and {b}.",
        "Compute gcd({a}, {b}).",
    ),
    1: (
        "What is the least common multiple of {a} and {b}?",
        "Find the least common multiple of {a} and {b}.",
        "Compute lcm({a}, {b}).",
    ),
}
PLANS = {
    0: ("I need the gcd of {a} and {b}.", "The task is to find gcd({a}, {b})."),
    1: ("I need the lcm of {a} and {b}.", "The task is to find lcm({a}, {b})."),
}


def draw(rng: Random) -> Params:
    """(a, b, 1 if the least common multiple is asked for); most pairs share a factor."""
    shared = rng.choice((1, 1, rng.randint(2, 12), rng.randint(2, 40)))
    top = max(3, rng.choice((50, 150, 500)) // shared)
    a, b = rng.sample(range(2, top + 1), 2)
    return shared * a, shared * b, rng.randrange(2)


def key(params: Params) -> Params:
    """The pair, smaller one first; both questions about it fall in one split."""
    return tuple(sorted(params[:2]))


def answer(params: Params) -> str:
    """The divisor or the multiple."""
    a, b, multiple = params
    return str(lcm(a, b) if multiple else gcd(a, b))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    a, b, multiple = params
    return rng.choice(ASKS[multiple]).format(a=a, b=b)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    a, b, multiple = params
    return rng.choice(PLANS[multiple]).format(a=a, b=b)


def work(params: Params, rng: Random) -> str:
    """Euclid's algorithm; the multiple from the divisor."""
    a, b, multiple = params
    high, low = max(a, b), min(a, b)
    steps = [rng.choice(("By Euclid:", "Euclid's steps:"))]
    while low:
        steps.append(f"{high} = {high // low} * {low} + {high % low}.")
        high, low = low, high % low
    steps.append(f"So gcd({a}, {b}) = {high}.")
    if multiple:
        steps.append(f"{a} / {high} = {a // high}. {a // high} * {b} = {lcm(a, b)}.")
        steps.append(f"So lcm({a}, {b}) = {lcm(a, b)}.")
    return " ".join(steps)


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of three ways for each of the two."""
    a, b, multiple = params
    common = gcd(a, b)
    loop = f"a, b = {a}, {b}\nwhile b:\n    a, b = b, a % b\n"
    if not multiple:
        codes = (
            f"from math import gcd\nprint(gcd({a}, {b}))",
            f"{loop}print(a)",
            f"print(max(d for d in range(1, {a} + 1) if {a} % d == 0 and {b} % d == 0))",
        )
        return (Program(rng.choice(codes), str(common)),)
    value = lcm(a, b)
    pairs = (
        (f"from math import lcm\nprint(lcm({a}, {b}))", str(value)),
        (
            f"from math import gcd\ng = gcd({a}, {b})\nprint(g)\nprint({a} * {b} // g)",
            f"{common}\n{value}",
        ),
        (f"n = {a}\nwhile n % {b} != 0:\n    n += {a}\nprint(n)", str(value)),
    )
    return (Program(*rng.choice(pairs)),)


FAMILY = Family("factors", draw, key, answer, ask, plan, work, programs)
