"""The miniature world: answers, programs, splits, what is held out. Needs no torch."""

import itertools
from collections.abc import Callable
from math import gcd
from random import Random
from typing import Any

import pytest
from tiny_solvers import (
    code_readings,
    numbers,
    printed,
    printed_in_order,
    shown_samples,
    solve,
)

from recipes.tiny.families import (
    CODE,
    FAMILIES,
    KEPT_FROM_TRAINING,
    MATH,
    coins,
    primes,
    residues,
)
from recipes.tiny.families.digits import ASK_DIGITS
from recipes.tiny.scope import EXAMPLES, question_words
from recipes.tiny.world import (
    HELD_OUT_COINS,
    HELD_OUT_PRIME,
    Family,
    Params,
    Split,
    draw_problem,
    problems,
    split_of,
)

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
#: Families that always give one program; the others, two for a good share of their parameters.
SINGLE = {
    *("products", "powers", "coins", "sums", "divisors"),
    *("factors", "sequences", "counting", "pairs"),
}
DOUBLE = {"residues", "orders", "primes", "code-steps", "code-ranges"}


def each(*families: Family) -> pytest.MarkDecorator:
    """A test's run for each of the families."""
    return pytest.mark.parametrize("family", families, ids=lambda family: family.name)


def drawn(family: Family, seed: int, count: int) -> list[Params]:
    """Parameters of a family."""
    rng = Random(f"test:{seed}")
    return [family.draw(rng) for _ in range(count)]


def without_digits(text: str) -> str:
    """What is left of a text when its numbers go."""
    return "".join(c for c in text if not c.isdigit())


def test_there_are_math_and_code_families_and_two_are_kept_from_training() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert len(MATH) >= 10
    assert all(family.is_code == family.name.startswith("code-") for family in FAMILIES)
    assert len(KEPT_FROM_TRAINING) == 2
    assert {family.name for family in MATH} > KEPT_FROM_TRAINING
    assert set(names) == SINGLE | DOUBLE


@each(*MATH)
def test_answers_agree_with_a_second_solver(family: Family) -> None:
    rng = Random(1)
    for params in drawn(family, 1, 300):
        question = family.ask(params, rng)
        assert family.answer(params) == solve(family.name, question), (params, question)


def test_every_coin_triple_agrees_with_a_second_solver() -> None:
    values = range(coins.SMALLEST, coins.LARGEST + 1)
    for triple in itertools.combinations(values, 3):
        if gcd(*triple) == 1:
            largest = coins.largest_missing(triple)
            assert largest < coins.LIMIT - coins.LARGEST
            if sum(triple) % 9 == 0:  # the second solver is slow
                assert str(largest) == solve("coins", str(triple))


@each(*(family for family in FAMILIES if family.is_code))
def test_functions_are_those_of_the_words_and_the_examples_decide(family: Family) -> None:
    assert family.samples
    assert family.hidden_samples
    rng = Random(2)
    chosen = []
    for params in drawn(family, 2, 300):
        question = family.ask(params, rng)
        samples = family.samples(params)
        assert list(samples) == shown_samples(question)
        readings = code_readings(family.name, question)
        right = [all(f(s.argument) == s.value for s in samples) for f in readings]
        assert sum(right) == 1, question
        chosen.append(right.index(True))

        hidden = family.hidden_samples(params)
        other = readings[1 - chosen[-1]]
        assert len(hidden) >= 3
        assert any(other(s.argument) != s.value for s in hidden), "the tests let both pass"
        names: dict[str, Any] = {}
        assert printed(family.answer(params), names) == ""
        f: Callable[[int], int] = names["f"]
        for sample in (*samples, *hidden):
            assert f(sample.argument) == sample.value == readings[chosen[-1]](sample.argument)
    assert 100 < sum(chosen) < 200, "one reading is hardly ever the right one"


@each(*FAMILIES)
def test_programs_print_what_they_claim_in_one_namespace(family: Family) -> None:
    rng = Random(3)
    for params in drawn(family, 3, 80):
        programs = family.programs(params, rng)
        outputs = [program.output for program in programs]
        assert printed_in_order(programs) == outputs
        assert not programs[0].lead
        assert all(program.lead for program in programs[1:])
        if family.samples:
            values = [s.value for s in family.samples(params)]
            assert [numbers(output) == values for output in outputs] == (
                [False, True] if len(outputs) == 2 else [True]
            )
        else:
            assert outputs[-1].split()[-1].strip("[]") == family.answer(params)


@each(*(family for family in FAMILIES if family.name in SINGLE))
def test_single_programs_are_written_in_several_ways(family: Family) -> None:
    rng = Random(4)
    runs = [family.programs(params, rng) for params in drawn(family, 4, 100)]
    assert {len(run) for run in runs} == {1}
    assert len({without_digits(run[0].code) for run in runs}) >= 4


@each(*(family for family in FAMILIES if family.name in DOUBLE))
def test_many_questions_take_a_second_program(family: Family) -> None:
    rng = Random(5)
    runs = [family.programs(params, rng) for params in drawn(family, 5, 2000)]
    assert {len(run) for run in runs} <= {1, 2}
    again = [run for run in runs if len(run) == 2]
    assert len(again) >= 0.14 * len(runs)  # orders: 14.5 %
    assert len({without_digits(first.code) for first, _ in again}) >= 2
    assert len({without_digits(second.lead) for _, second in again}) >= 2
    if family.name in ("residues", "orders"):
        assert {first.output for first, _ in again} <= {"None", "none", "[]"}
        assert len({first.output for first, _ in again}) == 2
        assert all(numbers(run[0].output) for run in runs if len(run) == 1)


@each(*FAMILIES)
def test_questions_have_several_phrasings(family: Family) -> None:
    rng = Random(6)
    asked = {without_digits(family.ask(params, rng)) for params in drawn(family, 6, 300)}
    assert len(asked) >= 3


@each(*FAMILIES)
def test_work_reaches_the_answer_and_plans_do_not_tell_it(family: Family) -> None:
    rng = Random(7)
    for params in drawn(family, 7, 200):
        work = numbers(family.work(params, rng))
        if family.samples:
            assert family.samples(params)[0].value in work
        else:
            assert str(work[-1]) == family.answer(params)
        question, plan = (numbers(tell(params, rng)) for tell in (family.ask, family.plan))
        assert set(plan) <= {*question, 1}  # "= 1 mod m", "from 1 to n"


@each(*MATH)
def test_work_is_short_for_some_questions_and_long_for_others(family: Family) -> None:
    rng = Random(8)
    lengths = sorted(len(family.work(params, rng)) for params in drawn(family, 8, 500))
    assert lengths[450] >= 1.5 * lengths[50]


@each(*FAMILIES)
def test_splits_are_disjoint_by_parameters(family: Family) -> None:
    keys = {
        split: {family.key(p.params) for p in problems(family, split, 5, 30)} for split in SPLITS
    }
    assert all(keys.values())
    for one, other in itertools.combinations(keys.values(), 2):
        assert not one & other


@each(*CODE)
def test_a_function_is_asked_for_in_one_split_alone(family: Family) -> None:
    splits: dict[str, set[Split]] = {}
    for params in drawn(family, 12, 2000):
        split = split_of(family.name, family.key(params))
        splits.setdefault(family.answer(params), set()).add(split)
    assert {len(found) for found in splits.values()} == {1}


@each(*FAMILIES)
def test_problems_repeat_by_seed(family: Family) -> None:
    first = [(p.question, p.answer) for p in problems(family, "test", 8, 20)]
    assert first == [(p.question, p.answer) for p in problems(family, "test", 8, 20)]
    assert first != [(p.question, p.answer) for p in problems(family, "test", 9, 20)]


def test_held_out_coins_are_never_drawn() -> None:
    rng = Random(9)
    counts = set()
    for _ in range(10_000):
        values = coins.draw(rng)[:-1]
        assert set(values) != HELD_OUT_COINS
        counts.add(len(values))
    assert counts == {2, 3}
    for split in SPLITS:
        for _ in range(300):
            problem = draw_problem(coins.FAMILY, split, rng)
            assert sorted(numbers(problem.question)) != sorted(HELD_OUT_COINS)
            assert split_of("coins", coins.key(problem.params)) == split


def test_the_held_out_prime_is_never_drawn() -> None:
    assert HELD_OUT_PRIME not in residues.PRIMES
    for params in drawn(residues.FAMILY, 10, 5000):
        assert params[2] != HELD_OUT_PRIME
    rng = Random(10)
    for params in drawn(primes.FAMILY, 10, 5000):
        assert primes.next_prime(params[0]) != HELD_OUT_PRIME
    for params in drawn(primes.FAMILY, 11, 500):
        assert numbers(primes.programs(params, rng)[0].output) != [HELD_OUT_PRIME]


def test_the_demo_question_is_the_worlds_own_phrasing() -> None:
    rng = Random(0)
    asked = {coins.ask((6, 10, 15, 1), rng) for _ in range(50)}
    assert EXAMPLES[0] in asked
    assert EXAMPLES[0].endswith(ASK_DIGITS)
    assert coins.answer((6, 10, 15, 0)) == "29"
    assert coins.answer((15, 6, 10, 1)) == "11"
    assert solve("coins", EXAMPLES[0]) == "11"


def test_coins_are_asked_for_in_five_ways() -> None:
    rng = Random(0)
    asked = {without_digits(coins.ask((3, 5, 7, 0), rng)) for _ in range(200)}
    assert len(asked) == len(set(coins.ASKS)) >= 4


@each(*FAMILIES)
def test_scope_words_cover_held_out_questions_and_little_else(family: Family) -> None:
    words = set(question_words())
    assert len(words) < 160
    assert "weather" not in words
    for problem in problems(family, "test", 6, 30):
        text = "".join(c if c.isalpha() else " " for c in problem.question.lower())
        assert set(text.split()) <= words
