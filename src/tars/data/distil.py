"""Demonstrations from a teacher: several reasoning traces a prompt, kept as they come, usable ones told from the rest.

Source: TARS (arXiv 2507.00971) §3.1 and appendix B.1: DeepSeek-R1, four traces a prompt, of which only those with empty
reasoning are dropped (they taught the model to skip its reasoning). Its sampling settings are not published; the
defaults are DeepSeek's own advice for R1 (temperature 0.6, top-p 0.95).

Departure: traces that were cut off by the token budget, or that have no answer, are dropped too, and all are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tars.models.chat import Chat, Message, Query, Reply
from tars.store import RowLog
from tars.types import Prompt, Trace

BATCH = 256
"""Traces that are asked for together; a stop loses at most so many."""


@dataclass(frozen=True)
class Teaching:
    """How a teacher is asked.

    Attributes:
        traces: Traces a prompt.
        max_tokens: Budget of a trace, reasoning and answer together.
        temperature: 0 gives the same trace each time.
        top_p: Share of probability that is drawn from.
        seed: Of the draws; each trace of a prompt has one of its own.
        system: System message; empty for none. Not given: none, or the one that asks for tags where a guard tags steps.
    """

    traces: int = 4
    max_tokens: int = 4096
    temperature: float = 0.6
    top_p: float = 0.95
    seed: int = 0
    system: str | None = None


def distil(
    prompts: Sequence[Prompt], teacher: Chat, how: Teaching, log: RowLog, report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Ask for all traces that are not in the log yet; returns its rows, at most one a prompt and number.

    A row is `{prompt_id, number, reasoning, answer, error, truncated, prompt_tokens, completion_tokens}`. What failed
    is asked again on the next call; `report` gets the traces done and wanted.
    """
    rows = _newest(log.rows())
    wanted = [(prompt, number) for prompt in prompts for number in range(how.traces)]
    todo = [one for one in wanted if rows.get((one[0].id, one[1]), {"error": "not asked"})["error"] is not None]
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        replies = teacher.ask([_query(prompt, number, how) for prompt, number in batch])
        log.append(*[_row(*one, reply) for one, reply in zip(batch, replies, strict=True)])
        report(len(wanted) - len(todo) + start + len(batch), len(wanted))
    rows = _newest(log.rows())
    return [rows[prompt.id, number] for prompt, number in wanted]


def usable(prompts: Sequence[Prompt], rows: Sequence[Mapping[str, Any]]) -> tuple[list[Trace], dict[str, int]]:
    """Traces to train on, and how many rows were dropped for which reason."""
    known, dropped, kept = {prompt.id: prompt for prompt in prompts}, Counter[str](), list[Trace]()
    for row in rows:
        if reason := fault(row):
            dropped[reason] += 1
        else:
            kept.append(Trace(known[row["prompt_id"]], row["reasoning"].strip(), row["answer"].strip()))
    return kept, dict(dropped)


def fault(row: Mapping[str, Any]) -> str:
    """Why a row is no trace to train on; empty if it is one."""
    if row["error"] is not None:
        return "failed"
    if row["truncated"]:
        return "cut off"
    if not (row["reasoning"] or "").strip():
        return "empty reasoning"
    return "" if (row["answer"] or "").strip() else "no answer"


def cost(rows: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """Tokens read and written; `None` if the teacher did not count those of every trace that it answered."""
    answered = [row for row in rows if row["error"] is None]
    return {name: _sum([row[name] for row in answered]) for name in ("prompt_tokens", "completion_tokens")}


def _query(prompt: Prompt, number: int, how: Teaching) -> Query:
    system = (Message("system", how.system),) if how.system else ()
    messages = (*system, Message("user", prompt.text))
    return Query(messages, how.max_tokens, how.temperature, how.top_p, seed=how.seed * 1_000_003 + number)


def _row(prompt: Prompt, number: int, reply: Reply) -> dict[str, Any]:
    told = {"reasoning": reply.reasoning, "answer": reply.text, "error": reply.error, "truncated": reply.truncated}
    tokens = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
    return {"prompt_id": prompt.id, "number": number, **told, **tokens}


def _newest(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["prompt_id"], row["number"]): row for row in rows}


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
