"""A term of a sequence in which each term is worked out from the one before, modulo m."""

from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = (
    "A sequence starts with {x}. Each next term is {b} times the last one plus {c}, modulo {m}. "
    "What is the number after {k} steps?",
    "Start with {x}. In each step multiply by {b}, add {c} and reduce modulo {m}. "
    "What is the number after {k} steps?",
    "Start with {x} and {k} times replace x by {b}x + {c} mod {m}. Find the last number.",
)
PLANS = (
    "I start with {x} and go {k} steps, each one {b}x + {c} mod {m}.",
    "I need the number after {k} steps of {b}x + {c} mod {m}, from {x} on.",
    "The rule is {b}x + {c} mod {m}, the start is {x}, and there are {k} steps.",
)


def draw(rng: Random) -> Params:
    """(x, b, c, m, k); half of them have up to three steps."""
    m = rng.randint(5, 40)
    steps = rng.randint(2, 3) if rng.random() < 0.5 else rng.randint(3, 9)
    return rng.randint(1, m - 1), rng.randint(2, 9), rng.randint(1, 12), m, steps


def key(params: Params) -> Params:
    """All of them."""
    return params


def terms(params: Params) -> list[int]:
    """The start and every term up to the one that is asked for."""
    x, b, c, m, k = params
    found = [x]
    for _ in range(k):
        found.append((b * found[-1] + c) % m)
    return found


def answer(params: Params) -> str:
    """The last term."""
    return str(terms(params)[-1])


def ask(params: Params, rng: Random) -> str:
    """The question."""
    x, b, c, m, k = params
    return rng.choice(ASKS).format(x=x, b=b, c=c, m=m, k=k)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    x, b, c, m, k = params
    return rng.choice(PLANS).format(x=x, b=b, c=c, m=m, k=k)


def work(params: Params, rng: Random) -> str:
    """Step after step."""
    _, b, c, m, k = params
    steps = []
    for i, x in enumerate(terms(params)[:-1], 1):
        value = b * x + c
        steps.append(f"Step {i}: {b} * {x} + {c} = {value}, mod {m} = {value % m}.")
    return f"{' '.join(steps)} So after {k} steps it is {answer(params)}."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four loops."""
    x, b, c, m, k = params
    codes = (
        f"x = {x}\nfor i in range({k}):\n    x = ({b} * x + {c}) % {m}\nprint(x)",
        f"x = {x}\nfor _ in range({k}):\n    x = (x * {b} + {c}) % {m}\nprint(x)",
        f"x, k = {x}, {k}\nwhile k:\n    x, k = ({b} * x + {c}) % {m}, k - 1\nprint(x)",
        f"def step(x):\n    return ({b} * x + {c}) % {m}\n\nx = {x}\nfor i in range({k}):\n"
        "    x = step(x)\nprint(x)",
    )
    return (Program(rng.choice(codes), answer(params)),)


FAMILY = Family("sequences", draw, key, answer, ask, plan, work, programs)
