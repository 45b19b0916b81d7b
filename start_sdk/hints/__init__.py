"""The hint library, policies that decide on hints, insertion points, and rounds."""

from start_sdk.hints._debug import debug_hint
from start_sdk.hints._features import FEATURES, features, results
from start_sdk.hints._insertion_points import (
    draw_insertion_point,
    find_insertion_points,
    last_insertion_point,
)
from start_sdk.hints._learned import Example, Learned, LearnedPolicy, Logit, best_constant
from start_sdk.hints._library import HintLibrary
from start_sdk.hints._policies import AfterConnective, BeforeEnd, FirstOf, NoHints
from start_sdk.hints._rounds import (
    StopWhen,
    round_hints,
    sampled,
    spent,
    stable,
    think_in_rounds,
)
from start_sdk.hints._selective import AtCalculation, TrustResult, WhenUnsure

__all__ = [
    "FEATURES",
    "AfterConnective",
    "AtCalculation",
    "BeforeEnd",
    "Example",
    "FirstOf",
    "HintLibrary",
    "Learned",
    "LearnedPolicy",
    "Logit",
    "NoHints",
    "StopWhen",
    "TrustResult",
    "WhenUnsure",
    "best_constant",
    "debug_hint",
    "draw_insertion_point",
    "features",
    "find_insertion_points",
    "last_insertion_point",
    "results",
    "round_hints",
    "sampled",
    "spent",
    "stable",
    "think_in_rounds",
]
