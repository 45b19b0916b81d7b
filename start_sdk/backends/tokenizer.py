"""A Hugging Face fast tokenizer whose encoding never turns plain text into control tokens."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer as RustTokenizer
from tokenizers.decoders import DecodeStream

from start_sdk import models
from start_sdk._text.unicode import printable
from start_sdk.backends._rendering import any_of, check_rendered, hide, split, template_options
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
        self._context = [*x]
        self._bytes = _byte_tokens(self._control)
        self._concatenates = self.decode([*x, *x]) == "xx"
        added = self._control.get_added_tokens_decoder()
        self._control_ids = frozenset(added)
        self._control_text = any_of(t.content for t in added.values())

    @property
    def eos_ids(self) -> frozenset[int]:
        return self._eos_ids

    @property
    def control_ids(self) -> frozenset[int]:
        return self._control_ids

    @property
    def chat_template(self) -> str | None:
        try:
            return str(self._tokenizer.get_chat_template())
        except ValueError:  # it has none, or several and no default
            return None

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        tokenizer, text = self._control if control else self._plain, printable(text)

        def ids(text: str) -> list[int]:
            return list(tokenizer.encode(text, add_special_tokens=False).ids)

        if self._concatenates:
            return ids(text)
        return ids(_SENTINEL + text)[len(ids(_SENTINEL)) :]

    def decode(self, token_ids: Sequence[int]) -> str:
        if not self._bytes:
            return self._control.decode(list(token_ids), skip_special_tokens=False)
        step = self._byte_stream([])
        text = "".join(map(step, token_ids))
        return text + step(None)

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        if self._bytes:
            return self._byte_stream(prefix_ids)
        prefix = [] if self._concatenates else list(prefix_ids[-8:])
        decoder = DecodeStream(ids=prefix, skip_special_tokens=False)
        return lambda token_id: decoder.step(self._control, token_id) or ""

    def _byte_stream(self, prefix_ids: Sequence[int]) -> Callable[[int | None], str]:
        """For vocabularies with a token per byte: bytes that are no UTF-8 become U+FFFD, without
        any effect on the text before them (tokenizers decodes a whole row of bytes anew).

        Text comes once no byte is left over, so that a character never shares a token with the next
        one, even if neither is whole. What a prefix ends with is settled.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        held, first = "", not prefix_ids

        def step(token_id: int | None) -> str:
            nonlocal first, held
            context, first = [] if first else self._context, False
            if token_id in self._bytes:
                held += decoder.decode(bytes([self._bytes[token_id]]))
                whole, held = ("", held) if decoder.getstate()[0] else (held, "")
                return whole
            rest, held = held + decoder.decode(b"", final=True), ""
            if token_id is None:
                return rest
            text = self._control.decode([*context, token_id], skip_special_tokens=False)
            return rest + text[len(context) and 1 :]

        return step

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        if not self._tokenizer.chat_template:
            raise ModelError(
                f"the tokenizer of {self._tokenizer.name_or_path!r} has no chat template: "
                "use a chat model, or set `chat_template` in its tokenizer_config.json"
            )
        options = template_options(self.chat_template, template)
        inert, marks = hide(messages, self._control_text)
        try:
            text = self._tokenizer.apply_chat_template(
                inert, add_generation_prompt=True, tokenize=False, **options
            )
        except Exception as error:  # a boundary: a template is somebody's program
            reason = " ".join(str(error).split())
            raise ModelError(f"the chat template rejects these messages: {reason}") from error
        check_rendered(inert, text)
        first, *rest = split(text, marks)
        ids = list(self._control.encode(first, add_special_tokens=False).ids)
        for part in rest:
            ids += self.encode(marks.get(part, part), control=part not in marks)
        return ids


def _byte_tokens(tokenizer: RustTokenizer) -> dict[int, int]:
    """Ids of the tokens that stand for single bytes, with their bytes; none without fallback."""
    if "ByteFallback" not in json.dumps(json.loads(tokenizer.to_str())["decoder"]):
        return {}
    ids = ((tokenizer.token_to_id(f"<0x{byte:02X}>"), byte) for byte in range(256))
    return {token_id: byte for token_id, byte in ids if token_id is not None}


def load_tokenizer(model: str, *, trust_remote_code: bool = False) -> HFTokenizer:
    """Loads only the tokenizer of a model, for engines that load the weights themselves.

    Args:
        model: an embedded model, a local folder, a GGUF file, or a hub id.
        trust_remote_code: run the code that a tokenizer brings along.

    Raises:
        ModelError: the tokenizer cannot be found or read.
    """
    source = models.find(model, weights=False)
    from transformers import AutoTokenizer, GenerationConfig

    options = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.location, trust_remote_code=trust_remote_code, **options
        )
    except Exception as error:  # a boundary: broken files raise anything, in several libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"no tokenizer in {model!r}: {reason}") from error
    try:
        ends = GenerationConfig.from_pretrained(source.location).eos_token_id
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
