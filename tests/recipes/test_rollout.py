"""Rollouts on the embedded model: lineage, hints put into traces, and going on where one stopped."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("math_verify")

from recipes import rollout
from recipes.config import Config
from recipes.policies import check, connectives, fits, hint_of, point_of, policy_of
from recipes.questions import Judge
from recipes.settings import Problems, RolloutConfig
from recipes.suites import CodeProblem, Problem
from recipes.tiny.families import GROUPS, MATH
from start_sdk import BeforeEnd, ConfigError, Limits, ReasoningSession, Segment, Trace
from start_sdk.batch import RowStore, read_rows
from start_sdk.testing import ScriptedBackend

CODE = CodeProblem("c", "Add two numbers.", "", samples=(("1 2", "3"),), cases=(("1 2", "3"),))
PLAIN = Problem("p", "What is 2 * 3?", "6")
SEQUENCES = MATH[9]


@pytest.fixture(autouse=True)
def one_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small world, to be quick; the base model is wrong on most of its problems."""
    monkeypatch.setitem(GROUPS, "math", (SEQUENCES,))


@pytest.fixture
def config() -> Config:
    return Config(
        base="start-tiny-base",
        backend_options={"deterministic": True},
        prompt="plain",
        seed=3,
        problems=Problems(take={"tiny": 4}),
        limits=Limits(max_tokens=400, max_repeats=4, answer_reserve=64),
    )


def results(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (row.job.problem, row.job.policy): row.result for row in read_rows(folder) if row.result
    }


def test_hints_go_into_the_traces_that_are_there(config: Config, tmp_path: Path) -> None:
    plain = rollout.rollout(config, tmp_path / "plain", RolloutConfig())
    assert plain["none"]["samples"] == 4 and plain["none"]["with calls"] == 0
    hinted = RolloutConfig(hints=("end:general",))
    staged = rollout.rollout(config, tmp_path / "staged", hinted, after=tmp_path / "plain")
    anew = rollout.rollout(config, tmp_path / "anew", hinted)
    one, other = results(tmp_path / "staged"), results(tmp_path / "anew")
    assert one.keys() == other.keys() and len(one) == 4
    for key, result in one.items():
        trace = Trace.model_validate(result["trace"])
        # Greedy: the same tokens, whether the thought was sampled again or not.
        assert trace.token_ids == Trace.model_validate(other[key]["trace"]).token_ids
        base = results(tmp_path / "plain")[key[0], "none"]["trace"]
        assert trace.parent and trace.parent.trace_id == base["id"]
        assert [hint.id for hint in trace.hints] == ["general"] and trace.calls
    assert (
        staged["end:general"]["correct"]
        == anew["end:general"]["correct"]
        > plain["none"]["correct"]
    )
    assert staged["end:general"]["sampled tokens"] < anew["end:general"]["sampled tokens"] / 2

    begun = RolloutConfig(hints=("start",))
    rollout.rollout(config, tmp_path / "begun", begun, after=tmp_path / "plain")
    for result in results(tmp_path / "begun").values():
        prompt, hint, *_ = Trace.model_validate(result["trace"]).segments
        assert (prompt.source, hint.source) == ("prompt", "hint")

    text = RolloutConfig(hints=("no-tool",))
    assert rollout.rollout(config, tmp_path / "text", text)["no-tool"]["calls"] == 0

    wrong = hinted.model_copy(update={"only_wrong": True})
    left = rollout.rollout(config, tmp_path / "wrong", wrong, after=tmp_path / "plain")
    assert left["end:general"]["samples"] == 4 - plain["none"]["correct"]


def test_the_same_command_goes_on_where_it_was_stopped(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"problems": Problems(take={"tiny": 2})})
    part = RolloutConfig(samples=2, temperature=0.6)
    whole = rollout.rollout(config, tmp_path / "whole", part)
    assert whole["none"]["samples"] == 4
    real, begun = Judge.judge, 0

    async def stopped(self: Judge, *args: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == 3:
            raise KeyboardInterrupt
        return await real(self, *args)

    monkeypatch.setattr(Judge, "judge", stopped)
    with pytest.raises(KeyboardInterrupt):
        rollout.rollout(config, tmp_path / "parts", part)
    with RowStore(tmp_path / "parts" / "rows.sqlite") as store:
        assert store.counts()["done"] == 2
    assert rollout.rollout(config, tmp_path / "parts", part) == whole

    def rows(name: str) -> list[dict[str, Any]]:
        found = [row.as_dict() for row in read_rows(tmp_path / name)]
        for row in found:  # what a row took is no part of it
            row["result"]["trace"].pop("seconds")
            for segment in row["result"]["trace"]["segments"]:
                assert segment["call"] is None
        return found

    assert rows("parts") == rows("whole")


def test_a_thought_without_the_place_is_a_row_that_says_so(config: Config, tmp_path: Path) -> None:
    short = config.model_copy(update={"limits": Limits(max_tokens=40, answer_reserve=8)})
    rollout.rollout(short, tmp_path / "plain", RolloutConfig())
    hinted = RolloutConfig(hints=("end",))
    report = rollout.rollout(short, tmp_path / "hinted", hinted, after=tmp_path / "plain")
    assert {name: n for name, n in report["end"].items() if n} == {"samples": 4, "failed": 4}
    (error,) = {row.error for row in read_rows(tmp_path / "hinted")}
    assert error == "ConfigError: the thought has no insertion point for the hint end"


def test_policies_without_a_hint_take_one_that_suits_the_problem() -> None:
    config, named = Config(), Config(hint="check-logic")
    names = ("none", "end", "end:general", "debug")
    assert [name for name in names if fits(name, CODE)] == ["none", "end", "debug"]
    assert [name for name in names if fits(name, PLAIN)] == ["none", "end", "end:general"]
    for name in ("debug", "end"):
        assert "Input 1:\n1 2\nOutput 1:\n3" in hint_of(name, CODE, config, 0).text
    assert hint_of("end", PLAIN, config, 0).id == "general"
    assert hint_of("end", CODE, named, 0).id == hint_of("end", PLAIN, named, 0).id == "check-logic"
    assert policy_of("end:deeper-think", PLAIN, config, 0) == BeforeEnd(
        hints=(hint_of("end:deeper-think", PLAIN, config, 0),)
    )

    def drawn(name: str, problem: Problem) -> set[str]:
        found = [hint_of(name, problem, config, seed).id for seed in range(40)]
        assert found == [hint_of(name, problem, config, seed).id for seed in range(40)]
        return set(found)

    maths = drawn("connective", PLAIN)
    assert len(maths) > 3 and not any(hint.startswith(("zh-", "science")) for hint in maths)
    chinese = Problem("z", "小明有3个苹果,小红有5个,一共多少个?", "8")
    assert drawn("end", chinese) == {"zh-general"}
    assert len(drawn("connective", chinese)) > 3
    assert all(hint.startswith("zh-") for hint in drawn("connective", chinese))
    science = Problem("g", "Which particle?", "a", ("b", "c", "d"), family="gpqa")
    for name in ("end", "connective"):
        assert len(drawn(name, science)) > 1
        assert all(hint.startswith("science-") for hint in drawn(name, science))
    assert {h.lang for h in policy_of("connective", chinese, config, 0).candidates} == {"zh"}  # type: ignore[attr-defined]


OWN = """
[[hint]]
id = "own"
text = "let me see."
category = "c"
domain = "puzzles"
"""


def test_hints_come_from_the_library_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    config = Config(library=tmp_path / "own.toml")
    policy = {"correct": {"intercept": 0, "weights": {}}}
    policy["hinted"] = {"own": policy["correct"]}
    (tmp_path / "all.json").write_text(json.dumps(policy), encoding="utf-8")
    found: Any = policy_of(f"learned:{tmp_path}", PLAIN, config, 0)
    assert [hint.id for hint in found.candidates] == ["own"]
    for staged in (True, False):  # it has no hint for a connective
        with pytest.raises(ConfigError, match="no hint of mathematics for a connective"):
            check(["connective"], config, [PLAIN], staged=staged)


def test_a_staged_hint_goes_after_a_word_of_the_questions_language() -> None:
    chinese = Problem("z", "小明有3个苹果,小红有5个,一共多少个?", "8")
    assert set(connectives(chinese, Config())).isdisjoint(connectives(PLAIN, Config()))
    session = ReasoningSession(backend := ScriptedBackend([]))
    text = f"先算。{connectives(chinese, Config())[0]}，再算。"
    ids = tuple(backend.tokenizer.encode(text))
    trace = Trace(
        segments=(
            Segment(source="prompt", text="<think>\n", token_ids=(1,), phase="prompt"),
            Segment(source="model", text=text, token_ids=ids, phase="thinking"),
        ),
        finish="length",
    )
    with pytest.raises(ConfigError, match="no insertion point"):
        point_of("connective", trace, session, 0, connectives(PLAIN, Config()))
    point = point_of("connective", trace, session, 0, connectives(chinese, Config()))
    assert point.trigger == connectives(chinese, Config())[0]


@pytest.mark.parametrize(
    ("name", "staged", "says"),
    [
        ("end:nothing", True, "nothing"),
        ("last-wait", False, "--after"),
        ("start:general", False, "--after"),
        ("debug:general", True, "is no policy that takes a hint"),
        ("none:general", True, "is no policy that takes a hint"),
        ("nowhere", True, "nowhere"),
        ("nowhere", False, "nowhere"),
    ],
)
def test_a_policy_that_is_none_is_refused_before_any_work(
    name: str, staged: bool, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check([name], Config(), [PLAIN], staged=staged)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--part plain --config none.toml", "cannot read the config"),
        ("--part hinted --after nothing", "nothing"),
        ("--part hinted --set hinted.only_wrong=true", "only_wrong needs"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    line: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('base = "start-tiny-base"\n[problems.take]\ntiny = 1\n', encoding="utf-8")
    options = ["--config", str(file), *line.split(), "--out", str(tmp_path / "out")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rollout", *options])
    with pytest.raises(SystemExit) as ended:
        rollout.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
