"""The protocol of the run on a public model is the one that was committed before its first hint."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_config_is_the_one_that_the_protocol_names() -> None:
    config = (ROOT / "recipes" / "configs" / "smollm2.toml").read_bytes()
    page = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
    assert f"`{hashlib.sha256(config).hexdigest()}`" in page
