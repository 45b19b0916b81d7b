"""Whether a backend keeps its contract, on a few tokens of its own making, in seconds."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from start_sdk.formats import ReasoningFormat
from start_sdk.protocols import Backend, Chunk, Sampling
from start_sdk.testing._check import Check

GREEDY = Sampling(temperature=0)
TOKENS = 24
"""Sampled by most checks."""
LONG = 300
"""Tokens of the prefix whose cache rows are looked for: more than two blocks of any engine."""
ABANDONED = 4


@dataclass(frozen=True, slots=True)
class Taken:
    """A whole generation."""

    token_ids: list[int]
    text: str
    last: Chunk
    logprobs: list[float] | None


class _Bench:
    """A backend under test, inside a thought."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.capabilities = backend.capabilities
        self.prefix = self.asked("What is 2 + 2?")

    def asked(self, question: str) -> list[int]:
        """Ids of a prompt up to inside the thought, whoever opens it."""
        tokenizer = self.backend.tokenizer
        ids = tokenizer.render([{"role": "user", "content": question}])
        think = ReasoningFormat.detect(tokenizer).think
        if think and not tokenizer.decode(ids).rstrip().endswith(think[0]):
            ids = ids + tokenizer.encode(f"{think[0]}\n", control=True)
        return ids

    async def take(
        self,
        prefix: Sequence[int] | None = None,
        stop: Sequence[str] = (),
        n: int = TOKENS,
        sampling: Sampling = GREEDY,
        key: str | None = None,
    ) -> Taken:
        ids: list[int] = []
        logprobs: list[float] = []
        text, last = "", Chunk()
        prefix = self.prefix if prefix is None else prefix
        stream = self.backend.generate(prefix, sampling, stop, max_tokens=n, key=key)
        async with aclosing(stream):
            async for last in stream:
                ids += last.token_ids
                text += last.text
                logprobs += last.logprobs or ()
        given = last.logprobs is not None
        return Taken(ids, text, last, logprobs if given else None)

    def said(self, token_ids: Sequence[int]) -> list[int] | str:
        """What is compared: ids, or their text where a backend gets text only."""
        ids = list(token_ids)
        return ids if self.capabilities.exact else self.backend.tokenizer.decode(ids)


async def _ends(bench: _Bench) -> list[Check]:
    taken = await bench.take()
    last, count = taken.last, len(taken.token_ids) + len(taken.last.matched_ids)
    spelled = bench.backend.tokenizer.decode(taken.token_ids)
    exact = bench.capabilities.exact
    return [
        Check(
            "ends with a reason",
            last.reason in ("eos", "length"),
            f"{last.reason}",
            "a session cannot tell a pause from an end",
        ),
        Check(
            "returns at most max_tokens",
            count <= TOKENS,
            f"{count} of {TOKENS}",
            "no limit holds",
        ),
        Check(
            "text is what the ids spell",
            spelled == taken.text,
            repr(taken.text[:40]),
            "no trace verifies",
        ),
        Check(
            "returns the ids it sampled",
            exact,
            "ids" if exact else "text only",
            "traces are not exact: not for training, and each prefix is encoded again",
            required=False,
        ),
    ]


async def _stops(bench: _Bench) -> list[Check]:
    whole = await bench.take()
    letters = whole.text.strip()
    # From the middle, over the border of two tokens; a model may say one thing again and again.
    stop = letters[len(letters) // 2 :][:3]
    taken = await bench.take(stop=[stop])
    last = taken.last
    ids = bench.said([*taken.token_ids, *last.matched_ids])
    return [
        Check(
            "stops inside thinking",
            bool(stop) and last.reason == "stop" and last.stop == stop,
            repr(stop),
            "no block of code is run, no hint is given",
        ),
        Check(
            "withholds the match",
            bool(stop) and stop not in taken.text and stop in last.matched_text,
            repr(taken.text[-40:]),
            "a hint comes too late: the end of thinking is written already",
        ),
        Check(
            "matched ids continue the rest",
            ids == bench.said(whole.token_ids)[: len(ids)],
            "",
            "tokens are lost or doubled where a stop matches",
        ),
    ]


async def _goes_on(bench: _Bench) -> list[Check]:
    whole = await bench.take()
    first = whole.token_ids[: TOKENS // 3]
    rest = await bench.take([*bench.prefix, *first], n=max(1, len(whole.token_ids) - len(first)))
    same = bench.said([*first, *rest.token_ids]) == bench.said(whole.token_ids)
    return [
        Check(
            "continues a prefix exactly",
            same,
            "" if same else f"{whole.text!r}, then {rest.text!r}",
            "behind a splice the model goes on from something that is not in the trace",
        )
    ]


async def _reuses(bench: _Bench) -> list[Check]:
    question, room = "What is 2 + 2? ", bench.backend.max_context // 2
    size = max(1, len(bench.asked(question * 8)) - len(bench.asked(question * 7)))
    long = bench.asked(question * (min(LONG, room) // size))
    key = uuid.uuid4().hex
    first = await bench.take(long, n=2, key=key)
    second = await bench.take([*long, *first.token_ids], n=2, key=key)
    await bench.backend.release(key)
    return [
        Check(
            "reuses its cache",
            (second.last.cached or 0) >= len(long) // 2,
            f"{second.last.cached or 0} of {len(long)} tokens",
            "each splice reads the whole thought again (or the server does not say what it reused)",
            required=False,
        )
    ]


async def _aborts(bench: _Bench) -> list[Check]:
    began = time.perf_counter()
    before = await bench.take()
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
    after = await bench.take()
    seconds = time.perf_counter() - began
    return [
        Check(
            "stops what is abandoned",
            # An engine that goes on needs 60 times as long: it has 1,600 tokens to make.
            seconds <= 20 * usual + 1,
            f"{seconds:.1f} s for what takes {usual:.1f} s",
            "what nobody waits for takes the time of the others",
        ),
        Check(
            "works on after a generation was abandoned",
            bench.said(after.token_ids) == bench.said(before.token_ids),
            "",
            "one session that is cancelled breaks the others",
        ),
    ]


async def _seeds(bench: _Bench) -> list[Check]:
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=7)
    one, two = [await bench.take(sampling=sampling) for _ in range(2)]
    return [
        Check(
            "the same seed gives the same tokens",
            one.token_ids == two.token_ids,
            f"{one.text!r}, {two.text!r}" if one.text != two.text else "",
            "a run cannot be repeated, and a row of a study is one draw of many",
            required=bench.capabilities.seeded,
        )
    ]


async def _gives_logprobs(bench: _Bench) -> list[Check]:
    taken = await bench.take(sampling=GREEDY.model_copy(update={"logprobs": True}))
    found = taken.logprobs
    ok = found is not None and len(found) == len(taken.token_ids) and all(p <= 0 for p in found)
    return [
        Check(
            "gives log probabilities",
            ok,
            "none" if found is None else f"{len(found)} for {len(taken.token_ids)} tokens",
            "no importance ratios, no ranking by likelihood",
            required=bench.capabilities.logprobs,
        )
    ]


_PARTS: tuple[tuple[str, Callable[[_Bench], Awaitable[list[Check]]]], ...] = (
    ("generates", _ends),
    ("stops", _stops),
    ("continues", _goes_on),
    ("caches", _reuses),
    ("aborts", _aborts),
    ("obeys seeds", _seeds),
    ("gives log probabilities", _gives_logprobs),
)


async def check_backend(backend: Backend) -> list[Check]:
    """Whether a backend keeps the contract of `Backend`.

    Returns:
        One line per property. The contract is broken if one is `required` and not `ok`; where a
        backend declares in its capabilities what it cannot do, that is not required.
    """
    bench = _Bench(backend)
    checks: list[Check] = []
    for name, part in _PARTS:
        try:
            checks += await part(bench)
        except Exception as error:  # a boundary: what is tested may fail in any way
            why = " ".join(f"{type(error).__name__}: {error}".split())
            checks.append(Check(name, False, why, "sessions end with this error"))
    return checks
