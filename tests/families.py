"""Small tokenizers with the real settings of model families; more are in `families_more.py`.

What is rebuilt: the kind of BPE and its pre-tokenizer and decoder, which tokens are added and
which of them are flagged special, whether a beginning-of-sequence token is put in front, where the
chat template opens the thought, and that it strips thoughts from history. The vocabularies are
trained here on a few lines; no file of those models is used.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from families_more import BREAKS, MORE, QWEN_ADDED, Family
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from start_sdk.backends.tokenizer import HFTokenizer

FAMILIES = ("qwen3", "qwq-32b-preview", "r1-distill", "llama-3", "llama-2")
THINKING = ("qwen3", "r1-distill")
USABLE = (*FAMILIES, *(name for name in MORE if name not in ("gpt-oss", "content-parts")))
"""Those that sessions can run."""

_TEXT = [
    "Okay, let me think step by step. Wait, is that right? Alternatively, I can check it.",
    "maybe using python here is a good idea.\n```python\nprint(12 * 7)\n```\n```output\n84\n```\n",
    "So the answer is \\boxed{84}. The total is 29. 等等，让我再检查一下。 café naïve 😀",
    "The response is the answer to the question of the user and the assistant thinks.",
] * 4
_SPLIT = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

_CHATML = (
    "{% for m in messages %}"
    "{% set c = m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant' else m.content %}"
    "{{ '<|im_start|>' + m.role + '\n' + c + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_QWQ = (
    "{{ '<|im_start|>system\nYou think step by step.<|im_end|>\n' }}{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% elif m.role == 'system' %}{{ m.content }}"
    "{% else %}{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n'"
    " + m.content + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_LLAMA2 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'system' %}{{ '<<SYS>>\n' + m.content + '\n<</SYS>>\n\n' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)

_SETTINGS: dict[str, Family] = {
    "qwen3": Family(_CHATML, added=QWEN_ADDED),
    "qwq-32b-preview": Family(_QWQ, added=("<tool_call>", "</tool_call>")),
    "r1-distill": Family(
        _R1,
        special=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        added=("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
    ),
    "llama-3": Family(
        _LLAMA3,
        special=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
    ),
    "llama-2": Family(
        *(_LLAMA2, ("<s>", "</s>")), bos="<s>", eos="</s>", pieces="sentencepiece-prefix"
    ),
    **MORE,
}


@cache
def family(name: str) -> HFTokenizer:
    """The tokenizer of a family, as a backend would load it."""
    tokenizer = raw(name)
    return HFTokenizer(tokenizer, map(tokenizer.convert_tokens_to_ids, _SETTINGS[name].ends))


@cache
def raw(name: str) -> Any:
    """The tokenizer of a family, as transformers loads it."""
    template, special, added, bos, eos, _, pieces = _SETTINGS[name]
    tokenizer = (
        _byte_level(name)
        if pieces == "bytes"
        else _sentencepiece(*special, prefix=pieces == "sentencepiece-prefix")
    )
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in added])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    make: Any = PreTrainedTokenizerFast
    fast = make(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)
    fast.chat_template = template
    return fast


def save(name: str, folder: Path, *, context: int | None = None) -> Path:
    """Writes a family's tokenizer as a model folder without weights, and returns the folder."""
    tokenizer = raw(name)
    tokenizer.save_pretrained(folder)
    ends = [tokenizer.eos_token, *_SETTINGS[name].ends]
    generation = {"eos_token_id": tokenizer.convert_tokens_to_ids(ends)}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    if context:
        config = {"model_type": "llama", "max_position_embeddings": context}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _byte_level(name: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama-3"))
    if name.startswith(("qw", "kimi")):
        tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(_SPLIT, behavior="isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*_TEXT, *(BREAKS if name in MORE else [])], trainer)
    return tokenizer


def _sentencepiece(*special: str, prefix: bool) -> Tokenizer:
    """Unknown characters fall back to bytes. Llama 2 puts a space before every text, Gemma does
    not."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spaces = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*spaces, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    pieces = ["<unk>", *special, *(f"<0x{b:02X}>" for b in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=460, special_tokens=pieces, show_progress=False)
    words = [word for line in _TEXT[:2] for word in line.replace("\n", " ").split(" ")]
    words = words if prefix else [*BREAKS, *(f" {word}" for word in words)]
    tokenizer.train_from_iterator(words, trainer)
    spec = json.loads(
        tokenizer.to_str()
    )  # the bytes are pieces of the vocabulary, not added tokens
    spec["added_tokens"] = [t for t in spec["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(spec))
