"""How model families write: where a thought ends, how a call is shown, how texts are joined."""

from start_sdk.formats._check import FormatReport, check_format
from start_sdk.formats._detect import detect
from start_sdk.formats._format import PLAIN, THINK, Join, ReasoningFormat, in_block

__all__ = [
    "PLAIN",
    "THINK",
    "FormatReport",
    "Join",
    "ReasoningFormat",
    "check_format",
    "detect",
    "in_block",
]
