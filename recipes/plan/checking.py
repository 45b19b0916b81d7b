"""The checks of a run before it starts: each prints a line, and none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from recipes.config import Config
from recipes.experiment import asked, model_name
from recipes.hint_names import STAGED, check_hints, hint_of
from recipes.plan import memory
from recipes.plan.hub import NotHere, model_folder
from recipes.plan.memory import Launch, Model
from recipes.plan.sources import check_source, check_suite
from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, Hint, Message, MissingExtra, StartError, plugins
from start_sdk.backends.tokenizer import HFTokenizer, load_tokenizer
from start_sdk.formats import detect
from start_sdk.hints import round_hints

QUESTION = Problem("plan", "What is 84719 times 9317?", "789326923")
PROGRAM = CodeProblem("plan", "Double a number.", "", samples=(("2", "4"),))
THOUGHT = "It is 12 times 7, which is 84. Wait"
"""What a hint is put behind."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "broken", "not checked"]
    about: str


class Base:
    """The base model, as far as it can be known without its weights; looked up when asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._folder: Path | None = None
        self._tokenizer: HFTokenizer | None = None

    def folder(self) -> Path:
        if self._folder is None:
            self._folder = model_folder(model_name(self._config.base))
        return self._folder

    def model(self) -> Model:
        return memory.read(self.folder(), self._config)

    def tokenizer(self) -> HFTokenizer:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(str(self.folder()))
        return self._tokenizer


def checks(config: Config, base: Base) -> Iterator[Check]:
    """All checks, in order."""
    model = checked("base model", lambda: check_model(config, base))
    words = checked("tokenizer", lambda: check_tokenizer(base), model)
    template = checked("chat template", lambda: check_template(config, base.tokenizer()), words)
    yield from (model, words, template)
    yield checked("joins", lambda: check_joins(config, base.tokenizer()), template)
    yield checked("lengths", lambda: check_lengths(config, base), model)
    yield checked("hints", lambda: check_names(config))
    for source in config.problems.sources:
        yield checked(f"problems {source}", partial(check_source, source, config))
    for suite in config.evaluation.suites:
        yield checked(f"suite {suite}", partial(check_suite, suite, config))
    yield checked("backend", lambda: check_backend(config))
    yield checked("training", lambda: check_training(config))


def checked(name: str, look: Callable[[], str], needs: Check | None = None) -> Check:
    """The outcome of a check, whatever happens in it; without what it needs it is not made."""
    if needs is not None and needs.state != "ok":
        return Check(name, "not checked", f"needs what is {needs.state} above: {needs.name}")
    try:
        return Check(name, "ok", look())
    except (NotHere, MissingExtra) as error:  # another machine may have it
        return Check(name, "not checked", str(error))
    except StartError as error:
        return Check(name, "broken", str(error))
    except Exception as error:  # a boundary: a broken thing must not stop the other checks
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return Check(name, "broken", f"{type(error).__name__}: {reason}")


def check_model(config: Config, base: Base) -> str:
    base.model()
    return f"{config.base}: config.json describes a model that can be loaded"


def check_tokenizer(base: Base) -> str:
    tokenizer = base.tokenizer()
    if not tokenizer.eos_ids:
        raise ConfigError(
            "there is no end-of-sequence token, so no answer would end: set eos_token in "
            "tokenizer_config.json, or eos_token_id in generation_config.json"
        )
    if tokenizer.decode(tokenizer.encode(QUESTION.question)) != QUESTION.question:
        raise ConfigError("the tokenizer changes text: encoding and decoding do not restore it")
    ends = ", ".join(repr(tokenizer.decode([i])) for i in sorted(tokenizer.eos_ids))
    return f"ends with {ends}"


def check_template(config: Config, tokenizer: HFTokenizer) -> str:
    """A question is rendered whole, and what the model writes next begins a thought."""
    prompt, question = rendered(config, tokenizer)
    format = detect(tokenizer)
    if question not in prompt:
        raise ConfigError("the chat template drops the question: the rendered prompt lacks it")
    if any(prompt.rstrip().endswith(tokenizer.decode([i])) for i in tokenizer.eos_ids):
        raise ConfigError(
            "the chat template ends with the end of a turn, not at the start of the model's: "
            "it must support add_generation_prompt"
        )
    if not format.thinks_after(prompt):
        raise ConfigError(
            "the chat template closes the thought before it begins, so hints have nowhere to "
            "go: use the template of the thinking mode"
        )
    if format.think is None:
        return f"format {format.name}: no tags; an answer opens with a heading or a box"
    opens = prompt.rstrip().endswith(format.think[0])
    by = "the template opens the thought" if opens else "the model opens the thought itself"
    return f"format {format.name}: {by}"


def check_joins(config: Config, tokenizer: HFTokenizer) -> str:
    """Hints and outputs, spliced as ids behind a thought, decode to the text that they are."""
    format = detect(tokenizer)
    tail = [*tokenizer.encode(rendered(config, tokenizer)[0], control=True)]
    tail += tokenizer.encode(THOUGHT)
    texts = {"an output": format.joiner(THOUGHT, "line") + format.show_output("84")}
    for hint in (*_hints(config), *round_hints(max(1, config.evaluation.rounds))):
        for position in hint.positions:
            behind = position == "connective"
            text = hint.text if behind else hint.opening + hint.text
            joiner = format.joiner(THOUGHT, "connective" if behind else "paragraph")
            texts[f"hint {hint.id}, {position}"] = joiner + text
    before = tokenizer.decode(tail)
    for name, text in texts.items():
        if tokenizer.decode([*tail, *tokenizer.encode(text)]) != before + text:
            raise ConfigError(
                f"{name}: encoding and decoding do not restore the text, so traces would be "
                "wrong: the tokenizer changes text, or lacks some of its characters"
            )
    return f"{len(texts)} hints and outputs decode to what they are"


def check_lengths(config: Config, base: Base) -> str:
    longest, length = base.model().longest, config.training.max_length
    if longest is None:
        raise NotHere("config.json does not give the maximum context length")
    if length > longest:
        raise ConfigError(
            f"training.max_length={length} is more than the {longest} tokens of the base model's "
            "context: reduce it"
        )
    left = "" if config.limits.max_tokens < longest else "; limits.max_tokens cannot all be used"
    return f"training.max_length={length}, the model's context {longest}{left}"


def check_names(config: Config) -> str:
    """Names of hints stand for something, as the stages use them."""
    check_hints(config.hinted.hints, staged=True)
    if config.evaluation.samples > 1:  # Hint-infer thinks anew then
        check_hints(config.hinted.hints, staged=False)
    for part in (config.plain, config.text, config.sampled):
        check_hints(part.hints, staged=False)
    return ", ".join(config.hinted.hints)


def check_backend(config: Config) -> str:
    plugins.load("backends", config.backend)
    return f"{config.backend} can be imported"


def check_training(config: Config) -> str:
    """TRL, what the options need beside it, and the processes that share a step."""
    options, found = config.training, launch(config)
    if missing := next((name for name in ("trl", "datasets") if find_spec(name) is None), None):
        raise MissingExtra(f"training ({missing})", "train")
    together = options.per_device * found.processes
    if options.batch % together:
        raise ConfigError(
            f"training.batch={options.batch} is not a multiple of {together} (per_device="
            f"{options.per_device} times {found.processes} processes)"
        )
    lacks = []
    if options.accelerate is None and found.processes > 1:
        lacks.append(
            "training.accelerate is not set, so recipes.rft and recipes.reproduce train in one "
            f"process: for {found.processes} devices name a file such as "
            "recipes/configs/accelerate/zero3.yaml"
        )
    if options.attention.startswith("flash_attention") and find_spec("flash_attn") is None:
        lacks.append(f"training.attention={options.attention} needs flash_attn, not installed here")
    if found.needs and find_spec(found.needs) is None:
        lacks.append(f"{options.accelerate} needs {found.needs}, not installed here")
    if lacks:
        raise NotHere("; ".join(lacks))
    spread = f"{found.processes} processes" if found.processes > 1 else "one process"
    return f"{spread}, {options.batch // together * options.per_device} sequences each per step"


def launch(config: Config) -> Launch:
    """How the training is spread: as `training.accelerate` says, else as `[plan]` does.

    Raises:
        ConfigError: the file cannot be read.
        MissingExtra: accelerate is not installed.
    """
    file = config.training.accelerate
    if file is None:
        return Launch(config.plan.training_devices, split=True)
    if not Path(file).is_file():
        raise ConfigError(f"training.accelerate={file}: no such file")
    try:
        from accelerate.commands.config.config_args import load_config_from_file
    except ImportError as error:
        raise MissingExtra("training.accelerate", "train") from error
    try:
        found: Any = load_config_from_file(file)
        processes = int(found.num_processes)
    except Exception as error:  # a boundary: YAML, JSON and accelerate raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"training.accelerate={file} cannot be read: {reason}") from error
    kind = str(getattr(found.distributed_type, "value", found.distributed_type))
    stage = (getattr(found, "deepspeed_config", None) or {}).get("zero_stage")
    deep = kind == "DEEPSPEED"
    split = kind == "FSDP" or (deep and stage == 3)
    return Launch(processes, split, needs="deepspeed" if deep else None)


def rendered(config: Config, tokenizer: HFTokenizer) -> tuple[str, str]:
    """A prompt as the model reads it, and the question in it."""
    question, _ = asked(QUESTION, config.prompt, config.seed)
    if not isinstance(question, str):
        raise ConfigError(f"prompt {config.prompt!r} does not give a single question")
    message = Message(role="user", content=question)
    return tokenizer.decode(tokenizer.render([message])), question.strip()


def _hints(config: Config) -> Sequence[Hint]:
    """The hints that are put into traces; those of unknown names are another check's matter."""
    found = []
    for name in config.hinted.hints:
        if name.partition(":")[0] in STAGED and name != "none":
            found.append(hint_of(name, PROGRAM if name == "debug" else QUESTION, config.seed))
    return found
