"""How many pairs of positive integers solve a linear equation."""

from random import Random

from recipes.tiny.world import Family, Params, Program

#: One line of work per value of y, at most this many.
LINES = 11

ASKS = (
    "How many pairs of positive integers x and y satisfy {a}x + {b}y = {n}?",
    "Find the number of solutions of {a}x + {b}y = {n} in positive integers.",
    "In how many ways can {n} be written as {a}x + {b}y with positive integers x and y?",
)
PLANS = (
    "I need the number of positive x and y with {a}x + {b}y = {n}.",
    "I go through y and see whether {a} divides {n} - {b}y.",
    "The task is to count the positive solutions of {a}x + {b}y = {n}.",
)


def draw(rng: Random) -> Params:
    """(a, b, n) with a < b; half of them have at most four values of y to try."""
    lines = 4 if rng.random() < 0.5 else LINES
    a = rng.randint(2, 9)
    b = rng.randint(a + 1, 19)
    return a, b, rng.randint(a + b, b * lines)


def key(params: Params) -> Params:
    """All three."""
    return params


def solutions(params: Params) -> list[tuple[int, int]]:
    """The pairs, by rising y."""
    a, b, n = params
    return [((n - b * y) // a, y) for y in range(1, (n - 1) // b + 1) if (n - b * y) % a == 0]


def answer(params: Params) -> str:
    """Their number."""
    return str(len(solutions(params)))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    a, b, n = params
    return rng.choice(ASKS).format(a=a, b=b, n=n)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    a, b, n = params
    return rng.choice(PLANS).format(a=a, b=b, n=n)


def work(params: Params, rng: Random) -> str:
    """Every y: what is left for x, and whether it fits, with the count so far."""
    a, b, n = params
    steps = []
    found = 0
    for y in range(1, (n - 1) // b + 1):
        rest = n - b * y
        found += rest % a == 0
        ends = f"x = {rest // a}, count {found}" if rest % a == 0 else "no"
        steps.append(f"y = {y}: {rest} / {a}, {ends}.")
    return f"{' '.join(steps)} That makes {found}."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four searches."""
    a, b, n = params
    found = solutions(params)
    each = f"for x in range(1, {n}) for y in range(1, {n}) if {a} * x + {b} * y == {n}"
    codes = [
        (f"print(sum(1 {each}))", str(len(found))),
        (
            f"count = 0\nfor x in range(1, {n}):\n    for y in range(1, {n}):\n"
            f"        if {a} * x + {b} * y == {n}:\n            count += 1\nprint(count)",
            str(len(found)),
        ),
        (
            f"print(len([y for y in range(1, {n}) if {n} - {b} * y > 0 "
            f"and ({n} - {b} * y) % {a} == 0]))",
            str(len(found)),
        ),
    ]
    if len(found) <= 4:
        pairs = sorted(found)
        codes.append(
            (f"pairs = [(x, y) {each}]\nprint(pairs, len(pairs))", f"{pairs} {len(found)}")
        )
    return (Program(*rng.choice(codes)),)


FAMILY = Family("pairs", draw, key, answer, ask, plan, work, programs)
