"""Conformance checks for backends: a few generated tokens, a few seconds."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from start_sdk.formats import detect
from start_sdk.generation import Chunk, Sampling
from start_sdk.protocols import Backend
from start_sdk.testing._check import Check
from start_sdk.testing._watch import StopsAt

GREEDY = Sampling(temperature=0)
TOKENS = 24
"""Tokens sampled by most checks."""
LONG = 300
"""Tokens of the prefix that should be found in the cache: more than two blocks of any engine."""
ABANDONED = 4


@dataclass(frozen=True, slots=True)
class Generated:
    """The result of one generation."""

    token_ids: list[int]
    text: str
    last: Chunk
    logprobs: list[float] | None


class _Bench:
    """A backend under test, with a prefix that ends inside a thought."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.capabilities = backend.capabilities
        self.prefix = self.prompt("What is 2 + 2?")

    def prompt(self, question: str) -> list[int]:
        """Ids of a prompt with an open thought, opened here unless the template opens it."""
        tokenizer = self.backend.tokenizer
        ids = tokenizer.render([{"role": "user", "content": question}])
        think = detect(tokenizer).think
        if think and not tokenizer.decode(ids).rstrip().endswith(think[0]):
            ids = ids + tokenizer.encode(f"{think[0]}\n", control=True)
        return ids

    async def generate(
        self,
        prefix: Sequence[int] | None = None,
        stop: str = "",
        n: int = TOKENS,
        sampling: Sampling = GREEDY,
        key: str | None = None,
    ) -> Generated:
        ids: list[int] = []
        logprobs: list[float] = []
        text, last = "", Chunk()
        prefix = self.prefix if prefix is None else prefix
        watch = StopsAt(stop) if stop else None
        stream = self.backend.generate(prefix, sampling, watch=watch, max_tokens=n, key=key)
        async with aclosing(stream):
            async for last in stream:
                ids += last.token_ids
                text += last.text
                logprobs += last.logprobs or ()
        has_logprobs = last.logprobs is not None
        return Generated(ids, text, last, logprobs if has_logprobs else None)

    def comparable(self, token_ids: Sequence[int]) -> list[int] | str:
        """What the checks compare: ids, or their text if the backend only receives text."""
        ids = list(token_ids)
        return ids if self.capabilities.exact else self.backend.tokenizer.decode(ids)


async def _ends(bench: _Bench) -> list[Check]:
    done = await bench.generate()
    last, count = done.last, len(done.token_ids) + len(done.last.withheld_ids)
    decoded = bench.backend.tokenizer.decode(done.token_ids)
    exact = bench.capabilities.exact
    return [
        Check(
            "ends with a reason",
            last.reason in ("eos", "length"),
            f"{last.reason}",
            "sessions cannot tell a pause from an end",
        ),
        Check(
            "returns at most max_tokens",
            count <= TOKENS,
            f"{count} of {TOKENS}",
            "no limit holds",
        ),
        Check(
            "text matches the ids",
            decoded == done.text,
            repr(done.text[:40]),
            "no trace verifies",
        ),
        Check(
            "returns the ids it sampled",
            exact,
            "ids" if exact else "text only",
            "traces are not exact: no training on them, and each prefix is encoded again",
            required=False,
        ),
    ]


async def _stops(bench: _Bench) -> list[Check]:
    whole = await bench.generate()
    letters = whole.text.strip()
    # From the middle, likely across a token boundary; a model may repeat itself.
    stop = letters[len(letters) // 2 :][:3]
    done = await bench.generate(stop=stop)
    last = done.last
    withheld = "".join(s.text for s in last.stops)
    ids = bench.comparable([*done.token_ids, *last.withheld_ids])
    return [
        Check(
            "stops inside thinking",
            last.reason == "stop" and bool(last.stops) and last.stops[0].event is not None,
            repr(stop),
            "no code runs and no hint is inserted",
        ),
        Check(
            "withholds the match",
            bool(stop) and stop not in done.text and stop in withheld,
            repr(done.text[-40:]),
            "hints come too late: the end of thinking is already written",
        ),
        Check(
            "matched ids follow the released ids",
            ids == bench.comparable(whole.token_ids)[: len(ids)],
            "",
            "tokens are lost or duplicated where a stop matches",
        ),
    ]


async def _continues(bench: _Bench) -> list[Check]:
    whole = await bench.generate()
    first = whole.token_ids[: TOKENS // 3]
    rest = await bench.generate(
        [*bench.prefix, *first], n=max(1, len(whole.token_ids) - len(first))
    )
    same = bench.comparable([*first, *rest.token_ids]) == bench.comparable(whole.token_ids)
    return [
        Check(
            "continues a prefix exactly",
            same,
            "" if same else f"{whole.text!r}, then {rest.text!r}",
            "after a splice the model continues something that is not in the trace",
        )
    ]


async def _reuses(bench: _Bench) -> list[Check]:
    question, room = "What is 2 + 2? ", bench.backend.max_context // 2
    size = max(1, len(bench.prompt(question * 8)) - len(bench.prompt(question * 7)))
    long = bench.prompt(question * (min(LONG, room) // size))
    key = uuid.uuid4().hex
    first = await bench.generate(long, n=2, key=key)
    second = await bench.generate([*long, *first.token_ids], n=2, key=key)
    await bench.backend.release(key)
    return [
        Check(
            "reuses its cache",
            (second.last.cached or 0) >= len(long) // 2,
            f"{second.last.cached or 0} of {len(long)} tokens",
            "each splice recomputes the whole thought (or the server reports no cached tokens)",
            required=False,
        )
    ]


async def _aborts(bench: _Bench) -> list[Check]:
    began = time.perf_counter()
    before = await bench.generate()
    usual = time.perf_counter() - began
    room = min(400, bench.backend.max_context - len(bench.prefix))
    streams = [
        bench.backend.generate(bench.prefix, GREEDY, max_tokens=room) for _ in range(ABANDONED)
    ]
    for stream in streams:
        await anext(stream)
    began = time.perf_counter()
    for stream in streams:
        await stream.aclose()
    after = await bench.generate()
    seconds = time.perf_counter() - began
    return [
        Check(
            "stops abandoned generations",
            # An engine that does not stop takes 60 times as long: it has 1,600 tokens to sample.
            seconds <= 20 * usual + 1,
            f"{seconds:.1f} s instead of {usual:.1f} s",
            "abandoned generations slow down the others",
        ),
        Check(
            "still works after an abandoned generation",
            bench.comparable(after.token_ids) == bench.comparable(before.token_ids),
            "",
            "one cancelled session breaks the others",
        ),
    ]


async def _seeds(bench: _Bench) -> list[Check]:
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=7)
    one, two = [await bench.generate(sampling=sampling) for _ in range(2)]
    return [
        Check(
            "the same seed gives the same tokens",
            one.token_ids == two.token_ids,
            f"{one.text!r}, {two.text!r}" if one.text != two.text else "",
            "runs cannot be reproduced, and each result is one draw of many",
            required=bench.capabilities.seeded,
        )
    ]


async def _returns_logprobs(bench: _Bench) -> list[Check]:
    done = await bench.generate(sampling=GREEDY.model_copy(update={"logprobs": True}))
    found = done.logprobs
    ok = found is not None and len(found) == len(done.token_ids) and all(p <= 0 for p in found)
    return [
        Check(
            "returns log probabilities",
            ok,
            "none" if found is None else f"{len(found)} for {len(done.token_ids)} tokens",
            "no importance ratios, no ranking by likelihood",
            required=bench.capabilities.logprobs,
        )
    ]


_PARTS: tuple[tuple[str, Callable[[_Bench], Awaitable[list[Check]]]], ...] = (
    ("generates", _ends),
    ("stops", _stops),
    ("continues", _continues),
    ("caches", _reuses),
    ("aborts", _aborts),
    ("obeys seeds", _seeds),
    ("returns log probabilities", _returns_logprobs),
)


async def check_backend(backend: Backend) -> list[Check]:
    """Checks that a backend meets the contract of `Backend`.

    Returns:
        One check per property. The contract is broken if a `required` check is not `ok`. What a
        backend declares in its capabilities as unsupported is not required.
    """
    bench = _Bench(backend)
    checks: list[Check] = []
    for name, part in _PARTS:
        try:
            checks += await part(bench)
        except Exception as error:  # a boundary: the backend under test may fail in any way
            why = " ".join(f"{type(error).__name__}: {error}".split())
            checks.append(Check(name, False, why, "sessions end with this error"))
    return checks
