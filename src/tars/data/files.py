"""Tables from disk or the Hub: CSV, JSON (a list of objects), JSON lines, parquet.

A cell is checked when it is read, and a message names file, row (from 1, header not counted) and column.
It never quotes a prompt: prompts are offensive by design.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from tars.data import hub
from tars.data.base import SourceRequest
from tars.errors import InputError

Row = dict[str, Any]
Item = TypeVar("Item")
FORMATS = (".csv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Table:
    """Rows with equal columns, and the name by which messages call them."""

    where: str
    columns: tuple[str, ...]
    rows: list[Row]

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self.columns

    def text(self, row: int, column: str, *, blank: bool = False) -> str:
        """A cell that must be text, and not blank unless `blank`. Raises `InputError`."""
        value = self.rows[row].get(column)
        fault = text_fault(value, blank=blank)
        if fault:
            raise self.wrong(row, f"`{column}` {fault}")
        return cast(str, value)

    def identifier(self, row: int, column: str) -> str:
        """A cell that must be text or a whole number, as text. Raises `InputError`."""
        value = self.rows[row].get(column)
        return str(value) if type(value) is int else self.text(row, column)

    def label(self, row: int, column: str, known: Sequence[str]) -> str:
        """A cell that must be one of `known`. Raises `InputError`."""
        value = self.text(row, column)
        if value not in known:
            raise self.wrong(row, f"unknown {column} {value[:40]!r} (known: {', '.join(known)})")
        return value

    def wrong(self, row: int, what: str) -> InputError:
        """The error for a row; `row` counts from 0, the message from 1."""
        return InputError(f"{self.where}, row {row + 1}: {what}; correct or remove the row")


def text_fault(value: object, *, blank: bool = False) -> str | None:
    """What is wrong with a value that must be text, and not blank unless `blank`; `None` if nothing."""
    if not isinstance(value, str):
        return f"is {type(value).__name__}, not text"
    if not blank and not value.strip():
        return "is blank"
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        return "holds half a surrogate pair, which no tokenizer takes"
    return None


def read_table(request: SourceRequest, *, columns: Sequence[str], remedy: str) -> Table:
    """Read what the request's path names.

    Args:
        request: `path` and, for a Hub data set, `split` are used.
        columns: Columns that must be there.
        remedy: What to do if no path is given or columns are missing; ends the message.

    Raises:
        InputError: No path, no file, unknown format, unreadable or empty file, missing columns.
    """
    path = request.path
    if path is None:
        raise InputError(f"no path given; {remedy}")
    if not Path(path).exists() and hub.is_file(path):
        rows = _read(Path(hub.download(path)), path)
    elif not Path(path).exists() and Path(path).suffix not in FORMATS and hub.is_dataset(path):
        rows = hub.dataset_rows(path, request.split)
    else:
        rows = _read(Path(path), path)
    if not rows:
        raise InputError(f"{path}: no rows; {remedy}")
    table = Table(path, tuple(dict.fromkeys(column for row in rows for column in row)), rows)
    missing = [column for column in columns if not table.has(column)]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)} (there are: {', '.join(table.columns)}); {remedy}")
    return table


def pick(items: Sequence[Item], request: SourceRequest) -> list[Item]:
    """At most `limit` items, drawn without replacement by `seed`, in their order."""
    if request.limit is None or request.limit >= len(items):
        return list(items)
    return [items[i] for i in sorted(random.Random(request.seed).sample(range(len(items)), request.limit))]


def text_ids(texts: Sequence[str]) -> list[str]:
    """Ids made from the texts, so equal in every file; a repeated text gets `-2`, `-3`."""
    seen: Counter[str] = Counter()
    ids: list[str] = []
    for text in texts:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids


def _read(path: Path, where: str) -> list[Row]:
    reader = {".csv": _csv, ".json": _json, ".jsonl": _jsonl, ".parquet": _parquet}.get(path.suffix)
    if path.is_dir():
        raise InputError(f"{where}: is a folder; name a file in it")
    if not path.is_file():
        raise InputError(f"{where}: no such file; check the path")
    if reader is None:
        raise InputError(f"{where}: format {path.suffix!r} unknown; convert to one of {', '.join(FORMATS)}")
    try:
        return list(reader(path, where))
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start}); convert the file") from error


def _csv(path: Path, where: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, strict=True)
        try:
            for number, row in enumerate(table, 1):
                if None in row or None in row.values():
                    cells = len(table.fieldnames or ())
                    raise InputError(f"{where}, row {number}: has not {cells} cells; quote texts with commas")
                yield dict(row)
        except csv.Error as error:
            raise InputError(f"{where}, line {table.line_num}: not CSV ({error}); correct it") from error


def _json(path: Path, where: str) -> Iterator[Row]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); one object a line needs the ending .jsonl") from error
    if not isinstance(rows, list):
        raise InputError(f"{where}: holds a {type(rows).__name__}; write a list of objects")
    for number, row in enumerate(rows, 1):
        yield _object(row, where, number)


def _jsonl(path: Path, where: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}, row {number}: not JSON ({error}); correct or remove it") from error
        yield _object(row, where, number)


def _object(row: object, where: str, number: int) -> Row:
    if not isinstance(row, dict):
        raise InputError(f"{where}, row {number}: is a {type(row).__name__}; write an object")
    return row


def _parquet(path: Path, where: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return iter(pq.read_table(path).to_pylist())
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{where}: not parquet ({reason}); fetch the file again") from error
