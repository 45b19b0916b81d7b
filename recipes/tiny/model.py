"""The miniature's model, settings, optimizers and loss; needs only torch and transformers."""

import math
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

#: The kinds of documents, in the order of `make_document`'s shares.
KINDS = ["thoughts", "code", "pasted", "plain"]


@dataclass(frozen=True)
class Settings:
    """What makes a run, as its config file has it; a checkpoint of other settings is refused."""

    seed: int
    minutes: float
    hidden: int
    layers: int
    length: int
    batch: int
    matrix_rate: float
    rate: float
    bf16: bool
    shares: dict[str, float]

    @classmethod
    def read(cls, path: Path, **flags: Any) -> "Settings":
        """Settings of a TOML file, with the flags that are not None over them.

        Raises ValueError, in one line, for a file that is missing, not TOML or not complete.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            settings = cls(**values | {k: v for k, v in flags.items() if v is not None})
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
        if not isinstance(settings.shares, dict) or list(settings.shares) != KINDS:
            raise ValueError(f"{path}: shares must be a table of {', '.join(KINDS)}")
        others = {k: v for k, v in asdict(settings).items() if k != "shares"}
        for name, value in {**others, **settings.shares}.items():
            if not isinstance(value, int | float):
                raise ValueError(f"{path}: {name} = {value!r} is not a number")
        if settings.hidden % 32:
            raise ValueError(f"{path}: hidden = {settings.hidden} is not a multiple of 32")
        return settings

    def progress(self, seconds: float) -> float:
        """Share of the run that is done, 0 to 1, by the time spent training."""
        return min(1.0, seconds / (60 * self.minutes))

    def rate_at(self, step: int, seconds: float) -> float:
        """Share of the highest rates: 100 steps of warm-up, then a cosine down to a fiftieth."""
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress(seconds)))
        return min(1.0, (step + 1) / 100) * (0.98 * cosine + 0.02)


def build_model(settings: Settings, tokenizer: Any) -> Any:
    """A Qwen3 model with random weights, sized by the settings."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(settings.seed)
    heads = settings.hidden // 32
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=settings.hidden * 11 // 4 // 32 * 32,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=32,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = Qwen3ForCausalLM(config)  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


class Optimizers:
    """Optimizers that step together, each with its highest learning rate."""

    def __init__(self, *parts: tuple[Any, float]) -> None:
        self.parts = tuple(part for part, _ in parts)
        self._rates = tuple(rate for _, rate in parts)

    def step(self, share: float) -> None:
        """One step at this share of the highest rates; clears the gradients."""
        for part, rate in zip(self.parts, self._rates, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * share
            part.step()
            part.zero_grad()


def adamw(parameters: list[Any], rate: float) -> Any:
    """AdamW as all of the training uses it."""
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)


def build_optimizers(model: Any, settings: Settings) -> Optimizers:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms.

    Muon (Keller Jordan, 2024, "Muon: An optimizer for hidden layers in neural networks") comes to a
    lower loss with the same tokens than AdamW alone; `benchmarks/pretrain.py` has the figures.
    """
    inner = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is one for one in inner)]
    muon = torch.optim.Muon(
        inner, lr=settings.matrix_rate, weight_decay=0.01, adjust_lr_fn="original"
    )
    return Optimizers((muon, settings.matrix_rate), (adamw(others, settings.rate), settings.rate))


def compiled_loss(model: Any, device: str, compiled: bool, bf16: bool) -> Any:
    """Mean next-token loss of a batch of rows; weights stay float32 under bfloat16 products."""

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), rows[:, 1:].flatten()
        )

    return torch.compile(loss_of) if compiled else loss_of
