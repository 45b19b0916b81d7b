"""Hints as data, and policies that put them into a thought."""

from start_sdk.hints.library import HintLibrary
from start_sdk.hints.policies import AfterConnective, BeforeEnd, FirstOf, NoHints
from start_sdk.protocols import Hint

__all__ = ["AfterConnective", "BeforeEnd", "FirstOf", "Hint", "HintLibrary", "NoHints"]
