"""LiveCodeBench: files, windows, sizes, tests in their encodings, prompts, both graders."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from lcb import PROGRAMS, READING, Program, packed, row, write
from start_tools.python import PythonTool

from start_sdk import ConfigError
from start_sdk.grading.livecodebench import (
    LIMITS,
    PAPERS_WINDOW,
    SIZES,
    Task,
    load,
    passes_upstream,
    prompt,
    read_task,
    stored_tests,
)
from start_sdk.grading.programs import run_program

PYTHON = PythonTool()
FAST = {
    "for line in stdin", "global", "os._exit", "open(0)", "off by one", "crash", "method",
    "wrong value",
}  # fmt: skip


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[Task, Task]:
    """One that reads, one whose function is called."""
    one, other = load([write(tmp_path / "lcb.jsonl", [row(7), row(8, function="total")])])
    return one, other


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(p, id=p.name, marks=[] if p.name in FAST else pytest.mark.slow)
        for p in PROGRAMS
    ],
)
async def test_both_graders_have_their_verdict_on_every_program(
    tasks: tuple[Task, Task], program: Program
) -> None:
    """Upstream's verdicts were compared with those of its own code (28fef95), run once."""
    task = tasks[program.function]
    tests, function = stored_tests(task.stored, task.digest), task.function
    run = await run_program(program.code, tests, PYTHON, function=function, limits=LIMITS)
    assert run.outcome == program.ours
    response = f"So:\n```python\n{program.code}\n```\nDone."
    upstreams = await passes_upstream(response, tests, PYTHON, function=function)
    assert upstreams is program.passes_upstream


def test_the_programs_are_of_all_kinds() -> None:
    assert len(PROGRAMS) >= 40 and len({p.name for p in PROGRAMS}) == len(PROGRAMS)
    assert len(READING) >= 15 and all(p.ours == "passed" for p in READING)
    assert [p.passes_upstream for p in READING] == [True] * (len(READING) - 8) + [False] * 8
    assert {p.ours for p in PROGRAMS} == {"passed", "wrong", "time", "memory", "runtime", "output"}


def test_a_task_says_where_its_tests_are(tasks: tuple[Task, Task]) -> None:
    one, other = tasks
    assert (one.id, one.difficulty, one.samples) == ("made_7", "medium", (("1\n2\n", "3"),))
    assert one.function == "" and other.function == "Solution().total"
    hidden = stored_tests(one.stored, one.digest)[1]
    called = stored_tests(other.stored, other.digest)[0]
    assert (hidden.given, hidden.expected) == ("7\n5\n-2\n", "10")
    assert (called.given, called.expected) == ("[1, 2]", "3")
    stored_tests.cache_clear()
    Path(one.stored.rpartition(":")[0]).write_text(json.dumps(row(9)) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has changed since"):
        stored_tests(one.stored, one.digest)


def test_a_prompt_is_upstreams(tasks: tuple[Task, Task]) -> None:
    one, other = tasks
    system, user = prompt(one.question, one.starter)
    assert system["role"] == "system" and system["content"].startswith("You are an expert Python")
    assert user["content"].startswith(
        "### Question:\nAdd the integers. Variant 7.\n\n### Format: Read the"
    )
    assert user["content"].endswith(
        "writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    starter = prompt(other.question, other.starter)[1]["content"]
    assert "### Format: You will use the following starter code" in starter
    assert f"```python\n{other.starter}\n```" in starter


async def test_a_response_is_read_as_upstream_reads_it(tasks: tuple[Task, Task]) -> None:
    tests = stored_tests(tasks[0].stored, tasks[0].digest)
    right = "import sys\nprint(sum(map(int, sys.stdin.read().split())))"
    responses = {
        f"```python\n{right}\n```": True,
        f"```python\nwrong\n```\nIt prints\n```\n{right}\n```": True,  # what is between the last two
        f"```python\n{right}\n```\nIt prints\n```\n6\n```": False,
        f"Now ``` it\n{right}\n```": True,
        f"```python\n{right}": False,
    }
    for response, passes in responses.items():
        assert await passes_upstream(response, tests, PYTHON) is passes, response


def test_tests_are_read_in_each_encoding() -> None:
    plain = json.dumps([{"input": "1", "output": "1", "testtype": "stdin"}])
    (one, two), again = (read_task(row(1, private=p))[1] for p in (plain, packed(plain)))
    assert (one, two) == again and (two.given, two.expected) == ("1", "1")
    # As the files have it, whichever protocol wrote them.
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = base64.b64encode(zlib.compress(pickle.dumps(plain, protocol))).decode()
        assert read_task(row(1, private=data))[1] == again


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch evil",)


def repeated(start: bytes, opcode: bytes) -> str:
    """A pickle of five million opcodes, packed: they take gigabytes if they are kept."""
    return base64.b64encode(zlib.compress(start + opcode * 5_000_000 + b".")).decode()


@pytest.mark.parametrize(
    ("private", "says"),
    [
        (packed(Evil()), "its pickle refers to more than a string: STACK_GLOBAL"),
        pytest.param(repeated(b"\x80\x04", b"\x94"), "its pickle refers to more than a string: MEMOIZE", id="opcodes"),
        (packed(["[]"]), "its pickle refers to more than a string"),
        (packed(b"[]"), "its pickle refers to more than a string"),
        (packed(7), "its pickle refers to more than a string"),
        (packed("[1]"), "private_test_cases.0="),
        (packed("{"), "Invalid JSON"),
        (packed("[" * 100_000), "Invalid JSON"),
        (packed("[]")[:-8], "private_test_cases="),
        ("!!", "private_test_cases="),
        (base64.b64encode(b"abc").decode(), "not compressed"),
        (base64.b64encode(zlib.compress(b"abc")).decode(), "private_test_cases="),
        ('[{"input": "1"}]', "private_test_cases.0.output"),
        ('[{"input": "1", "output": "1", "testtype": "files"}]', "private_test_cases.0.testtype"),
    ],
)  # fmt: skip
def test_foreign_tests_are_refused_in_one_line(
    private: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "lcb.jsonl", [row(1), row(2, private=private)])
    with pytest.raises(ConfigError) as caught:
        load([file])
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert "lcb.jsonl, line 2" in str(caught.value) and not Path("evil").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json\n", "line 1: not JSON"),
        ("[1]\n", "line 1: not an object"),
        ('{"question_id": "1"}\n', "line 1: question_content: Field required"),
        (json.dumps(row(1)) + "\n\n" + json.dumps(row(1)), "line 3: the id 'made_1' is not unique"),
        (json.dumps(row(1, contest_date="soon")), "line 1: contest_date='soon': "),
        (json.dumps(row(1, contest_date=1722470400000)), "contest_date=1722470400000: "),
        (json.dumps(row(1, question_content=None)), "line 1: question_content=None: "),
        (json.dumps(row(1, difficulty="")), "line 1: difficulty='': "),
        (json.dumps(row(1, function="total", starter_code="")), "starter=False"),
        (
            json.dumps(row(1, function="total", private='[{"input": "[1]", "output": "x"}]')),
            "test 2 of a function is not JSON",
        ),
        (json.dumps(row(1, function="total", metadata="{}")), "its function is None"),
        ("", "no problem of"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load([tmp_path / "a.jsonl"])
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_lines_end_at_line_feeds_and_a_mark_may_come_first(tmp_path: Path) -> None:
    one, two = row(1, question_title="a\u2028b"), row(2)
    text = "\ufeff" + json.dumps(one, ensure_ascii=False) + "\r\n" + json.dumps(two)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8", newline="")
    found = load([tmp_path / "a.jsonl"])
    assert [len(stored_tests(p.stored, p.digest)) for p in found] == [3, 3]


def test_a_window_has_both_its_ends(tmp_path: Path) -> None:
    dates = ["2024-07-31T23:59:59", "2024-08-01T00:00:00", "2024-11-30T23:59:59", "2024-12-01"]
    rows = [row(number, contest_date=held) for number, held in enumerate(dates)]
    file = write(tmp_path / "a.jsonl", rows)
    assert [p.id for p in load([file], since=PAPERS_WINDOW[0], until=PAPERS_WINDOW[1])] == [
        "made_1",
        "made_2",
    ]
    assert len(load([file], since=date(2024, 8, 1))) == 3
    assert len(load([file], until=date(2024, 8, 1))) == 2
    with pytest.raises(ConfigError, match="within the window"):
        load([file], since=date(2025, 1, 1))


def test_sizes_are_those_of_the_release(tmp_path: Path) -> None:
    assert sum(SIZES.values()) == 1055
    rows = [row(number, contest_date="2024-08-09") for number in range(112)]
    four, five = (
        write(tmp_path / f"{n}.jsonl", r) for n, r in (("test4", rows[:101]), ("test5", rows[101:]))
    )
    since, until = PAPERS_WINDOW
    with pytest.raises(ConfigError, match=r"^test5.jsonl has 11 problems, not 167$"):
        load([four, five], since=since, until=until, release="v5")
    with pytest.raises(
        ConfigError, match=r"^test4.jsonl is not of release v3; test.jsonl is missing"
    ):
        load([four], release="v3")
    with pytest.raises(ConfigError, match=r"^the window has 101 problems, the papers 112$"):
        load([four], since=since, until=until, release="v4")
    found = load([four, five], since=since, until=until)  # without a release
    assert len(found) == 112
