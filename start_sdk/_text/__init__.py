"""Reads texts: pure functions over characters and ids, used by every package."""
