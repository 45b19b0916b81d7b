"""LiveCodeBench: files, windows, sizes, tests in their encodings, prompts, both graders, reports."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import zlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from lcb import PROGRAMS, READING, Program, packed, row, write
from start_tools.python import PythonTool

from recipes import problems as named
from recipes import programs
from recipes.livecodebench import (
    PAPERS_WINDOW,
    SIZES,
    Selection,
    differences,
    load,
    prompt,
    stored_tests,
    upstream,
)
from recipes.livecodebench.encoding import all_tests
from recipes.questions import asked, job_of, problem_of
from recipes.suites import CodeProblem
from start_sdk import ConfigError

PYTHON = PythonTool()
FAST = {
    "for line in stdin", "global", "os._exit", "open(0)", "off by one", "crash", "method",
    "wrong value",
}  # fmt: skip


@pytest.fixture
def problems(tmp_path: Path) -> tuple[CodeProblem, CodeProblem]:
    """One that reads, one whose function is called."""
    file = write(tmp_path / "lcb.jsonl", [row(7), row(8, function="total")])
    one, other = load(Selection((file,)))
    return one, other


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(p, id=p.name, marks=[] if p.name in FAST else pytest.mark.slow)
        for p in PROGRAMS
    ],
)
async def test_both_graders_have_their_verdict_on_every_program(
    problems: tuple[CodeProblem, CodeProblem], program: Program
) -> None:
    """Upstream's verdicts were compared with those of its own code (28fef95), run once."""
    problem = problems[program.function]
    assert await programs.judge(PYTHON, problem, program.code) == program.ours
    response = f"So:\n```python\n{program.code}\n```\nDone."
    assert await upstream.passes(PYTHON, problem, response) is program.passes_upstream


def test_the_programs_are_of_all_kinds() -> None:
    assert len(PROGRAMS) >= 40 and len({p.name for p in PROGRAMS}) == len(PROGRAMS)
    assert len(READING) >= 15 and all(p.ours == "passed" for p in READING)
    assert [p.passes_upstream for p in READING] == [True] * (len(READING) - 8) + [False] * 8
    assert {p.ours for p in PROGRAMS} == {"passed", "wrong", "time", "memory", "runtime", "output"}


def test_a_problem_says_where_its_tests_are(problems: tuple[CodeProblem, CodeProblem]) -> None:
    one, other = problems
    assert (one.id, one.family, one.samples) == ("made_7", "medium", (("1\n2\n", "3"),))
    assert one.cases == () and one.function == "" and other.function == "Solution().total"
    assert stored_tests(one.stored, one.digest)[1] == ("7\n5\n-2\n", "10")
    assert stored_tests(other.stored, other.digest)[0] == ("[1, 2]", "3")
    job = job_of(one)
    assert len(json.dumps(job.input)) < 600 and problem_of(job) == one
    Path(one.stored.rpartition(":")[0]).write_text(json.dumps(row(9)) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has changed since"):
        stored_tests.__wrapped__(one.stored, one.digest)


def test_a_prompt_is_upstreams(problems: tuple[CodeProblem, CodeProblem]) -> None:
    system, user = prompt(problems[0])
    assert system["role"] == "system" and system["content"].startswith("You are an expert Python")
    assert user["content"].startswith(
        "### Question:\nAdd the integers. Variant 7.\n\n### Format: Read the"
    )
    assert user["content"].endswith(
        "writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    starter = asked(problems[1], "livecodebench", 0)[0][1]["content"]  # type: ignore[index]
    assert "### Format: You will use the following starter code" in starter
    assert f"```python\n{problems[1].starter}\n```" in starter


def test_tests_are_read_in_each_encoding() -> None:
    plain = json.dumps([{"input": "1", "output": "1", "testtype": "stdin"}])
    texts = {str(all_tests(row(1, private=p), "x")) for p in (plain, packed(plain))}
    assert len(texts) == 1
    # As the files have it, whichever protocol wrote them.
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = base64.b64encode(zlib.compress(pickle.dumps(plain, protocol))).decode()
        assert len(all_tests(row(1, private=data), "x")) == 2


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("private", "says"),
    [
        (packed(Evil()), "its pickle refers to more than a string: REDUCE"),
        (packed(["[]"]), "its pickle refers to more than a string"),
        (packed(b"[]"), "its pickle refers to more than a string"),
        (packed(7), "its pickle refers to more than a string"),
        (packed("[1]"), "private_test_cases: 0:"),
        (packed("{"), "private_test_cases: not JSON"),
        (packed("[" * 100_000), "private_test_cases: not JSON"),
        (packed("[]")[:-8], "private_test_cases: "),
        ("!!", "private_test_cases: "),
        (base64.b64encode(b"abc").decode(), "not compressed"),
        (base64.b64encode(zlib.compress(b"abc")).decode(), "private_test_cases: "),
        ('[{"input": "1"}]', "private_test_cases: 0.output"),
        ('[{"input": "1", "output": "1", "testtype": "files"}]', "private_test_cases: 0.testtype"),
    ],
)  # fmt: skip
def test_foreign_tests_are_refused_in_one_line(
    private: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "lcb.jsonl", [row(1), row(2, private=private)])
    with pytest.raises(ConfigError) as caught:
        load(Selection((file,)))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert "lcb.jsonl, line 2" in str(caught.value) and not Path("evil").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json\n", "line 1: not JSON"),
        ("[1]\n", "line 1: not an object"),
        ('{"question_id": "1"}\n', "line 1: no question_content, contest_date"),
        (json.dumps(row(1)) + "\n\n" + json.dumps(row(1)), "line 3: the id 'made_1' is not unique"),
        (json.dumps(row(1, contest_date="soon")), "line 1: contest_date 'soon' is no date"),
        (json.dumps(row(1, contest_date=1722470400000)), "contest_date 1722470400000 is no date"),
        (json.dumps(row(1, question_content=None)), "line 1: question_content is None"),
        (json.dumps(row(1, difficulty="")), "line 1: difficulty is ''"),
        (json.dumps(row(1, function="total", starter_code="")), "it has no starter_code"),
        (
            json.dumps(row(1, function="total", private='[{"input": "[1]", "output": "x"}]')),
            "its test 2 is not JSON",
        ),
        (json.dumps(row(1, function="total", metadata="{}")), "its function is None"),
        ("", "no problem of"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(Selection((tmp_path / "a.jsonl",)))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_lines_end_at_line_feeds_and_a_mark_may_come_first(tmp_path: Path) -> None:
    one, two = row(1, question_title="a\u2028b"), row(2)
    text = "\ufeff" + json.dumps(one, ensure_ascii=False) + "\r\n" + json.dumps(two)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8", newline="")
    found = load(Selection((tmp_path / "a.jsonl",)))
    assert [len(stored_tests(p.stored, p.digest)) for p in found] == [3, 3]


def test_a_window_has_both_its_ends(tmp_path: Path) -> None:
    dates = ["2024-07-31T23:59:59", "2024-08-01T00:00:00", "2024-11-30T23:59:59", "2024-12-01"]
    rows = [row(number, contest_date=held) for number, held in enumerate(dates)]
    file = write(tmp_path / "a.jsonl", rows)
    assert [p.id for p in load(Selection((file,), *PAPERS_WINDOW))] == ["made_1", "made_2"]
    assert len(load(Selection((file,), since=date(2024, 8, 1)))) == 3
    assert len(load(Selection((file,), until=date(2024, 8, 1)))) == 2
    with pytest.raises(ConfigError, match="within the window"):
        load(Selection((file,), since=date(2025, 1, 1)))


def test_sizes_are_those_of_the_release(tmp_path: Path) -> None:
    assert sum(SIZES.values()) == 1055
    rows = [row(number, contest_date="2024-08-09") for number in range(112)]
    four, five = (
        write(tmp_path / f"{n}.jsonl", r) for n, r in (("test4", rows[:101]), ("test5", rows[101:]))
    )
    with pytest.raises(ConfigError, match=r"^test5.jsonl has 11 problems, -156 from 167$"):
        load(Selection((four, five), *PAPERS_WINDOW, release="v5"))
    with pytest.raises(
        ConfigError, match=r"^test4.jsonl is not of release v3; test.jsonl is missing"
    ):
        load(Selection((four,), release="v3"))
    with pytest.raises(
        ConfigError, match=r"^the window has 101 problems, -11 from the papers' 112$"
    ):
        load(Selection((four,), *PAPERS_WINDOW, release="v4"))
    found = load(
        Selection((four, five), *PAPERS_WINDOW)
    )  # what no release is named for is not checked
    assert len(found) == 112 and differences(Selection((), *PAPERS_WINDOW), 112) == ""


def test_a_response_is_read_as_upstream_reads_it() -> None:
    assert upstream.extracted("```python\na\n```\nIt prints\n```\n6\n```") == "6"
    assert upstream.extracted("a ``` b\nc\n```") == "c"
    assert upstream.extracted("```python\na") == ""


async def test_a_file_of_problems_is_checked_against_as_an_evaluation(tmp_path: Path) -> None:
    file = write(tmp_path / "lcb.jsonl", [row(1)])
    assert [p.question for p in named.load(f"livecodebench={file}")] == [
        "Add the integers. Variant 1."
    ]
    with pytest.raises(ConfigError, match="needs its files"):
        named.load("livecodebench")


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
