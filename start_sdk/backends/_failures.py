"""How requests to a server fail, and when they are tried again."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx2
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_fixed,
)
from tenacity import wait_random_exponential as backoff

from start_sdk.errors import BackendError

_BUSY = {408, 409, 425, 429}
"""Status codes, besides all from 500, that are worth another try."""
_BUSY_WORDS = ("servererror", "internal", "overload", "unavailable", "timeout", "ratelimit")
_FINAL_WORDS = ("insufficientquota", "billing")
"""Kinds of 429 that waiting does not help."""
LOADING = 600.0
"""Seconds that a server gets to load its model."""
log = logging.getLogger(__name__)


class ServerError(BackendError):
    """A request that failed.

    Args:
        line: where and why, for users.
        message: the server's own words, "" if it has none.
        status: the HTTP status, or the one inside an error object; None without an answer.
        transient: whether another try may help.
        retry_after: seconds that the server asks to wait before it.
    """

    def __init__(
        self,
        line: str,
        *,
        message: str = "",
        status: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(line)
        self.message = message
        self.status = status
        self.transient = transient
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Failure:
    """What a server says about an error.

    Attributes:
        message: its own words.
        status: the HTTP status, or the one inside the error object; None if there is neither.
        transient: whether another try may help.
        retry_after: seconds that the server asks to wait before it.
    """

    message: str
    status: int | None
    transient: bool
    retry_after: float | None

    @classmethod
    def read(cls, body: Any, status: int | None, headers: Mapping[str, str]) -> Self:
        """Reads an answer's body, in any of the forms that servers give to errors."""
        message, code, kind = _described(body)
        status = status or code
        words = kind.lower().replace("_", "")
        if status:
            transient = status in _BUSY or status >= 500
        else:
            transient = any(word in words for word in _BUSY_WORDS)
        transient = transient and not any(word in words for word in _FINAL_WORDS)
        return cls(message, status, transient, _retry_after(headers))


def retrying(seconds: float) -> AsyncRetrying:
    """A policy for requests: tries transient failures again, for up to `seconds`.

    The delay grows with each attempt, with jitter, and is never shorter than the server asks for.
    """
    return AsyncRetrying(
        retry=retry_if_exception(is_transient),
        wait=_delay,
        stop=stop_before_delay(seconds),
        reraise=True,
    )


def _is_loading(error: BaseException) -> bool:
    """Whether a server is up, and its model not yet: llama.cpp's."""
    if not isinstance(error, ServerError):
        return False
    return error.status == 503 and "loading" in error.message.lower()


def _say_once(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number == 1:
        log.warning("%s: waiting for up to %.0f s", error, LOADING)


once_loaded = Retrying(
    retry=retry_if_exception(_is_loading),
    wait=wait_fixed(1.0),
    stop=stop_before_delay(LOADING),
    before_sleep=_say_once,
    reraise=True,
)
"""Calls a function that asks a server; again, while the server says that it is loading."""


def is_transient(error: BaseException) -> bool:
    """Whether another try may help: a lost connection, a busy or failing server."""
    return isinstance(error, ServerError) and error.transient


def scheme_hint(url: str, error: Exception) -> str:
    """What to try where encryption cannot be agreed on: the server may have none."""
    text, failed = str(error), isinstance(error, httpx2.ConnectTimeout)
    failed |= "SSL" in text and "CERTIFICATE" not in text
    return " (is it http://, without s?)" if failed and url.startswith("https:") else ""


def _delay(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ServerError) else None
    return max(backoff(multiplier=0.5, max=8)(state), asked or 0.0)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: it says so in milliseconds, in seconds, or by a date."""
    try:
        if text := headers.get("retry-after-ms"):
            seconds = float(text) / 1000
        elif text := headers.get("retry-after"):
            seconds = float(text)
        else:
            return None
    except ValueError:
        return _until(text or "", headers.get("date"))
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _until(date: str, now: str | None) -> float | None:
    """Seconds up to a date, by the server's own clock if it says what time it is."""
    try:
        began = parsedate_to_datetime(now).timestamp() if now else time.time()
        return max(0.0, parsedate_to_datetime(date).timestamp() - began)
    except (ValueError, TypeError, OverflowError):
        return None


def _described(body: Any) -> tuple[str, int | None, str]:
    """An error's message, its status code, and its kind, in the forms that servers use."""
    error = body.get("error") or body if isinstance(body, dict) else body
    if not isinstance(error, dict):
        text = error if isinstance(error, str) else json.dumps(error)
        return text[:1000] or "no message", None, ""
    found = next((error[k] for k in ("message", "detail", "msg", "title") if error.get(k)), error)
    message = found if isinstance(found, str) else json.dumps(found)
    if isinstance(more := error.get("metadata"), dict) and isinstance(more.get("raw"), str):
        message += f": {more['raw']}"  # what OpenRouter heard from the provider
    codes = [str(error.get(k)) for k in ("code", "status", "status_code")]
    code = next((int(c) for c in codes if _is_status(c)), None)
    return message[:1000], code, f"{error.get('type')} {error.get('code')}"


def is_failure(answer: dict[str, Any], *, event: bool = False) -> bool:
    """Whether an answer holds an error: some servers send theirs with status 200. An event may tell
    of progress in words."""
    if answer.get("error") or answer.get("object") == "error":
        return True
    names = ("detail", "errors", "base_resp", *(() if event else ("message", "msg")))
    return not answer.get("choices") and any(_says(answer.get(name)) for name in names)


def _says(value: Any) -> bool:
    """Whether a field of an answer without content describes an error."""
    if isinstance(value, dict):  # MiniMax: 0 is success
        return bool(value.get("status_code"))
    return isinstance(value, str | list) and bool(value)


def _is_status(code: str) -> bool:
    return len(code) == 3 and code.isdecimal() and code[0] in "45"
