"""The largest amount that coins of three values cannot make, or the sum of its digits."""

from functools import cache
from math import gcd
from random import Random

from recipes.tiny.families.digits import ASK_DIGITS, digit_sum, digits_work, printing
from recipes.tiny.world import HELD_OUT, Family, Params, Program

SMALLEST, LARGEST = 4, 21
#: The smallest coin of a question is at most this, so that work by remainders stays short.
MOST_REMAINDERS = 10
#: Above every answer for values up to 21 (a test proves it).
LIMIT = 300

ASKS = (
    "Coins come in values {a}, {b} and {c} cents. What is the largest amount that cannot be made?",
    "Coins come in values {a}, {b} and {c} cents. What is the largest amount that cannot be made?",
    "There are coins of {a}, {b} and {c} cents. Find the largest amount that cannot be paid.",
    "What is the largest amount that cannot be made with coins of {a}, {b} and {c} cents?",
    "Stamps cost {a}, {b} and {c} cents. What is the largest total that cannot be made?",
)
PLANS = (
    "I need the largest amount that is not a sum of {a}, {b} and {c}.",
    "I look for the largest amount that coins of {a}, {b} and {c} do not make.",
    "Which amounts are sums of {a}, {b} and {c}? I need the largest one that is not.",
)


def draw(rng: Random) -> Params:
    """(three values in the order of the question, 1 if the digit sum is asked for)."""
    while True:
        values = sorted(rng.sample(range(SMALLEST, LARGEST + 1), 3))
        short = values[0] <= MOST_REMAINDERS
        if short and gcd(*values) == 1 and set(values) != HELD_OUT:
            break
    if rng.random() < 0.15:
        rng.shuffle(values)
    return (*values, int(rng.random() < 0.5))


def key(params: Params) -> Params:
    """The values in rising order."""
    return tuple(sorted(params[:3]))


@cache
def cheapest_by_residue(values: Params) -> tuple[int, ...]:
    """For each residue modulo the smallest value, the smallest amount that can be made.

    `values` in rising order, without a common divisor.
    """
    smallest = values[0]
    cheapest = [0] + [-1] * (smallest - 1)
    amount = 0
    made = {0}
    while -1 in cheapest:
        amount += 1
        if any(amount - value in made for value in values):
            made.add(amount)
            if cheapest[amount % smallest] < 0:
                cheapest[amount % smallest] = amount
    return tuple(cheapest)


def largest_missing(values: Params) -> int:
    """The largest amount that cannot be made; values in any order."""
    rising = tuple(sorted(values))
    return max(cheapest_by_residue(rising)) - rising[0]


def answer(params: Params) -> int:
    """The amount or its digit sum."""
    missing = largest_missing(params[:3])
    return digit_sum(missing) if params[3] else missing


def ask(params: Params, rng: Random) -> str:
    """The question."""
    a, b, c, digits = params
    return rng.choice(ASKS).format(a=a, b=b, c=c) + (ASK_DIGITS if digits else "")


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    a, b, c, _ = params
    return rng.choice(PLANS).format(a=a, b=b, c=c)


def work(params: Params, rng: Random) -> str:
    """The smallest amount for each residue; the largest of them, less one smallest coin."""
    rising = key(params)
    smallest = rising[0]
    cheapest = cheapest_by_residue(rising)
    top = max(cheapest)
    head = rng.choice(
        (
            f"Modulo {smallest}, the smallest amount for each remainder is",
            f"For each remainder mod {smallest} the first amount that works is",
        )
    )
    table = ", ".join(f"{residue}: {amount}" for residue, amount in enumerate(cheapest))
    text = f"{head} {table}. The largest is {top}. {top} - {smallest} = {top - smallest}."
    return text + (digits_work(top - smallest) if params[3] else "")


def program(params: Params, rng: Random) -> Program:
    """One of four searches."""
    a, b, c, digits = params
    style = rng.randrange(4)
    if style == 0:
        lines = [
            f"coins = [{a}, {b}, {c}]",
            f"ok = [True] + [False] * {LIMIT}",
            f"for n in range(1, {LIMIT}):",
            "    ok[n] = any(n >= c and ok[n - c] for c in coins)",
            f"best = max(n for n in range({LIMIT}) if not ok[n])",
        ]
    elif style == 1:
        lines = [
            f"coins = [{a}, {b}, {c}]",
            "made = {0}",
            f"for n in range(1, {LIMIT}):",
            "    if any(n - c in made for c in coins):",
            "        made.add(n)",
            "    else:",
            "        best = n",
        ]
    elif style == 2:
        lines = [
            f"a, b, c = {a}, {b}, {c}",
            "made = set()",
            f"for x in range(0, {LIMIT}, a):",
            f"    for y in range(0, {LIMIT}, b):",
            f"        for z in range(0, {LIMIT}, c):",
            "            made.add(x + y + z)",
            f"best = max(n for n in range({LIMIT}) if n not in made)",
        ]
    else:
        lines = [
            "made = {0}",
            f"for n in range(1, {LIMIT}):",
            f"    if n - {a} in made or n - {b} in made or n - {c} in made:",
            "        made.add(n)",
            f"best = max(n for n in range({LIMIT}) if n not in made)",
        ]
    return printing(lines, "best", largest_missing(params[:3]), bool(digits), rng)


FAMILY = Family("coins", draw, key, answer, ask, plan, work, program)
