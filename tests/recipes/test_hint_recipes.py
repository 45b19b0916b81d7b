"""The programs about hints, end to end: the embedded model, real kernels, the grader's workers."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from recipes import compare, evaluate, fit_policy, hint_matrix, tts
from recipes.questions import Judge
from recipes.suites import Problem
from recipes.tiny.families import GROUPS, MATH
from start_sdk import Trace, verify_trace
from start_sdk.batch import Row, read_rows
from start_sdk.hints import Learned

ALONE = "--backend-option deterministic=true --limits max_repeats=4"
FEW = f"{ALONE} --n 1 --ids general check-logic"
PROGRAMS = [
    pytest.param(hint_matrix, f"{FEW} --seed 3", "matrix", id="hint_matrix"),
    pytest.param(tts, f"{ALONE} --n 1 --rounds 1 --waits 2 --votes 2 --seeds 5 6", "tts", id="tts"),
]
ORDERS, PRIMES = MATH[7], MATH[8]  # of which the model thinks for a short time


def run(program: ModuleType, line: str, patch: pytest.MonkeyPatch) -> int:
    """A program with this command line, on a small world."""
    patch.setattr(sys, "argv", [program.__name__, *line.split()])
    patch.setitem(GROUPS, "math", (ORDERS,) if program is tts else (ORDERS, PRIMES))
    patch.setattr(hint_matrix, "WISHES", ("prompt:direct",))
    status: int = program.main()
    return status


OWN = """
[[hint]]
id = "own"
text = "let me see.\\n```python"
category = "c"
domain = "math"

[[hint]]
id = "odd"
text = "(Good.)"
category = "c"
domain = "math"
positions = ["output"]
"""


def rows_of(folder: Path) -> dict[tuple[str, str, int], Row]:
    return {(r.job.problem, r.job.policy, r.job.sample): r for r in read_rows(folder)}


def without_times(rows: dict[tuple[str, str, int], Row]) -> dict[tuple[str, str, int], object]:
    return {
        key: [segment["token_ids"] for segment in row.result["trace"]["segments"]]
        for key, row in rows.items()
        if row.result
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """What each of the programs wrote."""
    made = {}
    for parameter in PROGRAMS:
        program, line, name = parameter.values
        assert isinstance(program, ModuleType)
        made[str(name)] = tmp_path_factory.mktemp(str(name))
        with pytest.MonkeyPatch.context() as patch:
            assert run(program, f"{line} --out {made[str(name)]}", patch) == 0
    yield made


@pytest.mark.slow
@pytest.mark.parametrize(("program", "line", "name"), PROGRAMS)
def test_what_was_stopped_continues_and_comes_to_the_same_table(
    program: ModuleType,
    line: str,
    name: str,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, begun = Judge.judge, 0

    async def stopped(self: Judge, trace: Trace, problem: Problem, gold: str) -> object:
        nonlocal begun
        begun += 1
        if begun == 4:  # in the second of the rollouts, or at its beginning
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        return await real(self, trace, problem, gold)

    line = f"{line} --max-concurrency 1 --out {tmp_path}"
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "judge", stopped)
        with pytest.raises(SystemExit) as ended:
            run(program, line, patch)
    assert ended.value.code == 130 and "same command again to resume" in capsys.readouterr().err
    done = rows_of(tmp_path)
    assert 0 < len(done) < len(rows_of(folders[name]))
    assert not (tmp_path / f"{name}.md").exists()
    assert run(program, line, monkeypatch) == 0
    for kind in ("md", "json"):
        file = f"{name}.{kind}"
        assert (tmp_path / file).read_bytes() == (folders[name] / file).read_bytes()
    assert {key: rows_of(tmp_path)[key] for key in done} == done
    assert without_times(rows_of(tmp_path)) == without_times(rows_of(folders[name]))
    assert (folders[name] / f"{name}.md").read_text("utf-8") in capsys.readouterr().out


def test_a_matrix_holds_each_hint_at_each_place_in_one_and_the_same_thought(
    folders: dict[str, Path],
) -> None:
    from start_sdk.backends.tokenizer import load_tokenizer

    tokenizer, rows = load_tokenizer("start-tiny-base"), rows_of(folders["matrix"])
    made = json.loads((folders["matrix"] / "matrix.json").read_text("utf-8"))
    tried = {(key[0], key[1]): row.result for key, row in rows.items() if row.result}
    for (problem, policy), result in tried.items():
        trace, base = Trace.model_validate(result["trace"]), tried[problem, "none"]["trace"]
        verify_trace(trace, tokenizer)
        place, _, hint = policy.partition(":")
        if place in ("none", "prompt"):
            assert not trace.hints and not trace.parent
            continue
        assert trace.parent is not None and trace.parent.trace_id == base["id"]
        at = trace.parent.at
        assert trace.token_ids[:at] == Trace.model_validate(base).token_ids[:at]
        assert trace.hints[0].id == hint
        assert trace.hints[0].position == ("end" if place == "end" else "connective")
    assert {"end:general", "end:check-logic", "prompt:direct"} <= set(made["arms"])
    for name, arm in made["arms"].items():
        some = {problem: r["correct"] for (problem, policy), r in tried.items() if policy == name}
        assert arm["problems"] == len(some)
        assert arm["after"]["value"] == 100 * sum(some.values()) / len(some)
        wrong = [right for p, right in some.items() if not tried[p, "none"]["correct"]]
        assert (arm["rescued"] or {}).get("value") == (
            100 * sum(wrong) / len(wrong) if wrong else None
        )
    text = (folders["matrix"] / "matrix.md").read_text("utf-8")
    assert "The paper's" in text and "33.0 % rescued, 10.4 % broken" in text
    assert (folders["matrix"] / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_all_ways_to_spend_tokens_begin_alike_and_keep_to_the_budget(
    folders: dict[str, Path],
) -> None:
    rows = rows_of(folders["tts"])
    problems = {key[0] for key in rows}
    assert len(problems) == 2 and len(rows) == 2 * (2 + 2)
    for problem in problems:
        first = rows[problem, "none", 0].result
        assert first and rows[problem, "none", 1].result
        for policy in ("rounds:1", "wait:2"):
            result = rows[problem, policy, 0].result
            assert result
            step = result["steps"][0]
            assert (step["answer"], step["sampled"]) == (first["answer"], first["sampled"])
            assert result["answer"] == result["steps"][-1]["answer"]
            if policy == "wait:2":
                assert all(step["calls"] == 0 for step in result["steps"])
    made = json.loads((folders["tts"] / "tts.json").read_text("utf-8"))
    hinted = made["curves"]["rounds"]
    assert [p["round"] for p in hinted] == [0, 1] and made["problems"] == 2
    for way in ("wait", "none"):
        curve = made["curves"][way]
        assert curve[0] == hinted[0]
        assert all(a["tokens"] <= b["tokens"] for a, b in zip(curve, hinted, strict=True))
    assert (folders["tts"] / "tts.png").read_bytes().startswith(b"\x89PNG")


def test_a_policy_is_fitted_on_a_matrix_and_compared(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    learned = tmp_path / "learned"
    assert run(fit_policy, f"{folders['matrix']} --out {learned}", monkeypatch) == 0
    assert "learned - best constant" in capsys.readouterr().out
    names = {"all", *(f"without-{family.name}" for family in (ORDERS, PRIMES))}
    assert {path.stem for path in learned.iterdir()} == names
    for name in names:
        fitted = Learned.load(learned / f"{name}.json").policy
        assert set(fitted.hinted) == {"general", "check-logic"}
    line = "--suite tiny --families math --n 1 --seeds 5 --sampling logprobs=true"
    policies = f"--hints none end learned:{learned}"
    out = tmp_path / "policies"
    assert run(evaluate, f"{ALONE} {line} {policies} --out {out}", monkeypatch) == 0
    capsys.readouterr()
    assert run(compare, f"{out} --against end", monkeypatch) == 0
    said = capsys.readouterr().out
    assert "| none | 2 |" in said and f"| learned:{learned} | 2 |" in said


@pytest.mark.parametrize(
    ("program", "line", "says"),
    [
        (hint_matrix, "--n 0 --out o", "--n must be at least 1"),
        (hint_matrix, "", "--out is required"),
        (hint_matrix, "--suite aime99 --out o", "neither a suite"),
        (hint_matrix, "--model no/such-model --out o", "no model 'no/such-model'"),
        (hint_matrix, "--ids magic --out o", "no hint 'magic'"),
        (hint_matrix, "--library none.toml --out o", "'none.toml' cannot be read"),
        (hint_matrix, "--ids general --library own.toml --out o", "available: own, odd"),
        (hint_matrix, "--library own.toml --out o", "hint 'odd' cannot be inserted"),
        (hint_matrix, "--ids general debug --out o", "hint 'debug' cannot be inserted"),
        (hint_matrix, "--ids trust --out o", "hint 'trust' cannot be inserted"),
        (tts, "--rounds 0 --out o", "must be at least 1"),
        (tts, "--rounds many --out o", "'many'"),
        (evaluate, "--suite tiny --hints learned:{} --out o", "is not a valid policy file"),
        (compare, "{}", "{}"),
        (fit_policy, "{} --out o", "{}"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    program: ModuleType,
    line: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(OWN, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        run(program, line.replace("{}", str(tmp_path)), monkeypatch)
    assert ended.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert says.replace("{}", str(tmp_path)) in error


def test_a_file_in_place_of_a_folder_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        run(hint_matrix, f"{FEW} --out {tmp_path / 'taken'}", monkeypatch)
    assert ended.value.code == 2 and "cannot create folder" in capsys.readouterr().err
