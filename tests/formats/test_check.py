"""What sessions can do with a model: the findings of `check_format`, and what will not work."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from families import USABLE, family, raw

from start_sdk import Message
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.formats import FormatReport, check_format
from start_sdk.formats._check import CONTROL
from start_sdk.testing import CharTokenizer

TURN = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
LOOP = "{% for m in messages %}" + TURN + "{% endfor %}"
PROMPT = "{{ '<|im_start|>assistant\n' }}"


def check(template: str, name: str = "qwen3", eos: str | None = "<|im_end|>") -> FormatReport:
    tokenizer: Any = copy.deepcopy(raw(name))
    tokenizer.chat_template, tokenizer.eos_token = template, eos
    return check_format(HFTokenizer(tokenizer))


@pytest.mark.parametrize("name", USABLE)
def test_nothing_but_a_system_message_fails_in_any_family(name: str) -> None:
    report = check_format(family(name))
    assert report.whole and report.inert
    refuses = (
        "a system message: the chat template rejects these messages: System role not supported"
    )
    assert report.problems == ((refuses,) if name == "gemma" else ())
    assert report.eos == tuple((i, raw(name).convert_ids_to_tokens(i)) for i, _ in report.eos)


def test_the_findings_of_a_thinking_model() -> None:
    assert check_format(family("qwen3.5")) == FormatReport(
        format="think",
        tags=("<think>", "</think>"),
        tag_is_token=True,
        ends=("</think>",),
        opening="prompt",
        merges=True,
        history="cut",
        system="taken",
        whole=True,
        inert=True,
        eos=((420, "<|endoftext|>"), (422, "<|im_end|>")),
        languages=("python", "python3", "py"),
    )


def test_the_findings_of_a_model_without_tags() -> None:
    report = check_format(family("smollm2"))
    assert (report.format, report.tags, report.opening) == ("plain", None, None)
    assert report.ends == ("**Final Answer**", "\\boxed") and not report.tag_is_token
    assert (report.merges, report.history, report.system) == (True, "kept", "taken")


def test_a_tokenizer_of_any_kind_can_be_checked() -> None:
    report = check_format(CharTokenizer(opens_thought=False))
    assert (report.opening, report.history, report.problems) == ("model", "kept", ())


def test_harmony_is_refused_and_still_described() -> None:
    report = check_format(family("gpt-oss"))
    assert (report.format, report.languages, report.ends) == ("refused", (), ())
    assert (report.whole, report.inert, report.system) == (True, True, "taken")
    assert len(report.problems) == 1 and "harmony" in report.problems[0]


def test_a_template_that_drops_the_question_has_one_problem() -> None:
    report = check_format(family("content-parts"))
    assert (report.format, report.whole, report.inert) == ("refused", False, None)
    lost = "the chat template drops the question: it is not in what it renders"
    assert report.problems == (lost,)


def test_a_template_that_changes_the_question() -> None:
    report = check(LOOP.replace("m.content", "m.content.split() | join(' ')") + PROMPT)
    assert not report.whole
    assert report.problems[0] == "the question: the chat template changes its text"


def test_a_prompt_that_closes_the_thought() -> None:
    report = check(LOOP + "{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}")
    assert (report.format, report.opening) == ("think", "closed")
    assert len(report.problems) == 1
    assert report.problems[0].startswith("a thought: the prompt closes it (</think>)")


def test_a_system_message_that_is_dropped() -> None:
    report = check(LOOP.replace("messages %}", "messages if m.role != 'system' %}") + PROMPT)
    assert (report.system, report.problems) == (
        "refused",
        (
            "a system message: the chat template drops the system message: it is not in what it "
            "renders",
        ),
    )


def test_a_second_turn_that_is_refused() -> None:
    refusing = "{% if messages | length > 2 %}{{ raise_exception('one turn\nonly') }}{% endif %}"
    report = check(refusing + LOOP + PROMPT)
    assert (report.history, report.problems) == (
        "refused",
        ("a second turn: the chat template rejects these messages: one turn only",),
    )


def test_a_second_turn_that_forgets_the_first() -> None:
    report = check("{% set m = messages[-1] %}" + TURN + PROMPT)
    forgotten = (
        "a second turn: the chat template drops an earlier user turn: it is not in what it renders"
    )
    assert (report.history, report.problems[0]) == ("refused", forgotten)


def test_a_model_without_an_end() -> None:
    report = check(LOOP + PROMPT, eos=None)
    assert report.eos == ()
    assert report.problems[0].startswith("the end: no end-of-sequence token is known")


class Naive(CharTokenizer):
    """Encodes what its template made as one text, as most programs do."""

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        turns = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        return self.encode(f"{turns}<|im_start|>assistant\n<think>\n", control=True)


def test_control_text_that_becomes_control_is_named() -> None:
    report = check_format(Naive())
    assert not report.inert
    named = " ".join(["<|im_end|>", "<|im_start|>system", "<think>", "</think>", "<|im_start|>"])
    assert report.problems == (f"control text: in a question, it becomes control tokens: {named}",)
    assert set(named.split()) - {"<|im_start|>"} < set(CONTROL)
