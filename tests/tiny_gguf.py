"""Tiny Llama models of random weights as GGUF files, for a real llama.cpp server.

Their vocabularies are of the two kinds that llama.cpp knows best, with control tokens, with added
tokens that it recognises even in plain text, and with hardly any token for a whole character that
is not ASCII: what they sample is mostly no UTF-8.
"""

# pyright: reportMissingImports=false
# gguf is installed in the environment of `make real`, which type checkers do not see.

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

Kind = Literal["sentencepiece", "bytes"]
KINDS: tuple[Kind, ...] = ("sentencepiece", "bytes")

WIDTH, HIDDEN, HEADS, CONTEXT = 64, 96, 2, 512
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n<think>\n{% endif %}"
    "{% if tone is defined %}{{ tone }}{% endif %}"
)
CONTROL = ("<s>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
ADDED = ("<think>", "</think>", "[TOOL]")
WORDS = ("the", "he", "th", "in", "is", "(x", "日", "é")


def write(out: Path, kind: Kind) -> None:
    from gguf import GGUFWriter, LlamaFileType

    writer: Any = GGUFWriter(out, "llama")
    writer.add_name(kind)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    size = add_tokenizer(writer, kind)
    writer.add_vocab_size(size)
    writer.add_chat_template(TEMPLATE)
    noise = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        weights = noise.standard_normal(shape) * 0.3 if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))

    add("token_embd", size, WIDTH)
    add("output", size, WIDTH)
    add("output_norm", WIDTH)
    add("blk.0.attn_norm", WIDTH)
    add("blk.0.ffn_norm", WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}", WIDTH, WIDTH)
    for name, shape in (
        ("ffn_gate", (HIDDEN, WIDTH)),
        ("ffn_up", (HIDDEN, WIDTH)),
        ("ffn_down", (WIDTH, HIDDEN)),
    ):
        add(f"blk.0.{name}", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer: Any, kind: Kind) -> int:
    """Returns the number of tokens."""
    from gguf import TokenType

    tokens = [("<unk>", TokenType.UNKNOWN)]
    tokens += [(text, TokenType.CONTROL) for text in CONTROL]
    tokens += [(text, TokenType.USER_DEFINED) for text in ADDED]
    if kind == "sentencepiece":
        tokens += [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
        letters = [chr(code) for code in range(33, 127)]
        spaced = ["▁", "▁▁", *(f"▁{letter}" for letter in letters), *(f"▁{w}" for w in WORDS)]
        tokens += [(text, TokenType.NORMAL) for text in [*spaced, *letters, *WORDS]]
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(True)
    else:
        letters = [*map(_letter, range(256))]
        merges = [("t", "h"), ("th", "e"), ("i", "s"), ("i", "n"), ("Ġ", "i"), ("Ġ", "the")]
        merges += [(_letter(0xE6), _letter(0x97)), (_letter(0xF0), _letter(0x9F))]
        tokens += [(t, TokenType.NORMAL) for t in [*letters, *("".join(m) for m in merges)]]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_merges([" ".join(merge) for merge in merges])
        writer.add_add_bos_token(False)
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_types([int(type_) for _, type_ in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return len(tokens)


def _letter(byte: int) -> str:
    """What stands for a byte in a vocabulary of the GPT-2 kind."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [other for other in range(256) if other not in shown]
    return chr(byte) if byte in shown else chr(256 + rest.index(byte))
