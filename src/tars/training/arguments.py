"""A recipe's `args` block on its way to TRL: verbatim, with only the housekeeping filled in."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from tars.errors import InputError

if TYPE_CHECKING:
    from tars.training.watch import Watch

ENDLESS = 1_000_000
"""Steps when only a compute budget ends the run."""

OWNED = ("output_dir", "seed")
"""Fields that the pipeline sets, and a recipe must not."""


def check_arguments(config: type, arguments: Mapping[str, Any], where: str) -> None:
    """Check the names of a recipe's arguments before any work starts.

    Raises:
        InputError: If the config class has no such field, or the pipeline sets it itself.
    """
    known = {field.name for field in dataclasses.fields(config) if field.init}
    for name in arguments:
        if name in OWNED:
            raise InputError(f"{where}.{name}: set by the pipeline; remove it from the recipe")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{where}.{name}: {config.__name__} has no such field{hint}")


def trl_arguments(arguments: Mapping[str, Any], defaults: dict[str, Any], watch: Watch, seed: int) -> dict[str, Any]:
    """Arguments for a TRL config class: housekeeping first, then what the recipe says."""
    budget = {"max_steps": ENDLESS} if watch.meter.budget_tflops is not None else {}
    housekeeping = {
        "output_dir": str(watch.folder),
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": [],
        "disable_tqdm": True,
        "save_total_limit": 2,
        "logging_nan_inf_filter": False,  # it would log the mean of the losses before in place of a NaN
    }
    return housekeeping | defaults | budget | dict(arguments)
