"""A fake model backend and a fake interpreter."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import JsonValue

from start_sdk.backends import CharTokenizer, Continuation
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch
from start_sdk.protocols import CellResult, Tokenizer, ToolHost
from start_sdk.trace import ToolCall


@dataclass
class _Play:
    """The state of one session's script."""

    texts: list[str]
    """Texts still to come."""
    rest: list[int] = field(default_factory=list)
    """Ids of the current text still to come."""
    expected: list[int] | None = None
    """The prefix that continues the current text; any other starts the next text."""


class ScriptedBackend:
    """A backend that generates scripted texts.

    The "model" writes one text until something is spliced in; then the next text begins, and the
    rest of the old one is discarded. A pause without a splice continues the same text. At the end
    of a text or of the script it samples the end-of-sequence token.

    Args:
        script: the texts, or a function that returns them for a prompt's text.
        tokenizer: by default one token per character.
        max_context: in tokens.
    """

    def __init__(
        self,
        script: Sequence[str] | Callable[[str], Sequence[str]],
        *,
        tokenizer: Tokenizer | None = None,
        max_context: int = 100_000,
    ) -> None:
        self._script = script
        self._plays: dict[str | None, _Play] = {}
        self.tokenizer: Tokenizer = tokenizer or CharTokenizer()
        self.max_context = max_context
        self.capabilities = Capabilities(model="scripted")
        self.closed = False

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Backend.generate`."""
        prefix = list(prefix_ids)
        play = self._play(key, prefix)
        work = Continuation(self, prefix, sampling, watch, max_tokens)
        sampled: list[int] = []
        while True:
            if play.rest:
                sampled.append(play.rest.pop(0))
                play.expected = prefix + sampled
                chunk = work.push(sampled[-1])
            else:
                play.expected = None
                chunk = work.push(min(self.tokenizer.eos_ids))
            if chunk.token_ids or chunk.reason:
                yield chunk
            if chunk.reason:
                return

    def _play(self, key: str | None, prefix: list[int]) -> _Play:
        play = self._plays.get(key)
        if play is None:
            texts = (
                self._script(self.tokenizer.decode(prefix))
                if callable(self._script)
                else self._script
            )
            play = self._plays[key] = _Play(list(texts))
        if play.expected != prefix:
            text = play.texts.pop(0) if play.texts else ""
            play.rest = self.tokenizer.encode(text, control=True)
        return play

    async def release(self, key: str) -> None:
        self._plays.pop(key, None)

    async def reset_cache(self) -> None:
        self._plays.clear()

    async def aclose(self) -> None:
        self.closed = True


class FakeInterpreter:
    """An interpreter that looks up the result of each cell, and counts its kernels.

    Args:
        cells: maps stripped code to its output or a whole `CellResult`; a function may raise.
        calls: maps stripped code to the tool calls that the cell makes: names and arguments.

    Attributes:
        answers: results of these tool calls, in order.
        files: that the last kernel was opened with.
        opened: kernels opened so far.
        open_now: kernels open now.
        ran: the code of every cell, in order.
    """

    def __init__(
        self,
        cells: Mapping[str, str | CellResult] | Callable[[str], str | CellResult] | None = None,
        *,
        calls: Mapping[str, Sequence[tuple[str, dict[str, JsonValue]]]] | None = None,
    ) -> None:
        self._cells = cells if cells is not None else {}
        self._calls = calls or {}
        self._tools: ToolHost | None = None
        self.answers: list[ToolCall] = []
        self.files: Mapping[str, bytes] = {}
        self.opened = 0
        self.open_now = 0
        self.ran: list[str] = []

    def __repr__(self) -> str:
        return "FakeInterpreter()"

    @asynccontextmanager
    async def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AsyncIterator[FakeInterpreter]:
        self._tools, self.files = tools, files or {}
        self.opened += 1
        self.open_now += 1
        try:
            yield self
        finally:
            self.open_now -= 1

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        self.ran.append(code)
        name = code.strip()
        for tool, arguments in self._calls.get(name, ()):
            assert self._tools, "a cell calls a tool, but the session has none"
            self.answers.append(await self._tools.call(tool, json.dumps(arguments)))
        found = self._cells(name) if callable(self._cells) else self._cells.get(name)
        if found is None:
            found = CellResult("error", f"KeyError: FakeInterpreter has no cell {name!r}", 0.0)
        return found if isinstance(found, CellResult) else CellResult("ok", found, 0.0)
