"""How `TransformersBackend` loads a model: its options, adapters, and what it says of itself."""

from __future__ import annotations

import json
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from start_sdk import Backend, ConfigError, ModelError, Sampling, open_backend

torch = pytest.importorskip("torch")

from families import raw  # noqa: E402

from start_sdk.backends.transformers import Loaded, TransformersBackend, _backend  # noqa: E402
from start_sdk.backends.transformers._threads import threads_for  # noqa: E402


async def greedy(backend: Backend, n: int = 8) -> list[int]:
    prefix = backend.tokenizer.render([{"role": "user", "content": "What is 12 * 7?"}])
    ids: list[int] = []
    async with aclosing(backend.generate(prefix, Sampling(temperature=0), max_tokens=n)) as chunks:
        async for chunk in chunks:
            ids += chunk.token_ids
    return ids


def engine_of(backend: Any) -> Any:
    return backend._engine


def adapter(base: Path, folder: Path, *, layers: int | None = None) -> Any:
    """Trains nothing: writes a LoRA with random weights, and returns the model with it."""
    peft: Any = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    depth = {} if layers is None else {"num_hidden_layers": layers}
    model = AutoModelForCausalLM.from_pretrained(base, **depth)
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    made = peft.get_peft_model(model, lora)
    made.save_pretrained(folder)
    written = folder / "adapter_config.json"
    config = json.loads(written.read_text("utf-8")) | {"base_model_name_or_path": "of/elsewhere"}
    written.write_text(json.dumps(config), encoding="utf-8")
    return made


async def test_an_adapter_changes_what_the_model_writes(random_model: Path, tmp_path: Path) -> None:
    made = adapter(random_model, tmp_path / "lora")
    async with TransformersBackend(str(random_model), adapter=str(tmp_path / "lora")) as merged:
        ids = await greedy(merged)
    made = made.merge_and_unload().eval()
    async with TransformersBackend(Loaded(made, raw("qwen3"))) as expected:
        assert await greedy(expected) == ids
    async with TransformersBackend(str(random_model)) as plain:
        assert await greedy(plain) != ids


def test_an_adapter_that_does_not_fit_is_one_line(random_model: Path, tmp_path: Path) -> None:
    adapter(random_model, tmp_path / "small", layers=1)
    with pytest.raises(
        ModelError, match=r"does not fit .*: 4 of its 4 weights .* made for 'of/elsewhere'"
    ):
        open_backend(str(random_model), adapter=str(tmp_path / "small"))
    config = json.loads((tmp_path / "small" / "adapter_config.json").read_text("utf-8"))
    config["target_modules"] = ["no_such_layer"]
    (tmp_path / "small" / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit") as error:
        open_backend(str(random_model), adapter=str(tmp_path / "small"))
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match=r"it has no adapter_config\.json"):
        open_backend(str(random_model), adapter=str(random_model))


def test_code_that_a_model_brings_is_not_run_unless_asked(
    random_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(random_model, tmp_path / "own")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "own.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
    with pytest.raises(ModelError, match="then pass trust_remote_code=True") as error:
        open_backend(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quantization": {"load_in_4bit": True}}, "bitsandbytes"),
        ({"quantization": {"load_in_4bits": True}}, "quant_method"),
        ({"attn_implementation": "no_such"}, "no_such"),
        ({"device": "abacus"}, "abacus"),
        ({"device": "cpu", "device_map": "auto"}, "exclude each other"),
        ({"threads": 0}, "threads=0: must be at least 1"),
        ({"max_context": 0}, "max_context=0: must be at least 1"),
        ({"max_batch": "many"}, "max_batch='many': input should be a valid integer"),
        ({"dvice": "cpu"}, "has no option 'dvice': did you mean 'device'\\? It has adapter, "),
        ({"zzz": 1}, "has no option 'zzz'\\. It has adapter"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(
    random_model: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        open_backend(str(random_model), **options)
    assert "\n" not in str(error.value)


async def test_options_reach_the_model(random_model: Path) -> None:
    pytest.importorskip("accelerate")
    options: dict[str, Any] = {"device_map": {"": "cpu"}, "dtype": "bfloat16"}
    backend = open_backend(str(random_model), **options, attn_implementation="eager", threads=2)
    async with aclosing(backend):
        model = engine_of(backend)._model
        assert model.dtype == torch.bfloat16 and model.config._attn_implementation == "eager"
        assert engine_of(backend).submit(torch.get_num_threads).result() == 2
        assert backend.capabilities.note == "cpu, bfloat16, 2 threads"
        assert await greedy(backend)


class Sized:
    """As much of a model as its number of parameters."""

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, size: int) -> None:
        self._size = size

    def num_parameters(self) -> int:
        return self._size


@pytest.mark.parametrize(
    ("size", "threads"), [(29_000_000, 1), (135_000_000, 4), (999_000_000, 4), (10**9, 8)]
)
def test_small_models_leave_cores_to_others(
    size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert threads_for(Sized(size)) == threads
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # as OMP_NUM_THREADS=1 has it
    assert threads_for(Sized(size)) == 1


def test_the_note_says_where_bfloat16_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backend, "_processor_flags", lambda: {"avx512f", "avx512_bf16"})
    faster = "; dtype=bfloat16 is faster for many sessions on this processor"
    assert _backend._note(Sized(135_000_000), 1, deterministic=False) == f"cpu, float32{faster}"
    assert _backend._note(Sized(5_000_000), 1, deterministic=False) == "cpu, float32"
    monkeypatch.setattr(_backend, "_processor_flags", lambda: {"avx512f"})
    assert _backend._note(Sized(135_000_000), 2, deterministic=True) == (
        "cpu, float32, 2 threads, deterministic"
    )
