"""A code task: a function of two steps, whose order only the examples tell for certain."""

from random import Random

from recipes.tiny.world import Family, Params, Program, Sample

ASKS = (
    "Write a Python function f(n) that multiplies by {a} and adds {b}. "
    "Examples: f({s}) = {v}, f({t}) = {w}.",
    "Write f(n) in Python: it multiplies by {a} and it adds {b}. f({s}) = {v} and f({t}) = {w}.",
    "I need a Python function f(n). It multiplies by {a} and adds {b}, "
    "so that f({s}) is {v} and f({t}) is {w}.",
)
PLANS = (
    "I need f(n) with f({s}) = {v}. It multiplies by {a} and adds {b}, in one order or the other.",
    "The function multiplies by {a} and adds {b}. From f({s}) = {v} I see which comes first.",
)


def draw(rng: Random) -> Params:
    """(factor, summand, 1 if the sum comes first, two arguments of the examples)."""
    big = rng.random() < 0.5
    a, b = rng.randint(2, 40 if big else 9), rng.randint(1, 60 if big else 9)
    s, t = rng.sample(range(2, 80 if big else 12), 2)
    return a, b, int(rng.random() < 0.5), s, t


def key(params: Params) -> Params:
    """The function, whatever its examples."""
    return params[:3]


def value(params: Params, n: int) -> int:
    """f(n)."""
    a, b, sum_first, *_ = params
    return (n + b) * a if sum_first else n * a + b


def source(a: int, b: int, sum_first: int) -> str:
    """A definition of f."""
    return f"def f(n):\n    return {f'(n + {b}) * {a}' if sum_first else f'n * {a} + {b}'}"


def answer(params: Params) -> str:
    """The definition in the order that the examples have."""
    a, b, sum_first, *_ = params
    return source(a, b, sum_first)


def samples(params: Params) -> tuple[Sample, ...]:
    """The two calls in the question."""
    return tuple(Sample(n, value(params, n)) for n in params[3:])


def hidden_samples(params: Params) -> tuple[Sample, ...]:
    """Four other calls."""
    return tuple(Sample(n, value(params, n)) for n in (0, 1, 97, 1234))


def words(params: Params) -> dict[str, int]:
    """What the sentences need."""
    a, b, _, s, t = params
    return {"a": a, "b": b, "s": s, "v": value(params, s), "t": t, "w": value(params, t)}


def ask(params: Params, rng: Random) -> str:
    """The question."""
    return rng.choice(ASKS).format(**words(params))


def plan(params: Params, rng: Random) -> str:
    """What is to be done."""
    return rng.choice(PLANS).format(**words(params))


def work(params: Params, rng: Random) -> str:
    """The first example by hand: product first; if that is not it, sum first."""
    a, b, sum_first, s, _ = params
    steps = f"{s} * {a} = {s * a}, {s * a} + {b} = {s * a + b}."
    if not sum_first:
        return f"{steps} This is the example, so the product comes first."
    other = f"{s} + {b} = {s + b}, {s + b} * {a} = {value(params, s)}."
    return f"{steps} The example says {value(params, s)}. {other} So the sum comes first."


def programs(params: Params, rng: Random) -> tuple[Program, ...]:
    """The product first on both examples; if their values are others, the sum first."""
    a, b, sum_first, s, t = params
    show = rng.choice((f"print(f({s}), f({t}))", f"print([f({s}), f({t})])"))

    def run(first: int, lead: str = "") -> Program:
        one, two = (value((a, b, first), n) for n in (s, t))
        output = f"[{one}, {two}]" if "[" in show else f"{one} {two}"
        return Program(f"{source(a, b, first)}\n\n{show}", output, lead)

    if not sum_first:
        return (run(0),)
    lead = rng.choice(
        (
            f"The example says {value(params, s)}, so the order is the other one.",
            f"f({s}) should be {value(params, s)}. The sum has to come first.",
        )
    )
    return run(0), run(1, lead)


FAMILY = Family("code-steps", draw, key, answer, ask, plan, work, programs, samples, hidden_samples)
