"""Finds and loads a model: embedded, in a local folder, or from the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from start_sdk import models
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.errors import ConfigError, ModelError


@dataclass(frozen=True)
class Loaded:
    """An already loaded model and its tokenizer, for example a model in training.

    The backend uses it as is and does not own it: keep it in evaluation mode while the backend
    generates, and call the backend's `reset_cache` after its weights have changed.
    """

    model: Any
    tokenizer: Any


def load(model: str | Loaded, device: str | None, dtype: str | None) -> tuple[Any, HFTokenizer]:
    """Loads a model, in evaluation mode on its device, and its tokenizer.

    Raises:
        ConfigError: a device or dtype is given for a model that is already loaded.
        ModelError: the model cannot be found, read, or moved to the device.
    """
    if isinstance(model, Loaded):
        if device or dtype:
            raise ConfigError("device and dtype cannot be set for a model that is already loaded")
        return model.model, HFTokenizer(model.tokenizer, _eos_ids(model.model))
    if not model.strip():
        raise ModelError(f"the model name is empty; embedded models: {', '.join(models.names())}")
    path = models.folder(model) or Path(model)
    if path.is_dir() and not (path / "config.json").is_file():
        raise ModelError(f"{str(path)!r} is not a model folder: it has no config.json")
    source = str(path) if path.is_dir() else model
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with _without_bars() if models.folder(model) else nullcontext():
            tokenizer = AutoTokenizer.from_pretrained(source)
            loaded: Any = AutoModelForCausalLM.from_pretrained(source, dtype=_dtype(dtype, device))
        loaded = loaded.to(device).eval()
    except Exception as error:  # a boundary: broken files raise anything, in several libraries
        raise ModelError(_explain(model, path.is_dir(), error)) from error
    if dtype is None and device == "cpu" and _fits_in_float32(loaded):
        loaded = loaded.float()
    return loaded, HFTokenizer(tokenizer, _eos_ids(loaded))


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hides progress bars: embedded models load at once."""
    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _dtype(dtype: str | None, device: str) -> Any:
    if dtype is not None:
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"{dtype!r} is not a torch dtype, such as 'bfloat16'")
        return found
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return "auto"


def _fits_in_float32(model: Any) -> bool:
    """CPUs are fast and exact in float32; a model that would fill the memory keeps its dtype."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(model.num_parameters()) * 4 < memory // 2


def _eos_ids(model: Any) -> list[int]:
    ids = getattr(model.generation_config, "eos_token_id", None)
    return [] if ids is None else [int(i) for i in (ids if isinstance(ids, list) else [ids])]


def _explain(model: str, is_folder: bool, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if is_folder:
        return f"the model in {model!r} cannot be loaded: {reason}"
    embedded = ", ".join(models.names())
    return (
        f"no model {model!r}: it is not embedded ({embedded}), not a local folder, and could not "
        f"be loaded from the hub: {reason}"
    )
