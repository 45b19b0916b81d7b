"""Sums of the multiples of two numbers up to n."""

from math import lcm
from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = (
    "Find the sum of the integers from 1 to {n} that are divisible by {a} or {b}.",
    "What is the sum of all integers from 1 to {n} that are multiples of {a} or {b}?",
    "Add up all numbers from 1 to {n} that are divisible by {a} or {b}.",
    "Compute the sum of the multiples of {a} or {b} up to {n}.",
)
PLANS = (
    "I need the sum of the multiples of {a} or {b} up to {n}.",
    "I have to add all numbers up to {n} that are divisible by {a} or {b}.",
    "The task is to add up the multiples of {a} or {b} from 1 to {n}.",
)


def draw(rng: Random) -> Params:
    """(n, a, b) with a and b different; half have few multiples."""
    a, b = rng.sample(range(2, 13), 2)
    n = rng.randint(8, 30) if rng.random() < 0.5 else rng.randint(30, 150)
    return max(n, a, b), a, b


def key(params: Params) -> Params:
    """The bound and the two divisors in rising order."""
    n, a, b = params
    return n, min(a, b), max(a, b)


def total(step: int, n: int) -> int:
    """Sum of the multiples of `step` from 1 to n."""
    count = n // step
    return step * count * (count + 1) // 2


def answer(params: Params) -> str:
    """The sum, by inclusion and exclusion."""
    n, a, b = params
    return str(total(a, n) + total(b, n) - total(lcm(a, b), n))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    n, a, b = params
    return rng.choice(ASKS).format(n=n, a=a, b=b)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    n, a, b = params
    return rng.choice(PLANS).format(n=n, a=a, b=b)


def listed(params: Params) -> str:
    """The numbers one by one, with the sum so far."""
    n, a, b = params
    so_far = 0
    steps = []
    for number in range(1, n + 1):
        if number % a == 0 or number % b == 0:
            so_far += number
            steps.append(f"{number}, total {so_far}")
    return f"{'; '.join(steps)}. So the sum is {so_far}."


def included_and_excluded(params: Params) -> str:
    """Both series and the common one."""
    n, a, b = params
    both = lcm(a, b)
    steps = []
    for step in (a, b, both):
        count = n // step
        pairs = count * (count + 1) // 2
        steps.append(
            f"{n} / {step} gives {count}, 1 to {count} add up to {pairs}, "
            f"{step} * {pairs} = {total(step, n)}."
        )
    joint = total(a, n) + total(b, n)
    ends = f"{total(a, n)} + {total(b, n)} = {joint}. {joint} - {total(both, n)} = {answer(params)}"
    return f"{' '.join(steps)} {ends}."


def work(params: Params, rng: Random) -> str:
    """A list where it is short, else inclusion and exclusion."""
    n, a, b = params
    few = n // a + n // b <= 10
    return listed(params) if few and rng.random() < 0.7 else included_and_excluded(params)


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four ways to add up."""
    n, a, b = params
    value = answer(params)
    numbers = sum(1 for i in range(1, n + 1) if i % a == 0 or i % b == 0)
    test = f"i % {a} == 0 or i % {b} == 0"
    codes = (
        (f"print(sum(i for i in range(1, {n} + 1) if {test}))", value),
        (
            f"total = 0\nfor i in range(1, {n + 1}):\n    if {test}:\n        total += i\n"
            "print(total)",
            value,
        ),
        (
            f"nums = [i for i in range(1, {n} + 1) if {test}]\nprint(len(nums))\nprint(sum(nums))",
            f"{numbers}\n{value}",
        ),
        (
            f"n = {n}\nnums = set(range({a}, n + 1, {a})) | set(range({b}, n + 1, {b}))\n"
            "print(sum(nums))",
            value,
        ),
    )
    return (Program(*rng.choice(codes)),)


FAMILY = Family("sums", draw, key, answer, ask, plan, work, programs)
