"""A recipe's `args` block on its way to TRL: verbatim, with only the housekeeping filled in."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import torch

from tars.errors import InputError
from tars.training.watch import Watch

ENDLESS = 1_000_000
"""Steps when only a compute budget ends the run."""


def trl_arguments(
    config: type, arguments: dict[str, Any], defaults: dict[str, Any], watch: Watch, seed: int
) -> dict[str, Any]:
    """Arguments for a TRL config class: ours first, then what the recipe says.

    Raises:
        InputError: If the recipe names a field that the class does not have, or one that the pipeline sets.
    """
    known = {field.name for field in dataclasses.fields(config) if field.init}
    owned = {"output_dir", "seed"}
    for name in arguments:
        if name in owned:
            raise InputError(f"args.{name}: set by the pipeline; remove it from the recipe")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"args.{name}: {config.__name__} has no such field{hint}")
    budget = {"max_steps": ENDLESS} if watch.meter.budget_tflops is not None else {}
    housekeeping = {
        "output_dir": str(watch.folder),
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": [],
        "disable_tqdm": True,
        "save_total_limit": 2,
    }
    return housekeeping | defaults | budget | arguments
