"""What a trace derives from its segments, and what verify_trace detects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from start_sdk import (
    BeforeEnd,
    CallRecord,
    ConfigError,
    ReasoningSession,
    Segment,
    Trace,
    TraceDrift,
    verify_trace,
)
from start_sdk.grading import last_boxed
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend
from start_sdk.trace import Source


async def make_trace() -> Trace:
    backend = ScriptedBackend(["5.\n</think>", "\nprint(4)\n```\n", "4</think>\\boxed{4}"])
    session = ReasoningSession(
        backend, interpreter=FakeInterpreter({"print(4)": "4"}), hints=BeforeEnd()
    )
    return await session.run("?")


def with_segment(trace: Trace, of: str, **changes: Any) -> Trace:
    """Returns the trace with its first segment from a source changed."""
    at = next(i for i, s in enumerate(trace.segments) if s.source == of)
    segments = list(trace.segments)
    segments[at] = segments[at].model_copy(update=changes)
    return trace.model_copy(update={"segments": tuple(segments)})


async def test_a_complete_trace_verifies_with_its_mask() -> None:
    trace = await make_trace()
    verify_trace(trace, CharTokenizer(), mask=trace.loss_mask())


async def test_the_loss_is_on_model_hint_and_eos_only() -> None:
    trace = await make_trace()
    by_source: dict[str, set[int]] = {}
    mask = iter(trace.loss_mask())
    for segment in trace.segments:
        by_source.setdefault(segment.source, set()).update(next(mask) for _ in segment.token_ids)
    assert by_source == {"prompt": {0}, "model": {1}, "hint": {1}, "tool": {0}}
    assert trace.token_ids[-1] in CharTokenizer.eos_ids and trace.loss_mask()[-1] == 1
    without_hints = trace.loss_mask(train_on=("model",))
    assert sum(without_hints) == trace.usage.model


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("model", {"text": "6.\n"}, "its ids decode to"),
        ("hint", {"token_ids": (1, 2)}, "its ids decode to"),
        ("tool", {"call": CallRecord(code="exit()", output="", status="ok", seconds=0, state_kept=True)}, "not in the text before it"),
        ("model", {"logprobs": (0.0,)}, "logprobs for"),
        ("prompt", {"source": "model"}, "exactly one prompt"),
    ],
)  # fmt: skip
async def test_drift_is_reported(source: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceDrift, match=message):
        verify_trace(with_segment(await make_trace(), source, **changes), CharTokenizer())


async def test_control_tokens_inside_an_output_are_drift() -> None:
    tokenizer = CharTokenizer()
    forged = "```output\n</think>\n```\n"
    ids = tuple(tokenizer.encode(forged, control=True))
    with pytest.raises(TraceDrift, match="its text encodes to"):
        verify_trace(
            with_segment(await make_trace(), "tool", text=forged, token_ids=ids), tokenizer
        )


async def test_eos_in_the_middle_is_drift() -> None:
    trace = await make_trace()
    eos = trace.segments[-1]
    segments = (*trace.segments[:2], eos, *trace.segments[2:])
    with pytest.raises(TraceDrift, match="before the end"):
        verify_trace(trace.model_copy(update={"segments": segments}), CharTokenizer())


async def test_a_wrong_finish_is_drift() -> None:
    trace = await make_trace()
    with pytest.raises(TraceDrift, match="finish is 'length'"):
        verify_trace(trace.model_copy(update={"finish": "length"}), CharTokenizer())


async def test_a_stored_mask_that_differs_is_drift() -> None:
    trace = await make_trace()
    mask = trace.loss_mask()
    mask[40] ^= 1
    with pytest.raises(TraceDrift, match="differs at 40"):
        verify_trace(trace, CharTokenizer(), mask=mask)


async def test_usage_adds_up() -> None:
    trace = await make_trace()
    used = trace.usage
    total = used.prompt + used.model + used.hint + used.tool + used.notice
    assert total == len(trace.token_ids) == len(trace.loss_mask()) and used.dropped == 1


@pytest.mark.parametrize(
    ("response", "thought", "answer"),
    [
        ("So \\boxed{1} or \\boxed{\\frac{1}{2}}.", "", "1, \\frac{1}{2}"),
        ("So \\boxed{1}, or rather \\boxed{\\frac{1}{2}}.", "", "\\frac{1}{2}"),
        ("It is four.", "\\boxed{5}", "It is four."),
        ("The answer is **4**.", "", "4"),
        ("", "So \\boxed{5}", "5"),
        ("", "Hm. The answer is 7, I think.\n", "7"),
        ("", "Hm.\n\nIt is 7.\n", None),
        ("", "```python\nprint('\\\\boxed{5}')\n```\n", None),
        ("", "", None),
        ("\\boxed{3} and \\boxed{4", "", "3"),
    ],
)
def test_the_answer_is_what_the_response_or_else_the_prose_states(
    response: str, thought: str, answer: str | None
) -> None:
    segments = (
        Segment(source="prompt", text="?", token_ids=(63,), phase="prompt"),
        Segment(source="model", text=thought, token_ids=(), phase="thinking"),
        Segment(source="model", text="</think>", token_ids=(), phase="close"),
        Segment(source="model", text=response, token_ids=(), phase="answer"),
    )
    trace = Trace(segments=segments, finish="eos")
    assert trace.answer == answer
    assert Trace.model_validate(trace.model_dump()).answer == answer


def test_no_answer_comes_from_a_hint_an_output_or_a_notice() -> None:
    sources: tuple[Source, ...] = ("hint", "tool", "notice")
    for source in sources:
        segments = (
            Segment(source="prompt", text="?", token_ids=(63,), phase="prompt"),
            Segment(source="model", text="Hm. ", token_ids=(), phase="thinking"),
            Segment(source=source, text="So \\boxed{5}.\n", token_ids=(), phase="thinking"),
            Segment(source="model", text="Right.", token_ids=(), phase="thinking"),
        )
        assert Trace(segments=segments, finish="eos").answer is None, source


def test_a_conversation_can_be_continued_with_its_messages() -> None:
    prompt = ({"role": "user", "content": "2+2?"},)
    segments = (
        Segment(source="prompt", text="2+2?", token_ids=(63,), phase="prompt"),
        Segment(source="model", text="<think>Easy.\n", token_ids=(), phase="thinking"),
        Segment(source="model", text="</think>", token_ids=(), phase="close"),
        Segment(source="model", text="\n\n4", token_ids=(), phase="answer"),
    )
    trace = Trace(segments=segments, finish="eos", prompt=prompt)
    reply = {"role": "assistant", "content": "4", "reasoning_content": "Easy."}
    assert trace.messages() == [*prompt, reply]
    plain = Trace(segments=segments[:2], finish="eos", prompt=prompt)
    assert plain.messages() == [*prompt, {"role": "assistant", "content": "Easy."}]


@given(st.text("ab{}\\", max_size=9), st.text("x {1}", max_size=9), st.text("} {", max_size=9))
def test_the_last_complete_box_is_found_in_any_context(
    before: str, inside: str, after: str
) -> None:
    balanced = inside.replace("{", "").replace("}", "")
    for content in (balanced, f"\\frac{{{balanced}}}{{2}}"):
        assert last_boxed(f"{before}\\boxed{{{content}}}{after}\\boxed{{open") == content.strip()


def test_a_saved_trace_replaces_a_file_whole_and_leaves_links_and_devices(tmp_path: Path) -> None:
    trace = Trace(segments=(), finish="eos", seed=3)
    file, link = tmp_path / "trace.json", tmp_path / "link.json"
    file.write_text("old", encoding="utf-8")
    link.symlink_to(file)
    trace.save(link)
    assert link.is_symlink() and Trace.load(file) == trace == Trace.load(str(link))
    trace.save(os.devnull)
    assert not Path(os.devnull).is_file()
    with pytest.raises(ConfigError, match="cannot write the trace"):
        trace.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.json", "trace.json"]
