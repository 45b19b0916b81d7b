"""Real vLLM on CPU: in-process and on its own server, compared token for token."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from start_sdk import (
    Backend,
    BackendError,
    BeforeEnd,
    Chunk,
    ConfigError,
    ReasoningSession,
    Sampling,
    models,
    open_backend,
    verify_trace,
)
from start_sdk.testing import FakeInterpreter, StopsAt, check_backend

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("default"),  # we cannot fix vLLM's warnings
]

MODEL = "start-tiny-base"
BLOCK = 128
"""Tokens per block of vLLM's cache on CPU."""
GREEDY = Sampling(temperature=0)
LIKELY = Sampling(temperature=0, logprobs=True)
ENGINE: dict[str, Any] = {"dtype": "float32", "enforce_eager": True}


@contextmanager
def served(port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """vLLM's server in its own process group, killed at the end."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    options = ["--model", str(models.folder(MODEL)), "--served-model-name", MODEL]
    options += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    options += ["--enforce-eager", "--enable-prompt-tokens-details", "--no-enable-chunked-prefill"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, *options], stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    while not await asyncio.to_thread(answers):
        assert process.poll() is None, f"the server did not start: {log}"
        await asyncio.sleep(0.5)


@pytest.fixture(scope="session")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engines(
    port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Any]]:
    """One engine in-process and one over HTTP; both start at the same time."""
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    with served(port, log) as process:
        here = await asyncio.to_thread(open_backend, MODEL, "vllm", **ENGINE)
        async with aclosing(here):
            await ready(port, process, log)
            url = f"http://127.0.0.1:{port}/v1"
            async with aclosing(open_backend(url, "openai")) as there:
                yield {"vllm": here, "http": there, "process": process, "log": log}


@pytest.fixture(params=["vllm", "http"])
def backend(engines: dict[str, Any], request: pytest.FixtureRequest) -> Backend:
    found: Backend = engines[request.param]
    return found


async def take(
    backend: Backend,
    prefix: Sequence[int],
    n: int,
    stop: str = "",
    sampling: Sampling = GREEDY,
) -> tuple[list[int], Chunk]:
    ids: list[int] = []
    last = Chunk()
    async with aclosing(
        backend.generate(
            prefix, sampling, watch=StopsAt(stop) if stop else None, max_tokens=n, key="k"
        )
    ) as chunks:
        async for last in chunks:
            ids += last.token_ids
    return ids, last


def prompt(backend: Backend, question: str = "What is 12 times 34?") -> list[int]:
    return backend.tokenizer.render([{"role": "user", "content": question}])


async def test_it_meets_the_backend_contract(backend: Backend) -> None:
    assert [c for c in await check_backend(backend) if not c.ok] == []


async def test_a_splice_costs_its_own_tokens_and_less_than_a_block(backend: Backend) -> None:
    prefix = prompt(backend, "Find the product of 34 and 56. " * 20)
    for _ in range(3):
        sampled, last = await take(backend, prefix, 40)
        shown = backend.tokenizer.encode("\n```output\n408\n```\n")
        longer = [*prefix, *sampled, *shown]
        _, last = await take(backend, longer, 2)
        assert last.cached and len(longer) - last.cached <= BLOCK + len(shown) + 1
        prefix = longer


async def test_sessions_with_hints_and_calls_verify_and_are_reproducible(
    backend: Backend,
) -> None:
    sampling = Sampling(temperature=0.8, logprobs=True)
    session = ReasoningSession(
        backend,
        interpreter=FakeInterpreter(lambda code: "408"),
        hints=BeforeEnd(),
        sampling=sampling,
    )
    one, two = [await session.run("What is 12 times 34?", seed=5) for _ in range(2)]
    verify_trace(one, backend.tokenizer)
    assert one.id == two.id and one.exact and one.hints
    assert all(s.logprobs for s in one.segments if s.source == "model")


async def test_concurrent_generations_get_the_tokens_they_get_alone(backend: Backend) -> None:
    starts = [prompt(backend, f"What is {i} times 34?") for i in range(12, 28)]
    together = await asyncio.gather(*(take(backend, s, 30) for s in starts))
    alone = [await take(backend, s, 30) for s in starts[:4]]
    assert [ids for ids, _ in together[:4]] == [ids for ids, _ in alone]


async def test_seeded_prompts_that_fill_a_step_do_not_kill_the_engine(backend: Backend) -> None:
    long = prompt(backend, "Find the product of 34 and 56. " * 60)
    noisy = Sampling(temperature=1.0, seed=3)
    starts = [[*long, i] for i in range(5, 13)]  # only one shared prefix is in the cache
    found = await asyncio.gather(*(take(backend, [*s, *s], 4, sampling=noisy) for s in starts))
    assert all(last.reason for _, last in found)


async def test_an_abandoned_generation_is_aborted(engines: dict[str, Any]) -> None:
    here = engines["vllm"]
    stream = here.generate(prompt(here), GREEDY, max_tokens=1500)
    await anext(stream)
    await stream.aclose()
    assert here._open.get_num_unfinished_requests() == 0


async def test_greedy_ids_equal_those_of_transformers(engines: dict[str, Any]) -> None:
    sampling = Sampling(temperature=0, logprobs=True)
    async with aclosing(open_backend(MODEL)) as reference:
        for question in ("What is 12 times 34?", "How many positive divisors does 360 have?"):
            start = prompt(reference, question)
            expected, _ = await take(reference, start, 100, sampling=sampling)
            for name in ("vllm", "http"):
                assert (await take(engines[name], start, 100))[0] == expected, name


async def test_a_prompt_that_exceeds_the_context_is_reported(backend: Backend) -> None:
    with pytest.raises(BackendError, match="do not fit a context of 2048"):
        await take(backend, [5] * 2000, 100)


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (MODEL, {"colour": "blue"}, "vLLM's AsyncEngineArgs has no option 'colour'"),
        (MODEL, {"max_model_length": 9}, "'max_model_length': did you mean 'max_model_len'?"),
        (MODEL, {"dtype": "float31"}, "float31"),
        ("no/such-model", {}, "no model 'no/such-model'"),
    ],
)
async def test_a_failed_start_is_one_clear_line(
    model: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        open_backend(model, "vllm", **options)
    assert says in str(error.value) and "\n" not in str(error.value)


REAL = Path(os.environ.get("START_SMOLLM2", "runs/smollm2"))
_REAL_IDS = """
import asyncio, json, sys
from contextlib import aclosing
from start_sdk import Sampling, open_backend


async def main(model, options, prefix):
    async with aclosing(open_backend(model, "vllm", **options)) as backend:
        ids, logprobs = [], []
        sampling = Sampling(temperature=0, logprobs=True)
        async for chunk in backend.generate(prefix, sampling, max_tokens=48):
            ids += chunk.token_ids
            logprobs += chunk.logprobs
    print(json.dumps([ids, logprobs]))


asyncio.run(main(*json.loads(sys.argv[1])))
"""


@pytest.mark.skipif(not (REAL / "config.json").is_file(), reason=f"no model in {REAL}: make real")
async def test_the_real_model_writes_the_same_as_on_transformers() -> None:
    """In a process of its own: one process holds one engine. Equal, or apart at a near-tie."""
    async with aclosing(open_backend(str(REAL), dtype="float32")) as reference:
        prefix = prompt(reference, "What is 12 * 13?")
        given = [str(REAL), {**ENGINE, "max_model_len": 1024}, prefix]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _REAL_IDS, json.dumps(given)), stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        ids, logprobs = json.loads(out.splitlines()[-1])
        expected, _ = await take(reference, prefix, 48)
        same = next(
            (i for i, (a, b) in enumerate(zip(ids, expected, strict=False)) if a != b), None
        )
        if same is not None:
            last = [
                c async for c in reference.generate([*prefix, *ids[:same]], LIKELY, max_tokens=1)
            ]
            assert last[-1].logprobs
            assert abs(last[-1].logprobs[0] - logprobs[same]) < 0.05


async def test_32_generations_survive_a_killed_and_restarted_server(
    engines: dict[str, Any],
) -> None:
    """The last test: it kills the server that the others use, and starts another one."""
    port, log = urlsplit(engines["http"]._connection.url).port, engines["log"]
    url = f"http://127.0.0.1:{port}/v1"
    starts = [prompt(engines["http"], f"What is {i} times 34?") for i in range(12, 44)]
    expected = [
        ids for ids, _ in await asyncio.gather(*(take(engines["vllm"], s, 200) for s in starts))
    ]
    started = asyncio.Event()
    async with aclosing(open_backend(url, "openai", retry_seconds=600.0)) as backend:

        async def one(start: list[int]) -> list[int]:
            ids: list[int] = []
            async for chunk in backend.generate(start, GREEDY, max_tokens=200):
                ids += chunk.token_ids
                started.set()
            return ids

        tasks = [asyncio.create_task(one(s)) for s in starts]
        await started.wait()
        kill(engines["process"])
        assert not all(t.done() for t in tasks)
        with served(port, log) as process:
            await ready(port, process, log)
            assert await asyncio.gather(*tasks) == expected
