"""Runs any causal language model supported by transformers, on CPU or CUDA.

This package is light: torch is imported once a model has been found.
"""

from importlib.util import find_spec

from start_sdk.errors import MissingExtra

if not (find_spec("torch") and find_spec("transformers") and find_spec("tokenizers")):
    raise MissingExtra("the transformers backend", "transformers")

from start_sdk.backends.transformers._backend import TransformersBackend
from start_sdk.backends.transformers._options import Loaded

__all__ = ["Loaded", "TransformersBackend"]
