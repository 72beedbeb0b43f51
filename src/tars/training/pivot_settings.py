"""How R2D's losses are weighed and averaged; apart from the code that computes them, so that recipes read quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tars.pivots import Pivot


@dataclass(frozen=True)
class PivotLoss:
    """Distillation plus Contrastive Pivot Optimization (CPO).

    Source: Reasoning-to-Defend (arXiv 2502.12970) Eq. 3 and 4 and its code (github.com/chuhac/Reasoning-to-Defend).
    [SAFE] and [UNSAFE] contrast with each other. The paper leaves the opposite of [RETHINK] undefined and its code
    gives it none, so that nothing but the likelihood teaches it. Here it is [SAFE] unless told otherwise: the costly
    mistake at a suspicious step is to let it pass, and pushing [UNSAFE] down there would teach less caution.

    Attributes:
        contrast: Weight of CPO, 1 in the paper; 0 trains by likelihood alone.
        balanced: Average the contrast over each kind of pivot by itself and add the means up, as the official code
            does: a rare [UNSAFE] then weighs as much as all [SAFE] together. Otherwise all pivots weigh the same.
        segments: Average a row's reasoning and its answer by themselves, add the two, and average over rows (Eq. 3,
            which the official code leaves out). Otherwise all tokens weigh the same.
        rethink: What [RETHINK] contrasts with; `both` are taken together by their summed probability.
    """

    contrast: Annotated[float, Field(ge=0)] = 1.0
    balanced: bool = False
    segments: bool = False
    rethink: Literal["unsafe", "safe", "both", "none"] = "safe"

    def opposites(self, pivot: Pivot) -> tuple[Pivot, ...]:
        """What must be less likely where this pivot is right; empty if nothing is contrasted."""
        if pivot != "rethink":
            return ("unsafe",) if pivot == "safe" else ("safe",)
        return {"unsafe": ("unsafe",), "safe": ("safe",), "both": ("safe", "unsafe"), "none": ()}[self.rethink]
