"""Runs any causal language model supported by transformers, on CPU or CUDA."""

from start_sdk.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401  (here, so that a missing extra has one message)
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    raise MissingExtra("the transformers backend", "transformers") from error

from start_sdk.backends.transformers._backend import TransformersBackend
from start_sdk.backends.transformers._loading import Loaded

__all__ = ["Loaded", "TransformersBackend"]
