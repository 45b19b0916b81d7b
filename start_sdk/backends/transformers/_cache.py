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
    """What the layers of a cache have in common. Columns are numbered from where the cache began;
    each layer knows where in its tensors they lie."""

    slots: int
    """Rows for which every layer has room."""
    left: int
    """The first column that can be written in every layer."""
    right: int
    """The column after the last one that can be written."""
    start: int
    """The first column in use."""
    end: int
    """The column after the last one in use."""


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, shape (slots, heads, columns, head_dim), written in place.

    The library's own layer copies its whole content for each new token.
    """

    keys: Any
    values: Any

    def __init__(self, frame: _Frame) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._frame = frame
        self._left = 0
        """The column that the first of the tensors' columns holds."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        frame = self._frame
        shape = frame.slots, frame.right - frame.left
        self.keys, self.values = _blank(key_states, *shape), _blank(value_states, *shape)
        self._left = frame.left
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, new = key_states.shape[0], key_states.shape[2]
        begin, end = self._frame.end, self._frame.end + new
        self.keys[:rows, :, self._at(begin, end)] = key_states
        self.values[:rows, :, self._at(begin, end)] = value_states
        used = self._at(self._frame.start, end)
        return self.keys[:rows, :, used], self.values[:rows, :, used]

    def get_seq_length(self) -> int:
        return self._frame.end - self._frame.start

    def move(self, slots: int, left: int, right: int) -> None:
        """Moves the content into tensors for other slots and columns. All or nothing."""
        kept, used = slice(0, slots), slice(self._frame.start, self._frame.end)
        keys, values = (_blank(old, slots, right - left) for old in (self.keys, self.values))
        rows, here = min(slots, len(self.keys)), self._at(used.start, used.stop)
        there = slice(used.start - left, used.stop - left)
        keys[:rows, :, there] = self.keys[kept, :, here]
        values[:rows, :, there] = self.values[kept, :, here]
        self.keys, self.values, self._left = keys, values, left

    def put(self, slot: int, source: _Layer, other: int, begin: int, length: int) -> None:
        """Copies `length` columns of another layer's slot, aligned to the end of this one."""
        if not self.is_initialized:
            self.lazy_initialization(source.keys, source.values)
        here = self._at(self._frame.end - length, self._frame.end)
        there = source._at(begin, begin + length)
        self.keys[slot, :, here] = source.keys[other, :, there]
        self.values[slot, :, here] = source.values[other, :, there]

    def wipe(self, slot: int) -> None:
        self.keys[slot] = 0
        self.values[slot] = 0

    def free(self) -> None:
        self.keys = self.values = None
        self.is_initialized = False

    def _at(self, begin: int, end: int) -> slice:
        """Where in the tensors these columns are."""
        return slice(begin - self._left, end - self._left)


def _blank(like: torch.Tensor, slots: int, columns: int) -> torch.Tensor:
    shape = (slots, like.shape[1], columns, like.shape[3])
    # Zeros, because rows are padded: masked columns have weight 0, and 0 times uninitialised
    # memory may be NaN. A single row has no padding.
    return like.new_empty(shape) if slots == 1 else like.new_zeros(shape)


class KVCache(Cache):
    """Rows of keys and values that all end at the same column; shorter rows begin later.

    This is left padding, as in the library's `generate`: whatever can be padded there can be
    batched here. Sliding windows are a mask here, so that they too can be cropped.

    It grows layer by layer, so that little more than the larger of the old and the new tensors is
    held at any time. If an allocation fails on the way, the cache is as usable as before.
    """

    def __init__(self, layers: int, *, columns: int = 0, length: int = 0) -> None:
        self._frame = _Frame(slots=1, left=0, right=columns, start=0, end=length)
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
        """Columns of its tensors."""
        return self._frame.right - self._frame.left

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
        if self.end + tokens > self._frame.right:
            _exhaust(self._resized(1, length, roomy(length + tokens)))

    def has_room(self, slots: int, length: int) -> bool:
        """Whether so many rows fit, one of them `length` tokens long, and one more token each."""
        frame = self._frame
        return slots <= frame.slots and length <= frame.end - frame.left and frame.end < frame.right

    def make_room(self, slots: int, length: int = 0) -> None:
        """Allocates what `has_room` asks for, if necessary."""
        _exhaust(self._with_room(slots, length))

    def shrink(self) -> None:
        """Makes it a single-row cache again."""
        length = self.end - self.start
        _exhaust(self._resized(1, length, roomy(length)))

    def take(self, row: KVCache, slot: int, slots: int) -> None:
        """Moves a single-row cache into a slot, after making room for `slots` rows if necessary.

        Each layer of the row is freed once it has been copied, so the row is lost if this fails.
        """
        length = row.end - row.start
        for mine, theirs in zip(self._with_room(slots, length), row._own, strict=True):
            mine.put(slot, theirs, 0, row.start, length)
            theirs.free()

    def put(self, slot: int, source: KVCache, other: int, begin: int, length: int) -> None:
        """Copies `length` columns of another cache's slot, aligned to the end of this one."""
        for mine, theirs in zip(self._own, source._own, strict=True):
            mine.put(slot, theirs, other, begin, length)

    def wipe(self, slot: int) -> None:
        """Removes what a later row in this slot must not see, such as NaN."""
        for layer in self._own:
            layer.wipe(slot)

    def row(self, slot: int, begin: int, length: int) -> KVCache:
        """A separate cache with `length` columns of a row."""
        row = KVCache(len(self.layers), columns=roomy(length), length=length)
        row.put(0, self, slot, begin, length)
        return row

    def copied(self, length: int) -> KVCache:
        """A copy of a single-row cache, cut to its first `length` tokens."""
        return self.row(0, self.start, length)

    def _with_room(self, slots: int, length: int) -> Iterator[_Layer]:
        """The layers, each after it has got the room that `has_room` asks for."""
        if self.has_room(slots, length):
            return iter(self._own)
        longest = max(length, self.end - self.start)
        return self._resized(slots, longest, roomy(longest))

    def _resized(self, slots: int, before: int, columns: int) -> Iterator[_Layer]:
        """The layers, each after its content has moved into tensors of another shape.

        Args:
            slots: rows of the tensors.
            before: their columns up to the end of the content.
            columns: all their columns.
        """
        frame = self._frame
        left, right = frame.end - before, frame.end - before + columns
        # For as long as some layers have moved and others have not, which an error makes permanent.
        frame.slots = min(frame.slots, slots)
        frame.left, frame.right = max(frame.left, left), min(frame.right, right)
        for layer in self._own:
            if layer.is_initialized:
                layer.move(slots, left, right)
            yield layer
        frame.slots, frame.left, frame.right = slots, left, right


def _exhaust(layers: Iterator[_Layer]) -> None:
    for _ in layers:
        pass


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
