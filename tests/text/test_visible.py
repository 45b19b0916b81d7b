"""Text that only shows: nothing in it acts, hides, or changes the order of what is read."""

from __future__ import annotations

import unicodedata

import pytest

from start_sdk._text.visible import visible


def test_lines_of_any_script_stay_as_they_are() -> None:
    text = "a\tb\n`x` \\boxed{4} é ü 中文\u3000\u00a0√2 ≤ 3 مرحبا שלום नमस्ते 😀 ✔\ufe0f e\u0301"
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;cm0=\x1b\\", "\\x1b]52;c;cm0=\\x1b\\"),
        ("\x9b2J\x9d0;t\x9c", "\\x9b2J\\x9d0;t\\x9c"),
        ("a\rb\x08c\x07\x7f\x00", "a\\rb\\x08c\\x07\\x7f\\x00"),
        ("\u202eevil\u202c\u2066x\u2069\u200e", "\\u202eevil\\u202c\\u2066x\\u2069\\u200e"),
        ("pay\u200bpal\u2060\ufeff\u00ad\u200d", "pay\\u200bpal\\u2060\\ufeff\\xad\\u200d"),
        ("\u2028\u2029\x85\x0b\x0c", "\\u2028\\u2029\\x85\\x0b\\x0c"),
        ("\U000e0041\U000e0100\u3164\ufe00", "\\U000e0041\\U000e0100\\u3164\\ufe00"),
        ("\ud83d \ue000", "\\ud83d \\ue000"),
    ],
)
def test_what_would_act_or_hide_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert "".join(map(visible, text)) == shown  # however it is cut
    assert visible(shown) == shown


def test_a_line_stays_one_line() -> None:
    assert visible("a\n\tb", keep="") == "a\\n\\tb"


def test_no_control_or_format_character_is_left() -> None:
    codes = (*range(0x20000), *range(0xE0000, 0xE1000))  # the other planes have none
    every = "".join(map(chr, codes))
    left = {c for c in visible(every) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert left == {"\n", "\t"}
