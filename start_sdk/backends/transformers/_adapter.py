"""Puts a PEFT adapter on a model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from start_sdk.errors import ModelError


def with_adapter(model: Any, adapter: str, name: str) -> Any:
    """The model with an adapter merged into its weights; quantized weights keep it beside them.

    Args:
        model: a model of transformers, on its device.
        adapter: a folder that PEFT has written.
        name: of the model, for messages.

    Raises:
        ModelError: the adapter cannot be read, does not fit the model, or peft is missing.
    """
    check_adapter(adapter)
    from peft import (
        PeftConfig,
        get_peft_model,
        get_peft_model_state_dict,
        load_peft_weights,
        set_peft_model_state_dict,
    )

    try:
        config = PeftConfig.from_pretrained(adapter)
        made_for = config.base_model_name_or_path or "another model"
        config.base_model_name_or_path = None  # else PEFT warns of a base in another folder
        weights = load_peft_weights(adapter, device="cpu")
        made: Any = get_peft_model(model, config)
    except Exception as error:  # a boundary: broken files and unknown layers raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"the adapter in {adapter!r} does not fit {name!r}: {reason}") from error
    wanted = {key: value.shape for key, value in get_peft_model_state_dict(made).items()}
    found = {key: value.shape for key, value in weights.items()}
    if wanted != found:
        differing = {k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k)}
        raise ModelError(
            f"the adapter in {adapter!r} does not fit {name!r}: {len(differing)} of its "
            f"{len(found)} weights have no place of their shape there; it was made for {made_for!r}"
        )
    set_peft_model_state_dict(made, weights)
    quantized = getattr(model, "hf_quantizer", None) is not None
    whole: Any = made.get_base_model() if quantized else made.merge_and_unload()
    return whole.eval()


def check_adapter(adapter: str) -> None:
    """Raises ModelError if a folder is no adapter, or peft is missing; loads nothing."""
    path = Path(adapter)
    if not path.is_dir():
        raise ModelError(f"adapter={adapter!r}: there is no such folder")
    if not (path / "adapter_config.json").is_file():
        raise ModelError(f"adapter={adapter!r} is not a PEFT folder: it has no adapter_config.json")
    if not find_spec("peft"):
        raise ModelError("adapter= needs peft: pip install peft")
