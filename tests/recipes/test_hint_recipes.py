"""The programs about hints, end to end: the embedded model, real kernels, the grader's workers."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from recipes import experiment, fit_policy, hint_matrix, policies, tts
from recipes.suites import Problem
from recipes.tiny.families import MATH
from start_sdk import Trace, open_backend, verify_trace
from start_sdk.batch import read_rows
from start_sdk.hints import Learned

FEW = "--n 1 --hints general check-logic"
PROGRAMS = [
    pytest.param(hint_matrix, f"{FEW} --seed 3", "matrix", id="hint_matrix"),
    pytest.param(tts, "--n 1 --rounds 0..1 --seeds 5 6", "tts", id="tts"),
    pytest.param(policies, "--n 1 --seeds 5", "policies", id="policies"),
]
ORDERS, PRIMES = MATH[7], MATH[8]  # of which the model thinks for a short time
ALL = policies.POLICIES
SOME = ("none", "end", "calculation, else end")


def run(program: ModuleType, line: str, patch: pytest.MonkeyPatch) -> int:
    """A program with this command line, on a small world, each row decoded by itself."""
    patch.setattr(sys, "argv", [program.__name__, *line.split()])
    families = (ORDERS,) if program is tts else (ORDERS, PRIMES)
    patch.setitem(experiment.GROUPS, "math", families)
    patch.setattr(hint_matrix, "WISHES", ("direct",))
    patch.setattr(policies, "POLICIES", {name: ALL[name] for name in SOME})
    if hasattr(program, "open_backend"):  # so that what runs beside a row does not move its logits
        patch.setattr(program, "open_backend", partial(open_backend, deterministic=True))
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


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row.as_dict() for row in read_rows(folder)]


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
def test_what_was_stopped_goes_on_and_comes_to_the_same_table(
    program: ModuleType,
    line: str,
    name: str,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, begun = experiment.Judge.judge, set[str]()

    async def stopped(self: experiment.Judge, trace: Trace, problem: Problem, gold: str) -> object:
        if problem.id not in begun and begun:  # the first answer to the second problem
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        begun.add(problem.id)
        return await real(self, trace, problem, gold)

    line = f"{line} --max-concurrency 1 --out {tmp_path}"
    with monkeypatch.context() as patch:
        patch.setattr(experiment.Judge, "judge", stopped)
        with pytest.raises(SystemExit) as ended:
            run(program, line, patch)
    assert ended.value.code == 130 and "same command again to resume" in capsys.readouterr().err
    done = rows_of(tmp_path)
    assert len(done) == 1 < len(rows_of(folders[name]))
    assert not (tmp_path / f"{name}.md").exists()
    assert run(program, line, monkeypatch) == 0
    for kind in ("md", "json"):
        file = f"{name}.{kind}"
        assert (tmp_path / file).read_bytes() == (folders[name] / file).read_bytes()
    assert rows_of(tmp_path)[: len(done)] == done
    assert (folders[name] / f"{name}.md").read_text("utf-8") in capsys.readouterr().out


def test_a_matrix_holds_each_hint_at_each_place_in_one_and_the_same_thought(
    folders: dict[str, Path],
) -> None:
    tokenizer = open_tokenizer()
    rows = rows_of(folders["matrix"])
    for row in rows:
        base = Trace.model_validate(row["result"]["trace"])
        verify_trace(base, tokenizer)
        assert not base.hints
        for name, arm in row["result"]["arms"].items():
            trace = Trace.model_validate(arm["trace"])
            verify_trace(trace, tokenizer)
            hint, _, place = name.partition(" @ ")
            if place:
                assert trace.parent is not None and trace.parent.trace_id == base.id
                at = trace.parent.at
                assert trace.token_ids[:at] == base.token_ids[:at]
                assert trace.hints[0].id == hint
                assert trace.hints[0].position == ("end" if place == "end" else "connective")
            else:
                assert name.startswith("prompt: ") and not trace.hints and not trace.parent
            assert arm["called"] == bool(trace.calls)
    made = json.loads((folders["matrix"] / "matrix.json").read_text("utf-8"))
    arms = {arm["name"]: arm for arm in made["arms"]}
    assert {"general @ end", "check-logic @ end", "prompt: direct"} <= set(arms)
    for name, arm in arms.items():
        tried = [r["result"] for r in rows if name in r["result"]["arms"]]
        right = [r["arms"][name]["correct"] for r in tried]
        assert arm["problems"] == len(tried)
        assert arm["after"]["value"] == 100 * sum(right) / len(right)
        wrong = [b for r, b in zip(tried, right, strict=True) if not r["correct"]]
        assert (arm["rescued"] or {}).get("value") == (
            100 * sum(wrong) / len(wrong) if wrong else None
        )
    text = (folders["matrix"] / "matrix.md").read_text("utf-8")
    assert "The paper's" in text and "33.0 % rescued, 10.4 % broken" in text
    assert (folders["matrix"] / "matrix.png").read_bytes().startswith(b"\x89PNG")


def open_tokenizer() -> Any:
    from start_sdk.backends.tokenizer import load_tokenizer

    return load_tokenizer("start-tiny-base")


def test_all_ways_to_spend_tokens_begin_alike_and_keep_to_the_budget(
    folders: dict[str, Path],
) -> None:
    rows = rows_of(folders["tts"])
    assert {row["seed"] for row in rows} == {5, 6} and len(rows) == 2
    for row in rows:
        steps = row["result"]
        firsts = [steps[way][0]["trace"]["segments"] for way in tts.WAYS]
        assert firsts[0] == firsts[1] == firsts[2]
        rounds = [
            [h["id"] for s in step["trace"]["segments"] if (h := s["hint"])]
            for step in steps["hints"]
        ]
        assert rounds == [[], ["round-1"]][: len(rounds)]
        assert all(step["calls"] == 0 for way in ("wait", "votes") for step in steps[way])
        for way in tts.WAYS:
            tokens = [step["tokens"] for step in steps[way]]
            assert tokens == sorted(set(tokens))
    made = json.loads((folders["tts"] / "tts.json").read_text("utf-8"))
    hinted = made["curves"]["hints"]
    assert [p["round"] for p in hinted] == [0, 1] and made["problems"] == 2
    for way in ("wait", "votes"):
        curve = made["curves"][way]
        assert curve[0] == hinted[0]
        assert all(a["tokens"] <= b["tokens"] for a, b in zip(curve, hinted, strict=True))
    assert (folders["tts"] / "tts.png").read_bytes().startswith(b"\x89PNG")


def test_all_policies_get_the_same_problems_and_tokens(folders: dict[str, Path]) -> None:
    rows = rows_of(folders["policies"])
    made = json.loads((folders["policies"] / "policies.json").read_text("utf-8"))
    lines = {line["name"]: line for line in made["policies"]}
    assert list(lines) == list(SOME)
    for name, line in lines.items():
        arms = [row["result"]["policies"][name] for row in rows]
        before = [row["result"]["policies"]["none"]["correct"] for row in rows]
        for arm in arms:
            usage = arm["trace"]["usage"]
            assert usage["model"] + usage["dropped"] == arm["sampled"] <= policies.TOKENS
        assert line["problems"] == len(rows) == 2
        assert line["correct"]["value"] == 100 * sum(a["correct"] for a in arms) / len(arms)
        gained = sum(a["correct"] - b for a, b in zip(arms, before, strict=True))
        assert line["rescued"] - line["broken"] == gained
    assert lines["none"]["hinted"] == 0 and lines["end"]["hinted"] > 0
    assert lines["end"]["against_paper"]["value"] == 0


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
    line = f"--n 1 --seeds 5 --learned {learned} --out {tmp_path / 'policies'}"
    assert run(policies, line, monkeypatch) == 0
    assert "| learned | 2 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "line", "says"),
    [
        (hint_matrix, "--n 0", "--n must be at least 1"),
        (hint_matrix, "--max-concurrency 0", "--max-concurrency must be at least 1"),
        (hint_matrix, "--suite aime99", "neither a suite"),
        (hint_matrix, "--model no/such-model", "no model 'no/such-model'"),
        (hint_matrix, "--hints magic", "no hint 'magic'"),
        (hint_matrix, "--library none.toml", "'none.toml' cannot be read"),
        (
            hint_matrix,
            "--hints general --library own.toml",
            "no hint 'general'; available: own, odd",
        ),
        (hint_matrix, "--library own.toml", "hint 'odd' cannot be inserted"),
        (hint_matrix, "--hints general debug", "hint 'debug' cannot be inserted"),
        (hint_matrix, "--hints trust", "hint 'trust' cannot be inserted"),
        (tts, "--rounds 0", "'0' is neither"),
        (tts, "--rounds 2..4", "'2..4' is neither"),
        (tts, "--rounds many", "'many' is neither"),
        (tts, "--seeds -1", "seed=-1"),
        (policies, "--seeds", "--seeds"),
        (policies, "--learned {}", "is not a valid policy file"),
        (fit_policy, "{} --out {}", "has no matrix"),
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
    monkeypatch.chdir(tmp_path)  # where the default for --out is
    Path("own.toml").write_text(OWN, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        run(program, line.replace("{}", str(tmp_path)), monkeypatch)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert says in error.splitlines()[-1] and "Traceback" not in error


def test_a_file_in_place_of_a_folder_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        run(hint_matrix, f"{FEW} --out {tmp_path / 'taken'}", monkeypatch)
    assert ended.value.code == 2 and "cannot create folder" in capsys.readouterr().err
