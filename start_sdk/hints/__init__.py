"""Hints as data, and policies that put them into a thought."""

from start_sdk.hints.library import HintLibrary
from start_sdk.hints.policies import AfterConnective, BeforeEnd, FirstOf, NoHints
from start_sdk.hints.spots import draw_spot, find_spots, last_spot
from start_sdk.protocols import Hint
from start_sdk.trace import Spot

__all__ = [
    "AfterConnective",
    "BeforeEnd",
    "FirstOf",
    "Hint",
    "HintLibrary",
    "NoHints",
    "Spot",
    "draw_spot",
    "find_spots",
    "last_spot",
]
