"""Products of two whole numbers, from 2 times 10 up to 999 times 999."""

from random import Random

from recipes.tiny.families.digits import ASK_DIGITS, digit_sum, digits_work, printing
from recipes.tiny.world import Family, Params, Program

#: Digits of the two factors; from what a small model may do in its head to what it cannot.
SIZES = ((2, 1), (2, 1), (3, 1), (3, 1), (2, 2), (2, 2), (3, 2), (3, 3))
ASKS = (
    "What is {a} times {b}?",
    "What is {a} * {b}?",
    "Compute {a} * {b}.",
    "Find the product of {a} and {b}.",
    "Multiply {a} by {b}.",
)
PLANS = (
    "I need the product of {a} and {b}.",
    "I have to multiply {a} by {b}.",
    "The task is to work out {a} * {b}.",
)


def draw(rng: Random) -> Params:
    """(a, b, 1 if the digit sum is asked for)."""
    sizes = list(rng.choice(SIZES))
    rng.shuffle(sizes)
    a, b = (rng.randint(2 if size == 1 else 10 ** (size - 1), 10**size - 1) for size in sizes)
    return a, b, int(rng.random() < 0.2)


def key(params: Params) -> Params:
    """The factors, smaller one first."""
    return tuple(sorted(params[:2]))


def answer(params: Params) -> str:
    """The product or its digit sum."""
    a, b, digits = params
    return str(digit_sum(a * b) if digits else a * b)


def ask(params: Params, rng: Random) -> str:
    """The question."""
    a, b, digits = params
    return rng.choice(ASKS).format(a=a, b=b) + (ASK_DIGITS if digits else "")


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    a, b, _ = params
    return rng.choice(PLANS).format(a=a, b=b)


def work(params: Params, rng: Random) -> str:
    """Long multiplication, one factor split by places."""
    a, b, digits = params
    if rng.random() < 0.3:
        a, b = b, a
    places = [int(d) * 10 ** (len(str(b)) - 1 - i) for i, d in enumerate(str(b)) if d != "0"]
    steps = [f"{a} * {place} = {a * place}." for place in places]
    total = a * places[0]
    for place in places[1:]:
        steps.append(f"{total} + {a * place} = {total + a * place}.")
        total += a * place
    split = f"{b} = {' + '.join(map(str, places))}. " if len(places) > 1 else ""
    text = split + " ".join(steps) + f" So {a} * {b} = {total}."
    return text + (digits_work(total) if digits else "")


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of five ways to multiply."""
    a, b, digits = params
    style = rng.randrange(5)
    if style == 0 and not digits:
        return (Program(f"print({a} * {b})", str(a * b)),)
    if style <= 1:
        lines = [f"result = {a} * {b}"]
    elif style == 2:
        lines = [f"a = {a}", f"b = {b}", "result = a * b"]
    elif style == 3:
        lines = ["from math import prod", f"result = prod([{a}, {b}])"]
    else:
        lines = ["result = 0", f"for i in range({b}):", f"    result += {a}"]
    return (printing(lines, "result", a * b, bool(digits), rng),)


FAMILY = Family("products", draw, key, answer, ask, plan, work, programs)
