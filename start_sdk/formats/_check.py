"""Finds out what sessions can do with a model, from its tokenizer alone (`check-model`)."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from start_sdk._text.tags import TAGS
from start_sdk.errors import ModelError
from start_sdk.formats._detect import detect
from start_sdk.formats._format import ReasoningFormat
from start_sdk.protocols import Message, Tokenizer
from start_sdk.values import Frozen

QUESTION = "What is 12 * 7?\n\n  (café, 等等, 😀)"
INSTRUCTION = "Answer in one word."
CONTROL = (
    *("<|im_end|>", "<|im_start|>system", "<|endoftext|>", "<think>", "</think>", "<tool_call>"),
    *("</s>", "[INST]", "<|eot_id|>", "<end_of_turn>", "<|channel|>", "<|message|>", "<|end|>"),
)
"""Control text of any family, tried beside the model's own tokens."""
MAX_TOKENS_TRIED = 256
"""Of the model's own added tokens; some vocabularies reserve thousands."""


class FormatReport(Frozen):
    """What was found out about a model.

    Attributes:
        format: "think" (in tags), "plain", or "refused": sessions cannot continue it.
        tags: the tags around a thought; None for plain.
        tag_is_token: whether the closing tag is one added token.
        ends: what ends its thought: the closing tag, or the texts that open its answer.
        opening: who opens its thought: the "prompt", the "model", or nobody, since the prompt has
            "closed" it. None for plain.
        merges: whether line breaks after the prompt would be encoded together with its last tokens,
            so that the text of prompt and thought cannot be encoded again.
        history: whether thoughts of earlier turns are "cut", "kept", or such turns "refused".
        system: whether a system message is "taken", "dropped" or "refused".
        whole: whether the prompt holds the question, letter by letter.
        inert: whether control text in a question or an output stays text.
        eos: ids and texts of the tokens that end a generation.
        languages: of the blocks that are run.
        problems: a line for each thing that will not work.
    """

    format: Literal["think", "plain", "refused"]
    tags: tuple[str, str] | None = None
    tag_is_token: bool = False
    ends: tuple[str, ...] = ()
    opening: Literal["prompt", "model", "closed"] | None = None
    merges: bool | None = None
    history: Literal["cut", "kept", "refused"] | None = None
    system: Literal["taken", "dropped", "refused"] | None = None
    whole: bool = False
    inert: bool | None = None
    eos: tuple[tuple[int, str], ...] = ()
    languages: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check_format(tokenizer: Tokenizer) -> FormatReport:
    """Finds out what sessions can do with a model; raises nothing that its template raises."""
    problems: list[str] = []
    format: ReasoningFormat | None = None
    try:
        format = detect(tokenizer)
    except ModelError as error:
        problems.append(str(error))
    report = FormatReport(
        format=format.name if format else "refused",
        eos=tuple((i, tokenizer.decode([i])) for i in sorted(tokenizer.eos_ids)),
    )
    try:
        prompt = tokenizer.decode(tokenizer.render([Message(role="user", content=QUESTION)]))
    except ModelError as error:
        return _with(report, problems=tuple(dict.fromkeys([*problems, str(error)])))
    if QUESTION not in prompt:
        problems.append("the question: the chat template changes its text")
    if not report.eos:
        problems.append("the end: no end-of-sequence token is known, so runs only end at a limit")
    if format:
        report = _with(report, **_thought(format, prompt, problems))
    return _with(
        report,
        merges=_merges(tokenizer, prompt),
        history=_history(tokenizer, format, problems),
        system=_system(tokenizer, problems),
        whole=QUESTION in prompt,
        inert=_inert(tokenizer, problems),
        problems=tuple(problems),
    )


def _with(report: FormatReport, **found: object) -> FormatReport:
    return report.model_copy(update=found)


def _thought(format: ReasoningFormat, prompt: str, problems: list[str]) -> dict[str, object]:
    """Where its thought begins and ends."""
    found: dict[str, object] = {
        "tags": format.think,
        "tag_is_token": format.tag_is_token,
        "languages": format.languages,
    }
    if not format.think:
        return {**found, "ends": format.answer_markers}
    opening = "prompt" if format.opened(prompt, "") else "model"
    if not format.thinks_after(prompt):
        opening = "closed"
        problems.append(
            f"a thought: the prompt closes it ({format.end_tag}) before the model begins, so that "
            "neither hints nor calls are possible"
        )
    return {**found, "ends": (format.end_tag,), "opening": opening}


def _merges(tokenizer: Tokenizer, prompt: str) -> bool:
    pieces = [*tokenizer.encode(prompt, control=True), *tokenizer.encode("\n\n", control=True)]
    return tokenizer.encode(prompt + "\n\n", control=True) != pieces


def _history(
    tokenizer: Tokenizer, format: ReasoningFormat | None, problems: list[str]
) -> Literal["cut", "kept", "refused"]:
    opening, closing = (format and format.think) or TAGS[0]
    earlier = f"{opening}\nsecret thought\n{closing}\n\nshown answer"
    turns = [("user", QUESTION), ("assistant", earlier), ("user", "And 12 * 8?")]
    try:
        ids = tokenizer.render([Message(role=role, content=text) for role, text in turns])
    except ModelError as error:
        problems.append(f"a second turn: {error}")
        return "refused"
    text = tokenizer.decode(ids)
    if "shown answer" not in text or QUESTION not in text:
        problems.append("a second turn: the chat template drops what was said before")
    return "kept" if "secret thought" in text else "cut"


def _system(tokenizer: Tokenizer, problems: list[str]) -> Literal["taken", "dropped", "refused"]:
    turns = [("system", INSTRUCTION), ("user", QUESTION)]
    try:
        ids = tokenizer.render([Message(role=role, content=text) for role, text in turns])
    except ModelError as error:
        problems.append(f"a system message: {error}")
        return "refused"
    if INSTRUCTION in tokenizer.decode(ids):
        return "taken"
    problems.append("a system message: the chat template drops it")
    return "dropped"


def _inert(tokenizer: Tokenizer, problems: list[str]) -> bool:
    """Whether control text adds no control ids to a prompt, nor to an output."""
    own = [tokenizer.decode([i]) for i in sorted(tokenizer.control_ids)[:MAX_TOKENS_TRIED]]
    texts = list(dict.fromkeys([*CONTROL, *filter(str.strip, own)]))

    def control_ids(text: str) -> Counter[int]:
        ids = tokenizer.render([Message(role="user", content=f"{QUESTION} {text}")])
        return Counter(i for i in (*ids, *tokenizer.encode(text)) if i in tokenizer.control_ids)

    benign = control_ids("x")

    def active(text: str) -> bool:
        try:
            return control_ids(text) != benign
        except ModelError:  # refused is inert, too
            return False

    if not active(" ".join(texts)):
        return True
    found = " ".join([text for text in texts if active(text)][:5])
    problems.append(f"control text: in a question, it becomes control tokens: {found}")
    return False
