"""Questions to a llama.cpp server: what it serves, and whether it still does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tenacity import Retrying

from start_sdk.backends._failures import once_loaded
from start_sdk.backends._http import Connection, ServerError, retrying
from start_sdk.errors import BackendError, ModelError


@dataclass(frozen=True, slots=True)
class Served:
    """What a server runs: one model."""

    name: str
    source: str
    """Where the server read it from."""
    kind: str
    """The number format of its weights, "" if the server does not say."""
    max_context: int
    """Of each of its slots, in tokens."""
    chat_template: str
    speculates: bool
    """Whether it decodes speculatively."""


class Server:
    """A llama.cpp server.

    Args:
        connection: to it.
        retry_seconds: for how long `ask` retries.

    Raises:
        ModelError: it does not answer, or is no server of llama.cpp.
    """

    def __init__(self, connection: Connection, retry_seconds: float) -> None:
        self.connection = connection
        policy = retrying(retry_seconds)
        self._retrying = Retrying(
            retry=policy.retry, wait=policy.wait, stop=policy.stop, reraise=True
        )
        try:
            self.served = once_loaded(self._served)
        except ServerError as error:
            missing = error.status in (404, 405, 501)
            raise ModelError(self._other() if missing else str(error)) from error

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Posts a body and waits for the answer; retries after transient errors.

        Raises:
            BackendError: there is none.
        """
        return self._retrying(self.connection.ask, "POST", path, body)

    async def check_model(self) -> None:
        """Raises BackendError if the server has been started again with another model."""
        now = await asyncio.to_thread(self._served)
        if now.source != self.served.source:
            raise BackendError(
                f"{self.connection.url} now serves {now.name!r} instead of {self.served.name!r}"
            )

    def _served(self) -> Served:
        props = self.connection.ask("GET", "/props")
        try:
            defaults = props["default_generation_settings"]
            source = str(props["model_path"])
            name = str(props.get("model_alias") or source)
            return Served(
                name=PurePath(source).name if name == source else name,
                source=source,
                kind=str(props.get("model_ftype") or ""),
                max_context=int(defaults["n_ctx"]),
                chat_template=str(props.get("chat_template") or ""),
                speculates=defaults.get("params", {}).get("speculative.types", "none") != "none",
            )
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(self._other()) from error

    def _other(self) -> str:
        return f"{self.connection.url} is no server of llama.cpp: try --backend openai"
