"""How a problem is asked, and how the answer is judged."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from recipes import livecodebench, programs, reasoning_gym
from recipes.config import Config
from recipes.livecodebench import upstream
from recipes.reasoning_gym import GymProblem
from recipes.suites import CodeProblem, Problem, TinyTask
from recipes.tiny.prompts import with_prompt
from start_sdk import ConfigError, Interpreter, Message, Trace
from start_sdk.batch import Job, fingerprint
from start_sdk.grading import Grader, last_code_block, shuffled

BOXED = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
PROGRAM = (
    "\n\nPlease reason step by step, and give your whole program, in Python, in a ```python block"
    " after your reasoning."
)
LETTER = "\n\nPlease reason step by step, and put the letter of your choice within \\boxed{}."


def asked(problem: Problem, prompt: str, seed: int) -> tuple[str | list[Message], str]:
    """What the model is asked, and the answer that is right for it.

    The options of a multiple choice are shuffled by (seed, problem).
    """
    question, gold, wish = problem.question, problem.gold, BOXED
    if prompt == "livecodebench" and not isinstance(problem, CodeProblem):
        raise ConfigError(f"problem {problem.id}: the prompt livecodebench is for programs")
    if isinstance(problem, CodeProblem):
        if prompt == "livecodebench":
            return livecodebench.prompt(problem), gold
        wish = PROGRAM
    elif problem.distractors:
        choices = shuffled(gold, problem.distractors, problem_id=problem.id, seed=seed)
        question, gold, wish = f"{question}\n\n{choices.text}", choices.letter, LETTER
    return (question + wish if prompt == "boxed" else with_prompt(prompt, question)), gold


def requested(kind: str, question: str | list[Message]) -> str | list[Message]:
    """A question with a request for Python (the policies `prompt:...`).

    Raises:
        ConfigError: it is a conversation.
    """
    if not isinstance(question, str):
        raise ConfigError(f"prompt:{kind} needs a question that is a single text")
    return with_prompt(kind, question)


def conclusion(problem: Problem, config: Config) -> str:
    """How a run that ends without an answer is asked for it: in the form that the prompt wants."""
    if config.conclude or config.prompt not in ("boxed", "livecodebench"):
        return config.conclude or "auto"
    return "```python\n" if isinstance(problem, CodeProblem) else "The final answer is \\boxed{"


def job_of(problem: Problem, **key: Any) -> Job:
    """The job of a problem; an edited text makes it another problem."""
    row = asdict(problem)
    identity = {name: value for name, value in row.items() if name != "stored"}  # files move
    return Job(problem=f"{problem.id}:{fingerprint(identity)}", input=row, **key)


def problem_of(job: Job) -> Problem:
    """The problem of a job, as its row has it."""
    kind: type[Problem] = Problem
    if "samples" in job.input:
        kind = CodeProblem if "starter" in job.input else TinyTask
    elif "level" in job.input:
        kind = GymProblem
    return kind(**{name: _tuples(value) for name, value in job.input.items()})


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples for lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class Judge:
    """Says of a trace whether it is right: by its answer, or by the tests of a code task."""

    def __init__(self, grader: Grader, python: Interpreter) -> None:
        self._grader = grader
        self._python = python

    async def judge(self, trace: Trace, problem: Problem, gold: str) -> dict[str, Any]:
        """`answer`, `gold`, `correct` and `how`; of a program also its `outcome`, and `upstream`,
        the verdict of LiveCodeBench's own grader, on that suite; of a problem of reasoning-gym
        `scored`, what the package's scorer gives the answer (1.0: right)."""
        if problem.tests or isinstance(problem, CodeProblem):
            code = last_code_block(trace.response) or last_code_block(trace.thinking)
            outcome = await programs.judge(self._python, problem, code)
            found: dict[str, Any] = {"answer": code, "gold": gold, "correct": outcome == "passed"}
            found |= {"how": "tests", "outcome": outcome}
            if isinstance(problem, CodeProblem) and problem.stored:
                found["upstream"] = await upstream.passes(self._python, problem, trace.response)
            return found
        kind: Literal["choice", "math"] = "choice" if problem.distractors else "math"
        verdict = await self._grader.grade(trace, gold, kind)
        answer = verdict.answer or trace.answer
        found = {"answer": answer, "gold": gold, "correct": verdict.correct, "how": verdict.how}
        if isinstance(problem, GymProblem):
            found["scored"] = reasoning_gym.score(problem, answer)
        return found
