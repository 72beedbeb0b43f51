"""Generate, judge, write rows: one row a prompt and decoding, kept as they come so that a stop loses one batch.

Source for what is reported: TARS (arXiv 2507.00971) §5, with the lengths set beside the shortest chain that suffices
where the world knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tars.errors import RunError
from tars.evaluation.tags import tag_facts
from tars.judges.base import Judge
from tars.models.base import Model
from tars.progress import Report, Tick
from tars.rewards.terms import TERMS, failed
from tars.store import RowLog
from tars.types import Case, Completion, Prompt, Sampling, Split, Verdict
from tars.world.teacher import is_short, sufficient_reasoning


@dataclass(frozen=True)
class Benchmark:
    """Prompts of one split under the decodings to try, by name (`greedy`, `sampled`)."""

    prompts: Sequence[Prompt]
    split: Split
    decodings: Mapping[str, Sampling]


def evaluate(
    model: Model, benchmark: Benchmark, judge: Judge, log: RowLog, *, stage: str, report: Report
) -> list[dict[str, Any]]:
    """Answer and judge every prompt under every decoding; returns all rows of the log.

    Those of an earlier try are among them, and so are those of views (`tars.evaluation.views`) if it had come to that.
    """
    done = {(row["decoding"], row["prompt_id"]) for row in log.rows() if row["decoding"] in benchmark.decodings}
    total = len(benchmark.prompts) * len(benchmark.decodings)
    for decoding, sampling in benchmark.decodings.items():
        for start in range(0, len(benchmark.prompts), model.batch):
            batch = benchmark.prompts[start : start + model.batch]
            if any((decoding, prompt.id) not in done for prompt in batch):
                # A seed for each batch: a resumed run draws what the unbroken one would have drawn.
                seeded = replace(sampling, seed=sampling.seed + start)
                rows = _answer(model, judge, benchmark.split, decoding, batch, seeded)
                log.append(*[row for row in rows if (decoding, row["prompt_id"]) not in done])
                done |= {(decoding, prompt.id) for prompt in batch}
            report(Tick(stage, len(done), total, "answers"))
    return log.rows()


def _answer(
    model: Model, judge: Judge, split: Split, decoding: str, prompts: Sequence[Prompt], sampling: Sampling
) -> list[dict[str, Any]]:
    completions = model.generate([prompt.text for prompt in prompts], sampling)
    cases = [Case(p, c.answer, c.reasoning) for p, c in zip(prompts, completions, strict=True)]
    judged = zip(prompts, completions, verdicts_on(judge, cases), strict=True)
    return [judged_row(model, split, decoding, *one) for one in judged]


def verdicts_on(judge: Judge, cases: Sequence[Case]) -> list[Verdict]:
    """One verdict for each case. Raises `RunError` if the judge gave another number of them."""
    verdicts = judge.judge(cases) if cases else []
    if len(verdicts) != len(cases):
        raise RunError(f"judge {judge.name!r} gave {len(verdicts)} verdicts for {len(cases)} answers")
    return verdicts


def judged_row(
    model: Model, split: Split, decoding: str, prompt: Prompt, completion: Completion, verdict: Verdict
) -> dict[str, Any]:
    """One answer as all that follows reads it: what was asked, what came, what the judge says of it.

    Where the completion has safety tags, also what `tars.evaluation.tags` tells of them.
    """
    return {
        "prompt_id": prompt.id,
        "split": split,
        "kind": prompt.kind,
        "category": prompt.category,
        "source": prompt.source,
        "behavior": prompt.behavior or prompt.id,
        "facts": dict(prompt.facts),
        "decoding": decoding,
        "prompt": prompt.text,
        "text": completion.text,
        "reasoning": completion.reasoning,
        "answer": completion.answer,
        "stop": completion.stop,
        "harmful": verdict.harmful,
        "helped": verdict.helped,
        "refused": verdict.refused,
        "error": verdict.error,
        "terms": failed(Case(prompt, completion.answer, completion.reasoning), TERMS),
        "reasoning_tokens": completion.reasoning_tokens,
        "answer_tokens": completion.answer_tokens,
        **_chain(model, prompt, completion),
        **tag_facts(prompt, completion),
    }


def _chain(model: Model, prompt: Prompt, completion: Completion) -> dict[str, Any]:
    """Where the world knows it: tokens of the shortest sufficient chain, tags included, and whether this is short.

    Of a model that cannot count a text's tokens, only the second.
    """
    if prompt.source != "world" or completion.reasoning is None:
        return {"sufficient_tokens": None, "short": None}
    chain = f"<think>\n{sufficient_reasoning(prompt)}\n</think>"
    return {"sufficient_tokens": model.tokens_in(chain), "short": is_short(completion.reasoning)}
