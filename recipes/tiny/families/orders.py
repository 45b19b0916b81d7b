"""The least power of a number that leaves the remainder 1."""

from math import gcd
from random import Random

from recipes.tiny.world import Family, Params, Program

#: Longer ones make too long a thought.
LONGEST = 12
#: A first program looks this far; where it finds nothing, a second one looks on.
FIRST_LIMIT = 8

ASKS = (
    "What is the least positive k such that {a}^k leaves remainder 1 when divided by {m}?",
    "Find the smallest positive integer k with {a}^k = 1 mod {m}.",
    "Find the order of {a} modulo {m}.",
)
PLANS = (
    "I need the least k with {a}^k = 1 mod {m}.",
    "I look for the first power of {a} that is 1 modulo {m}.",
    "The task is to find the order of {a} mod {m}.",
)


def order(a: int, m: int) -> int:
    """The least k > 0 with a^k = 1 mod m; 0 if there is none."""
    if gcd(a, m) > 1:
        return 0
    value, k = a % m, 1
    while value != 1:
        value, k = value * a % m, k + 1
    return k


def draw(rng: Random) -> Params:
    """(a, m) with an order of 2 to 12; half of them up to 4."""
    longest = rng.choice((4, LONGEST))
    while True:
        a, m = rng.randint(2, 20), rng.randint(3, 60)
        if 2 <= order(a, m) <= longest:
            return a, m


def key(params: Params) -> Params:
    """Both."""
    return params


def answer(params: Params) -> str:
    """The order."""
    return str(order(*params))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    a, m = params
    return rng.choice(ASKS).format(a=a, m=m)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    a, m = params
    return rng.choice(PLANS).format(a=a, m=m)


def work(params: Params, rng: Random) -> str:
    """Every power from the one before."""
    a, m = params
    value = a % m
    steps = [f"{a}^1: {value}."]
    for k in range(2, order(a, m) + 1):
        steps.append(f"{a}^{k}: {value} * {a} = {value * a}, mod {m} = {value * a % m}.")
        value = value * a % m
    return f"{' '.join(steps)} So k = {order(a, m)}."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """A search below a limit; if it fails, one without."""
    a, m = params
    k = order(a, m)
    find = f"[k for k in range(1, {FIRST_LIMIT}) if pow({a}, k, {m}) == 1][:1]"
    nothing, first = rng.choice(
        (
            ("[]", f"print({find})"),
            ("[]", f"found = {find}\nprint(found)"),
            (
                "none",
                f"for k in range(1, {FIRST_LIMIT}):\n    if {a}**k % {m} == 1:\n"
                '        print(k)\n        break\nelse:\n    print("none")',
            ),
        )
    )
    if k < FIRST_LIMIT:
        return (Program(first, f"[{k}]" if nothing == "[]" else str(k)),)
    lead = rng.choice(
        (
            f"There is none below {FIRST_LIMIT}. I have to search further.",
            f"No k below {FIRST_LIMIT} works. Let me go on without a limit.",
            "Nothing was found, so the range was too short. The search goes on.",
        )
    )
    second = rng.choice(
        (
            f"k = 1\nwhile pow({a}, k, {m}) != 1:\n    k += 1\nprint(k)",
            f"k, x = 1, {a} % {m}\nwhile x != 1:\n    k, x = k + 1, x * {a} % {m}\nprint(k)",
        )
    )
    return Program(first, nothing), Program(second, str(k), lead)


FAMILY = Family("orders", draw, key, answer, ask, plan, work, programs)
