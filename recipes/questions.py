"""How a problem is asked, and how the answer is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from recipes import reasoning_gym
from recipes.config import Config
from recipes.reasoning_gym import GymProblem
from recipes.suites import CodeProblem, Problem, TinyTask
from recipes.tiny.prompts import with_prompt
from start_sdk import ConfigError, Interpreter, Message, Trace
from start_sdk.batch import Job, fingerprint
from start_sdk.grading import Grader, last_code_block, livecodebench, shuffled
from start_sdk.grading.programs import ProgramTest, run_program

WISH = "\n\nPlease reason step by step, and"
BOXED = f"{WISH} put your final answer within \\boxed{{}}."
PROGRAM = f"{WISH} give your whole program, in Python, in a ```python block after your reasoning."
LETTER = f"{WISH} put the letter of your choice within \\boxed{{}}."


def asked(problem: Problem, prompt: str, seed: int) -> tuple[str | list[Message], str]:
    """What the model is asked, and the answer that is right for it.

    The options of a multiple choice are shuffled by (seed, problem).
    """
    question, gold, wish = problem.question, problem.gold, BOXED
    if prompt == "livecodebench" and not isinstance(problem, CodeProblem):
        raise ConfigError(f"problem {problem.id}: the prompt livecodebench is for programs")
    if isinstance(problem, CodeProblem):
        if prompt == "livecodebench":
            return livecodebench.prompt(question, problem.starter), gold
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
    kinds = (TinyTask, CodeProblem, GymProblem)
    has = job.input.keys()
    kind = next((kind for kind in kinds if kind.__dataclass_fields__.keys() == has), Problem)
    return kind(**{name: _tuples(value) for name, value in job.input.items()})


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples for lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Judge:
    """Says of a trace whether it is right: by its answer, or by the tests of a code task."""

    grader: Grader
    python: Interpreter

    async def judge(self, trace: Trace, problem: Problem, gold: str) -> dict[str, Any]:
        """`answer`, `gold`, `correct` and `how`; of a program also its `outcome`, and `upstream`,
        the verdict of LiveCodeBench's own grader, on that suite; of a problem of reasoning-gym
        `scored`, what the package's scorer gives the answer (1.0: right).

        Raises:
            ConfigError: a code task has no tests, or they cannot be read.
            InterpreterError: no kernel could be started.
        """
        if problem.tests or isinstance(problem, CodeProblem):
            return {"gold": gold, "how": "tests", **await self._run(trace, problem)}
        kind: Literal["choice", "math"] = "choice" if problem.distractors else "math"
        verdict = await self.grader.grade(trace, gold, kind)
        answer = verdict.answer or trace.answer
        found: dict[str, Any] = {"answer": answer, "gold": gold}
        found |= {"correct": verdict.correct, "how": verdict.how}
        if isinstance(problem, GymProblem):
            found["scored"] = reasoning_gym.score(problem, answer)
        return found

    async def _run(self, trace: Trace, problem: Problem) -> dict[str, Any]:
        """What the tests say of a program: the last one after the thought, or else in it."""
        code = last_code_block(trace.response) or last_code_block(trace.thinking)
        function = problem.function if isinstance(problem, CodeProblem) else "f"
        stored = isinstance(problem, CodeProblem) and problem.stored
        tests, limits = tests_of(problem), livecodebench.LIMITS if stored else None
        outcome = "no program"
        if code is not None:
            run = await run_program(code, tests, self.python, function=function, limits=limits)
            outcome = run.outcome
        found = {"answer": code, "correct": outcome == "passed", "outcome": outcome}
        if stored:
            found["upstream"] = await livecodebench.passes_upstream(
                trace.response, tests, self.python, function=function
            )
        return found


def tests_of(problem: Problem) -> Sequence[ProgramTest]:
    """The tests that a program has to pass."""
    if not isinstance(problem, CodeProblem):
        return [ProgramTest(given=str(n), expected=str(value)) for n, value in problem.tests]
    if problem.stored:
        return livecodebench.stored_tests(problem.stored, problem.digest)
    return [ProgramTest(given=given, expected=expected) for given, expected in problem.cases]
