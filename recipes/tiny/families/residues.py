"""The least m with m^k + c divisible by a power of a prime."""

from random import Random

from recipes.tiny.world import HELD_OUT_PRIME, Family, Params, Program

#: Primes whose first power is the modulus, and those whose square may be it.
PRIMES = (5, 7, 11, 13, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61)
SQUARED = PRIMES[:6]
#: A first program looks this far; where it finds nothing, a second one looks on.
FIRST_LIMIT = 50

ASKS = (
    "Find the least positive integer m such that m^{k} + {c} is divisible by {q}.",
    "What is the smallest positive m for which m^{k} + {c} is divisible by {q}?",
    "Find the smallest positive integer m with m^{k} + {c} divisible by {q}.",
)
PLANS = (
    "I need the least m with m^{k} + {c} divisible by {q}.",
    "I look for the smallest m such that {q} divides m^{k} + {c}.",
    "The task is to find the first m for which {q} divides m^{k} + {c}.",
)


def roots(k: int, c: int, modulus: int) -> list[int]:
    """All m from 1 to `modulus` with m^k + c divisible by it."""
    return [m for m in range(1, modulus + 1) if (m**k + c) % modulus == 0]


def draw(rng: Random) -> Params:
    """(k, c, p, e) with at least one solution; half with the square of the prime."""
    while True:
        e = rng.choice((1, 2))
        p = rng.choice(SQUARED if e == 2 else PRIMES)
        k, c = rng.choice((2, 2, 3, 4)), rng.randint(1, 20)
        found = roots(k, c, p) if c % p else []
        # Trying one number after the other has to end soon.
        if p != HELD_OUT_PRIME and found and (e == 2 or found[0] <= 10):
            return k, c, p, e


def key(params: Params) -> Params:
    """All four."""
    return params


def answer(params: Params) -> str:
    """The least solution."""
    k, c, p, e = params
    return str(roots(k, c, p**e)[0])


def words(params: Params) -> dict[str, object]:
    """What the sentences need."""
    k, c, p, e = params
    return {"k": k, "c": c, "q": f"{p}^2" if e == 2 else p}


def ask(params: Params, rng: Random) -> str:
    """The question."""
    return rng.choice(ASKS).format(**words(params))


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    return rng.choice(PLANS).format(**words(params))


def tried(k: int, c: int, p: int) -> str:
    """One m after the other, with what is left modulo p."""
    steps = []
    for m in range(1, roots(k, c, p)[0] + 1):
        value = m**k + c
        steps.append(f"m = {m}: {value} = {value // p} * {p} + {value % p}.")
    return f"{' '.join(steps)} So m = {m}."


def lifted(k: int, c: int, p: int) -> str:
    """The solutions modulo p, each carried on to the square of p (Hensel's lemma)."""
    found = roots(k, c, p)
    steps = [f"Modulo {p} it holds for m = {', '.join(map(str, found))}."]
    ends = []
    for root in found:
        rest = (root**k + c) // p % p
        slope = k * root ** (k - 1) % p
        t = next(t for t in range(p) if (rest + slope * t) % p == 0)
        ends.append(root + p * t)
        m = f"m = {root} + {p} * {t} = {ends[-1]}"
        steps.append(f"{root}: {rest} + {slope} t = 0 for t = {t}, {m}.")
    return f"{' '.join(steps)} The smallest is m = {min(ends)}."


def work(params: Params, rng: Random) -> str:
    """Trying for a prime, lifting for its square."""
    k, c, p, e = params
    return lifted(k, c, p) if e == 2 else tried(k, c, p)


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """A search below a limit; if it fails, one without."""
    k, c, p, e = params
    value = answer(params)
    test = f"(m**{k} + {c}) % {f'{p}**2' if e == 2 else p}"
    nothing = rng.choice(("None", "none"))
    if nothing == "None":
        find = f"next((m for m in range(1, {FIRST_LIMIT}) if {test} == 0), None)"
        first = rng.choice((f"m = {find}\nprint(m)", f"print({find})"))
    else:
        first = (
            f"for m in range(1, {FIRST_LIMIT}):\n    if {test} == 0:\n        print(m)\n"
            '        break\nelse:\n    print("none")'
        )
    if int(value) < FIRST_LIMIT:
        return (Program(first, value),)
    lead = rng.choice(
        (
            f"There is none below {FIRST_LIMIT}. I have to search further.",
            f"No m below {FIRST_LIMIT} works. Let me go on without a limit.",
            "Nothing was found, so the range was too short. The search goes on.",
        )
    )
    second = f"m = {rng.choice((1, FIRST_LIMIT))}\nwhile {test} != 0:\n    m += 1\nprint(m)"
    return Program(first, nothing), Program(second, value, lead)


FAMILY = Family("residues", draw, key, answer, ask, plan, work, programs)
