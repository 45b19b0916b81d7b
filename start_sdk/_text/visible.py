"""Text that only shows, whoever wrote it."""

from __future__ import annotations

import re
from unicodedata import category

# Letters and marks that are shown as nothing, beside the control and format characters.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)


def visible(text: str, keep: str = "\n\t") -> str:
    """A text with an escape for each character that would act where it is shown, or hide.

    Those are control characters (also C1, and carriage returns, which overwrite a line), format
    characters (which change the direction of text, or have no width), lone surrogates, and line
    separators. The text may be cut anywhere: characters are judged one by one.

    Args:
        text: from a model, a cell, a file, a server, a plugin.
        keep: control characters that stay, by default line breaks and tabs.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or _is_shown(c) else ascii(c)[1:-1] for c in text)


def _is_shown(character: str) -> bool:
    shown = character.isprintable() or category(character) == "Zs"  # a space of any width
    return shown and not _INVISIBLE.match(character)
