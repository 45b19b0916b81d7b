"""Conformance checks for backends: a few generated tokens, a few seconds."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

from start_sdk.backends import CharTokenizer
from start_sdk.errors import StartError
from start_sdk.formats import detect
from start_sdk.generation import Sampling
from start_sdk.protocols import Backend
from start_sdk.testing._bench import GREEDY, TOKENS, Bench
from start_sdk.testing._check import Check
from start_sdk.testing._properties import check

LONG = 300
"""Tokens of the prefix that should be found in the cache: more than two blocks of any engine."""
ABANDONED = 4
SPEED_TOKENS, TOGETHER = 48, 8
"""Tokens of each generation whose speed is measured, and how many run at once."""


async def _ends(bench: Bench) -> list[Check]:
    done = await bench.generate()
    last, count = done.last, len(done.token_ids) + len(done.last.withheld_ids)
    decoded = bench.backend.tokenizer.decode(done.token_ids)
    exact = bench.capabilities.exact
    return [
        check("ends with a reason", last.reason in ("eos", "length"), f"{last.reason}"),
        check("returns at most max_tokens", count <= TOKENS, f"{count} of {TOKENS}"),
        check("text matches the ids", decoded == done.text, repr(done.text[:40])),
        check("returns the ids it sampled", exact, "ids" if exact else "text only", required=False),
    ]


async def _stops(bench: Bench) -> list[Check]:
    whole = await bench.generate()
    letters = whole.text.strip()
    # From the middle, likely across a token boundary; a model may repeat itself.
    stop = letters[len(letters) // 2 :][:3]
    done = await bench.generate(stop=stop)
    last, required = done.last, bench.capabilities.can_continue
    withheld = "".join(s.text for s in last.stops)
    ids = bench.comparable([*done.token_ids, *last.withheld_ids])
    stopped = last.reason == "stop" and bool(last.stops) and last.stops[0].event is not None
    held = bool(stop) and stop not in done.text and stop in withheld
    same = ids == bench.comparable(whole.token_ids)[: len(ids)]
    return [
        check("stops inside thinking", stopped, repr(stop), required=required),
        check("withholds the match", held, repr(done.text[-40:]), required=required),
        check("matched ids follow the released ids", same, required=required),
    ]


async def _continues(bench: Bench) -> list[Check]:
    whole = await bench.generate()
    first = _part(bench, whole.token_ids)
    try:
        rest = await bench.generate(
            [*bench.prefix, *first], n=max(1, len(whole.token_ids) - len(first))
        )
    except StartError as error:
        if bench.capabilities.can_continue:
            raise
        return [check("continues a prefix exactly", False, str(error), required=False)]
    same = bench.comparable([*first, *rest.token_ids]) == bench.comparable(whole.token_ids)
    return [
        check(
            "continues a prefix exactly",
            same,
            "" if same else f"{whole.text!r}, then {rest.text!r}",
            required=bench.capabilities.can_continue,
        )
    ]


def _part(bench: Bench, ids: list[int]) -> list[int]:
    """The first third; up to the end of a word where ids are only an encoding of the text."""
    end = TOKENS // 3
    if not bench.capabilities.exact:
        decode = bench.backend.tokenizer.decode
        borders = [n for n in range(end, len(ids)) if decode(ids[n : n + 1])[:1].isspace()]
        end = borders[0] if borders else end
    return ids[:end]


async def _reuses(bench: Bench) -> list[Check]:
    question, room = "What is 2 + 2? ", bench.backend.max_context // 2
    size = max(1, len(bench.prompt(question * 8)) - len(bench.prompt(question * 7)))
    long = bench.prompt(question * (min(LONG, room) // size))
    key = uuid.uuid4().hex
    first = await bench.generate(long, n=2, key=key)
    again = [*long, *(first.token_ids if bench.capabilities.can_continue else ())]
    second = await bench.generate(again, n=2, key=key)
    await bench.backend.release(key)
    cached = second.last.cached or 0
    found = f"{cached} of {len(again)} tokens"
    return [check("reuses its cache", cached >= len(long) // 2, found, required=False)]


async def _aborts(bench: Bench) -> list[Check]:
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
    same = bench.comparable(after.token_ids) == bench.comparable(before.token_ids)
    return [
        check(
            "stops abandoned generations",
            # An engine that does not stop takes 60 times as long: it has 1,600 tokens to sample.
            seconds <= 20 * usual + 1,
            f"{seconds:.1f} s instead of {usual:.1f} s",
        ),
        check("still works after an abandoned generation", same),
    ]


async def _seeds(bench: Bench) -> list[Check]:
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=7)
    one, two = [await bench.generate(sampling=sampling) for _ in range(2)]
    same = one.token_ids == two.token_ids
    return [
        check(
            "the same seed gives the same tokens",
            same,
            "" if same else f"{one.text!r}, {two.text!r}",
            required=bench.capabilities.seeded,
        )
    ]


async def _returns_logprobs(bench: Bench) -> list[Check]:
    done = await bench.generate(sampling=GREEDY.model_copy(update={"logprobs": True}))
    found = done.logprobs
    ok = found is not None and len(found) == len(done.token_ids) and all(p <= 0 for p in found)
    count = "none" if found is None else f"{len(found)} for {len(done.token_ids)} tokens"
    required = bench.capabilities.logprobs
    return [check("returns log probabilities", ok, count, required=required)]


_PARTS: tuple[tuple[str, Callable[[Bench], Awaitable[list[Check]]]], ...] = (
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
    try:
        bench = Bench(backend)
    except StartError as error:
        return [check("shows the model the whole question", False, str(error))]
    checks = [check("shows the model the whole question", True)]
    for name, part in _PARTS:
        try:
            checks += await part(bench)
        except Exception as error:  # a boundary: the backend under test may fail in any way
            why = " ".join(f"{type(error).__name__}: {error}".split())
            checks.append(Check(name, False, why, "sessions end with this error"))
    return checks


async def describe_backend(backend: Backend) -> dict[str, str]:
    """What a user wants to know of a backend beside the checks: mode, format, context, speed.

    Samples 432 tokens in all, for the speed.

    Raises:
        ModelError: the format of the model cannot be told, or its template loses the question.
        BackendError: the engine failed.
    """
    bench = Bench(backend)
    alone = await _tokens_per_second(bench, 1)
    together = await _tokens_per_second(bench, TOGETHER)
    unit = "characters" if isinstance(backend.tokenizer, CharTokenizer) else "tokens"
    speed = f"{alone:,.0f} {unit}/s alone, {together:,.0f} with {TOGETHER} at once"
    if together < 1.2 * alone:
        speed += ": it does not batch (a server may need more slots, or the machine is busy)"
    return {
        "runs as": backend.capabilities.note,
        "format": detect(backend.tokenizer).name,
        "context": f"{backend.max_context:,} {unit}",
        "speed": speed,
    }


async def _tokens_per_second(bench: Bench, count: int) -> float:
    began = time.perf_counter()
    done = await asyncio.gather(
        *(bench.generate(n=SPEED_TOKENS, sampling=Sampling(seed=seed)) for seed in range(count))
    )
    tokens = sum(len(each.token_ids) for each in done)
    return tokens / (time.perf_counter() - began)
