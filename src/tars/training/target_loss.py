"""Next-token loss that runs the output head on learned positions only.

In supervised training the prompt is read, not learned; the head over the vocabulary is the dearest layer of a small
model, and TRL 1.16 runs it on every position when there is no fused kernel (on a CPU). Loss and gradients are equal.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from tars.models.support import inner, seams_unsupported


class TargetLoss:
    """Mixin for a `transformers.Trainer`; leaves the loss to the trainer where its own one is needed.

    That is with several processes, whose wrappers must see the forward pass, with label smoothing or another loss
    than the likelihood, for rows packed into one, and for models that the fast seams do not cover.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean negative log-likelihood of the labels, over `num_items_in_batch` if given (accumulated batches)."""
        if return_outputs or "position_ids" in inputs or not self._is_plain(model):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        learned_BT = inputs["labels"][:, 1:] != -100
        labels_N = inputs["labels"][:, 1:][learned_BT]
        total = F.cross_entropy(self._learned_logits(model, inputs), labels_N, reduction="sum")
        return total / (num_items_in_batch if num_items_in_batch is not None else len(labels_N))

    def _learned_logits(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Logits `(N, V)` in fp32 at the positions before the N learned labels, row by row."""
        causal, learned_BT = inner(model), inputs["labels"][:, 1:] != -100
        with self.accelerator.autocast():  # type: ignore[attr-defined]  # wraps the forward that is bypassed here
            hidden_BTD = causal.base_model(
                input_ids=inputs["input_ids"][:, :-1], attention_mask=_mask(inputs), use_cache=False
            ).last_hidden_state
            return causal.get_output_embeddings()(hidden_BTD[learned_BT]).float()

    def _is_plain(self, model: Any) -> bool:
        args: Any = self.args  # type: ignore[attr-defined]
        if args.world_size > 1 or args.label_smoothing_factor or getattr(args, "loss_type", "nll") != "nll":
            return False
        return seams_unsupported(model, max_length=0) is None


def _mask(inputs: dict[str, Any]) -> torch.Tensor | None:
    """Right padding needs no mask in causal attention: nothing that counts looks at it."""
    mask = inputs.get("attention_mask")
    if mask is None or bool((mask[:, 1:] <= mask[:, :-1]).all()):
        return None
    return mask[:, :-1]
