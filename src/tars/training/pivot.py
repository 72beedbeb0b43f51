"""R2D's loss as a pure function of tensors: distillation plus Contrastive Pivot Optimization (CPO).

Source: Reasoning-to-Defend (arXiv 2502.12970) §3.2, Eq. 3 (distillation) and Eq. 4 (CPO); both are added with weight 1.

Each micro-batch gives its share of the loss of the whole optimizer step: sums are divided by what was counted over all
accumulated batches and all processes (`tallies`), so that neither changes loss or gradients. Departure: the official
code averages over each micro-batch, and the Trainer of its time added these means up over the accumulation.

Dimensions: B rows, T positions, N learned positions, V vocabulary, 3 pivots in the order of `tars.pivots.PIVOTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tars.pivots import PIVOTS
from tars.training.pivot_settings import PivotLoss

IGNORED = -100


@dataclass(frozen=True)
class Terms:
    """A micro-batch's share of the step's loss, and how many of its pivots are right.

    Attributes:
        distillation: Negative log-likelihood, a scalar.
        contrast: CPO, a scalar.
        right: Pivots whose own tag is the likeliest of the three, a scalar without gradient.
    """

    distillation: torch.Tensor
    contrast: torch.Tensor
    right: torch.Tensor


def tallies(labels_BT: torch.Tensor, pivots: Sequence[int], settings: PivotLoss) -> torch.Tensor:
    """What to divide by, summed over the batches of an optimizer step: learned tokens (rows for Eq. 3), then pivots.

    Args:
        labels_BT: Labels as they are predicted, the first position of each row left out; −100 is not learned.
        pivots: Token ids in the order of `PIVOTS`.

    Returns:
        Four whole numbers: tokens or rows, and [SAFE], [RETHINK], [UNSAFE].
    """
    learned = (labels_BT != IGNORED).sum() if not settings.segments else torch.tensor(len(labels_BT))
    counts = [(labels_BT == pivot).sum() for pivot in pivots]
    return torch.stack([learned.to(labels_BT.device), *counts])


def segment_weights(labels_BT: torch.Tensor, answers_B: torch.Tensor) -> torch.Tensor:
    """Weights by which a row's likelihood is the mean over its reasoning plus the mean over its answer (Eq. 3).

    Args:
        answers_B: Position in `labels_BT` at which each row's answer starts; a row without reasoning has one mean.

    Returns:
        `(B, T)`: 1 / tokens of its segment at each learned position, 0 elsewhere.
    """
    learned_BT = labels_BT != IGNORED
    in_answer_BT = torch.arange(labels_BT.shape[1], device=labels_BT.device) >= answers_B[:, None]
    parts = [learned_BT & in_answer_BT, learned_BT & ~in_answer_BT]
    return sum((part / part.sum(1, keepdim=True).clamp(min=1) for part in parts), torch.zeros(()))  # type: ignore[return-value]


def pivot_loss(
    logits_NV: torch.Tensor,
    labels_N: torch.Tensor,
    weights_N: torch.Tensor,
    tallies_4: torch.Tensor,
    pivots: Sequence[int],
    settings: PivotLoss,
) -> Terms:
    """Σ weight · −log p(label) and Σ −log σ(log p(t⁺) − log p(t⁻)) over pivots, each over its tally.

    The difference of log-probabilities is that of the raw logits: both have the same normaliser over the vocabulary. Of
    two opposites together t⁻ has the sum of their probabilities. One gather fetches the label's log-probability and its
    opposites', so that the contrast adds no pass over the vocabulary to that of the likelihood.

    Args:
        logits_NV: At the positions before the labels, in fp32.
        weights_N: Of each label in the distillation; ones, or `segment_weights`.
        tallies_4: From `tallies`, of the whole optimizer step.
    """
    columns_N3, opposed_N2 = _columns(labels_N, pivots, settings)
    logprobs_N3 = logits_NV.log_softmax(-1).gather(1, columns_N3)
    wrong_N2 = logprobs_N3[:, 1:].masked_fill(~opposed_N2, -torch.inf)
    wrong_N2 = torch.where(opposed_N2.any(1, keepdim=True), wrong_N2, logprobs_N3[:, 1:])  # weighs 0, but has no NaN
    contrast_N = F.softplus(wrong_N2.logsumexp(1) - logprobs_N3[:, 0])
    kinds_N3 = _kinds(labels_N, pivots)
    share_N = (kinds_N3 * _shares(tallies_4, settings)).sum(1)
    best_N = logits_NV.detach()[:, list(pivots)].argmax(1)
    return Terms(
        distillation=-(weights_N * logprobs_N3[:, 0]).sum() / tallies_4[0].clamp(min=1),
        contrast=(share_N * contrast_N).sum(),
        right=kinds_N3.gather(1, best_N[:, None]).sum(),
    )


def _kinds(labels_N: torch.Tensor, pivots: Sequence[int]) -> torch.Tensor:
    """`(N, 3)`, true where the label is that pivot."""
    return labels_N[:, None] == torch.tensor(list(pivots), device=labels_N.device)


def _columns(labels_N: torch.Tensor, pivots: Sequence[int], settings: PivotLoss) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens whose probability is needed, label first, and which of the others are opposites.

    Where there is no opposite the label stands in.
    """
    opposites = [[pivots[PIVOTS.index(name)] for name in settings.opposites(pivot)] for pivot in PIVOTS]
    table_32 = torch.tensor([[*own, -1, -1][:2] for own in opposites], device=labels_N.device)
    kinds_N3 = _kinds(labels_N, pivots)
    of_N2 = torch.where(kinds_N3.any(1, keepdim=True), table_32[kinds_N3.int().argmax(1)], -1)
    return torch.cat([labels_N[:, None], torch.where(of_N2 < 0, labels_N[:, None], of_N2)], 1), of_N2 >= 0


def _shares(tallies_4: torch.Tensor, settings: PivotLoss) -> torch.Tensor:
    """What one pivot of each kind weighs in the contrast, 0 for a kind that is not contrasted."""
    has = torch.tensor([bool(settings.opposites(pivot)) for pivot in PIVOTS], device=tallies_4.device)
    counted_3 = tallies_4[1:] * has
    return has / (counted_3 if settings.balanced else counted_3.sum()).clamp(min=1)
