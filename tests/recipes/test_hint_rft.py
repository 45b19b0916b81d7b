"""Traces scored, filtered, modified and checked; every row is kept or has its reason."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rows import write_rows
from start_tools.python import PythonTool

from recipes.config import Config
from recipes.hint_rft import Candidate, choose, curate
from recipes.hint_rft.__main__ import main
from recipes.hint_rft.inspector import Inspector, binds, timeless
from recipes.hint_rft.modify import without_failed_tries
from recipes.problems import held_out
from recipes.questions import Judge
from recipes.rollout import rollout
from recipes.settings import Curation, Evaluation, Problems, RolloutConfig
from recipes.suites import CodeProblem, Problem
from recipes.tiny.families import GROUPS, MATH
from start_sdk import BeforeEnd, ConfigError, Limits, ReasoningSession, Trace, verify_trace
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.batch import Job, Row, read_rows
from start_sdk.grading import Grader
from start_sdk.grading.contamination import Overlap
from start_sdk.session import repeats
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

END = "So 4.\n</think>\n\n\\boxed{4}"
QUESTION = "What is 2 + 2?"


def cell(code: str, lead: str = "I look.\n") -> str:
    return f"{lead}```python\n{code}\n```\n"


async def thought(
    *texts: str,
    hinted: bool = False,
    limits: Limits | None = None,
    real: bool = True,
    conclude: str = "auto",
) -> Trace:
    """What a session makes of a script."""
    session = ReasoningSession(
        ScriptedBackend(texts),
        interpreter=PythonTool() if real else FakeInterpreter({"print(2 + 2)": "4", "2 + 2;": ""}),
        hints=BeforeEnd() if hinted else None,
        limits=limits,
        conclude=conclude,
    )
    return await session.run(QUESTION)


def row(trace: Trace | None, *, correct: bool = True, problem: str = "p", **key: Any) -> Row:
    job = Job(problem=problem, input=asdict(Problem(problem, QUESTION, "4")), **key)
    if trace is None:
        return Row(job, "failed", error="BackendError: gone")
    return Row(job, "done", {"correct": correct, "trace": trace.model_dump(mode="json")})


def inspector(
    rules: Curation | None = None, right: Sequence[str] = (), evaluated: Sequence[str] = ()
) -> Inspector:
    overlap = Overlap(evaluated)
    python = PythonTool()
    return Inspector(rules or Curation(), CharTokenizer(), python, Grader(), overlap, {*right})


async def reason(look: Inspector, row: Row) -> str | None:
    audit, _ = await look.inspect(row)
    found: str | None = audit["reason"]
    return found


GOOD = (cell("print(2 + 2)"), END)


async def test_a_good_trace_has_no_reason_against_it_and_every_bad_one_has_its_own() -> None:
    good = await thought(*GOOD, real=False)
    look = inspector()
    assert await reason(look, row(good)) is None
    circles = "Round and round. " * 9
    refused = {
        "no trace": row(None),
        "not token-exact": row(good.model_copy(update={"exact": False})),
        "wrong answer": row(good, correct=False),
        "ended by a limit": row(
            await thought(*GOOD, limits=Limits(max_tokens=20, answer_reserve=5), real=False)
        ),
        "no code": row(await thought(END, real=False)),
        "repetitive": row(
            await thought(circles + GOOD[0], END, limits=Limits(max_repeats=None), real=False)
        ),
        "output written by the model": row(
            await thought("```output\n4\n```\n" + GOOD[0], END, real=False)
        ),
        "failed code": row(await thought(cell("print(3)"), END, real=False)),
        "void code": row(await thought(cell("2 + 2;"), END, real=False)),
    }
    found = {name: await reason(look, r) for name, r in refused.items()}
    assert found == {name: name for name in refused}
    short = inspector(Curation(max_tokens=50))
    assert await reason(short, row(good)) == "too long"
    assert await reason(inspector(right=["p"]), row(good)) == "right without hints"
    asked = inspector(evaluated=["What is 2+2"])
    assert await reason(asked, row(good)) == "overlaps with the evaluation"
    segments = list(good.segments)
    segments[1] = segments[1].model_copy(update={"text": segments[1].text.replace("look", "see")})
    drifted = good.model_copy(update={"segments": tuple(segments)})
    assert str(await reason(look, row(drifted))).startswith("drift: segment 1 (model)")


async def test_to_be_asked_for_the_answer_is_no_limit() -> None:
    asked = await thought(
        cell("print(2 + 2)"), "So.\n</think>", " 4**", conclude="always", real=False
    )
    notices = {segment.notice for segment in asked.segments} - {None}
    assert notices == {"conclusion"} and asked.finish in ("eos", "concluded")
    assert await reason(inspector(), row(asked)) is None
    ended = asked.model_copy(update={"finish": "length"})
    assert await reason(inspector(), row(ended)) == "ended by a limit"


async def test_rules_can_be_switched() -> None:
    plain = row(await thought(END, real=False))
    assert await reason(inspector(Curation(needs_call=False)), plain) is None
    failing = row(await thought(cell("print(3)"), *GOOD, real=False))
    tolerant = Curation(max_error_rate=0.5, modify=False)
    assert await reason(inspector(tolerant), failing) is None


async def test_easy_problems_are_answered_without_a_call_and_hard_ones_with() -> None:
    called, text = await thought(*GOOD, real=False), await thought(END, real=False)
    rules = Curation(rescued=False, needs_call=False)
    look = inspector(rules)
    look.easy = {"easy"}
    found = {
        (problem, bool(trace.calls)): await reason(look, row(trace, problem=problem))
        for problem in ("easy", "hard")
        for trace in (called, text)
    }
    assert found == {
        ("easy", True): "code for an easy problem",
        ("easy", False): None,
        ("hard", True): None,
        ("hard", False): "no code for a hard problem",
    }


def test_easy_is_what_is_right_without_python_often_enough(tmp_path: Path) -> None:
    trace = asyncio.run(thought(END, real=False))
    right = {"always": 4, "often": 3, "seldom": 1}
    rows = [
        row(trace, correct=number < count, problem=problem, sample=number)
        for problem, count in right.items()
        for number in range(4)
    ]
    write_rows(tmp_path, [*rows, row(None, problem="gone")])
    config, out = Config(base="start-tiny-base"), tmp_path / "out"
    for share, easy in ((1.0, {"always"}), (0.75, {"always", "often"})):
        rules = Curation(rescued=False, needs_call=False, easy_from=share)
        with pytest.raises(ConfigError, match="no row was kept"):  # another tokenizer wrote them
            curate(config, out, rules, [tmp_path], easy=tmp_path)
        reasons = {
            (a["problem"], str(a["reason"]).split(":")[0]) for a in lines(out / "audit.jsonl")
        }
        assert {problem for problem, found in reasons if found == "drift"} == easy
        hard = {problem for problem, found in reasons if found == "no code for a hard problem"}
        assert hard == right.keys() - easy
    with pytest.raises(ConfigError, match="give --easy"):
        curate(config, out, rules, [tmp_path])


OK, FAILS = cell("x = 2\nprint(x)"), cell("print(y)", "Now more.\n")
LAST = cell("print(x + 2)", "I meant x.\n")


async def test_a_failed_try_goes_and_what_stays_is_token_for_token_what_it_was() -> None:
    trace = await thought(OK, FAILS, LAST, END)
    assert [call.status for call in trace.calls] == ["ok", "error", "ok"]
    changed, dropped = await without_failed_tries(trace, PythonTool())
    assert [trace.segments[i].source for i in dropped] == ["model", "tool"]
    kept = [s for i, s in enumerate(trace.segments) if i not in dropped]
    assert list(changed.segments) == kept and changed.finish == trace.finish
    assert changed.parent and changed.parent.trace_id == trace.id
    assert changed.token_ids[: changed.parent.at] == trace.token_ids[: changed.parent.at]
    assert [call.status for call in changed.calls] == ["ok", "ok"]
    verify_trace(changed, CharTokenizer())
    audit, found = await inspector().inspect(row(trace))
    assert audit["reason"] is None and audit["dropped"] == [*dropped] and found
    written = Trace.model_validate(timeless(found))
    assert written.token_ids == changed.token_ids and written.id == changed.id
    assert not written.seconds and all(call.seconds == 0 for call in written.calls)
    assert audit["trace_id"] == trace.id


async def test_a_failed_try_stays_if_a_later_output_needs_it() -> None:
    sets = cell("y = 5\nraise ValueError", "Now more.\n")
    trace = await thought(OK, sets, cell("print(y)", "And now.\n"), END)
    assert [call.status for call in trace.calls] == ["ok", "error", "ok"]
    assert await without_failed_tries(trace, PythonTool()) == (trace, ())
    assert await reason(inspector(), row(trace)) == "failed code"


async def test_a_trace_that_lost_its_answer_with_a_failed_try_is_not_kept() -> None:
    states = cell("print(y)", "So it is \\boxed{4}.\n")
    trace = await thought(OK, states, "As I said.", conclude="never")
    changed, dropped = await without_failed_tries(trace, PythonTool())
    assert (trace.answer, dropped) == ("4", (3, 4)) and changed.answer != "4"
    audit, _ = await inspector().inspect(row(trace))
    assert (audit["reason"], audit["dropped"]) == ("wrong once modified", [*dropped])
    assert not audit["score"]["correct"]
    repeated = await thought(OK, states, END)  # it says so once more
    assert await reason(inspector(), row(repeated)) is None


async def test_a_trace_that_lost_its_program_with_a_failed_try_is_not_kept() -> None:
    problem = CodeProblem("p", QUESTION, "", cases=(("2\n2\n", "4\n"),))
    program = "print(int(input()) + int(input()))"
    tried = cell(program, "Now more.\n")  # it fails here, where there is no input
    for end, expected in (
        ("So.\n</think>\n\nSee above.", "wrong once modified"),
        (f"So.\n</think>\n\n```python\n{program}\n```", None),
    ):
        trace = await thought(OK, tried, end)
        assert [call.status for call in trace.calls] == ["ok", "error"]
        async with Grader() as grader:
            verdict = await Judge(grader, PythonTool()).judge(trace, problem, "")
        assert verdict["correct"]
        job = Job(problem="p", input=asdict(problem))
        result = {**verdict, "trace": trace.model_dump(mode="json")}
        audit, _ = await inspector().inspect(Row(job, "done", result))
        assert (audit["reason"], audit["dropped"]) == (expected, [3, 4])


@pytest.mark.parametrize(
    ("code", "binding"),
    [
        ("def f(n):\n    return n", True), ("class A: pass", True), ("import math", True), ("x = 4", True),
        ("x: int = 4", True), ("for i in range(3):\n    total = i", True), ("assert 2 + 2 == 4", True),
        ("2 + 2;", False), ("f(3)", False), ("", False), ("# nothing", False), ("pass", False),
        ("%time 1", False), ("(" * 1000, False),
    ],
)  # fmt: skip
def test_a_silent_cell_is_void_if_it_leaves_nothing(code: str, binding: bool) -> None:
    assert binds(code) is binding


async def test_of_several_failed_tries_those_that_can_go_do() -> None:
    sets = cell("y = 5\nraise ValueError", "Now more.\n")
    trace = await thought(OK, FAILS, sets, cell("print(y)", "And now.\n"), END)
    changed, dropped = await without_failed_tries(trace, PythonTool())
    assert [call.status for call in changed.calls] == ["ok", "error", "ok"]
    gone = [call.code for i in dropped if (call := trace.segments[i].call)]
    assert gone == ["print(y)\n"]


async def test_the_first_thought_stays_and_no_sentence_is_torn() -> None:
    first = await thought(FAILS, cell("print(4)", "Right.\n"), END)
    assert (await without_failed_tries(first, PythonTool()))[1] == ()
    code = ("\nprint(y)\n```\n", cell("print(4)", "That was wrong.\n"), END)
    torn = await thought("I think 5.</think>", *code, hinted=True)
    assert (await without_failed_tries(torn, PythonTool()))[1] == ()
    whole = await thought("I think 5.\n</think>", *code, hinted=True)
    changed, dropped = await without_failed_tries(whole, PythonTool())
    assert [whole.segments[i].source for i in dropped] == ["hint", "model", "tool"]
    assert "I think 5.\nThat was wrong.\n```python\nprint(4)\n" in changed.text
    verify_trace(changed, CharTokenizer())


def test_repetition_is_found_in_the_middle_of_a_text() -> None:
    pattern, other = list(range(100, 130)), list(range(1000, 1400))
    assert repeats(other[:200] + pattern * 5 + other[200:], 4)
    assert not repeats(other[:200] + pattern * 3 + other[200:], 4)
    assert repeats([7] * 64, 4) and not repeats([7] * 63, 4)
    assert not repeats([], 2) and not repeats(other, 2)
    looped = other[:5] + [1, 2, 3] * 22 + other[5:9]  # 66 tokens: one period more than needed
    assert repeats(looped, 4) and not repeats(looped[:-8], 4)
    assert all(repeats(ids, 2) for ids in (pattern * 4, [1, 2] * 40, other + other))


def entry(question: str, rank: tuple[int, int, str], tokens: str = "") -> Candidate:
    return Candidate({"reason": None}, question, tokens or str(rank), rank)


def test_one_per_question_the_best_one() -> None:
    entries = [
        entry("a", (0, 30, "x")),
        entry("a", (0, 20, "y")),
        entry("a", (1, 10, "z")),
        entry("b", (0, 20, "y"), "same"),
        entry("b", (0, 20, "z"), "same"),
    ]
    choose(entries, None, 0)
    another = "another one is kept"
    assert [e.audit["reason"] for e in entries] == [
        another, None, another, None, "duplicate",
    ]  # fmt: skip


def test_a_part_is_drawn_by_the_seed() -> None:
    def kept(seed: int) -> list[str]:
        entries = [entry(str(i), (0, i, "")) for i in range(50)]
        choose(entries, 10, seed)
        assert {e.audit["reason"] for e in entries} == {None, "not drawn"}
        return [e.question for e in entries if e.audit["reason"] is None]

    assert len(kept(1)) == 10 and kept(1) == kept(1) != kept(2)


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """Rollouts of the base model, without hints and with two."""
    pytest.importorskip("torch")
    pytest.importorskip("math_verify")
    folder = tmp_path_factory.mktemp("rollouts")
    config = Config(
        base="start-tiny-base",
        prompt="plain",
        problems=Problems(take={"tiny": 5}),
        limits=Limits(max_tokens=400, max_repeats=4, answer_reserve=64),
        seed_data=Curation(overlap_share=1.0),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(GROUPS, "math", (MATH[9], MATH[11]))
        rollout(config, folder / "plain", RolloutConfig())
        hints = RolloutConfig(hints=("end:general", "end:deeper-think"))
        rollout(config, folder / "hinted", hints, after=folder / "plain")
    return config, folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_d_seed_is_what_was_wrong_and_is_right_with_a_hint(
    rollouts: tuple[Config, Path], tmp_path: Path
) -> None:
    config, folder = rollouts
    report = curate(
        config, tmp_path / "seed", config.seed_data, [folder / "hinted"], plain=folder / "plain"
    )
    audit, data = lines(tmp_path / "seed" / "audit.jsonl"), lines(tmp_path / "seed" / "data.jsonl")
    assert len(audit) == report["rows"] == 20
    assert report["rows"] == report["kept"] + sum(report["left out"].values())
    assert len(data) == report["kept"] == len({d["question"] for d in data}) > 2
    plain = read_rows(folder / "plain")
    right = {r.job.problem for r in plain if r.result and r.result["correct"]}
    assert right and not {d["problem"] for d in data} & right
    tokenizer = load_tokenizer(config.base)
    for datum in data:
        trace = Trace.model_validate(datum["trace"])
        verify_trace(trace, tokenizer)
        assert trace.calls and trace.hints
    assert "| right without hints |" in (tmp_path / "seed" / "report.md").read_text()
    again = curate(
        config, tmp_path / "again", config.seed_data, [folder / "hinted"], plain=folder / "plain"
    )
    assert again == report
    for file in ("data.jsonl", "audit.jsonl", "report.md", "report.json"):
        one, other = (tmp_path / name / file for name in ("seed", "again"))
        assert one.read_bytes() == other.read_bytes()


def test_the_papers_selection_can_be_switched_off_and_a_size_be_set(
    rollouts: tuple[Config, Path], tmp_path: Path
) -> None:
    config, folder = rollouts
    rules = config.seed_data.model_copy(update={"rescued": False, "size": 4})
    report = curate(config, tmp_path, rules, [folder / "hinted"])
    assert report["kept"] == 4 and "right without hints" not in report["left out"]


def test_problems_of_the_evaluation_are_left_out(
    rollouts: tuple[Config, Path], tmp_path: Path
) -> None:
    config, folder = rollouts
    first, second, *_ = (row.as_dict() for row in read_rows(folder / "plain"))
    suite = tmp_path / "suite.jsonl"
    known = {"problem": first["input"]["question"], "answer": "1"}
    suite.write_text(json.dumps(known) + "\n", encoding="utf-8")
    config = config.model_copy(update={"evaluation": Evaluation(suites=(str(suite),))})
    rules = config.seed_data.model_copy(update={"rescued": False})
    curate(config, tmp_path / "out", rules, [folder / "hinted"])
    reasons = {(a["problem"], a["reason"]) for a in lines(tmp_path / "out" / "audit.jsonl")}
    assert {r for p, r in reasons if p == first["problem"]} == {"overlaps with the evaluation"}
    assert "overlaps with the evaluation" not in {r for p, r in reasons if p == second["problem"]}


def test_the_miniatures_held_out_problems_are_those_of_its_seeds() -> None:
    evaluation = Evaluation(suites=("tiny",), n=2, seeds=(5, 6))
    found = [problem.question for problem in held_out(evaluation, "all")]
    assert len(found) == 2 * 2 * 13 and set(found[:26]) != set(found[26:])


def test_nothing_kept_says_why(tmp_path: Path) -> None:
    write_rows(tmp_path, [row(None)])
    config = Config(base="start-tiny-base")
    with pytest.raises(ConfigError, match=r"no row was kept: see '.*report\.md'"):
        curate(config, tmp_path / "out", Curation(rescued=False), [tmp_path])
    assert "| no trace | 1 | 0 |" in (tmp_path / "out" / "report.md").read_text()
    with pytest.raises(ConfigError, match="give --plain"):
        curate(config, tmp_path / "out", Curation(), [tmp_path])
    with pytest.raises(ConfigError, match="cannot create folder"):
        curate(config, tmp_path / "rows.sqlite", Curation(rescued=False), [tmp_path])


def test_the_command_line(
    rollouts: tuple[Config, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, folder = rollouts
    file = tmp_path / "run.toml"
    file.write_text('base = "start-tiny-base"\n', encoding="utf-8")
    line = f"--config {file} --out {tmp_path / 'out'} --plain {folder / 'plain'}"
    monkeypatch.setattr(sys, "argv", ["hint_rft", *line.split(), str(folder / "hinted")])
    assert main() == 0
    assert "rows of the rollouts |  | 20 |" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["hint_rft", *line.split(), str(tmp_path / "nothing")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "cannot read" in capsys.readouterr().err
