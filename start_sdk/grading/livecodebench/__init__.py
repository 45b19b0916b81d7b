"""LiveCodeBench: its problems, prompts and tests, and the verdicts of its own grader.

    (task, *_) = load([Path("test4.jsonl")], since=date(2024, 8, 1))
    messages = prompt(task.question, task.starter)
    tests = stored_tests(task.stored, task.digest)
    ours = await run_program(code, tests, python, function=task.function, limits=LIMITS)
    upstreams = await passes_upstream(response, tests, python, function=task.function)

The files are those of `livecodebench/code_generation_lite` on the hub: test.jsonl, test2.jsonl to
test6.jsonl. A line has a problem with all its tests and may have megabytes, so files are read line
by line, and a problem says where its tests are instead of holding them.
"""

from start_sdk.grading.livecodebench._files import (
    PAPERS_SIZE,
    PAPERS_WINDOW,
    RELEASES,
    SIZES,
    load,
    stored_tests,
)
from start_sdk.grading.livecodebench._rows import Task, read_task
from start_sdk.grading.livecodebench._upstream import passes_upstream, prompt
from start_sdk.grading.programs import ProgramLimits

__all__ = [
    "LIMITS",
    "PAPERS_SIZE",
    "PAPERS_WINDOW",
    "RELEASES",
    "SIZES",
    "Task",
    "load",
    "passes_upstream",
    "prompt",
    "read_task",
    "stored_tests",
]

LIMITS = ProgramLimits(cpu_seconds=6, seconds=18)
"""The benchmark's 6 seconds, as CPU time, which depends less on the machine."""
