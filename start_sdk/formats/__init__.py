"""How model families write: where thoughts end, how calls are written, how texts are joined."""

from start_sdk.formats._format import FENCE_END, PLAIN, THINK, Block, Join, ReasoningFormat

__all__ = ["FENCE_END", "PLAIN", "THINK", "Block", "Join", "ReasoningFormat"]
