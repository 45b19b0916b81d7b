"""The miniature world: answers, programs, splits. Needs no torch."""

import contextlib
import io
import itertools
from math import gcd
from random import Random

import pytest

from recipes.tiny.families import FAMILIES, coins
from recipes.tiny.families.digits import ASK_DIGITS
from recipes.tiny.scope import EXAMPLES, question_words
from recipes.tiny.world import HELD_OUT, Family, Params, draw_problem, problems, split_of

NAMES = [family.name for family in FAMILIES]


def second_answer(name: str, params: Params) -> int:
    """The answer found another way: by counting, trying, adding, never by a formula."""
    if name == "products":
        a, b, digits = params
        value = sum(itertools.repeat(a, b))
    elif name == "powers":
        a, b, m = params
        value, digits = 1 % m, 0
        for _ in range(b):
            value = value * a % m
    elif name == "coins":
        *values, digits = params
        made = 1  # bit n: the amount n can be made
        for value in values:
            for _ in range(400 // value):
                made |= made << value
        value = max(n for n in range(400) if not made >> n & 1)
    elif name == "sums":
        n, a, b = params
        value, digits = sum(set(range(a, n + 1, a)) | set(range(b, n + 1, b))), 0
    elif name == "divisors":
        value, digits = sum(params[0] % d == 0 for d in range(1, params[0] + 1)), 0
    else:
        a, b, multiple = params
        digits = 0
        value = (
            next(n for n in itertools.count(a, a) if n % b == 0)
            if multiple
            else max(d for d in range(1, a + 1) if a % d == 0 and b % d == 0)
        )
    return sum(map(int, str(value))) if digits else value


def printed(code: str) -> str:
    """What a program prints, without the last line break."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return out.getvalue().removesuffix("\n")


@pytest.fixture(params=FAMILIES, ids=NAMES)
def family(request: pytest.FixtureRequest) -> Family:
    """Each family in turn."""
    chosen: Family = request.param
    return chosen


def test_answers_agree_with_a_second_solver(family: Family) -> None:
    rng = Random(1)
    for _ in range(250):
        params = family.draw(rng)
        assert family.answer(params) == second_answer(family.name, params), params


def test_every_coin_triple_agrees_with_a_second_solver() -> None:
    values = range(coins.SMALLEST, coins.LARGEST + 1)
    for triple in itertools.combinations(values, 3):
        if gcd(*triple) == 1:
            largest = coins.largest_missing(triple)
            assert largest < coins.LIMIT - coins.LARGEST
            if sum(triple) % 9 == 0:  # the second solver is slow
                assert largest == second_answer("coins", (*triple, 0))


def test_programs_print_what_they_claim_and_end_with_the_answer(family: Family) -> None:
    rng = Random(2)
    styles = set()
    for _ in range(60):
        params = family.draw(rng)
        program = family.program(params, rng)
        assert printed(program.code) == program.output
        assert program.output.replace("\n", " ").split(" ")[-1] == str(family.answer(params))
        styles.add("".join(c for c in program.code if not c.isdigit()))
    assert len(styles) >= 4


def test_work_ends_with_the_answer_and_plans_do_not_tell_it(family: Family) -> None:
    rng = Random(3)
    for _ in range(200):
        params = family.draw(rng)
        numbers = "".join(c if c.isdigit() else " " for c in family.work(params, rng)).split()
        assert numbers[-1] == str(family.answer(params)) or numbers[-2] == str(
            family.answer(params)
        )
        assert " = " not in family.plan(params, rng)


def test_splits_are_disjoint_by_parameters(family: Family) -> None:
    keys = {
        split: {family.key(p.params) for p in problems(family, split, 5, 30)}
        for split in ("train", "validation", "test")
    }
    assert all(keys.values())
    for one, other in itertools.combinations(keys.values(), 2):
        assert not one & other


def test_problems_repeat_by_seed(family: Family) -> None:
    first = [(p.question, p.answer) for p in problems(family, "test", 8, 20)]
    assert first == [(p.question, p.answer) for p in problems(family, "test", 8, 20)]
    assert first != [(p.question, p.answer) for p in problems(family, "test", 9, 20)]


def test_held_out_coins_are_never_drawn() -> None:
    rng = Random(4)
    for _ in range(10_000):
        assert set(coins.draw(rng)[:3]) != HELD_OUT
    for split in ("train", "validation", "test"):
        for _ in range(500):
            problem = draw_problem(coins.FAMILY, split, rng)
            assert set(problem.params[:3]) != HELD_OUT
            assert split_of("coins", coins.key(problem.params)) == split
    for order in itertools.permutations(sorted(HELD_OUT)):
        assert split_of("coins", coins.key((*order, 0))) == "test"


def test_the_demo_question_is_the_worlds_own_phrasing() -> None:
    question = coins.ASKS[0].format(a=6, b=10, c=15) + ASK_DIGITS
    assert question == EXAMPLES[0]
    assert coins.answer((6, 10, 15, 0)) == 29
    assert coins.answer((15, 6, 10, 1)) == 11


def test_scope_words_cover_held_out_questions_and_little_else(family: Family) -> None:
    words = set(question_words())
    assert len(words) < 120
    assert "weather" not in words
    for problem in problems(family, "test", 6, 30):
        text = "".join(c if c.isalpha() else " " for c in problem.question.lower())
        assert set(text.split()) <= words
