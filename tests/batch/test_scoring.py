"""Scores of judged rows, written by hand."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from rows import judged

from start_sdk import ConfigError
from start_sdk.batch import Job, Row
from start_sdk.batch.scoring import by_part, gain, grouped, results, scores, shared, states


def done(result: dict[str, Any], **key: Any) -> Row:
    return Row(Job(**{"problem": "p", **key}), "done", result)


def test_scores_are_means_over_problems() -> None:
    pytest.importorskip("scipy")
    samples = results(judged([[True, False], [True, True], [False, False]]))
    made = by_part(samples, {"all": {"f0", "f1"}})
    whole = made["all"]
    assert (whole["problems"], whole["samples"], whole["k"]) == (3, 6, 2)
    assert whole["pass@1"]["value"] == 50
    assert whole["pass@2"]["value"] == pytest.approx(66.67)
    assert whole["maj@2"]["value"] == 50  # a tie counts half, two right votes one, two wrong none
    assert whole["tokens per right answer"] == 6 * 12 / 3
    assert whole["calls per problem"] == 1
    assert made["f1"]["pass@1"]["value"] == 100
    assert whole["pass@1"]["low"] < 50 < whole["pass@1"]["high"]


def test_equal_scores_still_have_an_interval_with_a_width() -> None:
    pytest.importorskip("statsmodels")
    whole = scores(results(judged([[True]] * 8)))
    assert whole["pass@1"]["value"] == 100
    assert 60 < whole["pass@1"]["low"] < 75  # Wilson: 1 / (1 + 1.96^2 / 8) = 0.676


def test_a_failed_row_counts_as_wrong_and_an_unfinished_one_not_at_all() -> None:
    pytest.importorskip("scipy")
    failed = Row(Job(problem="q", input={"question": "?"}), "failed", error="BackendError: no")
    begun = Row(Job(problem="r"), "running")
    whole = scores(results([*judged([[True]]), failed, begun]))
    assert (whole["pass@1"]["value"], whole["samples"]) == (50, 2)
    assert whole["verdicts"] == {"exact": 1, "failed": 1}
    assert whole["finish"] == {"eos": 1, "failed": 1}


def test_a_row_that_failed_is_wrong_whatever_it_says() -> None:
    (sample,) = results([Row(Job(problem="p"), "failed", {"correct": True}, error="no")])
    assert not sample.correct and sample.how == "failed"


def test_a_vote_has_as_many_samples_as_every_problem_has() -> None:
    pytest.importorskip("scipy")
    uneven = judged([[False, False, True, True, True], [True, True]])
    whole = scores(results(uneven))
    assert (whole["k"], whole["maj@2"]["value"]) == (2, 50)


def test_problems_without_a_question_are_different_ones() -> None:
    pytest.importorskip("scipy")
    rows = [done({"correct": True}, problem=p, input={"question": None}) for p in "abc"]
    assert scores(results(rows))["problems"] == 3


def test_a_verdict_is_enough() -> None:
    (sample,) = results([done({"correct": True}, problem="one  problem")])
    assert sample.correct and sample.asked == "one  problem"
    assert (sample.how, sample.finish, sample.right_by, sample.calls) == ("", "", "", 0)


def test_calls_that_were_only_replayed_do_not_count() -> None:
    (sample,) = results([done({"correct": True, "calls": 3, "replayed": 2})])
    assert sample.calls == 1


def test_rounds_are_one_thought_with_the_tokens_so_far() -> None:
    rounds = [{"correct": False, "sampled": 5, "calls": 2}, {"correct": True, "sampled": 3}]
    found = states(results([done({"correct": True, "sampled": 8, "steps": rounds})]))
    assert [(s.correct, s.sampled, s.calls) for s in found] == [(False, 5, 2), (True, 8, 0)]


def test_the_second_graders_verdict_can_count() -> None:
    rows = [
        done({"correct": True, "upstream": False}),
        done({"correct": False, "scored": 1.0}),
        done({"correct": True, "scored": 0.5}),
        Row(Job(problem="q"), "failed", error="BackendError: no"),
    ]
    assert [s.correct for s in results(rows)] == [True, False, True, False]
    assert [s.correct for s in results(rows, upstream=True)] == [False, True, False, False]
    found = [s.right_by for s in results(rows)]
    assert found == ["only ours", "only upstream's", "only ours", ""]


def test_systems_are_compared_on_the_problems_of_both() -> None:
    pytest.importorskip("scipy")
    outcomes = {"a": {"1": False, "2": False, "3": True}, "b": {"2": True, "3": True, "4": False}}
    rows = [
        done({"correct": right}, problem=problem, policy=policy)
        for policy, of in outcomes.items()
        for problem, right in of.items()
    ]
    systems = grouped(results(rows), "policy")
    assert gain(*shared(systems["a"], systems["b"]))["value"] == 50
    with pytest.raises(ConfigError, match="no scores"):
        gain(*shared(systems["a"], []))


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(ConfigError, match="no samples"):
        scores([])


@pytest.mark.parametrize(
    "result",
    [
        {"correct": "x"},
        {"answer": 5},
        {"calls": "x"},
        {"trace": 7},
        {"trace": {"usage": 3}},
        {"how": []},
        {"scored": "1"},
        {"steps": 3},
        {"correct": "false"},
        {"upstream": "false"},
        {"calls": -5},
        {"sampled": 10**400},
    ],
)
def test_results_of_another_shape_are_one_error(result: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is not a judged sample"):
        results([done({"correct": True, **result})])


def test_a_missing_verdict_is_named() -> None:
    row = done({"answer": "4"})
    with pytest.raises(ConfigError, match="has no verdict: its result needs correct"):
        results([row])
    with pytest.raises(ConfigError, match="needs upstream or scored"):
        results([done({"correct": True})], upstream=True)


def test_importing_it_loads_no_statistics() -> None:
    heavy = {"numpy", "scipy", "statsmodels", "sympy", "math_verify"}
    code = (
        "import sys, start_sdk.batch; print('start_sdk.batch.scoring' in sys.modules);"
        f"import start_sdk.batch.scoring; print(sorted({heavy!r} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "[]"]
