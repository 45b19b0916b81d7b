"""A Hugging Face fast tokenizer whose encoding never turns plain text into control tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer as RustTokenizer
from tokenizers.decoders import DecodeStream

from start_sdk import models
from start_sdk.errors import ModelError
from start_sdk.protocols import Message

_SENTINEL = "\n"


class HFTokenizer:
    """A `Tokenizer` that wraps a transformers tokenizer.

    Args:
        tokenizer: a fast tokenizer, as returned by `AutoTokenizer.from_pretrained`.
        eos_ids: more ids that end a generation, e.g. from the model's generation config.

    Raises:
        ModelError: the tokenizer is not a fast one.
    """

    def __init__(self, tokenizer: Any, eos_ids: Iterable[int] = ()) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(f"{tokenizer.name_or_path!r} has no fast tokenizer (tokenizer.json)")
        self._tokenizer = tokenizer
        self._control = RustTokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._control.no_padding()
        self._control.no_truncation()
        self._plain = _without_added_tokens(self._control)
        own = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
        self._eos_ids = frozenset([*own, *eos_ids])
        # SentencePiece tokenizers prepend a space to a text and strip it again when decoding from
        # the start, so encoded pieces cannot simply be concatenated: they need context.
        x = self._plain.encode("x", add_special_tokens=False).ids
        self._concatenates = self.decode([*x, *x]) == "xx"

    @property
    def eos_ids(self) -> frozenset[int]:
        return self._eos_ids

    @property
    def chat_template(self) -> str | None:
        template = self._tokenizer.chat_template
        return template if isinstance(template, str) else None

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        tokenizer = self._control if control else self._plain

        def ids(text: str) -> list[int]:
            return list(tokenizer.encode(text, add_special_tokens=False).ids)

        if self._concatenates:
            return ids(text)
        return ids(_SENTINEL + text)[len(ids(_SENTINEL)) :]

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._control.decode(list(token_ids), skip_special_tokens=False)

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        prefix = [] if self._concatenates else list(prefix_ids[-8:])
        decoder = DecodeStream(ids=prefix, skip_special_tokens=False)
        return lambda token_id: decoder.step(self._control, token_id) or ""

    def render(self, messages: Sequence[Message]) -> list[int]:
        if not self._tokenizer.chat_template:
            raise ModelError(
                f"the tokenizer of {self._tokenizer.name_or_path!r} has no chat template: "
                "use a chat model, or set `chat_template` in its tokenizer_config.json"
            )
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, tokenize=False
            )
        except TemplateError as error:
            raise ModelError(f"the chat template rejects these messages: {error}") from error
        return list(self._control.encode(text, add_special_tokens=False).ids)


def load_tokenizer(model: str) -> HFTokenizer:
    """Loads only the tokenizer of a model, for engines that load the weights themselves.

    Args:
        model: an embedded model, a local folder, or a hub id.

    Raises:
        ModelError: the tokenizer cannot be found or read.
    """
    from transformers import AutoTokenizer, GenerationConfig

    source = str(models.folder(model) or model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except Exception as error:  # a boundary: broken files raise anything, in several libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"no tokenizer in {model!r}: {reason}") from error
    try:
        ends = GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:  # a generation config is optional
        ends = None
    return HFTokenizer(
        tokenizer, [] if ends is None else ends if isinstance(ends, list) else [ends]
    )


def _without_added_tokens(tokenizer: RustTokenizer) -> RustTokenizer:
    """A copy of a tokenizer that treats every text as plain text.

    `split_special_tokens` is not enough: it still matches tokens that are added but not special,
    such as Qwen3's "</think>". Entries of the base vocabulary that spell an added token are
    renamed, so models that look up whole words (Llama 3, unigram models) cannot find them either.
    """
    spec: dict[str, Any] = json.loads(tokenizer.to_str())
    added = {t["content"] for t in spec["added_tokens"]}
    spec["added_tokens"] = []
    spec["post_processor"] = None
    model = spec["model"]
    merged = {
        "".join(m if isinstance(m, list) else m.split(" ")) for m in model.get("merges") or ()
    }
    hidden = added - merged - {model.get("unk_token")}
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        model["vocab"] = {f"\0{k}" if k in hidden else k: v for k, v in vocab.items()}
    else:
        model["vocab"] = [[f"\0{k}" if k in hidden else k, score] for k, score in vocab]
    return RustTokenizer.from_str(json.dumps(spec))
