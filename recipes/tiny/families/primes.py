"""The next prime, and a remainder modulo it: two steps, so two programs."""

from itertools import count
from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = (
    "Let p be the smallest prime greater than {n}. What is the remainder when {b} is divided by p?",
    "Let p be the first prime above {n}. Find {b} mod p.",
    "Let p be the smallest prime greater than {n}. Find the remainder of {b} divided by p.",
)
PLANS = (
    "First I need the smallest prime above {n}, then {b} mod p.",
    "There are two steps: the prime after {n}, and {b} modulo it.",
    "I have to find the next prime after {n} and divide {b} by it.",
)


def draw(rng: Random) -> Params:
    """(n, b), n from 20 up; half of them small."""
    n = rng.randint(20, 60) if rng.random() < 0.5 else rng.randint(50, 200)
    return n, rng.randint(n + 15, n * rng.choice((3, 10)))


def key(params: Params) -> Params:
    """Both."""
    return params


def divisor(n: int) -> int:
    """The smallest divisor of n above 1."""
    return next(d for d in range(2, n + 1) if n % d == 0)


def next_prime(n: int) -> int:
    """The smallest prime greater than n."""
    return next(p for p in count(n + 1) if divisor(p) == p)


def answer(params: Params) -> str:
    """The remainder."""
    n, b = params
    return str(b % next_prime(n))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    n, b = params
    return rng.choice(ASKS).format(n=n, b=b)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    n, b = params
    return rng.choice(PLANS).format(n=n, b=b)


def work(params: Params, rng: Random) -> str:
    """A divisor of each odd number up to the prime; then the division."""
    n, b = params
    p = next_prime(n)
    odd = range(n + 1 + n % 2, p, 2)
    steps = [f"{m} = {divisor(m)} * {m // divisor(m)}." for m in odd]
    steps.append(f"{p} is prime, so p = {p}. {b} = {b // p} * {p} + {b % p}.")
    return " ".join(steps)


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """The prime first; the remainder with its name or with its value."""
    n, b = params
    p = next_prime(n)
    first = rng.choice(
        (
            f"p = {n} + 1\nwhile any(p % d == 0 for d in range(2, p)):\n    p += 1\nprint(p)",
            f"p = {n + 1}\nwhile not all(p % d for d in range(2, p)):\n    p += 1\nprint(p)",
            f"def prime(p):\n    return all(p % d for d in range(2, p))\n\np = {n + 1}\n"
            "while not prime(p):\n    p += 1\nprint(p)",
        )
    )
    lead = rng.choice(
        (
            f"So p = {p}. Now the remainder.",
            f"The prime is {p}. Next, the division.",
            f"This gives p = {p}, and {b} is left to be divided.",
        )
    )
    second = rng.choice((f"print({b} % p)", f"print({b} % {p})", f"r = {b} % p\nprint(r)"))
    return Program(first, str(p)), Program(second, str(b % p), lead)


FAMILY = Family("primes", draw, key, answer, ask, plan, work, programs)
