"""The suffix that an earlier random search did best with, as a start for behaviours that resist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tars.errors import InputError
from tars.store import RowLog


def best_suffix(folder: Path) -> str:
    """Of the broken behaviours if there are any, the suffix with the least loss.

    Raises:
        InputError: The folder holds no random search that found anything.
    """
    try:
        cases, steps = RowLog(folder / "cases.jsonl").rows(), RowLog(folder / "steps.jsonl").rows()
        done = {row["prompt"]: (not row["harmful"], float(row["loss"])) for row in cases if row["loss"] is not None}
        found = [(done[row["prompt"]], row["suffix"]) for row in steps if row["prompt"] in done and _text(row)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}: not the folder of a random search ({type(error).__name__}); name one") from error
    if not found:
        raise InputError(f"{folder}: no finished random search; name a folder with cases.jsonl and steps.jsonl")
    return min(found)[1]


def _text(row: dict[str, Any]) -> bool:
    return isinstance(row.get("suffix"), str) and bool(row["suffix"])
