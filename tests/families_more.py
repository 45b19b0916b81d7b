"""More model families for `families.py`: added-token flags and small chat templates of our own.

Each template does what is known of its family, and nothing else. No file of those models is used.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Family(NamedTuple):
    """The settings of a tokenizer.

    Attributes:
        template: the chat template.
        special: added tokens, flagged special.
        added: added tokens that are not special.
        bos: put before every text by the post-processor.
        eos: the tokenizer's own end-of-sequence token.
        ends: more tokens that end a generation, as a generation config lists them.
        pieces: the kind of BPE; "sentencepiece-prefix" puts a space before every text.
    """

    template: str
    special: tuple[str, ...] = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    added: tuple[str, ...] = ()
    bos: str | None = None
    eos: str = "<|im_end|>"
    ends: tuple[str, ...] = ()
    pieces: Literal["bytes", "sentencepiece", "sentencepiece-prefix"] = "bytes"


QWEN_ADDED = ("<tool_call>", "</tool_call>", "<think>", "</think>")

_TURN = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
_LATER = (
    "{% if m.role == 'assistant' %}"
    "{{ '<|im_start|>assistant\n' + m.content.split('</think>')[-1].lstrip('\n') + '<|im_end|>\n' }}"
    "{% else %}" + _TURN + "{% endif %}"
)
_PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
_THINKING_PROMPT = (
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)

_THINKING = "{% for m in messages %}" + _LATER + "{% endfor %}" + _THINKING_PROMPT
"""Earlier thoughts are cut; the prompt opens the next one (Qwen3-Thinking-2507, Qwen3.5)."""

_INSTRUCT = "{% for m in messages %}" + _TURN + "{% endfor %}" + _PROMPT
"""No word of thoughts (Qwen3-Instruct-2507)."""


def _with_default_system(text: str, turn: str) -> str:
    return (
        "{% if messages[0].role != 'system' %}"
        f"{{{{ '<|im_start|>system\n{text}<|im_end|>\n' }}}}"
        "{% endif %}{% for m in messages %}" + turn + "{% endfor %}" + _PROMPT
    )


_KIMI_DEV = _with_default_system(
    "You are a helpful assistant.",
    _LATER.replace("</think>", "◁/think▷"),
)

_SMOLLM3 = (
    "{% set ns = namespace(mode='/think', text='You are a helpful AI assistant.') %}"
    "{% if messages[0].role == 'system' %}{% set ns.text = messages[0].content %}"
    "{% if '/no_think' in ns.text %}{% set ns.mode = '/no_think' %}{% endif %}{% endif %}"
    "{{ '<|im_start|>system\n## Metadata\n\nReasoning Mode: ' + ns.mode + '\n\n'"
    " + '## Custom Instructions\n\n' + ns.text + '<|im_end|>\n' }}"
    "{% for m in messages if m.role != 'system' %}" + _TURN + "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if ns.mode == '/no_think' %}{{ '<think>\n\n</think>\n' }}{% endif %}{% endif %}"
)
"""Opens and closes an empty thought after /no_think; says which mode it is in (SmolLM3)."""

_NEMOTRON3 = (
    "{% set first = messages[0] %}"
    "{{ '<|im_start|>system\n' + (first.content if first.role == 'system' else '') + '<|im_end|>\n' }}"
    "{% for m in messages if m.role != 'system' %}{% if m.role == 'assistant' %}"
    "{{ '<|im_start|>assistant\n<think></think>' + m.content.split('</think>')[-1].lstrip('\n') }}"
    "{{ '<|im_end|>\n' }}{% else %}" + _TURN + "{% endif %}{% endfor %}" + _THINKING_PROMPT
)
"""Always has a system block, if an empty one; cuts earlier thoughts (Nemotron 3)."""

_HARMONY = (
    "{% for m in messages %}{% if '<|channel|>' in m.content %}"
    "{{ raise_exception('a message contains <|channel|> tags') }}{% endif %}{% endfor %}"
    "{{ '<|start|>system<|message|>Reasoning: medium\n\n# Valid channels: analysis, commentary, '"
    " + 'final.<|end|>' }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ '<|start|>developer<|message|># Instructions\n\n' + m.content + '<|end|>' }}"
    "{% elif m.role == 'user' %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}{% else %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)

_GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + role + '\n' + (m.content | trim) + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)

_PARTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% for part in m.content %}{{ part.text }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    + _THINKING_PROMPT
)
"""Takes content as a list of parts, and renders a string as nothing (models that see pictures)."""

MORE: dict[str, Family] = {
    "qwen3-thinking-2507": Family(_THINKING, added=QWEN_ADDED),
    "qwen3-instruct-2507": Family(_INSTRUCT, added=QWEN_ADDED),
    "qwen3.5": Family(_THINKING, added=QWEN_ADDED, ends=("<|endoftext|>",)),
    "nemotron-3": Family(_NEMOTRON3, added=QWEN_ADDED),
    "gpt-oss": Family(
        _HARMONY,
        special=(
            *("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>"),
            *("<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>"),
        ),
        eos="<|return|>",
        ends=("<|call|>", "<|endoftext|>"),
    ),
    "smollm2": Family(_with_default_system("You are a helpful AI assistant named SmolLM.", _TURN)),
    "smollm3": Family(
        _SMOLLM3,
        special=("<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"),
        added=("<think>", "</think>", "<tool_response>", "</tool_response>"),
        ends=("<|end_of_text|>",),
    ),
    "kimi-dev": Family(_KIMI_DEV),
    "gemma": Family(
        _GEMMA,
        special=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        ends=("<end_of_turn>",),
        pieces="sentencepiece",
    ),
    "content-parts": Family(_PARTS, added=QWEN_ADDED),
}
"""By the name of a model that behaves so; "content-parts" stands for templates of any family."""

BREAKS = ["a\n\nb\n\n\nc"] * 16
"""Text for these vocabularies, so that line breaks merge as they do in real ones."""
