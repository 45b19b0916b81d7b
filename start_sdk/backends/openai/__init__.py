"""Uses models on an OpenAI-compatible server: vLLM with token ids, others with text."""

from start_sdk.errors import MissingExtra

try:
    import openai as _openai  # noqa: F401  (here, so that a missing extra has one message)
    import tenacity as _tenacity  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    raise MissingExtra("the openai backend", "servers") from error

from start_sdk.backends.openai._backend import OpenAIBackend

__all__ = ["OpenAIBackend"]
