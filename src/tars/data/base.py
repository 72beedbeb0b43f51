"""What a data source is, and what is asked of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tars.types import Prompt, Split, Trace


@dataclass(frozen=True)
class SourceRequest:
    """What to load.

    Attributes:
        path: A local file, `hf://datasets/owner/name[@revision]/file`, or a Hub id `owner/name[@revision]`;
            `None` for sources that make their rows themselves.
        limit: At most so many rows, drawn without replacement by `seed`; `None` for all.
        seed: Of that draw, or of the rows themselves where they are made.
        split: The part wanted; for a file, only where the published data has such parts.
    """

    path: str | None = None
    limit: int | None = None
    seed: int = 0
    split: Split = "train"


@dataclass(frozen=True)
class Source:
    """A data set by name.

    Attributes:
        name: Key in `tars.data.sources.SOURCES`, and `Prompt.source` of its rows.
        origin: Where a user gets it; the address names `revision` if there is one.
        licence: Of the rows, as their publishers state it.
        revision: Commit at which the columns were checked; `None` for the user's own or synthetic rows.
        yields: One line: what comes out.
        prompts: Loads prompts; `None` if it has only demonstrations.
        traces: Loads demonstrations; `None` if it has only prompts.
    """

    name: str
    origin: str
    licence: str
    revision: str | None
    yields: str
    prompts: Callable[[SourceRequest], list[Prompt]] | None = None
    traces: Callable[[SourceRequest], list[Trace]] | None = None
