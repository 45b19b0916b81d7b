"""Builds the wheel, installs it in a clean environment, and looks at what is there.

Run by `make check`. The wheel has to expose `start_sdk` and `start_tools`, and nothing else; the
command has to start; a missing extra has to be said in one line.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXPECTED = {"start_sdk", "start_tools"}


def run(*command: str | Path, code: int = 0) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd="/")
    if done.returncode != code:
        sys.exit(
            f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="start-wheel-") as folder:
        there = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", there, ROOT)
        (wheel,) = there.glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            names = packed.namelist()
        tops = {n.split("/")[0] for n in names if ".dist-info/" not in n}
        assert tops == EXPECTED, f"the wheel exposes {tops}"
        for needed in (
            "hints/library.toml",
            "models/start-tiny-base/model.safetensors",
            "models/start-tiny/model.safetensors",
            "models/start-smollm2/adapter_model.safetensors",
            "py.typed",
        ):
            assert f"start_sdk/{needed}" in names, f"the wheel lacks {needed}"
        run(sys.executable, "-m", "venv", there / "clean")
        python = there / "clean" / "bin" / "python"
        constraints = ("-c", ROOT / "constraints.txt")
        run(python, "-m", "pip", "install", "-q", *constraints, wheel)
        for name in EXPECTED:
            run(python, "-c", f"import {name}")
        for name in ("tools", "recipes", "tests", "docs", "benchmarks", "examples"):
            run(python, "-c", f"import {name}", code=1)
        command = there / "clean" / "bin" / "start-sdk"
        run(command, "doctor")
        said = run(command, "ask", "What is 12 times 7?", code=2)
        assert "start-sdk[transformers]" in said and "Traceback" not in said, said
    print(f"{wheel.name}: exposes {', '.join(sorted(EXPECTED))} only, and runs where it is clean")


if __name__ == "__main__":
    main()
