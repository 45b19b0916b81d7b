from __future__ import annotations

import importlib.util
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, too, the tests compare ids: in bfloat16, the default there, a batch may change them."""
    if not importlib.util.find_spec("torch"):
        return
    import torch

    if torch.cuda.is_available():
        from start_sdk.backends.transformers import Loaded, TransformersBackend

        made = TransformersBackend.__init__

        def make(self: Any, model: str | Loaded, **options: Any) -> None:
            if isinstance(model, str):
                options.setdefault("dtype", "float32")
            made(self, model, **options)

        monkeypatch.setattr(TransformersBackend, "__init__", make)
