"""Uses a model on llama.cpp's own server, token by token, through its own endpoints."""

from start_sdk.errors import MissingExtra

try:
    import httpx2 as _httpx2  # noqa: F401  (here, so that a missing extra has one message)
    import jinja2 as _jinja2  # noqa: F401
    import tenacity as _tenacity  # noqa: F401
except ImportError as error:
    raise MissingExtra("the llamacpp backend", "servers") from error

from start_sdk.backends.llamacpp._backend import LlamaCppBackend

__all__ = ["LlamaCppBackend"]
