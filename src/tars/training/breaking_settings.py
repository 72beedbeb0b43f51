"""How circuit breakers weigh their losses and which layers they look at; light, because plans and recipes read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Depth = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Breaking:
    """How representations of harm are rerouted; the defaults are those published for Llama-3-8B.

    Source: Zou et al. 2024 (arXiv 2406.04313), algorithm 1; the layers, the mask and the blank requests
    are of its code (github.com/GraySwanAI/circuit-breakers, `lorra_circuit_breaker_llama3_8b.sh`).

    Attributes:
        alpha: Weight of both losses together; for Mistral-7B 5 is published.
        retain: Weight of the retain loss beside the other, 1 as published. A cosine has no unit, a distance has that of
            the model's states: where they are long, the retain loss soon allows no move at all.
        kick: Standard deviation of the noise that fresh adapters start from, 0 as published. A cosine of 1 is
            stationary: training in 32 bits waits long until rounding errors have moved it, in 16 bits it does not.
        layers: Where representations are rerouted, in fractions of the model's depth: after 10 and 20 of 32 layers.
        tokens: Of a harmful row: reroute `all`, its request included, or the `completion` alone.
        blank: Share of rows, harmful and kept ones, whose request is left out, so that an answer alone decides.
    """

    alpha: Annotated[float, Field(gt=0)] = 10.0
    retain: Weight = 1.0
    kick: Weight = 0.0
    layers: Annotated[tuple[Depth, ...], Field(min_length=1)] = (0.3125, 0.625)
    tokens: Literal["all", "completion"] = "all"
    blank: Share = 0.5

    def depths(self, layers: int) -> list[int]:
        """After how many of a model's layers representations are rerouted, ascending; at least after the first one."""
        return sorted({max(1, round(fraction * layers)) for fraction in self.layers})

    def adapted(self, layers: int) -> list[int]:
        """Indices of the layers that get adapters: all up to the deepest looked at, and, as published, the next one."""
        return list(range(min(layers, self.depths(layers)[-1] + 1)))


def coefficients(done: float, settings: Breaking) -> tuple[float, float]:
    """Weights of the rerouting and of the retain loss when `done` of the training, in [0, 1], is over.

    Source: Zou et al. 2024, algorithm 1: α(1 − t/2T) and αt/2T. The code has 300 for 2T, twice its 150 steps; here T is
    the whole run, however long.
    """
    return settings.alpha * (1 - done / 2), settings.alpha * settings.retain * done / 2
