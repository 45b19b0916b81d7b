"""Short ways to generate, for the tests of backends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from start_sdk import Chunk, Sampling
from start_sdk.testing import StopsAt

if TYPE_CHECKING:
    from start_sdk.backends.transformers import TransformersBackend

GREEDY = Sampling(temperature=0)


async def take(
    backend: TransformersBackend,
    prefix: Sequence[int],
    n: int,
    stop: str = "",
    sampling: Sampling = GREEDY,
    key: str | None = None,
) -> tuple[list[int], Chunk]:
    ids: list[int] = []
    last = Chunk()
    async for last in backend.generate(
        prefix, sampling, watch=StopsAt(stop) if stop else None, max_tokens=n, key=key
    ):
        ids += last.token_ids
    return ids, last


def prompt(backend: TransformersBackend) -> list[int]:
    return backend.tokenizer.render([{"role": "user", "content": "What is 12 * 7?"}])


class Forgetful:
    """A backend that reads the whole prefix again each time."""

    def __init__(self, backend: TransformersBackend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def generate(
        self, *args: Any, key: str | None = None, **kwargs: Any
    ) -> AsyncGenerator[Chunk, None]:
        async for chunk in self._backend.generate(*args, **kwargs):
            assert not chunk.cached
            yield chunk
