"""LiveCodeBench in an evaluation: its problems, both verdicts on a program, reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lcb import row, write
from start_tools.python import PythonTool

from recipes.problems import held_out, programs
from recipes.questions import Judge, asked, job_of, problem_of
from recipes.settings import Evaluation
from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, ReasoningSession
from start_sdk.grading import Grader
from start_sdk.testing import ScriptedBackend


@pytest.fixture
def problems(tmp_path: Path) -> list[Problem]:
    """One that reads, one whose function is called."""
    return programs([write(tmp_path / "lcb.jsonl", [row(7), row(8, function="total")])])


def test_a_problem_says_where_its_tests_are(problems: list[Problem]) -> None:
    one, other = problems
    assert isinstance(one, CodeProblem) and isinstance(other, CodeProblem)
    assert (one.id, one.family, one.samples) == ("made_7", "medium", (("1\n2\n", "3"),))
    assert one.cases == () and one.function == "" and other.function == "Solution().total"
    job = job_of(one)
    assert len(json.dumps(job.input)) < 600 and problem_of(job) == one
    starter = asked(other, "livecodebench", 0)[0][1]["content"]  # type: ignore[index]
    assert f"```python\n{other.starter}\n```" in starter


async def test_a_program_has_the_verdicts_of_both_graders(problems: list[Problem]) -> None:
    reads = "import sys\nprint(sum(int(line) for line in sys.stdin))"
    trace = await ReasoningSession(
        ScriptedBackend([f"Easy.\n</think>\n\n```python\n{reads}\n```"])
    ).run("?")
    async with Grader() as grader:
        verdict = await Judge(grader, PythonTool()).judge(trace, problems[0], "")
    assert (verdict["correct"], verdict["outcome"], verdict["upstream"]) == (True, "passed", False)


def test_a_file_of_problems_is_checked_against_as_an_evaluation(tmp_path: Path) -> None:
    file = write(tmp_path / "lcb.jsonl", [row(1)])
    evaluation = Evaluation(suites=(f"livecodebench={file}",))
    (found,) = held_out(evaluation, "all")
    assert (found.question, found.family) == (
        "Add the integers. Variant 1.", f"livecodebench={file}",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="needs its files"):
        held_out(Evaluation(suites=("livecodebench",)), "all")


def evaluate(*options: str, kill_after: int | None = None) -> int:
    """Runs an evaluation with a scripted model, perhaps up to so many samples; its exit status."""
    command = [sys.executable, str(Path(__file__).parent.parent / "lcb_evaluate.py"), *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=pipe, text=True, start_new_session=True
    ) as process:
        assert process.stderr
        judged = 0
        for line in process.stderr:
            judged += line == "judged\n"
            if judged == kill_after:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode


@pytest.mark.slow
def test_an_evaluation_that_is_killed_twice_ends_with_the_same_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("math_verify")
    file = write(
        tmp_path / "lcb.jsonl", [row(n, function="total" if n % 2 else "") for n in range(30)]
    )
    options = ("--suite", "livecodebench", "--data", str(file), "--k", "4", "--out")
    killed, whole = str(tmp_path / "killed"), tmp_path / "whole"
    assert [evaluate(*options, killed, kill_after=share) for share in (30, 40)] == [-9, -9]
    assert evaluate(*options, killed) == 0
    assert evaluate(*options, str(whole)) == 0
    for name in ("report.md", "report.json", "report.png"):
        assert Path(killed, name).read_bytes() == (whole / name).read_bytes()
    report = json.loads((whole / "report.json").read_text("utf-8"))
    found = report["policies"]["none"]
    assert found["all"]["samples"] == 120 and found.keys() == {"easy", "medium", "hard", "all"}
    graders = report["graders"]
    assert sum(graders.values()) == 120 and graders["only upstream's"] == 0 < graders["only ours"]
    # The other grader's verdicts are there: nothing is sampled, or run, again.
    assert evaluate(*options, str(whole), "--grader", "upstream", kill_after=1) == 0
    again = json.loads((whole / "report.json").read_text("utf-8"))
    upstreams = again["policies"]["none"]["all"]["pass@1"]["value"]
    assert upstreams == pytest.approx(100 * graders["both"] / 120, abs=0.01)
    assert found["all"]["pass@1"]["value"] > upstreams
    text = (whole / "report.md").read_text("utf-8")
    assert "contradict" in text and "Hard: QwQ-32B-Preview 10.2, START 12.2." in text
