"""How a model is loaded; torch is not needed to say so."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from start_sdk.errors import ConfigError, ModelError

DTYPES = ("auto", "bfloat16", "float16", "float32", "float64")
"""What weights can be loaded as; "auto" is what the checkpoint has."""


@dataclass(frozen=True)
class Loaded:
    """An already loaded model and its tokenizer, for example a model in training.

    The backend uses it as is and does not own it: keep it in evaluation mode while the backend
    generates, and call the backend's `reset_cache` after its weights have changed.
    """

    model: Any
    tokenizer: Any


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """The options of `TransformersBackend` that say how a model is loaded."""

    device: str | None = None
    device_map: str | dict[str, Any] | None = None
    dtype: str | None = None
    quantization: Any = None
    revision: str | None = None
    attn_implementation: str | None = None
    adapter: str | None = None
    gguf_file: str | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.dtype and self.dtype not in DTYPES:
            raise ModelError(
                f"dtype={self.dtype!r} is not a torch dtype for weights: {', '.join(DTYPES)}"
            )
        asked = isinstance(self.quantization, dict) and any(
            self.quantization.get(name) for name in ("load_in_4bit", "load_in_8bit")
        )
        if asked and not find_spec("bitsandbytes"):
            raise ModelError("this quantization needs bitsandbytes: pip install bitsandbytes")
        if self.device and self.device_map:
            raise ConfigError("device and device_map exclude each other: both say where it runs")

    def check_loaded(self) -> None:
        """Raises ConfigError if one is given for a model that is already loaded."""
        if given := [field.name for field in fields(self) if getattr(self, field.name)]:
            raise ConfigError(
                f"{' and '.join(given)} cannot be set for a model that is already loaded"
            )
