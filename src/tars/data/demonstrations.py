"""Which demonstrations teach to think."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tars.errors import InputError
from tars.types import Trace

_log = logging.getLogger(__name__)


def drop_empty(traces: Sequence[Trace]) -> tuple[list[Trace], list[Trace]]:
    """The traces kept, and those dropped because their reasoning is blank.

    Source: TARS §3.1, its only filter: blank reasoning taught the model to skip it. `None`, a demonstration
    that is meant to answer without reasoning, stays.
    """
    dropped = [trace for trace in traces if trace.reasoning is not None and not trace.reasoning.strip()]
    return [trace for trace in traces if trace.reasoning is None or trace.reasoning.strip()], dropped


def keep_thoughtful(traces: Sequence[Trace], where: str) -> list[Trace]:
    """`drop_empty` with the count in the log. Raises `InputError` if nothing is left."""
    kept, dropped = drop_empty(traces)
    if dropped:
        _log.warning("%s: %d of %d traces dropped, empty reasoning", where, len(dropped), len(traces))
    if not kept:
        raise InputError(f"{where}: all {len(traces)} traces have empty reasoning; give others")
    return kept
