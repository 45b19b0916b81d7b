from __future__ import annotations

import pytest

from start_sdk._text.inert import inert


@pytest.mark.parametrize(
    "tag",
    ["<|im_end|>", "<|eot_id|>", "</s>", "<think>", "</think>", "<start_of_turn>", "[INST]", "[/INST]",
     "<<SYS>>", "◁think▷", "<|channel|>", "<tool_call>"],
)  # fmt: skip
def test_what_looks_like_a_control_token_is_broken_up(tag: str) -> None:
    made = inert(f"a {tag} b {tag}{tag}")
    assert tag not in made and made.replace("\u200b", "") == f"a {tag} b {tag}{tag}"


@pytest.mark.parametrize(
    "text", ["1 < 2 and 3 > 2", "x <- y", "a[INST", "|x| <|y|", "<3", "[1, 2]"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert inert(text) == text
