"""KV caches: one for each paused session and one for the running batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer


def roomy(tokens: int) -> int:
    """Columns to allocate for `tokens` tokens: growing by a fraction keeps copies rare."""
    return tokens + tokens // 4 + 64


@dataclass(slots=True)
class _Frame:
    """The part of a cache's tensors that is in use: columns `start` to `end`."""

    slots: int
    columns: int
    start: int = 0
    end: int = 0


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, shape (slots, heads, columns, head_dim), written in place.

    The library's own layer copies its whole content for each new token.
    """

    keys: Any
    values: Any

    def __init__(self, frame: _Frame) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._frame = frame

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = self._blank(key_states)
        self.values = self._blank(value_states)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, new = key_states.shape[0], key_states.shape[2]
        start, end = self._frame.start, self._frame.end
        self.keys[:rows, :, end : end + new] = key_states
        self.values[:rows, :, end : end + new] = value_states
        return self.keys[:rows, :, start : end + new], self.values[:rows, :, start : end + new]

    def get_seq_length(self) -> int:
        return self._frame.end - self._frame.start

    def put(self, slot: int, source: _Layer, other: int, begin: int, length: int) -> None:
        """Copies `length` columns of another layer's slot, aligned to the end of this one."""
        if not self.is_initialized:
            self.lazy_initialization(source.keys, source.values)
        here = slice(self._frame.end - length, self._frame.end)
        there = slice(begin, begin + length)
        self.keys[slot, :, here] = source.keys[other, :, there]
        self.values[slot, :, here] = source.values[other, :, there]

    def _blank(self, like: torch.Tensor) -> torch.Tensor:
        shape = (self._frame.slots, like.shape[1], self._frame.columns, like.shape[3])
        # Zeros, because rows are padded: masked columns have weight 0, and 0 times uninitialised
        # memory may be NaN. A single row has no padding.
        return like.new_empty(shape) if self._frame.slots == 1 else like.new_zeros(shape)


class KVCache(Cache):
    """Rows of keys and values that all end at the same column; shorter rows begin later.

    This is left padding, as in the library's `generate`: whatever can be padded there can be
    batched here. Sliding windows are a mask here, so that they too can be cropped.
    """

    def __init__(self, layers: int, *, slots: int = 1, columns: int = 0, end: int = 0) -> None:
        self._frame = _Frame(slots, columns, end, end)
        self._own = [_Layer(self._frame) for _ in range(layers)]
        super().__init__(layers=[*self._own])

    @property
    def nbytes(self) -> int:
        """Size of its tensors in bytes."""
        return sum(x.keys.nbytes + x.values.nbytes for x in self._own if x.is_initialized)

    @property
    def device(self) -> torch.device:
        """The device of its tensors; defined once something has been written."""
        return self._own[0].device

    @property
    def slots(self) -> int:
        return self._frame.slots

    @property
    def columns(self) -> int:
        return self._frame.columns

    @property
    def start(self) -> int:
        return self._frame.start

    @start.setter
    def start(self, column: int) -> None:
        self._frame.start = column

    @property
    def end(self) -> int:
        return self._frame.end

    def advance(self, tokens: int) -> None:
        """Counts `tokens` columns written by a forward pass."""
        self._frame.end += tokens

    def crop(self, tokens_to_remove: int) -> None:
        self._frame.end -= abs(tokens_to_remove)

    def reserve(self, tokens: int) -> None:
        """Makes room for `tokens` more tokens in a single-row cache."""
        length = self.end - self.start
        if self.end + tokens > self.columns:
            self.resize(1, roomy(length + tokens), length)

    def resize(self, slots: int, columns: int, end: int) -> None:
        """Moves the content into tensors of another shape, ending at column `end`."""
        old = copy.copy(self._frame)
        shift, frame = end - old.end, self._frame
        frame.slots, frame.columns, frame.start, frame.end = slots, columns, old.start + shift, end
        kept, here = slice(0, min(slots, old.slots)), slice(old.start, old.end)
        for layer in self._own:
            if layer.is_initialized:
                keys, values = layer.keys, layer.values
                layer.lazy_initialization(keys, values)
                layer.keys[kept, :, frame.start : end] = keys[kept, :, here]
                layer.values[kept, :, frame.start : end] = values[kept, :, here]

    def put(self, slot: int, source: KVCache, other: int, begin: int, length: int) -> None:
        """Copies `length` columns of another cache's slot, aligned to the end of this one."""
        for mine, theirs in zip(self._own, source._own, strict=True):
            mine.put(slot, theirs, other, begin, length)

    def row(self, slot: int, begin: int, length: int) -> KVCache:
        """A separate cache with `length` columns of a row."""
        row = KVCache(len(self.layers), columns=roomy(length), end=length)
        row.put(0, self, slot, begin, length)
        row.start = 0
        return row

    def copied(self, length: int) -> KVCache:
        """A copy of a single-row cache, cut to its first `length` tokens."""
        return self.row(0, self.start, length)


class LibraryCache(DynamicCache):
    """The library's cache of one row, for layers that keep more than keys and values (state-space
    and linear attention, compressed caches). It cannot join a batch, nor always be cropped."""

    @property
    def nbytes(self) -> int:
        """Size of its tensors in bytes."""
        return sum(tensor.nbytes for layer in self.layers for tensor in _tensors(vars(layer)))

    def reserve(self, tokens: int) -> None:
        """Nothing to do: it grows by itself."""

    def advance(self, tokens: int) -> None:
        """Nothing to do: it counts by itself."""

    def copied(self, length: int) -> LibraryCache:
        """A copy, cut to its first `length` tokens.

        Raises:
            RuntimeError, NotImplementedError, AttributeError: a layer cannot be cropped.
        """
        twin = copy.deepcopy(self)
        surplus = twin.get_seq_length() - length
        if surplus:
            twin.crop(-surplus)
        return twin


OneRow = KVCache | LibraryCache


def batchable_layers(config: PreTrainedConfig) -> int | None:
    """How many layers a `KVCache` of this model needs; None if it cannot hold their state."""
    kinds = [type(layer) for layer in DynamicCache(config=config).layers]
    plain = {DynamicLayer, DynamicSlidingWindowLayer}
    return len(kinds) if kinds and plain.issuperset(kinds) else None


def _tensors(values: dict[Any, Any]) -> Iterator[torch.Tensor]:
    """All tensors of a layer, including those in dictionaries of states."""
    for value in values.values():
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _tensors(value)
