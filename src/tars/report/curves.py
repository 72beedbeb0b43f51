"""Learning curves from training logs: one curve for each method, λ and quantity, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tars.analysis.spread import Arm
from tars.report.runs import Run, Stage

MAX_POINTS = 120


@dataclass(frozen=True)
class Quantity:
    """A key of `log.jsonl`, how to name it, and whether it is a share."""

    key: str
    title: str
    share: bool = False


QUANTITIES = (
    Quantity("validation_reward", "Validation reward"),
    Quantity("reward", "Training reward"),
    Quantity("dsr", "Validation DSR", share=True),
    Quantity("compliance", "Validation compliance", share=True),
    Quantity("reasoning_tokens", "Reasoning tokens, training"),
    Quantity("validation_reasoning_tokens", "Reasoning tokens, validation"),
    Quantity("kl", "KL to the reference"),
)


@dataclass(frozen=True)
class Curve:
    """Mean, lowest and highest value over seeds at the compute `x` in TFLOP."""

    arm: Arm
    x: list[float]
    mean: list[float]
    lo: list[float]
    hi: list[float]
    seeds: int


def lambdas(runs: Sequence[Run]) -> list[float | None]:
    """The λs of training stages that logged something drawable; `None`, for stages without λ, comes first."""
    found = {s.info.get("lambda") for s in _training(runs) if any(_drawable(s, q.key) for q in QUANTITIES)}
    return sorted(found, key=lambda lam: (lam is not None, lam or 0.0))


def curves(runs: Sequence[Run], key: str, lam: float | None) -> list[Curve]:
    """Every method's curve of one quantity at one λ, in the order of the stages."""
    found: dict[Arm, list[Stage]] = {}
    for stage in _training(runs):
        if stage.info.get("lambda") == lam and _drawable(stage, key):
            found.setdefault(Arm(str(stage.info.get("arm") or stage.name), lam), []).append(stage)
    return [_curve(arm, stages, key) for arm, stages in found.items()]


def _curve(arm: Arm, stages: Sequence[Stage], key: str) -> Curve:
    """Seeds meet at the same step; compute is averaged like the value."""
    at: dict[float, list[tuple[float, float]]] = {}
    for stage in stages:
        latest = {row.get("step", row["tflops"]): (row["tflops"], row[key]) for row in _points(stage, key)}
        for step, point in latest.items():
            at.setdefault(step, []).append(point)
    steps = sorted(step for step, seen in at.items() if len(seen) == max(map(len, at.values())))
    seen = [at[step] for step in _thin(steps)]
    x = [fmean(compute for compute, _ in pairs) for pairs in seen]
    values = [[value for _, value in pairs] for pairs in seen]
    return Curve(arm, x, [fmean(v) for v in values], [*map(min, values)], [*map(max, values)], len(stages))


def _thin(steps: list[float]) -> list[float]:
    """Evenly chosen steps with the last among them, so that a long log stays a small picture."""
    if len(steps) <= MAX_POINTS:
        return steps
    return [steps[round(i * (len(steps) - 1) / (MAX_POINTS - 1))] for i in range(MAX_POINTS)]


def _training(runs: Sequence[Run]) -> Iterable[Stage]:
    return (stage for run in runs for stage in run.stages if stage.info.get("kind") == "train")


def _points(stage: Stage, key: str) -> list[dict[str, float]]:
    return [row for row in stage.log if row.get("tflops") is not None and row.get(key) is not None]


def _drawable(stage: Stage, key: str) -> bool:
    return bool(_points(stage, key))
