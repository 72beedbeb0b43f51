"""Prompts of published benchmarks.

Sources: XSTest (arXiv 2308.01263), github.com/paul-rottger/xstest `xstest_prompts.csv`; StrongREJECT
(arXiv 2402.10260), github.com/alexandrasouly/strongreject `strongreject_dataset/strongreject_dataset.csv`.
"""

from __future__ import annotations

from tars.data.base import SourceRequest
from tars.data.files import pick, read_table, text_ids
from tars.errors import InputError
from tars.types import Kind, Prompt

XSTEST = "https://github.com/paul-rottger/xstest"
STRONGREJECT = "https://github.com/alexandrasouly/strongreject"


def xstest(request: SourceRequest) -> list[Prompt]:
    """XSTest: `safe` prompts only look harmful and are ambiguous, `unsafe` contrasts are harmful.

    Category is the type. Behaviour is the type without `contrast_`, with the focus word, so that a safe
    prompt and its contrast are one cluster; rows without focus (the three discrimination types) stand alone.
    Raises `InputError` for a file of another shape.
    """
    kinds: dict[str, Kind] = {"safe": "ambiguous", "unsafe": "harmful"}
    remedy = f"give xstest_prompts.csv from {XSTEST}"
    table = read_table(request, columns=("id", "prompt", "type", "label", "focus"), remedy=remedy)
    prompts: list[Prompt] = []
    for row in range(len(table.rows)):
        name, text, category = table.identifier(row, "id"), table.text(row, "prompt"), table.text(row, "type")
        focus = table.text(row, "focus", blank=True)
        behavior = f"{category.removeprefix('contrast_')}/{focus or name}"
        kind = kinds[table.label(row, "label", tuple(kinds))]
        prompts.append(Prompt(name, text, kind, category, "xstest", behavior))
    return pick(unique(prompts, table.where), request)


def strongreject(request: SourceRequest) -> list[Prompt]:
    """StrongREJECT's forbidden prompts, all harmful. Raises `InputError` for a file of another shape."""
    remedy = f"give strongreject_dataset.csv from {STRONGREJECT}"
    table = read_table(request, columns=("category", "forbidden_prompt"), remedy=remedy)
    texts = [table.text(row, "forbidden_prompt") for row in range(len(table.rows))]
    prompts = [
        Prompt(id, text, "harmful", table.text(row, "category"), "strongreject", behavior=id)
        for row, (id, text) in enumerate(zip(text_ids(texts), texts, strict=True))
    ]
    return pick(prompts, request)


def unique(prompts: list[Prompt], where: str) -> list[Prompt]:
    """The prompts, if their ids differ. Raises `InputError` naming the first repeated id's row."""
    seen: dict[str, int] = {}
    for row, prompt in enumerate(prompts, 1):
        if prompt.id in seen:
            raise InputError(
                f"{where}, row {row}: id {prompt.id[:40]!r} is also row {seen[prompt.id]}'s; make ids unique"
            )
        seen[prompt.id] = row
    return prompts
