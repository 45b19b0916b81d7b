"""Training on traces: labels, packing, going on, adapters, several processes; on the real trainer."""

import asyncio
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
pytest.importorskip("datasets")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes import reproduce, train_sft
from recipes.config import Config, read_config
from recipes.settings import Lora, Training
from recipes.training import last_checkpoint, model_of
from start_sdk import (
    BeforeEnd,
    ConfigError,
    Limits,
    ReasoningSession,
    Trace,
    models,
    open_backend,
)
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.testing import FakeInterpreter, ScriptedBackend

BASE = "start-tiny-base"
CONFIGS = Path(train_sft.__file__).parent / "configs"
pytestmark = pytest.mark.filterwarnings(
    # of libraries below TRL, on every start of a training
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)


async def thought(number: int) -> Trace:
    """A trace with every kind of segment, in the tokens of the embedded model."""
    code = f"print({number} + 1)"
    script = [
        f"I need {number} + 1. " * (1 + number % 5) + "It is 5.\n</think>",
        f"\n{code}\n```\n",
        f"So {number + 1}. And so on.\n```python\n{code}\n```\n",
        f"Yes.\n</think>\n\nThe answer is \\boxed{{{number + 1}}}.",
    ]
    session = ReasoningSession(
        ScriptedBackend(script, tokenizer=load_tokenizer(BASE)),
        interpreter=FakeInterpreter({code: str(number + 1)}),
        hints=BeforeEnd(),
        limits=Limits(max_calls=1),
    )
    return await session.run(f"What is {number} + 1?")


def sources(trace: Trace) -> set[str]:
    return {segment.source for segment in trace.segments}


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    async def all_of_them() -> list[Trace]:
        return [await thought(number) for number in range(12)]

    found = asyncio.run(all_of_them())
    assert all(sources(t) == {"prompt", "model", "hint", "tool", "notice"} for t in found)
    return found


@pytest.fixture(scope="module")
def data(traces: list[Trace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.jsonl"
    lines = [json.dumps({"trace": t.model_dump(mode="json")}) for t in traces]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def config(**training: Any) -> Config:
    options: dict[str, Any] = {
        "learning_rate": 1e-3, "epochs": 2, "batch": 4, "per_device": 2, "max_length": 512,
        "bf16": False, "gradient_checkpointing": False, "report_to": (), "threads": 1,
    }  # fmt: skip
    return Config(base=BASE, training=Training(**options | training))


def masked(trace: Trace, *train_on: Any) -> list[int]:
    mask = trace.loss_mask(train_on)
    return [i if m else -100 for i, m in zip(trace.token_ids, mask, strict=True)]


@pytest.mark.parametrize("train_on", [("model", "hint"), ("model",)])
def test_the_collators_labels_are_the_traces_mask_token_by_token(
    traces: list[Trace], data: Path, tmp_path: Path, train_on: tuple[Any, ...]
) -> None:
    trainer = train_sft.make_trainer(config(train_on=train_on), tmp_path, data)
    assert len(trainer.train_dataset) == len(traces)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(traces))])
    for trace, ids, labels, real in zip(
        traces, batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        n = len(trace.token_ids)
        assert ids[:n].tolist() == trace.token_ids and real.tolist()[n:] == [0] * (len(real) - n)
        assert labels[:n].tolist() == masked(trace, *train_on)
        assert set(labels[n:].tolist()) <= {-100}
        assert labels[n - 1] == trace.token_ids[-1] in load_tokenizer(BASE).eos_ids


def test_packed_labels_are_the_masks_too_and_no_trace_sees_another(
    traces: list[Trace], data: Path, tmp_path: Path
) -> None:
    trainer = train_sft.make_trainer(config(packing=True), tmp_path, data)
    assert len(trainer.train_dataset) < len(traces)
    wanted = {tuple(t.token_ids): masked(t, "model", "hint") for t in traces}
    alone: dict[tuple[int, ...], Any] = {}
    with torch.no_grad():
        for ids in wanted:
            alone[ids] = trainer.model(input_ids=torch.tensor([ids])).logits[0]
        for row in trainer.train_dataset:
            batch = trainer.data_collator([row])
            labels = batch.pop("labels")[0].tolist()
            logits = trainer.model(**batch).logits[0]
            ids, at = batch["input_ids"][0].tolist(), 0
            assert len(row["seq_lengths"]) > 1
            for n in row["seq_lengths"]:
                one = tuple(ids[at : at + n])
                assert labels[at : at + n] == wanted.pop(one)
                assert torch.allclose(logits[at : at + n], alone[one], atol=1e-4)
                at += n
    assert not wanted


def test_traces_that_do_not_fit_are_left_out_and_never_cut(
    traces: list[Trace], data: Path, tmp_path: Path
) -> None:
    lengths = sorted(len(t.token_ids) for t in traces)
    limit = lengths[6]
    found = train_sft.counts(data, ("model",), limit)
    fitting = [t for t in traces if len(t.token_ids) <= limit]
    assert (found["rows"], found["too long"]) == (len(fitting), len(traces) - len(fitting))
    assert found["loss tokens"] == sum(sum(t.loss_mask(("model",))) for t in fitting)
    rows = train_sft.make_trainer(config(max_length=limit), tmp_path, data).train_dataset
    assert [row["input_ids"] for row in rows] == [t.token_ids for t in fitting]
    with pytest.raises(ConfigError, match="no trace has at most max_length=3"):
        train_sft.counts(data, ("model",), 3)


@pytest.mark.parametrize(
    ("line", "says"),
    [("{}", "line 1: not a trace"), ("", "no trace has"), ("[", "line 1: not a trace")],
)
def test_bad_data_is_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "data.jsonl").write_text(f"{line}\n" if line else "")
    with pytest.raises(ConfigError, match=says):
        train_sft.train(config(), tmp_path / "out", tmp_path / "data.jsonl")


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model" / "model.safetensors"))


def same(one: dict[str, Any], other: dict[str, Any], close: float) -> bool:
    return one.keys() == other.keys() and all(
        torch.allclose(one[k], other[k], rtol=0, atol=close) for k in one
    )


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trained")
    options = config(save_steps=2, report_to=("tensorboard",))
    return folder, train_sft.train(options, folder, data)


async def test_a_trained_model_is_a_model_and_is_not_trained_again(
    trained: tuple[Path, dict[str, Any]], traces: list[Trace], data: Path
) -> None:
    folder, report = trained
    assert (report["rows"], report["steps"], report["processes"]) == (12, 6, 1)
    assert report["tokens"] == sum(len(t.token_ids) for t in traces)
    assert report["last loss"] < report["first loss"] / 2
    log = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert list((folder / "checkpoints").rglob("events.out.tfevents.*"))
    backend = open_backend(str(folder / "model"))
    trace = await ReasoningSession(backend, limits=Limits(max_tokens=30)).run("What is 3 + 1?")
    await backend.aclose()
    assert trace.usage.model > 0
    assert backend.tokenizer.eos_ids == load_tokenizer(BASE).eos_ids
    assert train_sft.train(config(save_steps=2), folder, data) == report
    with pytest.raises(ConfigError, match="contains a training with other options"):
        train_sft.train(config(learning_rate=1e-4), folder, data)


def test_ctrl_c_saves_and_the_same_command_ends_with_the_same_weights(
    trained: tuple[Path, dict[str, Any]],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from trl.trainer.sft_trainer import SFTTrainer

    real: Any = SFTTrainer.training_step
    steps = 0

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 6:  # in the third step of the optimizer, which is let end
            signal.raise_signal(signal.SIGINT)
        return real(self, *args, **options)

    monkeypatch.setattr(SFTTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_sft.train(config(save_steps=2), tmp_path, data)
    last = last_checkpoint(tmp_path / "checkpoints")
    assert last is not None and last.endswith("checkpoint-3")
    (tmp_path / "checkpoints" / "checkpoint-4").mkdir()  # killed while it was written
    assert last_checkpoint(tmp_path / "checkpoints") == last
    report = train_sft.train(config(save_steps=2), tmp_path, data)
    assert report["steps"] == 6 and steps == 12
    assert same(weights(tmp_path), weights(trained[0]), close=0)
    (tmp_path / "training.json").unlink()  # killed behind the last step
    assert train_sft.train(config(save_steps=2), tmp_path, data)["steps"] == 6 and steps == 12
    assert same(weights(tmp_path), weights(trained[0]), close=0)


async def test_adapters_of_a_bfloat16_model_run_on_it_or_merged_into_it(
    data: Path, tmp_path: Path
) -> None:
    base: Any = AutoModelForCausalLM.from_pretrained(str(models.folder(BASE)), dtype=torch.bfloat16)
    base.save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(str(models.folder(BASE))).save_pretrained(tmp_path / "base")
    options = config(lora=Lora(rank=4, alpha=8), learning_rate=1e-2, bf16=True)
    options = options.model_copy(update={"base": str(tmp_path / "base")})
    train_sft.train(options, tmp_path / "out", data)
    merged, before = weights(tmp_path / "out"), base.state_dict()
    changed = {name for name in merged if not torch.equal(merged[name], before[name])}
    assert changed and all("proj" in name for name in changed)
    assert {weight.dtype for weight in merged.values()} == {torch.bfloat16}
    found = []
    for model, more in (
        ("base", {"adapter": str(tmp_path / "out" / "adapter")}),
        ("out/model", {}),
    ):
        backend = open_backend(str(tmp_path / model), **more)
        session = ReasoningSession(backend, limits=Limits(max_tokens=30))
        found.append((await session.run("What is 3 + 1?")).token_ids)
        await backend.aclose()
    assert found[0] == found[1]
    # A repository keeps the adapters alone: the training is done, and its model comes from them.
    shutil.rmtree(tmp_path / "out" / "model")
    assert train_sft.train(options, tmp_path / "out", data)["steps"]
    assert model_of(tmp_path / "out", options.base, options.training) == str(tmp_path / "out/model")
    again = weights(tmp_path / "out")
    assert all(torch.equal(again[name], merged[name]) for name in merged)


@pytest.mark.slow
def test_a_run_trains_in_two_processes_and_comes_to_what_one_comes_to(
    trained: tuple[Path, dict[str, Any]],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launched = config(save_steps=2, accelerate=str(CONFIGS / "accelerate" / "cpu.yaml"))
    monkeypatch.chdir(CONFIGS.parents[1])  # where `-m recipes...` is found
    report = reproduce.trained(launched, tmp_path / "start-0", data, {})
    assert report["processes"] == 2 and report["steps"] == 6
    assert report["last loss"] == pytest.approx(trained[1]["last loss"], rel=0.02)
    assert same(weights(tmp_path / "start-0"), weights(trained[0]), close=2e-3)


def test_a_batch_that_the_devices_cannot_share_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.batch=5 is not a multiple of per_device=2"):
        train_sft.train(config(batch=5), tmp_path, data)


@pytest.mark.parametrize(("name", "rate"), [("qwq-32b", 7e-6), ("r1-distill-32b", 2e-6)])
def test_the_papers_hyper_parameters(name: str, rate: float) -> None:
    found = read_config(CONFIGS / f"{name}.toml")
    training = found.training
    assert (training.learning_rate, training.batch, training.epochs) == (rate, 128, 3)
    assert (training.schedule, training.warmup, training.max_length) == ("cosine", 0.03, 16_384)
    assert (found.sampled.samples, found.sampled.temperature) == (16, 0.6)
    assert found.sampled_at(0.6).top_p == 0.95
    assert (found.limits.max_tokens, found.limits.max_calls) == (32_768, 6)
    assert found.seed_data.rescued and not found.start_data.rescued


@pytest.mark.parametrize("name", ["zero3", "fsdp", "cpu"])
def test_the_launchers_files_are_what_accelerate_reads(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(CONFIGS / "accelerate" / f"{name}.yaml"))
    kinds = {"zero3": "DEEPSPEED", "fsdp": "FSDP", "cpu": "MULTI_GPU"}
    assert found.distributed_type == kinds[name]
