"""Loads a model: embedded, from a folder or a GGUF file, or from the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from start_sdk import models
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers._adapter import with_adapter
from start_sdk.backends.transformers._attention import use_decode_attention
from start_sdk.backends.transformers._options import Loaded, LoadOptions
from start_sdk.errors import ModelError


def wrapped(loaded: Loaded) -> tuple[Any, HFTokenizer]:
    """A model that is loaded already, and its tokenizer."""
    return loaded.model, HFTokenizer(loaded.tokenizer, _eos_ids(loaded.model))


def load(model: str, source: models.Source, options: LoadOptions) -> tuple[Any, HFTokenizer]:
    """Loads a model, in evaluation mode on its device, and its tokenizer.

    Args:
        model: its name, for messages.
        source: where it is.
        options: how it is loaded.

    Raises:
        ModelError: the model cannot be read, or moved to the device.
    """
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with _without_bars() if models.folder(model) else nullcontext():
            tokenizer, loaded = _read(source, options, device)
    except Exception as error:  # a boundary: broken files raise anything, in several libraries
        raise ModelError(_explain(model, source, error)) from error
    if options.dtype is None and loaded.device.type == "cpu" and _is_better_in_float32(loaded):
        loaded = loaded.float()
    if options.attn_implementation is None and loaded.device.type == "cpu":
        use_decode_attention(loaded)
    if adapter := options.adapter or source.adapter:
        loaded = with_adapter(loaded, adapter, model)
    return loaded, HFTokenizer(tokenizer, _eos_ids(loaded))


def _read(source: models.Source, options: LoadOptions, device: str) -> tuple[Any, Any]:
    """The tokenizer and the model, on its device."""
    which: dict[str, Any] = {"trust_remote_code": options.trust_remote_code}
    if source.revision:
        which["revision"] = source.revision
    if source.gguf_file:
        which["gguf_file"] = source.gguf_file
    how: dict[str, Any] = {"dtype": _dtype(options.dtype, device)}
    if options.quantization:  # its weights cannot be moved to a device once they are loaded
        how["quantization_config"] = options.quantization
        how["device_map"] = options.device_map or {"": device}
    elif options.device_map:
        how["device_map"] = options.device_map
    if options.attn_implementation:
        how["attn_implementation"] = options.attn_implementation
    tokenizer = AutoTokenizer.from_pretrained(source.location, **which)
    loaded: Any = AutoModelForCausalLM.from_pretrained(source.location, **which, **how)
    return tokenizer, (loaded if "device_map" in how else loaded.to(device)).eval()


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
        return dtype if dtype == "auto" else getattr(torch, dtype)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return "auto"


def _is_better_in_float32(model: Any) -> bool:
    """CPUs are exact in float32, and as fast for one session; a model that would fill the memory
    keeps its dtype, and one whose weights are quantized has none to choose."""
    if getattr(model, "hf_quantizer", None) is not None:
        return False
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(model.num_parameters()) * 4 < memory // 2


def _eos_ids(model: Any) -> list[int]:
    ids = getattr(model.generation_config, "eos_token_id", None)
    return [] if ids is None else [int(i) for i in (ids if isinstance(ids, list) else [ids])]


def _explain(model: str, source: models.Source, error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    reason = next(filter(None, (line.strip() for line in text.splitlines())))
    if "trust_remote_code" in text:
        reason = (
            "it brings code of its own, which is not run unless you ask for it: read that code, "
            "then pass trust_remote_code=True"
        )
    elif "accelerate" in text and not find_spec("accelerate"):
        reason = "device_map and quantization need accelerate: pip install accelerate"
    where = "" if source.local else " from the hub"
    return f"the model in {model!r} cannot be loaded{where}: {reason}"
