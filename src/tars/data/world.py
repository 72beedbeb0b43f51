"""The micro-world as a source: nine categories in turn, made on the spot, different in each split."""

from __future__ import annotations

from functools import lru_cache

from tars.data.base import Source, SourceRequest
from tars.errors import InputError
from tars.types import Prompt, Split, Trace
from tars.world.source import make_prompts, teach

NAME = "world"
DEFAULT_COUNT = 900


def prompts(request: SourceRequest) -> list[Prompt]:
    """`limit` prompts of the wanted split.

    Raises:
        InputError: If a path or columns are given: there is no file.
    """
    for name, given in (("path", request.path), ("columns", dict(request.columns) or None)):
        if given is not None:
            raise InputError(f"source 'world' is made on the spot; remove {name} {given!r}")
    return list(_made(request.split, request.limit or DEFAULT_COUNT, request.seed))


@lru_cache(maxsize=8)
def _made(split: Split, count: int, seed: int) -> tuple[Prompt, ...]:
    """Remembered, as the arms of a recipe share their prompts, and prompts do not change."""
    return tuple(make_prompts(split, count, seed))


def traces(request: SourceRequest) -> list[Trace]:
    """A demonstration for each of those prompts, by the default teacher."""
    return teach(prompts(request), "correlated", request.seed)


SOURCE = Source(
    NAME,
    "made on the spot",
    "MIT",
    None,
    "synthetic prompts and demonstrations of the micro-world",
    prompts=prompts,
    traces=traces,
)
