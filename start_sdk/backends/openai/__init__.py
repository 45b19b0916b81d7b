"""Uses models on OpenAI-compatible servers: with token ids, with text, or as a chat."""

from start_sdk.errors import MissingExtra

try:
    import httpx2 as _httpx2  # noqa: F401  (here, so that a missing extra has one message)
    import tenacity as _tenacity  # noqa: F401
    import tokenizers as _tokenizers  # noqa: F401
except ImportError as error:
    raise MissingExtra("the openai backend", "servers") from error

from start_sdk.backends.openai._backend import OpenAIBackend

__all__ = ["OpenAIBackend"]
