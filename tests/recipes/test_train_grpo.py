"""GRPO on sessions: what the trainer is given are the traces; on the real trainer and kernels."""

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl")
pytest.importorskip("datasets")

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from trl.trainer.grpo_trainer import GRPOTrainer

from recipes import grpo, suites, train_grpo
from recipes.config import Config
from recipes.grpo import Rollouts, encode, run_with_retry, schedule
from recipes.settings import Grpo, Lora, Training
from recipes.tiny.families import GROUPS
from recipes.training import last_checkpoint
from start_sdk import (
    BeforeEnd,
    ConfigError,
    InterpreterError,
    Limits,
    ReasoningSession,
    Sampling,
    Trace,
    models,
)
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.testing import FakeInterpreter, ScriptedBackend

BASE = "start-tiny-base"
CLOSE = 1e-3
"""Log probabilities of sessions and trainer, in float32: at most 7e-5 apart in 40 steps."""
SHORT = [family for family in GROUPS["math"] if family.name in ("coins", "pairs", "primes")]
PROBLEMS = suites.tiny(SHORT, 1, 0, "train")
pytestmark = pytest.mark.filterwarnings(
    # of libraries below TRL, on every start of a training
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)


class Hinted(Rollouts):
    """The base model runs code only after a hint, so these sessions get one."""

    made: list[Any] = []  # noqa: RUF012  (the trainings of this file, one after the other)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.steps: list[list[tuple[Trace, float]]] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.made.append(self)
        self._session = ReasoningSession(
            self._backend,
            interpreter="python",
            hints=BeforeEnd(),
            limits=self._config.limits,
            sampling=Sampling(temperature=self._config.grpo.temperature, top_p=1.0, logprobs=True),
        )

    async def step(self, prompts: Any, step: int) -> list[tuple[Trace, float]]:
        model: Any = self._backend._engine._model
        self.weights.append({k: v.clone() for k, v in model.state_dict().items()})
        self.steps.append(await super().step(prompts, step))
        return self.steps[-1]


@pytest.fixture(autouse=True, scope="module")
def hinted() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "Rollouts", Hinted)
        yield


def config(lora: Lora | None = None, *, deterministic: bool = True, **grpo: Any) -> Config:
    options: dict[str, Any] = {
        "steps": 3, "prompts": 2, "generations": 2, "learning_rate": 1e-3, "bf16": False,
        "save_steps": 1,
    }  # fmt: skip
    training = Training(
        per_device=2, threads=1, report_to=(), lora=lora, gradient_checkpointing=lora is not None
    )
    return Config(
        base=BASE,
        prompt="plain",
        max_concurrency=4,
        backend_options={"deterministic": deterministic},
        limits=Limits(max_tokens=200, answer_reserve=32),
        training=training,
        grpo=Grpo(**options | grpo),
    )


@pytest.fixture(scope="module")
def trained(
    hinted: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], Hinted, list[dict[str, Any]]]:
    """A training of three steps: its folder, report, rollouts, and what the loss was made of."""
    folder, batches = tmp_path_factory.mktemp("trained"), []
    real: Any = GRPOTrainer._compute_loss

    def spied(self: Any, model: Any, inputs: Any) -> Any:
        batches.append({"step": self.state.global_step, **inputs})
        return real(self, model, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GRPOTrainer, "_compute_loss", spied)
        report = train_grpo.train(config(), folder, problems=PROBLEMS)
    return folder, report, Hinted.made[-1], batches


async def scripted() -> Trace:
    """A trace with every kind of segment, in the tokens of the embedded model."""
    code = "print(3 + 1)"
    script = [
        "I need 3 + 1. It is 5.\n</think>",
        f"\n{code}\n```\n",
        f"So 4. And so on.\n```python\n{code}\n```\n",
        "Yes.\n</think>\n\nThe answer is \\boxed{4}.",
    ]
    session = ReasoningSession(
        ScriptedBackend(script, tokenizer=load_tokenizer(BASE)),
        interpreter=FakeInterpreter({code: "4"}),
        hints=BeforeEnd(),
        limits=Limits(max_calls=1),
        sampling=Sampling(logprobs=True),
    )
    return await session.run("What is 3 + 1?")


def test_a_trace_is_encoded_token_by_token() -> None:
    trace = asyncio.run(scripted())
    start, *rest = trace.segments
    assert {s.source for s in rest} == {"model", "hint", "tool", "notice"}
    row = encode(trace)
    assert row["prompt_ids"] + row["completion_ids"] == trace.token_ids
    assert row["prompt_ids"] == list(start.token_ids)
    assert row["env_mask"] == [int(s.source == "model") for s in rest for _ in s.token_ids]
    assert row["completion_ids"][-1] in load_tokenizer(BASE).eos_ids and row["env_mask"][-1] == 1
    assert len(row["logprobs"]) == len(row["env_mask"])
    assert all(p == 0 for p, m in zip(row["logprobs"], row["env_mask"], strict=True) if not m)


def test_the_batches_of_the_loss_are_the_traces(trained: Any) -> None:
    _, _, rollouts, batches = trained
    left = [Counter(tuple(trace.token_ids) for trace, _ in step) for step in rollouts.steps]
    traces = {tuple(t.token_ids): t for step in rollouts.steps for t, _ in step}
    assert len({s.source for t in traces.values() for s in t.segments} - {"notice"}) == 4
    assert len(batches) == 6
    for batch in batches:
        assert batch["completion_mask"].sum(-1).max() == batch["completion_mask"].shape[1]
        for i in range(2):
            prompt = batch["prompt_ids"][i][batch["prompt_mask"][i] > 0].tolist()
            real = batch["completion_mask"][i] > 0
            ids = tuple(prompt + batch["completion_ids"][i][real].tolist())
            trace = traces[ids]
            left[batch["step"]][ids] -= 1
            mask = trace.loss_mask(("model",))[len(prompt) :]
            assert batch["tool_mask"][i][real].tolist() == mask
            found = batch["sampling_per_token_logps"][i][real]
            assert found.tolist() == pytest.approx(encode(trace)["logprobs"], abs=1e-6)
    assert all(not +step for step in left)


def logprobs(model: Any, trace: Trace) -> torch.Tensor:
    """Those of what the model wrote, computed all at once."""
    ids = torch.tensor([trace.token_ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    found: torch.Tensor = logits.gather(-1, ids[0, 1:, None]).squeeze(-1)
    return found[torch.tensor(trace.loss_mask(("model",))[1:]) > 0]


def test_sessions_sample_from_the_weights_that_the_trainer_has_in_that_step(trained: Any) -> None:
    _, _, rollouts, _ = trained
    model: Any = AutoModelForCausalLM.from_pretrained(str(models.folder(BASE)))
    base = {k: v.clone() for k, v in model.state_dict().items()}
    for step, (weights, rolled) in enumerate(zip(rollouts.weights, rollouts.steps, strict=True)):
        for others, apart in ((weights, 0), (base, step)):
            model.load_state_dict(others)
            differences = []
            for trace, _ in rolled:
                row = encode(trace)
                seen = [p for p, m in zip(row["logprobs"], row["env_mask"], strict=True) if m]
                differences.append((logprobs(model, trace) - torch.tensor(seen)).abs().max())
            assert (max(differences) > 20 * CLOSE) if apart else (max(differences) < CLOSE)


def weights_of(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "model" / "model.safetensors"))


def test_the_folder_holds_model_log_and_curve_and_is_not_trained_again(trained: Any) -> None:
    folder, report, rollouts, _ = trained
    log = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    steps = [line for line in log if "reward" in line]
    means = [sum(reward for _, reward in step) / len(step) for step in rollouts.steps]
    assert [line["reward"] for line in steps] == pytest.approx(means)
    assert 0 < sum(means) < 3
    assert max(line["logprob difference, max"] for line in steps) < CLOSE
    assert all(line["calls"] > 0 and line["rollout seconds"] > 0 for line in steps)
    assert (folder / "curve.png").read_bytes()[1:4] == b"PNG"
    assert (report["steps"], report["problems"]) == (3, 3)
    after, before = weights_of(folder), rollouts.weights[0]
    assert any(not torch.equal(after[name], before[name]) for name in after)
    assert train_grpo.train(config(save_steps=7), folder, problems=PROBLEMS) == report
    with pytest.raises(ConfigError, match="contains a training with other options"):
        train_grpo.train(config(beta=0.1), folder, problems=PROBLEMS)


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_ends_with_the_same_weights(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = Rollouts.__call__

    def interrupted(self: Any, prompts: list[str], trainer: Any) -> Any:
        if trainer.state.global_step == 1:  # the second step is let end
            signal.raise_signal(signal.SIGINT)
        return real(self, prompts, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Rollouts, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_grpo.train(config(), tmp_path, problems=PROBLEMS)
    last = last_checkpoint(tmp_path / "checkpoints")
    assert last is not None and last.endswith("checkpoint-2")
    report = train_grpo.train(config(), tmp_path, problems=PROBLEMS)
    assert len(Hinted.made[-1].steps) == 1  # only the third step was left
    sessions = [[trace.id for trace, _ in step] for step in trained[2].steps]
    assert [trace.id for trace, _ in Hinted.made[-1].steps[-1]] == sessions[2]
    assert report | {"seconds": 0} == trained[1] | {"seconds": 0}
    one, other = weights_of(tmp_path), weights_of(trained[0])
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.slow
def test_adapters_are_trained_at_another_temperature_against_the_base_model(
    tmp_path: Path,
) -> None:
    options = config(
        Lora(rank=4, alpha=8), deterministic=False, steps=2, temperature=0.8, beta=0.05
    )
    report = train_grpo.train(options, tmp_path, problems=PROBLEMS)
    log = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert report["steps"] == 2
    assert all("logprob difference, max" not in line for line in log)
    assert log[0]["kl"] == pytest.approx(0, abs=1e-6) and log[1]["kl"] > 0
    first, second = Hinted.made[-1].weights
    changed = {k for k in first if not torch.equal(first[k], second[k])}
    assert changed and all("lora" in name for name in changed)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model")  # adapters are merged
    assert "lora" not in str(model.state_dict().keys())


def test_each_pass_over_the_problems_has_an_order_of_its_own() -> None:
    order = schedule(5, config(steps=10, prompts=2))
    passes = [tuple(order[i : i + 5]) for i in range(0, 20, 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes) and len(set(passes)) > 1
    assert order == schedule(5, config(steps=10, prompts=2))


async def test_a_kernel_that_was_not_to_be_had_is_asked_for_once_more() -> None:
    class Session:
        def __init__(self) -> None:
            self.asked: list[int] = []
            self.fails = 1

        async def run(self, question: str, *, seed: int) -> str:
            self.asked.append(seed)
            if len(self.asked) <= self.fails:
                raise InterpreterError("a kernel did not answer")
            return question

    session: Any = Session()
    assert await run_with_retry(session, "?", 7) == "?"  # type: ignore[comparison-overlap]
    assert session.asked == [7, 7]
    session.fails = 4
    with pytest.raises(InterpreterError):
        await run_with_retry(session, "?", 8)
    assert session.asked == [7, 7, 8, 8]


def test_a_session_that_fails_ends_the_training_and_the_other_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, ended = [], []

    async def fails_once(session: Any, question: Any, seed: int) -> Trace:
        started.append(seed)
        if len(started) == 2:
            raise InterpreterError("a kernel did not answer")
        try:
            return await asyncio.Future()
        finally:
            ended.append(seed)

    monkeypatch.setattr(grpo, "run_with_retry", fails_once)
    with pytest.raises(InterpreterError, match="a kernel did not answer"):
        train_grpo.train(config(), tmp_path, problems=PROBLEMS)
    assert len(started) == 4 and len(ended) == 3


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_grpo, "processes", lambda: SimpleNamespace(num_processes=2))
    with pytest.raises(ConfigError, match="single process"):
        train_grpo.check(config())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("backend=vllm", "GRPO samples from the weights in training"),
        ("grpo.generations=1", "greater than or equal to 2"),
        ("grpo.temperature=0", "greater than 0"),
        ("training.per_device=3", "prompts x generations=4 is not a multiple of per_device=3"),
        ("base=nothing", "no model 'nothing'"),
    ],
)
def test_bad_input_is_one_line(
    change: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "run.json"
    small = config().model_dump(mode="json") | {"problems": {"take": {"tiny": 1}}}
    file.write_text(json.dumps(small), encoding="utf-8")
    command = ["train_grpo", "--config", str(file), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*command, "--set", change])
    with pytest.raises(SystemExit) as left:
        train_grpo.main()
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert says in error and error.startswith("error: ") and error.count("\n") == 1
