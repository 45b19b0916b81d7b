"""Sessions as TRL's `rollout_func`: prompts -> token ids, mask, log probabilities, rewards.

A prompt of the training set is the number of a problem; the problem is then turned into a question
as everywhere in the recipes. Sessions run concurrently, in one batch, on the model that the trainer
holds, with real kernels. The trainer receives token ids taken directly from the traces.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Self

from recipes.config import Config
from recipes.experiment import Judge, asked
from recipes.suites import Problem
from start_sdk import (
    Backend,
    Interpreter,
    InterpreterError,
    ReasoningSession,
    Sampling,
    Trace,
    plugins,
)
from start_sdk.batch import fingerprint
from start_sdk.grading import Grader
from start_sdk.hints import sampled

OF_THE_LOADING = {"device", "dtype"}
"""Options of the backend that a model which the trainer has loaded has no use for."""


def schedule(problems: int, config: Config) -> list[int]:
    """Which problems the steps take, one step behind the other: all of them in an order drawn by
    the seed, then all of them in another one, and so on."""
    wanted = config.grpo.steps * config.grpo.prompts
    order: list[int] = []
    while len(order) < wanted:
        numbers = list(range(problems))
        Random(f"{config.seed}:{len(order)}").shuffle(numbers)
        order += numbers
    return order[:wanted]


def encode(trace: Trace) -> dict[str, list[Any]]:
    """A trace as TRL takes it: ids of the prompt and of all behind it; of the latter `env_mask`, 1
    where the model wrote (also the end-of-sequence token) and 0 for hints, outputs and notices,
    and the log probabilities that the tokens were sampled with (0 where the mask is)."""
    start, *rest = trace.segments
    return {
        "prompt_ids": list(start.token_ids),
        "completion_ids": [i for s in rest for i in s.token_ids],
        "env_mask": trace.loss_mask(("model",))[len(start.token_ids) :],
        "logprobs": [p for s in rest for p in s.logprobs or [0.0] * len(s.token_ids)],
    }


async def run_with_retry(session: ReasoningSession, question: Any, seed: int) -> Trace:
    """Runs a session; retries once if no kernel can start.

    That happens on a busy machine, and one failure in thousands must not end a training.
    """
    try:
        return await session.run(question, seed=seed)
    except InterpreterError:
        return await session.run(question, seed=seed)


@dataclass(frozen=True)
class GRPOSample:
    """One session and its reward."""

    trace: Trace
    reward: float


class GRPOSampler:
    """TRL's `rollout_func`; a context manager, that closes what it opened.

    Args:
        config: the run.
        problems: those that the prompts number.

    Attributes:
        last: the sessions of the last step.
    """

    def __init__(self, config: Config, problems: Sequence[Problem]) -> None:
        self._config = config
        self._problems = problems
        self._stack = ExitStack()
        self._sampling = Sampling(temperature=config.grpo.temperature, top_p=1.0, logprobs=True)
        self._python: Interpreter = plugins.load("interpreters", "python")()
        self._session: ReasoningSession | None = None
        self._backend: Backend | None = None
        self.last: list[GRPOSample] = []

    def __enter__(self) -> Self:
        # One loop for all steps: the grader's workers and the pool of kernels live in it.
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._grader = Grader()
        self._stack.callback(lambda: self._runner.run(self._close()))
        self._judge = Judge(self._grader, self._python)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """The sessions of a step, as `encode` has them, and the columns that the rewards read.

        Raises:
            StartError: a session could not be run: the engine failed, or no kernel was to be had,
                twice.
        """
        began = time.monotonic()
        session = self._session or self._open(trainer)
        training = trainer.model.training
        trainer.model.eval()
        try:
            self.last = self._runner.run(self._roll(session, prompts, trainer.state.global_step))
        finally:
            trainer.model.train(training)
        rows = [encode(rolled.trace) for rolled in self.last]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        if self._config.grpo.temperature != 1.0:
            # Those of a trace are of temperature 1, TRL's are of the temperature of sampling.
            columns["logprobs"] = None
        columns["correct"] = [rolled.reward for rolled in self.last]
        columns["calls"] = [len(rolled.trace.calls) for rolled in self.last]
        columns["sampled"] = [sampled(rolled.trace) for rolled in self.last]
        columns["seconds"] = time.monotonic() - began
        return columns

    def _open(self, trainer: Any) -> ReasoningSession:
        """A session on the model that the trainer holds; adapters stand inside of it."""
        from start_sdk.backends.transformers import Loaded, TransformersBackend

        model = trainer.accelerator.unwrap_model(trainer.model)
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        options = {
            name: value
            for name, value in self._config.backend_options.items()
            if name not in OF_THE_LOADING
        }
        backend = TransformersBackend(Loaded(model, trainer.processing_class), **options)
        self._backend = backend
        self._session = ReasoningSession(
            backend,
            interpreter=self._python,
            limits=self._config.limits,
            sampling=self._sampling,
        )
        return self._session

    async def _close(self) -> None:
        """Ends what a second Ctrl-C left in the middle, then all that was opened."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._grader.aclose()
        if self._backend:
            await self._backend.aclose()

    async def _roll(
        self, session: ReasoningSession, prompts: Sequence[str], step: int
    ) -> list[GRPOSample]:
        """The sessions of a step, in the order of the prompts."""
        assert self._backend
        await self._backend.reset_cache()  # what is in it was computed with other weights
        places = asyncio.Semaphore(self._config.max_concurrency)
        seen: Counter[str] = Counter()

        async def one(problem: Problem, generation: int) -> GRPOSample:
            async with places:
                question, gold = asked(problem, self._config.prompt, self._config.seed)
                parts = [self._config.seed, step, problem.id, generation]
                trace = await run_with_retry(session, question, int(fingerprint(parts)[:12], 16))
                verdict = await self._judge.judge(trace, problem, gold)
                return GRPOSample(trace, float(verdict["correct"]))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = []
                for prompt in prompts:
                    problem = self._problems[int(prompt)]
                    tasks.append(group.create_task(one(problem, seen[prompt])))
                    seen[prompt] += 1
        except ExceptionGroup as errors:  # one that failed says more than a group of them
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]


def correct(
    prompts: list[str],
    correct: list[float],
    calls: list[int],
    sampled: list[int],
    seconds: list[float],
    log_metric: Any,
    **_: Any,
) -> list[float | None]:
    """TRL's reward function: the verdicts, which were found while other sessions ran."""
    log_metric("calls", sum(calls) / len(calls))
    log_metric("sampled tokens", float(sum(sampled)))
    log_metric("rollout seconds", seconds[0])
    return [*correct]
