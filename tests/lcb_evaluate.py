"""Runs `recipes.evaluate` with a scripted model; prints a line for each sample that was judged."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from lcb import PROGRAMS

from recipes import evaluate
from recipes.config import Config
from recipes.questions import Judge
from start_sdk import Chunk, Sampling
from start_sdk.generation import Watch
from start_sdk.testing import ScriptedBackend

READS = ("read", "for line in stdin", "off by one", "syntax")
CALLED = ("method", "prints, too", "wrong value", "raises")
CODE = {program.name: program.code for program in PROGRAMS}


class Seeded(ScriptedBackend):
    """Writes one of four programs, by the problem and the sample's seed."""

    def __init__(self) -> None:
        super().__init__([])
        self._plays_of: dict[str | None, ScriptedBackend] = {}

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        if key not in self._plays_of:
            self._plays_of[key] = ScriptedBackend(
                [response(self.tokenizer.decode(prefix_ids), sampling.seed)]
            )
        play = self._plays_of[key]
        async for chunk in play.generate(
            prefix_ids, sampling, watch=watch, max_tokens=max_tokens, key=key
        ):
            yield chunk


def response(asked: str, seed: int) -> str:
    number = re.search(r"Variant (\d+)", asked)
    assert number
    names = CALLED if "following starter code" in asked else READS
    code = CODE[names[(int(number[1]) + seed) % 4]]
    return f"I think.\n</think>\n\n```python\n{code}\n```\nThat is all."


def main() -> int:
    judge = Judge.judge

    async def told(self: Judge, *args: Any) -> dict[str, Any]:
        result = await judge(self, *args)
        sys.stderr.write("judged\n")
        return result

    Judge.judge = told  # type: ignore[method-assign, assignment]
    Config.opened = lambda *_: Seeded()  # type: ignore[method-assign]
    return evaluate.main()


if __name__ == "__main__":
    sys.exit(main())
