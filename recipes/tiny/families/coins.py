"""The largest amount that coins of two or three values cannot make, or the sum of its digits."""

from functools import cache
from math import gcd
from random import Random

from recipes.tiny.families.digits import ASK_DIGITS, digit_sum, digits_work, printing
from recipes.tiny.world import HELD_OUT_COINS, Family, Params, Program

SMALLEST, LARGEST = 3, 21
#: The smallest coin of a question is at most this, so that work by remainders stays short.
MOST_REMAINDERS = 9
#: Above every answer for values up to 21 (a test proves it).
LIMIT = 300

ASKS = (
    "Coins come in values {coins} cents. What is the largest amount that cannot be made?",
    "Coins come in values {coins} cents. What is the largest amount that cannot be made?",
    "There are coins of {coins} cents. Find the largest amount that cannot be paid.",
    "What is the largest amount that cannot be made with coins of {coins} cents?",
    "Stamps cost {coins} cents. What is the largest total that cannot be made?",
)
PLANS = (
    "I need the largest amount that is not a sum of {coins}.",
    "I look for the largest amount that coins of {coins} do not make.",
    "Which amounts are sums of {coins}? I need the largest one that is not.",
)


def draw(rng: Random) -> Params:
    """(two or three values in the order of the question, 1 if the digit sum is asked for)."""
    count = rng.choice((2, 3, 3))
    while True:
        values = sorted(rng.sample(range(SMALLEST, LARGEST + 1), count))
        short = values[0] <= MOST_REMAINDERS
        if short and gcd(*values) == 1 and set(values) != HELD_OUT_COINS:
            break
    if rng.random() < 0.15:
        rng.shuffle(values)
    return (*values, int(rng.random() < 0.4))


def key(params: Params) -> Params:
    """The values in rising order."""
    return tuple(sorted(params[:-1]))


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


def answer(params: Params) -> str:
    """The amount or its digit sum."""
    missing = largest_missing(params[:-1])
    return str(digit_sum(missing) if params[-1] else missing)


def listed(values: Params) -> str:
    """The values as a sentence has them."""
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"


def ask(params: Params, rng: Random) -> str:
    """The question."""
    question = rng.choice(ASKS).format(coins=listed(params[:-1]))
    return question + (ASK_DIGITS if params[-1] else "")


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    return rng.choice(PLANS).format(coins=listed(params[:-1]))


def by_formula(low: int, high: int) -> str:
    """Two coins: the product less both."""
    product = low * high
    rest = product - low
    steps = f"{low} * {high} = {product}. {product} - {low} = {rest}. {rest} - {high}"
    return f"For two coins it is the product less both. {steps} = {rest - high}."


def by_remainders(values: Params, rng: Random) -> str:
    """The smallest amount for each residue; the largest of them, less one smallest coin."""
    smallest = values[0]
    cheapest = cheapest_by_residue(values)
    top = max(cheapest)
    head = rng.choice(
        (
            f"Modulo {smallest}, the smallest amount for each remainder is",
            f"For each remainder mod {smallest} the first amount that works is",
        )
    )
    table = ", ".join(f"{residue}: {amount}" for residue, amount in enumerate(cheapest))
    return f"{head} {table}. The largest is {top}. {top} - {smallest} = {top - smallest}."


def work(params: Params, rng: Random) -> str:
    """A formula for two coins, remainders for three."""
    values = key(params)
    text = by_formula(*values) if len(values) == 2 else by_remainders(values, rng)
    return text + (digits_work(largest_missing(values)) if params[-1] else "")


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four searches."""
    coins = list(params[:-1])
    steps = f"for n in range(1, {LIMIT}):"
    last = f"best = max(n for n in range({LIMIT}) if n not in made)"
    forms = (
        [
            f"coins = {coins}",
            f"ok = [True] + [False] * {LIMIT}",
            steps,
            "    ok[n] = any(n >= c and ok[n - c] for c in coins)",
            f"best = max(n for n in range({LIMIT}) if not ok[n])",
        ],
        [
            f"coins = {coins}",
            "made = {0}",
            steps,
            "    if any(n - c in made for c in coins):",
            "        made.add(n)",
            "    else:",
            "        best = n",
        ],
        [
            "made = {0}",
            steps,
            f"    if any(n - c in made for c in {coins}):",
            "        made.add(n)",
            last,
        ],
        [
            "made = {0}",
            f"for c in {coins}:",
            f"    for n in range(c, {LIMIT}):",
            "        if n - c in made:",
            "            made.add(n)",
            last,
        ],
    )
    missing = largest_missing(params[:-1])
    return (printing(rng.choice(forms), "best", missing, bool(params[-1]), rng),)


FAMILY = Family("coins", draw, key, answer, ask, plan, work, programs)
