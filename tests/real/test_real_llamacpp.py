"""A real llama.cpp server with a public model, through its own endpoints: `make test-real`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import real_gguf
import tiny_gguf
from llamacpp_process import LlamaServer
from start_tools.python import PythonTool
from typer.testing import CliRunner

from start_sdk import (
    BeforeEnd,
    Limits,
    ReasoningSession,
    Sampling,
    StartError,
    Trace,
    open_backend,
    verify_trace,
)
from start_sdk.batch import Job, Row, RowStore, run_batch
from start_sdk.cli import app
from start_sdk.cli.demo import draw
from start_sdk.testing import check_backend

FOLDER = Path(os.environ.get("START_SMOLLM2", "runs/smollm2"))
QUANTISED = FOLDER.with_name(f"{FOLDER.name}.Q4_1.gguf")
FLOATS = FOLDER.with_name(f"{FOLDER.name}.F32.gguf")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not QUANTISED.is_file(), reason=f"no {QUANTISED}: see `make test-real`"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

GREEDY = Sampling(temperature=0)
SHORT = Limits(max_tokens=120, max_calls=2, max_repeats=4, answer_reserve=32)
BRIEF = Limits(max_tokens=48, answer_reserve=16)
ROWS = 24
NEAR_TIE = 0.05
"""Nats between the two likeliest tokens below which two engines may choose differently."""
PARITY = int(os.environ.get("START_PARITY", "10"))
"""Questions that are compared."""


@pytest.fixture(scope="module")
def server() -> Iterator[LlamaServer]:
    with LlamaServer(QUANTISED) as started:
        yield started


async def sampled(backend: Any, prefix: Sequence[int], sampling: Sampling, n: int) -> list[int]:
    """All that is sampled, an end-of-sequence token included."""
    ids: list[int] = []
    async with aclosing(backend.generate(prefix, sampling, max_tokens=n)) as chunks:
        async for chunk in chunks:
            ids += [*chunk.token_ids, *chunk.withheld_ids]
    return ids


async def test_it_meets_the_backend_contract_and_reuses_its_cache(server: LlamaServer) -> None:
    async with aclosing(open_backend(server.url, "llamacpp")) as backend:
        assert [c for c in await check_backend(backend) if not c.ok] == []


def test_a_question_by_address_alone_runs_a_cell_and_answers_what_it_printed(
    server: LlamaServer, tmp_path: Path
) -> None:
    saved = tmp_path / "trace.json"
    command = ["ask", "What is 12*13?", "--model", server.url, "--hints", "end"]
    done = CliRunner().invoke(app, [*command, "--trace", str(saved)])
    assert done.exit_code == 0, done.output
    trace = Trace.model_validate_json(saved.read_text(encoding="utf-8"))
    assert trace.exact and trace.calls[0].status == "ok"
    assert trace.answer and trace.answer in "".join(call.output for call in trace.calls)


async def test_greedy_ids_equal_those_of_transformers_in_32_bit_floats() -> None:
    """Both read the same weights. Where they differ, the two likeliest tokens nearly tie."""
    import torch
    from transformers import AutoModelForCausalLM

    if not FLOATS.is_file():
        real_gguf.write(FOLDER, FLOATS)
    model: Any = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)

    def gap(ids: Sequence[int]) -> float:
        """Nats between the two likeliest tokens."""
        best = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).topk(2).values
        return float(best[0] - best[1])

    ties: list[float] = []
    with LlamaServer(FLOATS, slots=1) as server, torch.no_grad():
        async with aclosing(open_backend(server.url, "llamacpp")) as backend:
            for question in draw(PARITY, 5):
                prompt = backend.tokenizer.render([{"role": "user", "content": str(question)}])
                ids = await sampled(backend, prompt, GREEDY, 48)
                whole = torch.tensor([prompt])
                made = model.generate(whole, max_new_tokens=48, do_sample=False)
                expected = made[0, len(prompt) :].tolist()
                if ids != expected:
                    pairs = zip(ids, expected, strict=False)
                    at = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
                    ties.append(gap([*prompt, *expected[:at]]))
    print(f"{PARITY - len(ties)} of {PARITY} equal; the others differ at {ties} nats")
    assert all(tie < NEAR_TIE for tie in ties) and len(ties) <= PARITY // 5


async def test_rows_stay_exact_when_the_server_is_killed_and_started_again() -> None:
    with LlamaServer(QUANTISED) as server:
        async with aclosing(open_backend(server.url, "llamacpp")) as backend:
            session = ReasoningSession(
                backend, interpreter=PythonTool(), hints=BeforeEnd(), limits=SHORT, sampling=GREEDY
            )
            runs = [asyncio.ensure_future(session.run(str(q))) for q in draw(8, 9)]
            await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
            server.kill()
            await asyncio.to_thread(server.start)
            outcomes = await asyncio.gather(*runs, return_exceptions=True)
            traces = [outcome for outcome in outcomes if isinstance(outcome, Trace)]
            assert all(isinstance(o, Trace | StartError) for o in outcomes) and len(traces) >= 6
            for trace in traces:
                await asyncio.to_thread(verify_trace, trace, backend.tokenizer)
                assert trace.exact


async def test_no_row_is_lost_when_one_of_two_servers_is_killed_and_started_again(
    tmp_path: Path,
) -> None:
    with LlamaServer(QUANTISED, slots=4) as one, LlamaServer(QUANTISED, slots=4) as other:
        async with aclosing(open_backend("", servers=[one.url, other.url])) as backend:
            session = ReasoningSession(backend, limits=BRIEF, sampling=GREEDY)
            jobs = [
                Job(problem=f"q{i}", config="c", sample=0, input={"question": str(question)})
                for i, question in enumerate(draw(ROWS, 11))
            ]
            rows: list[Row] = []
            started: list[asyncio.Task[None]] = []

            async def work(job: Job) -> dict[str, Any]:
                trace = await session.run(job.input["question"])
                await asyncio.to_thread(verify_trace, trace, backend.tokenizer)
                return {"exact": trace.exact, "tokens": trace.usage.model}

            def on_row(row: Row) -> None:
                rows.append(row)
                if len(rows) == ROWS // 4:  # in the middle of eight sessions
                    one.kill()
                    started.append(asyncio.create_task(asyncio.to_thread(one.start)))

            with RowStore(tmp_path / "rows.sqlite") as store:
                await run_batch(store, jobs, work, max_concurrency=8, on_row=on_row)
                stored = [row for row in store.rows() if row.result]
            assert sorted(row.job.problem for row in rows) == sorted(job.problem for job in jobs)
            assert len(stored) == ROWS and all(row.state == "done" for row in rows)
            assert all(row.result["exact"] for row in stored if row.result)
            await started[0]
            other.kill()  # now the one that came back has to answer
            assert (await session.run(*draw(1, 12))).exact


@pytest.mark.parametrize("kind", tiny_gguf.KINDS)
async def test_random_tokens_of_both_kinds_of_vocabulary_are_exact(
    kind: tiny_gguf.Kind, tmp_path: Path
) -> None:
    """What they sample is mostly no UTF-8, of which the server's stream leaves out many tokens."""
    tiny_gguf.write(tmp_path / "tiny.gguf", kind)
    with LlamaServer(tmp_path / "tiny.gguf", slots=2, context=tiny_gguf.CONTEXT) as server:
        async with aclosing(open_backend(server.url, "llamacpp")) as backend:
            assert [c for c in await check_backend(backend) if c.required and not c.ok] == []
            prefix = backend.tokenizer.encode("日本 é 🙂 the")
            assert backend.tokenizer.decode(prefix) == "日本 é 🙂 the"
            for seed in range(4):
                sampling = Sampling(temperature=1.5, top_p=1, seed=seed, logprobs=True)
                stream = backend.generate(prefix, sampling, max_tokens=60)
                async with aclosing(stream):
                    chunks = [chunk async for chunk in stream]
                ids = [i for chunk in chunks for i in chunk.token_ids]
                logprobs = [p for chunk in chunks for p in chunk.logprobs or ()]
                assert backend.tokenizer.decode(ids) == "".join(chunk.text for chunk in chunks)
                assert len(logprobs) == len(ids) and (len(ids) == 60 or chunks[-1].reason == "eos")
