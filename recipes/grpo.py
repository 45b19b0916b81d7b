"""GRPO on sessions: TRL's trainer, and the sessions of each step as its rollouts.

A prompt of TRL's training set is the number of a problem, which becomes a question as everywhere in
the recipes. The sessions of a step run concurrently, in one batch, on the model that the trainer
holds, with real kernels. The trainer receives the token ids of the traces; none is encoded again.

Imports TRL; `recipes.train_grpo` imports this when a training starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from recipes.config import Config
from recipes.questions import Judge, asked
from recipes.suites import Problem
from recipes.training import arguments, load
from start_sdk import InterpreterError, ReasoningSession, Sampling, Trace, plugins
from start_sdk.backends.transformers import Loaded, TransformersBackend
from start_sdk.batch import fingerprint
from start_sdk.grading import Grader


def make_trainer(config: Config, folder: Path, problems: Sequence[Problem]) -> SessionTrainer:
    """TRL's trainer of this training, ready to train.

    Raises:
        ConfigError: options or a model that cannot be used.
    """
    options = config.grpo
    batch = options.prompts * options.generations
    shared = arguments(config, folder, batch, "prompts x generations")
    same = {"learning_rate", "temperature", "beta", "scale_rewards", "bf16", "save_steps"}
    args = GRPOConfig(
        **shared | options.model_dump(include=same),
        max_steps=options.steps,
        num_generations=options.generations,
        max_completion_length=config.limits.max_tokens,
        lr_scheduler_type="constant",
        loss_type=options.loss,
        shuffle_dataset=False,  # the rows are in the order of the steps
        logging_steps=1,
    )
    steps = [{"prompt": str(number)} for number in schedule(len(problems), config)]
    trainer = SessionTrainer(
        reward_funcs=correct,
        args=args,
        train_dataset=Dataset.from_list(steps),
        **load(config.base, config.training),
    )
    trainer.rollout_func = Rollouts(config, problems, trainer)
    return trainer


def schedule(problems: int, config: Config) -> list[int]:
    """The problems of all steps: every problem once, in an order drawn by the seed, then every
    problem in another order, and so on."""
    wanted = config.grpo.steps * config.grpo.prompts
    order: list[int] = []
    while len(order) < wanted:
        numbers = list(range(problems))
        Random(f"{config.seed}:{len(order)}").shuffle(numbers)
        order += numbers
    return order[:wanted]


def encode(trace: Trace) -> dict[str, list[Any]]:
    """A trace as TRL takes it: ids of the prompt and of all after it; of the latter `env_mask`, 1
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


class Rollouts:
    """TRL's `rollout_func`: runs the sessions of a step.

    Args:
        config: the run.
        problems: those that the prompts number.
        trainer: whose model the sessions run on; adapters are inside of it.
    """

    def __init__(
        self, config: Config, problems: Sequence[Problem], trainer: SessionTrainer
    ) -> None:
        model: Any = trainer.model
        model = model.get_base_model() if config.training.lora else model
        loaded = {"device", "dtype"}  # options of a model that is still to be loaded
        options = {k: v for k, v in config.backend_options.items() if k not in loaded}
        python = plugins.load("interpreters", "python")()
        self._config = config
        self._problems = problems
        self._backend = TransformersBackend(Loaded(model, trainer.processing_class), **options)
        self._session = ReasoningSession(
            self._backend,
            interpreter=python,
            limits=config.limits,
            conclude=config.conclude or "auto",
            template=config.template or None,
            sampling=Sampling(temperature=config.grpo.temperature, top_p=1.0, logprobs=True),
        )
        self._grader = Grader()
        self._judge = Judge(self._grader, python)
        self._runner = asyncio.Runner()  # one loop: workers and kernels outlive a step

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """The sessions of a step, as `encode` has them, and the rewards.

        Raises:
            StartError: a session could not be run: the engine failed, or no kernel started, twice.
        """
        began = time.monotonic()
        trainer.model.eval()
        rolled = self._runner.run(self.step(prompts, trainer.state.global_step))
        trainer.model.train()
        trainer.note("rollout seconds", time.monotonic() - began)
        trainer.note("calls", fmean(len(trace.calls) for trace, _ in rolled))
        rows = [{**encode(trace), "correct": reward} for trace, reward in rolled]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        if self._config.grpo.temperature != 1.0:
            columns["logprobs"] = None  # a trace has those of temperature 1, TRL wants others
        return columns

    async def step(self, prompts: Sequence[str], step: int) -> list[tuple[Trace, float]]:
        """The traces of a step and their rewards, in the order of the prompts."""
        await self._backend.reset_cache()  # it was computed with other weights
        places = asyncio.Semaphore(self._config.max_concurrency)

        async def one(problem: Problem, generation: int) -> tuple[Trace, float]:
            async with places:
                question, gold = asked(problem, self._config.prompt, self._config.seed)
                drawn = fingerprint([self._config.seed, step, problem.id, generation])
                trace = await run_with_retry(self._session, question, int(drawn[:12], 16))
                verdict = await self._judge.judge(trace, problem, gold)
                return trace, float(verdict["correct"])

        problems = [self._problems[int(prompt)] for prompt in prompts]
        sessions = [one(p, problems[:i].count(p)) for i, p in enumerate(problems)]
        return await asyncio.gather(*sessions)  # after a failure `close` ends the others

    def close(self) -> None:
        """Ends the sessions that an error or a second Ctrl-C left, and closes what was opened."""
        with self._runner:
            self._runner.run(self._close())

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._grader.aclose()
        await self._backend.aclose()


def correct(correct: list[float], **_: Any) -> list[float | None]:
    """TRL's reward function: the verdicts, which were found while other sessions ran."""
    return [*correct]


class SessionTrainer(GRPOTrainer):
    """TRL's trainer without needless padding, and with the sessions' metrics in its log.

    One metric is how far the sessions' log probabilities are from the trainer's. Both are of the
    same weights. What is between them is arithmetic: the sessions compute token by token with a
    cache, the trainer all at once.
    """

    def train(self, *args: Any, **options: Any) -> Any:
        """Trains, and closes the rollouts."""
        rollouts: Any = self.rollout_func
        with closing(rollouts):
            return super().train(*args, **options)

    def note(self, metric: str, value: float) -> None:
        """Adds to a metric; the log of a step has the mean of what was added."""
        self._metrics["train"][metric].append(value)

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        self._batch = without_padding(inputs)
        return super()._compute_loss(model, self._batch)  # type: ignore[no-untyped-call]

    def _get_per_token_logps_and_entropies(self, *args: Any, **options: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **options)
        if options.get("compute_entropy") and "sampling_per_token_logps" in self._batch:
            apart = found[0].detach().float() - self._batch["sampling_per_token_logps"]
            apart = apart[self._batch["tool_mask"] * self._batch["completion_mask"] > 0].abs()
            self.note("logprob difference, mean", apart.mean().item())
            largest = self._metrics["train"]["logprob difference, max"]
            largest[:] = [max([*largest, apart.max().item()])]
        return found


def without_padding(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch without the columns that are padding in all of its rows.

    TRL pads all sequences of a step to its longest one, and then trains a few of them at a time:
    one long session would make all others cost as much as itself.
    """
    prompt = int(batch["prompt_mask"].sum(-1).max())
    completion = int(batch["completion_mask"].sum(-1).max())
    cut = dict(batch)
    for name, value in batch.items():
        if name in ("prompt_ids", "prompt_mask"):  # padded on the left
            cut[name] = value[:, -prompt:]
        elif getattr(value, "ndim", 0) == 2:  # a column per token of the completion
            cut[name] = value[:, :completion]
    return cut
