"""TRL's GRPOTrainer for batches of sessions: removes needless padding, and measures drift.

Imports TRL, so import it only when a training starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer

OF_THE_COMPLETION = (
    "completion_ids", "completion_mask", "tool_mask", "sampling_per_token_logps",
    "old_per_token_logps", "ref_per_token_logps",
)  # fmt: skip
"""What of a batch has a column per token behind the prompt."""


def without_padding(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch without the columns that are padding in all of its rows.

    TRL pads all sequences of a step to its longest one, and then trains a few of them at a time:
    one long session would make all others as dear as itself.
    """
    prompt = int(batch["prompt_mask"].sum(-1).max())
    completion = int(batch["completion_mask"].sum(-1).max())
    cut = dict(batch)
    for name in ("prompt_ids", "prompt_mask"):  # padded on the left
        cut[name] = batch[name][:, -prompt:]
    for name in OF_THE_COMPLETION:
        if batch.get(name) is not None:
            cut[name] = batch[name][:, :completion]
    return cut


class SessionTrainer(GRPOTrainer):
    """The trainer, and how far the sessions' log probabilities lie from its own.

    They are of the same weights, so what is between them is the arithmetic of two ways to compute
    them: token by token beside a cache, and all at once.
    """

    _sessions: dict[str, Any] | None = None

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        self._sessions = without_padding(inputs)
        try:
            return super()._compute_loss(model, self._sessions)  # type: ignore[no-untyped-call]
        finally:
            self._sessions = None

    def _get_per_token_logps_and_entropies(self, *args: Any, **options: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **options)
        batch = self._sessions
        if batch is not None and batch.get("sampling_per_token_logps") is not None:
            apart = found[0].detach().float() - batch["sampling_per_token_logps"]
            apart = apart[batch["tool_mask"] * batch["completion_mask"] > 0].abs()
            self._note(apart)
        return found

    def _note(self, apart: torch.Tensor) -> None:
        """Puts differences among the metrics, of whose values the log has the mean."""
        metrics = self._metrics["train"]
        metrics["logprob difference, mean"].append(apart.mean().item())
        largest = metrics["logprob difference, max"]
        largest[:] = [max([*largest, apart.max().item()])]
