"""The miniature's tokenizer: byte-level BPE with Qwen3's control tokens and chat form."""

import re
from typing import Any

from recipes.tiny.text import END_OF_TEXT, END_OF_TURN, TURN, make_document

VOCABULARY = 1024
DOCUMENTS = 8000
CONTROL = (END_OF_TEXT, TURN, END_OF_TURN)
THINK = ("<think>", "</think>")
_TAGS = re.compile("|".join(re.escape(tag) for tag in (*CONTROL, *THINK)))

#: ChatML. The thinking of earlier assistant turns is left out; the prompt opens a thought.
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- set content = message.content %}"
    "{%- if message.role == 'assistant' and '</think>' in content %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}"
    "{%- endif %}"
    "{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n<think>\\n' }}"
    "{%- endif %}"
)


def train_tokenizer(seed: int) -> Any:
    """A tokenizer trained on the first documents of the text with this seed.

    Digits, line breaks and code fences are pieces of their own, so that two line breaks joined
    have the ids of a blank line, and a spliced fence or number has the ids it has in the text.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Split("```", "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    control = [AddedToken(token, special=True, normalized=False) for token in CONTROL]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(THINK),
        special_tokens=control,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(
        (_TAGS.sub("\n", make_document(seed, index)) for index in range(DOCUMENTS)), trainer
    )
    # As in Qwen3: the tags of thinking are added tokens, but not special ones.
    core.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in THINK])
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        pad_token=END_OF_TEXT,
        eos_token=END_OF_TURN,
        additional_special_tokens=[TURN],
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
