"""JSON as the store keeps it: compressed. A trace takes about a quarter of its text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from start_sdk.errors import ConfigError

MAX_BYTES = 1 << 26
"""Of one value's text, 64 MiB. A row with many long traces takes some ten megabytes."""


def packed(value: Mapping[str, Any]) -> bytes:
    """An object as compressed JSON.

    Raises:
        ConfigError: its text is larger than a store reads back.
    """
    text = json.dumps(dict(value)).encode("ascii")
    if len(text) > MAX_BYTES:
        raise ConfigError(f"a row of {len(text):,} bytes is too large: at most {MAX_BYTES:,}")
    return zlib.compress(text)


def unpacked(content: Any) -> Any:
    """The value of `packed`. Of content that expands without end, only the beginning is expanded.

    Raises:
        ValueError: the content is not what `packed` makes.
        TypeError: it is not even bytes.
        RecursionError: its JSON is nested too deeply.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(content, MAX_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"not compressed JSON: {error}") from error
    if len(text) > MAX_BYTES:
        raise ValueError(f"its JSON has more than {MAX_BYTES:,} bytes")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("not compressed JSON: it does not end where the content ends")
    return json.loads(text)
