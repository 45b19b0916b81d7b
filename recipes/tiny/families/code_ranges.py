"""A code task: a sum over a range, whose end only the examples tell for certain."""

from random import Random

from recipes.tiny.world import Family, Params, Program, Sample

ASKS = (
    "Write a Python function f(n) that adds the multiples of {a} up to n. Example: f({s}) = {v}.",
    "Write f(n) in Python: the sum of the numbers up to n that {a} divides. f({s}) = {v}.",
    "I need a Python function f(n) for the sum of all multiples of {a} up to n, with f({s}) = {v}.",
)
PLANS = (
    "I need f(n) with f({s}) = {v}. It adds multiples of {a}; n itself may count or not.",
    "The function adds up multiples of {a}. The example f({s}) = {v} tells whether n counts.",
)


def draw(rng: Random) -> Params:
    """(divisor, 1 if n itself does not count, argument of the example: a multiple)."""
    a = rng.randint(2, 40)
    return a, int(rng.random() < 0.5), a * rng.randint(2, 4 if rng.random() < 0.5 else 9)


def key(params: Params) -> Params:
    """All three, although the first two are the function (see `FAMILIES`)."""
    return params


def value(params: Params, n: int) -> int:
    """f(n)."""
    a, below, *_ = params
    return sum(range(0, n + 1 - below, a))


def source(a: int, below: int, style: int = 0) -> str:
    """A definition of f."""
    end = "n" if below else "n + 1"
    if style:
        return f"def f(n):\n    return sum(range({a}, {end}, {a}))"
    return f"def f(n):\n    return sum(i for i in range(1, {end}) if i % {a} == 0)"


def answer(params: Params) -> str:
    """The definition with the end that the example has."""
    return source(params[0], params[1])


def samples(params: Params) -> tuple[Sample, ...]:
    """The call in the question."""
    return (Sample(params[2], value(params, params[2])),)


def hidden_samples(params: Params) -> tuple[Sample, ...]:
    """Four other calls, some with a multiple and some with none."""
    a = params[0]
    return tuple(Sample(n, value(params, n)) for n in (1, 3 * a, 3 * a + 1, 20 * a))


def words(params: Params) -> dict[str, int]:
    """What the sentences need."""
    return {"a": params[0], "s": params[2], "v": value(params, params[2])}


def ask(params: Params, rng: Random) -> str:
    """The question."""
    return rng.choice(ASKS).format(**words(params))


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    return rng.choice(PLANS).format(**words(params))


def work(params: Params, rng: Random) -> str:
    """The multiples of the example, added one by one; then with n."""
    a, below, s = params
    total = a
    steps = []
    for multiple in range(2 * a, s + 1, a):
        steps.append(f"{total} + {multiple} = {total + multiple}.")
        total += multiple
    end = f"The example says {value(params, s)}"
    if below:
        return f"{' '.join(steps)} {end}, which is {s} less. So n does not count."
    return f"{' '.join(steps)} {end}, too. So n counts."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """With n first; if the value of the example is another, without."""
    a, below, s = params
    style = rng.randrange(2)

    def run(without: int, lead: str = "") -> Program:
        code = f"{source(a, without, style)}\n\nprint(f({s}))"
        return Program(code, str(value((a, without), s)), lead)

    if not below:
        return (run(0),)
    lead = rng.choice(
        (
            f"The example says {value(params, s)}, so n itself does not count.",
            f"f({s}) should be {value(params, s)}. The range has to end before n.",
        )
    )
    return run(0), run(1, lead)


FAMILY = Family(
    "code-ranges", draw, key, answer, ask, plan, work, programs, samples, hidden_samples
)
