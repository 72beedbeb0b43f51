"""The user's own prompts and traces.

Prompts: columns `prompt`, `kind`, and if wanted `category`, `behavior`, `id`, `source`. Traces: `prompt`,
`reasoning`, `answer`, and if wanted those and `style`; `kind` is then `harmful` unless given, as in TARS's
warm start (§3.1). A null `reasoning` is a demonstration that answers without thinking; a blank one is
dropped.
"""

from __future__ import annotations

from typing import cast

from tars.data.base import SourceRequest
from tars.data.benchmarks import unique
from tars.data.demonstrations import keep_thoughtful
from tars.data.files import Table, pick, read_table, text_ids
from tars.types import KINDS, Kind, Prompt, Trace


def prompts(request: SourceRequest) -> list[Prompt]:
    """The user's prompts. Raises `InputError` for missing columns, wrong cells, repeated ids."""
    remedy = f"give a file with the columns prompt and kind ({', '.join(KINDS)})"
    table = read_table(request, columns=("prompt", "kind"), remedy=remedy)
    return pick(_prompts(table, "prompts"), request)


def traces(request: SourceRequest) -> list[Trace]:
    """The user's demonstrations. Raises `InputError` as `prompts` does, and if all reasoning is blank."""
    remedy = "give a file with the columns prompt, reasoning and answer"
    table = read_table(request, columns=("prompt", "reasoning", "answer"), remedy=remedy)
    rows = [
        Trace(prompt, _reasoning(table, row), table.text(row, "answer"), _cell(table, row, "style", ""))
        for row, prompt in enumerate(_prompts(table, "traces"))
    ]
    return pick(keep_thoughtful(rows, table.where), request)


def _prompts(table: Table, source: str) -> list[Prompt]:
    texts = [table.text(row, "prompt") for row in range(len(table.rows))]
    ids = [table.identifier(i, "id") for i in range(len(texts))] if table.has("id") else text_ids(texts)
    prompts: list[Prompt] = []
    for row, (name, text) in enumerate(zip(ids, texts, strict=True)):
        kind = cast(Kind, table.label(row, "kind", KINDS)) if table.has("kind") else "harmful"
        category, origin = _cell(table, row, "category", kind), _cell(table, row, "source", source)
        prompts.append(Prompt(name, text, kind, category, origin, _cell(table, row, "behavior", name)))
    return unique(prompts, table.where)


def _cell(table: Table, row: int, column: str, default: str) -> str:
    """An optional text: the default where the column is absent, or the cell null or blank."""
    value = table.rows[row].get(column)
    return default if value is None else table.text(row, column, blank=True).strip() or default


def _reasoning(table: Table, row: int) -> str | None:
    return None if table.rows[row]["reasoning"] is None else table.text(row, "reasoning", blank=True)
