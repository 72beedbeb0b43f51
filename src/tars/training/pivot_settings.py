"""How R2D's losses are weighed and averaged; apart from the code that computes them, so that recipes read quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tars.pivots import PIVOTS, Pivot


@dataclass(frozen=True)
class PivotLoss:
    """Distillation plus Contrastive Pivot Optimization (CPO).

    Source: Reasoning-to-Defend (arXiv 2502.12970) Eq. 3 and 4 and its code (github.com/chuhac/Reasoning-to-Defend).
    In the paper [SAFE] and [UNSAFE] are each other's opposite; it leaves that of [RETHINK] undefined, and its code has
    none. Here each of the three contrasts with both others, by their summed probability, which is what the paper's pair
    does where there are two. A contrast of [RETHINK] with [SAFE] alone, with nothing that pulls the other way where
    [SAFE] is right, is not calibrated: a few wrong tags teach the model to doubt steps that are right.

    Attributes:
        contrast: Weight of CPO, 1 in the paper; 0 trains by likelihood alone.
        balanced: Average the contrast over each kind of pivot by itself and add the means up, as the official code
            does: a rare [UNSAFE] then weighs as much as all [SAFE] together. Otherwise all pivots weigh the same.
        segments: Average a row's reasoning and its answer by themselves, add the two, and average over rows (Eq. 3,
            which the official code leaves out). Otherwise all tokens weigh the same.
        rethink: `mutual`: [RETHINK] contrasts with both others, and they with it; `none`: not at all, as in the
            official code.
    """

    contrast: Annotated[float, Field(ge=0)] = 1.0
    balanced: bool = False
    segments: bool = False
    rethink: Literal["mutual", "none"] = "mutual"

    def opposites(self, pivot: Pivot) -> tuple[Pivot, ...]:
        """What must be less likely where this pivot is right; empty if nothing is contrasted."""
        if self.rethink == "mutual":
            return tuple(other for other in PIVOTS if other != pivot)
        pairs: dict[Pivot, tuple[Pivot, ...]] = {"safe": ("unsafe",), "unsafe": ("safe",), "rethink": ()}
        return pairs[pivot]
