"""Text meant to hang, exhaust memory or be executed: a verdict in time, and a stable host."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from start_sdk.grading import (
    Grader,
    choice_letter,
    final_answer,
    grade_all,
    last_code_block,
    last_number,
)

MB = 1_000_000
TEXTS = {
    "power tower": r"\boxed{9^{9^{9^9}}}",
    "long tower": r"\boxed{" + "x^{9" * 300 + "}" * 301,
    "10,000 digits": "7" * 10_000,
    "10,000 digits boxed": r"\boxed{" + "7" * 10_000 + "}",
    "1,900 digits": r"\boxed{\frac{" + "7" * 950 + "}{" + "3" * 950 + "}}",
    "unbalanced fraction": r"\boxed{\frac{1}{2}",
    "unbalanced brackets": r"\left(\left[1, 2",
    "1 MB of letters": "a" * MB,
    "1 MB of digits": "1" * MB,
    "1 MB boxed": r"\boxed{" + "1+" * (MB // 2) + "1}",
    "1 MB of boxes": r"\boxed{" * (MB // 7),
    "1 MB of anchors": "the answer is " * (MB // 14),
    "1 MB of dollars": "$" * MB,
    "1 MB of lines": "\n" * MB + "7",
    "code": "import os\nwhile True:\n    os.fork()",
    "10,000 parentheses": "(" * 10_000 + "1" + ")" * 10_000,
    "900 parentheses": r"\boxed{" + "(" * 900 + "x" + ")" * 900 + "}",
    "factorial": r"\boxed{(10^{10})!}",
    "binomial": r"\boxed{\binom{10^{10}}{5 \cdot 10^{9}}}",
    "not unicode": "\ud800\x00",
}


async def test_hostile_text_gets_a_verdict_in_time_and_the_host_stays_small() -> None:
    async with Grader(seconds=0.5) as grader:
        assert await graded_correct(grader, "x+1", "1+x")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, text in TEXTS.items():
            began = time.monotonic()
            verdict = await grader.grade(text, "7x+1")
            assert not verdict.correct, name
            assert time.monotonic() - began < 20, name
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 100_000  # KiB; the stack of a megabyte of braces is 60 of it
        assert await graded_correct(grader, "y+1", "1+y")


async def graded_correct(grader: Grader, answer: str, gold: str) -> bool:
    """Whether the answer is graded as correct; half a second can be too short on a busy machine."""
    for _ in range(20):
        verdict = await grader.grade(answer, gold)
        if verdict.how != "undecided":
            return verdict.correct
    return False


def test_code_in_an_answer_is_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    code = f"__import__('os').mkdir('{made}')"
    texts = [rf"\boxed{{{code}}}", rf"\boxed{{\{{{code}, 1\}}}}", code, rf"\boxed{{x = {code}}}"]
    assert not any(v.correct for v in grade_all((text, "x+1") for text in texts))
    assert not made.exists()


async def test_a_gold_answer_may_be_hostile_too() -> None:
    async with Grader(workers=1, seconds=0.5) as grader:
        verdict = await grader.grade("12", "9^{9^{9^9}}")
        assert (verdict.how, verdict.note) == ("undecided", "took longer than 0.5 s")
        same = await grader.grade("9^{9^{9^9}}", "9^{9^{9^9}}")
        assert (same.correct, same.how) == (True, "exact")


async def test_memory_is_limited() -> None:
    async with Grader(workers=1, seconds=20, memory_mb=200) as grader:
        verdict = await grader.grade(r"\lfloor 2^{10000000000}/3 \rfloor", "12x")
    assert (verdict.how, verdict.note) == ("undecided", "took more than 200 MiB, or was killed")


@pytest.mark.parametrize("function", [final_answer, choice_letter, last_number, last_code_block])
def test_extraction_is_linear(function: object) -> None:
    assert callable(function)
    hard = [*TEXTS.values(), "```" + " " * MB, "answer" + "*" * MB, "1,111," * (MB // 6)]
    for text in [*hard, r"\(" * (MB // 2), r"\text{" * (MB // 6), "```\n" * (MB // 4), "{" * MB]:
        began = time.process_time()
        function(text)
        assert time.process_time() - began < 3, text[:20]


def worker(*limits: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "start_sdk.grading._worker", *limits],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_an_idle_worker_exits_with_its_host() -> None:
    with worker("1024", "1") as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_a_busy_worker_does_not_exceed_its_cpu_time() -> None:
    with worker("1024", "0.1") as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(["9^{9^{9^9}}", "x"]) + "\n")
        process.stdin.close()
        assert process.wait(timeout=30) == -signal.SIGXCPU


async def test_a_worker_sees_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    async with Grader(workers=1) as grader:
        assert (await grader.grade("1+x", "x+1")).correct
        shown = environments_of_children()
    assert shown
    assert not any(b"hunter2" in environment for environment in shown)


def environments_of_children() -> list[bytes]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text("utf-8").split()
    return [Path(f"/proc/{child}/environ").read_bytes() for child in children]
