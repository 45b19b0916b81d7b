"""Programs that a model wrote, run against tests in real kernels."""

import pytest
from start_tools.python import PythonTool

from recipes.questions import PROGRAM, Judge, asked, job_of, problem_of
from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, ReasoningSession
from start_sdk.grading import Grader
from start_sdk.testing import ScriptedBackend


async def outcome(problem: Problem, code: str | None) -> str:
    """How a program does that a model writes after its thought."""
    text = f"```python\n{code}\n```" if code is not None else "It is 3."
    trace = await ReasoningSession(ScriptedBackend([f"Hm.\n</think>\n\n{text}"])).run("?")
    verdict = await Judge(GRADER, PythonTool()).judge(trace, problem, "")
    assert verdict["correct"] == (verdict["outcome"] == "passed")
    return str(verdict["outcome"])


GRADER = Grader()  # tests decide: it never starts a worker
READS = CodeProblem("1", "?", "", cases=(("1 2\n", "3\n"), ("5 6\n", "11\n")))
CALLED = CodeProblem(
    "2", "?", "", cases=(("[1, 2]\n3", "6"), ("[]\n0", "0")), starter="class Solution: ...",
    function="Solution().total",
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "correct"),
    [
        ("a, b = map(int, input().split())\nprint(a + b)", True),
        ("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))\nsys.exit(0)", True),
        ("import sys\nsys.stdout.buffer.write(str(sum(map(int, input().split()))).encode())", True),
        ("if __name__ == '__main__':\n    print(sum(map(int, input().split())), '\\n')", True),
        ("print(3)", False),
        ("a, b = map(int, input().split())\nprint(a * b)", False),
        ("print(3)\nraise ValueError", False),
        ("print('output: ' + 'a' * 64)", False),
        ("", False),
        (None, False),
    ],
)
async def test_a_program_that_reads_its_input(code: str | None, correct: bool) -> None:
    assert (await outcome(READS, code) == "passed") is correct


@pytest.mark.parametrize(
    ("body", "correct"),
    [("sum(a) + b", True), ("6", False), ("1 / 0", False), ("{a: 1}", False)],
)
async def test_a_function_that_is_called(body: str, correct: bool) -> None:
    code = (
        f"class Solution:\n    def total(self, a: List[int], b: int) -> int:\n        return {body}"
    )
    assert (await outcome(CALLED, code) == "passed") is correct


async def test_the_function_of_the_miniatures_code_tasks_is_called() -> None:
    task = Problem("4", "?", "", tests=((1, 3), (10, 21)))
    right = "def f(n):\n    return 2 * n + 1\nprint(f(1))"
    assert await outcome(task, right) == "passed"
    for code in ("def f(n):\n    return n + 2", "print('values:', [3, 21])", None):
        assert await outcome(task, code) != "passed"


async def test_a_trace_is_judged_by_the_program_behind_its_thought() -> None:
    pytest.importorskip("math_verify")
    problem = problem_of(job_of(READS))
    assert problem == READS
    question, gold = asked(problem, "boxed", 0)
    assert question == "?" + PROGRAM and gold == ""
    program = "```python\nprint(sum(map(int, input().split())))\n```"
    texts = {
        f"Easy.\n</think>\n\n{program}": True,
        f"{program}\n</think>\n\nSee above.": True,  # there is none behind the thought
        f"{program}\n</think>\n\n```python\nprint(3)\n```": False,
    }
    async with Grader() as grader:
        for text, right in texts.items():
            trace = await ReasoningSession(ScriptedBackend([text])).run(question)
            verdict = await Judge(grader, PythonTool()).judge(trace, problem, gold)
            assert (verdict["correct"], verdict["how"]) == (right, "tests")


async def test_a_problem_without_tests_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one test"):
        await outcome(CodeProblem("3", "?", ""), "print(1)")
