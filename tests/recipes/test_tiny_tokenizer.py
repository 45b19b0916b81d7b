"""The tokenizer and template, shipped and newly trained; scope and sizes of the shipped model."""

import json
from pathlib import Path
from typing import Any

import pytest

from recipes.tiny import tokenizer as training
from recipes.tiny.scope import EXAMPLES, question_words
from recipes.tiny.text import make_document

transformers = pytest.importorskip("transformers")

FOLDER = Path(__file__).parents[2] / "start_sdk" / "models" / "start-tiny-base"
HINT = "\nWait, maybe using python here is a good idea.\n```python"


@pytest.fixture(scope="module")
def shipped() -> Any:
    """The tokenizer as a user loads it."""
    return transformers.AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One trained on few documents, saved and loaded."""
    folder = tmp_path_factory.mktemp("tokenizer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "DOCUMENTS", 300)
        training.train_tokenizer(0).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=["shipped", "trained"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """The one, then the other."""
    return request.getfixturevalue(request.param)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text as it stands."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def test_training_text_and_any_other_text_come_back(tokenizer: Any) -> None:
    others = [
        "",
        " \n\n  x\t",
        "日本語 naïve 🪙\r\n",
        "a  b ,c . d!",
        "don't ````python",
        "\x00\x7f",
    ]
    for text in [*others, *(make_document(9, index) for index in range(300))]:
        assert tokenizer.decode(encode(tokenizer, text)) == text


def test_flags_are_those_of_qwen3(tokenizer: Any) -> None:
    added = {token.content: token for token in tokenizer.added_tokens_decoder.values()}
    flags = {content: token.special for content, token in added.items()}
    assert flags == {
        "<|endoftext|>": True,
        "<|im_start|>": True,
        "<|im_end|>": True,
        "<think>": False,
        "</think>": False,
    }
    assert not any(token.normalized or token.lstrip or token.rstrip for token in added.values())
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert tokenizer.bos_token is None
    assert tokenizer.clean_up_tokenization_spaces is False
    shown = tokenizer.decode(encode(tokenizer, "<think>a</think><|im_end|>"), True)
    assert shown == "<think>a</think>"


def test_digits_line_breaks_and_fences_are_pieces_of_their_own(tokenizer: Any) -> None:
    newline, fence = encode(tokenizer, "\n"), encode(tokenizer, "```")
    assert len(newline) == len(fence) == 1
    assert encode(tokenizer, "\n\n\n") == newline * 3
    assert encode(tokenizer, "2915") == [encode(tokenizer, digit)[0] for digit in "2915"]
    for before in (".", ".\n", "\n\n", " a"):
        assert encode(tokenizer, before + "```python\n") == (
            encode(tokenizer, before) + encode(tokenizer, "```python") + newline
        )


def test_a_splice_has_the_ids_of_the_whole_text(tokenizer: Any) -> None:
    parts = ["So the answer is 7.\n", HINT, "\nprint(1)\n```\n", "```output\n29\n11\n```\n", "So"]
    joined = [token for part in parts for token in encode(tokenizer, part)]
    assert joined == encode(tokenizer, "".join(parts))


def test_template_opens_a_thought_and_strips_earlier_ones(tokenizer: Any) -> None:
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes."},
        {"role": "user", "content": "Two?"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
        "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
    plain = tokenizer.apply_chat_template(messages[:1], tokenize=False)
    assert plain == "<|im_start|>user\nOne?<|im_end|>\n"


def test_training_again_gives_the_same_ids_and_keeps_to_the_size(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "DOCUMENTS", 300)
    assert training.train_tokenizer(0).get_vocab() == trained.get_vocab()
    assert sorted(trained.get_vocab().values()) == list(range(len(trained)))
    assert len(trained) <= training.VOCABULARY


def test_scope_and_sizes(shipped: Any) -> None:
    scope = json.loads((FOLDER / "scope.json").read_text())
    assert set(scope) == {"about", "examples", "words"}
    assert scope["examples"] == list(EXAMPLES)
    assert scope["words"] == question_words()
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["model_type"] == "qwen3"
    assert config["head_dim"] == 32
    assert config["vocab_size"] == len(shipped)
    assert (FOLDER / "model.safetensors").stat().st_size < 16e6
    generation = json.loads((FOLDER / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [shipped.eos_token_id, shipped.pad_token_id]
