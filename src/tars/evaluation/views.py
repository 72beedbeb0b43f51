"""Answers that are stored already, seen through a view such as the pivot filter: every result raw and filtered.

Nothing is generated again, for a view is a pure function of a completion. The judge is asked again about what a view
changed; where it changes nothing, the verdict stays, so that raw and filtered differ by the view alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tars.defences.views import View
from tars.evaluation.run import verdicts_on
from tars.evaluation.tags import tag_facts
from tars.judges.base import Judge
from tars.rewards.terms import TERMS, failed
from tars.store import RowLog
from tars.types import Case, Completion, Prompt
from tars.world.teacher import is_short

BATCH = 256
"""Rows that are judged together; a stop loses at most so many."""

BEHIND = ", "
"""In the name of a decoding, between the raw one and what stands behind it."""

Row = dict[str, Any]


def evaluate_views(views: Mapping[str, View], judge: Judge, log: RowLog) -> list[Row]:
    """Add to an evaluation's log what its answers are through each view, and return all rows, the raw ones included.

    A view's rows have the decoding `DECODING, VIEW`. Those that are there already are not made again, and rows of other
    defences, whose decodings are named alike, are not looked at. Where no completion has safety tags, nothing is added:
    a model without tags has one result.

    Raises:
        RunError: The judge gave another number of verdicts than there were answers.
    """
    rows = log.rows()
    done = {(row["decoding"], row["prompt_id"]) for row in rows}
    raw = [row for row in rows if BEHIND not in row["decoding"]]
    if not any("pivots" in row for row in raw):
        return rows
    for name, view in views.items():
        todo = [row for row in raw if (seen_through(row, name), row["prompt_id"]) not in done]
        for start in range(0, len(todo), BATCH):
            log.append(*filtered_rows(todo[start : start + BATCH], name, view, judge))
    return log.rows()


def filtered_rows(rows: Sequence[Row], name: str, view: View, judge: Judge) -> list[Row]:
    """Judged rows, of an evaluation or an attack, as rows of what the view makes of their completions.

    Raises:
        RunError: The judge gave another number of verdicts than there were changed answers.
    """
    made = [_seen(row, name, view) for row in rows]
    changed = [row for row, raw in zip(made, rows, strict=True) if _case(row) != _case(raw)]
    verdicts = verdicts_on(judge, [_case(row) for row in changed])
    for row, verdict in zip(changed, verdicts, strict=True):
        row |= asdict(verdict) | {"terms": failed(_case(row), TERMS)}
    return made


def seen_through(row: Row, name: str) -> str:
    """The decoding of a row that is seen through the view of that name."""
    return f"{row['decoding']}{BEHIND}{name}"


def _seen(row: Row, name: str, view: View) -> Row:
    made = row | {"decoding": seen_through(row, name)}
    if row["text"] is None:  # an attack that could ask nothing
        return made
    raw = Completion(**{field: row[field] for field in Completion.__dataclass_fields__})
    seen = view(raw)
    made |= asdict(seen)
    if seen.text != raw.text:
        made |= tag_facts(_prompt(row), seen)
    if row["short"] is not None and seen.reasoning is not None:
        made["short"] = is_short(seen.reasoning)
    return made


def _case(row: Row) -> Case:
    return Case(_prompt(row), row["answer"], row["reasoning"])


def _prompt(row: Row) -> Prompt:
    fields = {field: row[field] for field in ("kind", "category", "source", "behavior", "facts")}
    return Prompt(row["prompt_id"], row["prompt"], **fields)
