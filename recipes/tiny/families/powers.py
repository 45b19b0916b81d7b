"""Powers modulo m."""

from random import Random

from recipes.tiny.world import Family, Params, Program

ASKS = (
    "What is the remainder when {a}^{b} is divided by {m}?",
    "Find {a}^{b} mod {m}.",
    "Compute {a}^{b} modulo {m}.",
    "Find the remainder of {a}^{b} when it is divided by {m}.",
)
PLANS = (
    "I need {a}^{b} mod {m}.",
    "I have to reduce {a}^{b} modulo {m}.",
    "The task is to find {a}^{b} mod {m}.",
)


def draw(rng: Random) -> Params:
    """(base, exponent, modulus); half are small."""
    if rng.random() < 0.5:
        return rng.randint(2, 9), rng.randint(2, 6), rng.randint(3, 12)
    return rng.randint(2, 20), rng.randint(5, 31), rng.randint(5, 60)


def key(params: Params) -> Params:
    """All three."""
    return params


def answer(params: Params) -> str:
    """The remainder."""
    return str(pow(*params))


def ask(params: Params, rng: Random) -> str:
    """The question."""
    a, b, m = params
    return rng.choice(ASKS).format(a=a, b=b, m=m)


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    a, b, m = params
    return rng.choice(PLANS).format(a=a, b=b, m=m)


def one_by_one(a: int, b: int, m: int) -> str:
    """Every power up to b, each from the one before."""
    value = a % m
    steps = [f"{a} mod {m} = {value}."]
    for exponent in range(2, b + 1):
        raised = value * a
        steps.append(f"{a}^{exponent}: {value} * {a} = {raised}, mod {m} = {raised % m}.")
        value = raised % m
    return " ".join(steps)


def by_squaring(a: int, b: int, m: int) -> str:
    """The bits of b from the left: square, and multiply by a where the bit is 1."""
    value = a % m
    done = 1
    steps = [f"{a} mod {m} = {value}."]
    for bit in bin(b)[3:]:
        squared = value * value
        done *= 2
        steps.append(f"{a}^{done}: {value} * {value} = {squared}, mod {m} = {squared % m}.")
        value = squared % m
        if bit == "1":
            done += 1
            raised = value * a
            steps.append(f"{a}^{done}: {value} * {a} = {raised}, mod {m} = {raised % m}.")
            value = raised % m
    return " ".join(steps)


def work(params: Params, rng: Random) -> str:
    """Step by step for small exponents, by squaring otherwise."""
    a, b, m = params
    stepwise = b <= 4 or (b <= 6 and rng.random() < 0.5)
    steps = one_by_one(a, b, m) if stepwise else by_squaring(a, b, m)
    return f"{steps} So {a}^{b} mod {m} = {pow(a, b, m)}."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """One of four ways to raise and reduce."""
    a, b, m = params
    value = answer(params)
    codes = (
        f"print(pow({a}, {b}, {m}))",
        f"print({a}**{b} % {m})",
        f"value = pow({a}, {b}, {m})\nprint(value)",
        f"x = 1\nfor i in range({b}):\n    x = x * {a} % {m}\nprint(x)",
    )
    return (Program(rng.choice(codes), value),)


FAMILY = Family("powers", draw, key, answer, ask, plan, work, programs)
