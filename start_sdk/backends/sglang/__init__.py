"""Uses a model on SGLang's server, token by token, through its own endpoint."""

from start_sdk.errors import MissingExtra

try:
    import httpx2 as _httpx2  # noqa: F401  (here, so that a missing extra has one message)
    import tenacity as _tenacity  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    raise MissingExtra("the sglang backend", "servers") from error

from start_sdk.backends.sglang._backend import SGLangBackend

__all__ = ["SGLangBackend"]
