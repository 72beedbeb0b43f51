"""What an attack may spend, and what it has spent: so that attacks can be compared at equal cost.

FLOPs are 2·N a token forward and 4·N backward, N being the target's parameters (Kaplan et al. 2020, arXiv 2001.08361,
§2.1), of the target alone; those of a server, of judges and of attackers are not known and not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Spent:
    """Cost of an attack on one behaviour so far, or of one step.

    Attributes:
        queries: Completions that were asked of the target; candidates whose loss alone was looked at count as none.
        tokens: Tokens that passed through the target, prompts and completions, as far as known.
        flops: Of the target, as far as known.
        seconds: Wall-clock; of a step that several behaviours shared, its share.
    """

    queries: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Spent)))


@dataclass(frozen=True)
class Budget:
    """Limits of an attack on one behaviour with all its restarts together; `None` for no limit.

    Looked at between steps: the step that reaches a limit is the last one.
    """

    queries: int | None = None
    """Completions asked of the target."""
    tokens: int | None = None
    """Tokens that pass through it."""
    flops: float | None = None
    """Of the target."""
    seconds: float | None = None
    """Wall-clock."""

    def reached(self, spent: Spent) -> str | None:
        """The first limit that is reached, by name."""
        for limit in fields(Budget):
            most = getattr(self, limit.name)
            if most is not None and getattr(spent, limit.name) >= most:
                return limit.name
        return None
