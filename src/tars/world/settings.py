"""How the micro-world's base model is made; apart from the code that makes it, so that recipes read quickly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pretraining:
    """Size of the base model and length of its training.

    Attributes:
        steps: Optimizer steps.
        batch: Documents a step.
        learning_rate: Peak of a cosine schedule with a short warm-up.
        hidden: Width; the feed-forward part is three times as wide.
        layers: Depth.
    """

    steps: int = 2000
    batch: int = 64
    learning_rate: float = 4e-3
    hidden: int = 128
    layers: int = 3
