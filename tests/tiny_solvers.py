"""Second solvers: they read a question as its reader does and try, count or add, by no formula."""

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

from recipes.tiny.world import Program, Sample


def numbers(text: str) -> list[int]:
    """Every number of a text, in order."""
    return [int(digits) for digits in re.findall(r"\d+", text)]


def products(question: str) -> int:
    """Repeated addition."""
    a, b = numbers(question)
    return sum(itertools.repeat(a, b))


def powers(question: str) -> int:
    """Repeated multiplication, reduced once at the end."""
    a, b, m = numbers(question)
    value = 1
    for _ in range(b):
        value *= a
    return value - m * (value // m)


def coins(question: str) -> int:
    """Amounts as the bits of one number, coin after coin."""
    made = 1
    for coin in numbers(question):
        for _ in range(400 // coin):
            made |= made << coin
    return max(n for n in range(400) if not made >> n & 1)


def sums(question: str) -> int:
    """Adding up the numbers of a set."""
    if "up to" in question.partition("divisible")[2] + question.partition("of the multiples")[2]:
        a, b, n = numbers(question)
    else:
        _, n, a, b = numbers(question)
    return sum({*range(a, n + 1, a), *range(b, n + 1, b)})


def divisors(question: str) -> int:
    """Trying every number."""
    (n,) = numbers(question)
    return sum(n % d == 0 for d in range(1, n + 1))


def factors(question: str) -> int:
    """Trying every multiple or every divisor."""
    a, b = numbers(question)
    if re.search("lcm|multiple", question):
        return next(n for n in itertools.count(a, a) if n % b == 0)
    return max(d for d in range(1, a + 1) if a % d == 0 and b % d == 0)


def residues(question: str) -> int:
    """Trying every m, with the remainder of each power taken step by step."""
    k, c, p, *square = numbers(question)
    modulus = p * p if square else p
    for m in range(1, modulus + 1):
        value = 1
        for _ in range(k):
            value = value * m % modulus
        if (value + c) % modulus == 0:
            return m
    raise AssertionError(question)


def orders(question: str) -> int:
    """Growing the power until it leaves 1, never reduced."""
    found = numbers(question)
    a, m = found[0], found[-1]
    power = a
    for k in itertools.count(1):
        if k > m:
            raise AssertionError(question)
        if power % m == 1:
            return k
        power *= a
    raise AssertionError(question)


def primes(question: str) -> int:
    """A sieve, then subtraction until less than p is left."""
    n, b = numbers(question)
    composite = {m for d in range(2, 40) for m in range(2 * d, 400, d)}
    p = min(m for m in range(n + 1, 400) if m not in composite)
    while b >= p:
        b -= p
    return b


def sequences(question: str) -> int:
    """The closed form x b^k + c (1 + b + ... + b^(k - 1)), reduced once at the end."""
    if "replace" in question:
        x, k, b, c, m = numbers(question)
    else:
        x, b, c, m, k = numbers(question)
    last: int = (x * b**k + c * sum(b**i for i in range(k))) % m
    return last


def counting(question: str) -> int:
    """The difference of two sets."""
    n, a, b = numbers(question)[-3:]
    if "up to" not in question:
        n, a, b = numbers(question)[1:]
    return len(set(range(a, n + 1, a)) - set(range(b, n + 1, b)))


def pairs(question: str) -> int:
    """The coefficient of t^n in the product of two series."""
    if "can" in question:
        n, a, b = numbers(question)
    else:
        a, b, n = numbers(question)
    return sum(n - left in range(b, n, b) for left in range(a, n, a))


MATH: dict[str, Callable[[str], int]] = {
    solver.__name__: solver
    for solver in (
        *(products, powers, coins, sums, divisors, factors),
        *(residues, orders, primes, sequences, counting, pairs),
    )
}


def solve(family: str, question: str) -> str:
    """The answer to a question of this math family."""
    question, digits, _ = question.partition(" Give the sum of its digits.")
    value = MATH[family](question)
    return str(sum(map(int, str(value))) if digits else value)


def code_readings(family: str, question: str) -> list[Callable[[int], int]]:
    """The two functions that the words of a code task may mean, whatever its examples."""
    if family == "code-steps":
        a, b = numbers(question)[:2]
        return [lambda n: n * a + b, lambda n: (n + b) * a]
    a = numbers(question)[0]
    return [
        lambda n: sum(i for i in range(1, n + 1) if i % a == 0),
        lambda n: sum(i for i in range(1, n) if i % a == 0),
    ]


def shown_samples(question: str) -> list[Sample]:
    """The examples that the question itself shows."""
    found = re.findall(r"f\((\d+)\) (?:=|is) (\d+)", question)
    return [Sample(int(n), int(value)) for n, value in found]


def printed(code: str, names: dict[str, Any]) -> str:
    """What a program prints in this namespace, without the last line break; or its NameError."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(code, names)
    except NameError as error:
        return f"NameError: {str(error).partition('. Did you mean')[0]}"
    return out.getvalue().removesuffix("\n")


def printed_in_order(programs: Iterable[Program]) -> list[str]:
    """What each program prints, one after the other in one namespace."""
    names: dict[str, Any] = {}
    return [printed(program.code, names) for program in programs]
