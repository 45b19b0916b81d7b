"""Loads the model of a training, adds adapters, and saves it so that any backend can run it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from recipes.settings import Training
from start_sdk import ConfigError, models


def load(base: str, options: Training) -> tuple[Any, Any]:
    """The model, in float32 unless adapters are trained, and its tokenizer.

    Raises:
        ConfigError: it cannot be found or read.
    """
    source = models.find(base).location
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = "auto" if options.lora else "float32"
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, attn_implementation=options.attention
        )
    except Exception as error:  # a boundary: broken files raise anything, from several libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"the model {base!r} cannot be loaded: {reason}") from error
    return model, tokenizer


def adapters(options: Training) -> Any:
    """The adapters to train, as peft describes them; None to train all weights."""
    if options.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=options.lora.rank,
        lora_alpha=options.lora.alpha,
        lora_dropout=options.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def save(trainer: Any, base: str, options: Training, folder: Path, *, main: bool) -> None:
    """Writes the model, whole or not at all; adapters are merged into the base model."""
    unfinished = folder / "model.part"
    trainer.model.config.use_cache = True  # the trainer does without: who samples must not
    if options.lora is None:
        trainer.save_model(str(unfinished))
    else:
        trainer.save_model(str(folder / "adapter"))
        if main:
            _merge(base, folder / "adapter", unfinished, options)
            trainer.processing_class.save_pretrained(unfinished)
    if main:
        (unfinished / "training_args.bin").unlink(missing_ok=True)  # a pickle of this machine's
        shutil.rmtree(folder / "model", ignore_errors=True)  # of a run that ended right behind this
        unfinished.rename(folder / "model")


def _merge(base: str, adapter: Path, to: Path, options: Training) -> None:
    from peft import PeftModel

    model, _ = load(base, options)
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().save_pretrained(to)
