"""What is found out about how a model writes, from its template, tokens and prompt."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from families import FAMILIES, USABLE, family, raw
from families_more import MORE
from tokenizers import Tokenizer

from start_sdk import ModelError, ReasoningFormat
from start_sdk.backends.tokenizer import HFTokenizer, load_tokenizer
from start_sdk.formats import PLAIN, THINK, detect
from start_sdk.models import BASE, DEFAULT

KIMI = ReasoningFormat(think=("◁think▷", "◁/think▷"), tag_is_token=False)
FOUND = {
    "qwen3": THINK,
    "qwq-32b-preview": PLAIN,
    "r1-distill": THINK,
    "llama-3": PLAIN,
    "llama-2": PLAIN,
    "qwen3-thinking-2507": THINK,
    "qwen3-instruct-2507": PLAIN,
    "qwen3.5": THINK,
    "nemotron-3": THINK,
    "smollm2": PLAIN,
    "smollm3": THINK,
    "kimi-dev": KIMI,
    "gemma": PLAIN,
}


def with_template(name: str, template: str) -> HFTokenizer:
    tokenizer: Any = copy.deepcopy(raw(name))
    tokenizer.chat_template = template
    return HFTokenizer(tokenizer)


def chatml(prompt: str) -> str:
    """A template that mentions nothing but what its prompt ends with."""
    turns = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}{% endfor %}"
    return turns + f"{{{{ {prompt!r} }}}}"


@pytest.mark.parametrize("name", USABLE)
def test_the_format_of_each_family(name: str) -> None:
    assert detect(family(name)) == FOUND[name]


def test_every_family_is_tried() -> None:
    assert set(FOUND) == {*FAMILIES, *MORE} - {"gpt-oss", "content-parts"}


@pytest.mark.torch
@pytest.mark.parametrize("name", [BASE, DEFAULT])
def test_the_embedded_models_think_in_tags(name: str) -> None:
    assert detect(load_tokenizer(name)) == THINK


def test_harmony_is_refused_in_one_line() -> None:
    with pytest.raises(
        ModelError, match=r"^the model writes in harmony channels .*cannot"
    ) as error:
        detect(family("gpt-oss"))
    assert "\n" not in str(error.value)


def test_channel_tokens_alone_are_no_harmony() -> None:
    assert detect(with_template("gpt-oss", chatml("<|start|>assistant"))) == PLAIN


def test_a_tag_in_the_vocabulary_is_not_enough() -> None:
    tokenizer = family("qwen3-instruct-2507")
    assert len(tokenizer.encode("</think>", control=True)) == 1
    assert detect(tokenizer) == PLAIN


@pytest.mark.parametrize(
    ("prompt", "tags"),
    [
        ("<|im_start|>assistant\n<think>\n", ("<think>", "</think>")),
        ("<|im_start|>assistant\n<think>", ("<think>", "</think>")),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ("<think>", "</think>")),
        ("<|im_start|>assistant\n<thought>\n", ("<thought>", "</thought>")),
        ("<|im_start|>assistant\n◁think▷", ("◁think▷", "◁/think▷")),
    ],
)
def test_the_end_of_the_prompt_decides(prompt: str, tags: tuple[str, str]) -> None:
    found = detect(with_template("qwen3", chatml(prompt)))
    assert (found.think, found.tag_is_token) == (tags, tags[0] == "<think>")
    assert found.thinks_after(prompt) == ("</think>" not in prompt)


def test_the_end_of_the_prompt_outweighs_other_tags_in_the_template() -> None:
    template = "{# cuts </think>, too #}" + chatml("<|im_start|>assistant\n<reasoning>\n")
    assert detect(with_template("qwen3", template)).think == ("<reasoning>", "</reasoning>")


def test_a_tag_that_is_a_word_of_the_vocabulary_is_text() -> None:
    """One token, but no added one: a reader that waits for a control token would wait for ever."""
    tokenizer: Any = copy.deepcopy(raw("smollm2"))
    spec = tokenizer.backend_tokenizer.to_str()
    merges = [
        ["<", "/"],
        ["t", "h"],
        ["th", "in"],
        ["thin", "k"],
        ["</", "think"],
        ["</think", ">"],
    ]
    tokenizer._tokenizer = Tokenizer.from_str(with_merges(spec, merges))
    tokenizer.chat_template = chatml("<|im_start|>assistant\n<think>\n")
    found = HFTokenizer(tokenizer)
    assert len(found.encode("</think>")) == 1
    assert detect(found) == THINK.model_copy(update={"tag_is_token": False})


def with_merges(spec: str, merges: list[list[str]]) -> str:
    """The tokenizer with more merges, and nothing that splits words before them."""
    loaded = json.loads(spec)
    model = loaded["model"]
    loaded["pre_tokenizer"] = loaded["pre_tokenizer"]["pretokenizers"][1]
    for pair in [["i", "n"], *merges]:
        model["vocab"].setdefault("".join(pair), 10_000 + len(model["vocab"]))
    model["merges"] = [["i", "n"], *merges]
    return json.dumps(loaded)


def test_several_templates_are_read_where_one_is_the_default() -> None:
    tokenizer: Any = copy.deepcopy(raw("qwen3"))
    tokenizer.chat_template = {"default": tokenizer.chat_template, "tool_use": "{{ 1 }}"}
    assert detect(HFTokenizer(tokenizer)) == THINK
    tokenizer.chat_template = {"tool_use": "{{ 1 }}"}
    assert HFTokenizer(tokenizer).chat_template is None
    with pytest.raises(ModelError, match="chat template"):
        detect(HFTokenizer(tokenizer))


def test_a_model_without_a_template_is_refused() -> None:
    tokenizer: Any = copy.deepcopy(raw("qwen3"))
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="has no chat template"):
        detect(HFTokenizer(tokenizer))


def test_a_template_that_drops_the_question_is_refused() -> None:
    with pytest.raises(ModelError, match="drops the question"):
        detect(family("content-parts"))
