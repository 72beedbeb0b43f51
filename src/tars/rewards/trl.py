"""The split rewards as two TRL reward functions, routed by the column `kind`.

Contract: trl 1.16 `GRPOTrainer._calculate_rewards` calls `fn(prompts=, completions=, completion_ids=,
**columns, trainer_state=, log_extra=, log_metric=)` with one entry a completion in each list. `None` becomes
NaN and leaves the sum over functions; where both functions say `None`, the completion gets advantage 0.

Texts are decoded here from `completion_ids`: TRL decodes with `skip_special_tokens=True`, and think tags that
are special tokens would vanish.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, cast

from tars.pivots import untagged, without_tags
from tars.reasoning import Parts, split
from tars.rewards.format import FormatCheck
from tars.rewards.pivots import PivotReward
from tars.rewards.rows import from_row
from tars.rewards.rows import to_rows as to_rows
from tars.rewards.scorers import Scorer, scores
from tars.rewards.split import Route, route, split_reward
from tars.rewards.terms import TermName, failed
from tars.types import KINDS, Case, Prompt

COLUMNS = ("prompt_id", "kind", "category", "source", "behavior", "text", "facts")
LogMetric = Callable[[str, float], None]
RewardFunction = Callable[..., list[float | None]]


class Tokenizer(Protocol):
    """What is used of a Hugging Face tokenizer."""

    @property
    def eos_token_id(self) -> Any: ...

    def decode(self, token_ids: Any, *, skip_special_tokens: bool, **kwargs: Any) -> Any:
        """Text of the tokens."""
        ...


def reward_functions(
    tokenizer: Tokenizer,
    *,
    safety: Scorer,
    helpfulness: Scorer,
    check: FormatCheck,
    terms: Sequence[TermName] = (),
    prefilled: bool = False,
    reasons: bool = True,
    end_ids: Collection[int] = (),
    pivots: PivotReward | None = None,
) -> list[RewardFunction]:
    """`[safety, helpfulness]` for `GRPOTrainer(reward_funcs=...)`; the data set has the columns of `to_rows`.

    Each logs, for each kind it scores, `format_rate/KIND`, `reward/KIND` (mean over the scored completions),
    `NAME_rate/KIND` of completions that fail a term, `pivot_agreement/KIND` of those that pass if tags are rewarded,
    and, if the scorer or the guard failed on some, `scorer_error_rate/KIND`.
    TRL averages each over processes and steps, unweighted.

    Args:
        tokenizer: Of the policy.
        safety: Scores the answers to harmful prompts.
        helpfulness: Scores the answers to the other prompts.
        check: One of `tars.rewards.format.FORMATS`.
        terms: Names in `tars.rewards.terms.TERMS`; a completion that fails one earns nothing.
        prefilled: The template opens the think tag.
        reasons: The policy is expected to think first.
        end_ids: Tokens that end a turn besides the tokenizer's `eos_token`, as in TRL's `eos_token_ids`.
        pivots: Rewards right safety tags too.

    Raises:
        RunError: When called, if a scorer raises or gives a number outside [0, 1].
    """
    from tars.models.pivot_tokens import find_pivots

    # As at every model's boundary: where the tokenizer holds safety tags, answers are judged without them.
    tagged = find_pivots(cast(Any, tokenizer)) is not None
    bare = untagged if tagged else str
    ends = {*end_ids} if tokenizer.eos_token_id is None else {*end_ids, tokenizer.eos_token_id}
    _silence_trl()

    def function(name: Route, scorer: Scorer) -> RewardFunction:
        def rewards(
            *, completion_ids: Sequence[Sequence[int]], log_metric: LogMetric | None = None, **columns: Any
        ) -> list[float | None]:
            prompts = [from_row({key: columns[key][i] for key in COLUMNS}) for i in range(len(completion_ids))]
            mine = [i for i, prompt in enumerate(prompts) if route(prompt.kind) == name]
            texts = [_text(tokenizer, completion_ids[i], ends) for i in mine]
            good = [check(bare(text), ended=ended, prefilled=prefilled, reasons=reasons) for text, ended in texts]
            parts = [split(text, ended=ended, prefilled=prefilled, reasons=reasons) for text, ended in texts]
            seen = [without_tags(part) if tagged else part for part in parts]
            cases = [Case(prompts[i], part.answer, part.reasoning) for i, part in zip(mine, seen, strict=True)]
            failures = [failed(case, terms) for case in cases]
            passed = [f and not failure for f, failure in zip(good, failures, strict=True)]
            values = _rewards(scorer, cases, passed)
            agreed: dict[int, float | None] = {}
            if pivots is not None:
                agreed = _agreements(pivots, cases, parts, passed)
                values = [pivots.weighed(value, agreed.get(i)) for i, value in enumerate(values)]
            if log_metric is not None:
                _log(log_metric, [prompts[i] for i in mine], good, values)
                _log_terms(log_metric, [prompts[i] for i in mine], failures, terms)
                _log_pivots(log_metric, [prompts[i] for i in mine], agreed)
            placed = dict(zip(mine, values, strict=True))
            return [placed.get(i) for i in range(len(prompts))]

        rewards.__name__ = name
        return rewards

    return [function("safety", safety), function("helpfulness", helpfulness)]


def _text(tokenizer: Tokenizer, token_ids: Sequence[int], ends: Collection[int]) -> tuple[str, bool]:
    """Text without its end-of-turn token, and whether there was one."""
    ended = bool(token_ids) and token_ids[-1] in ends
    kept = list(token_ids[:-1] if ended else token_ids)
    return tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False), ended


def _rewards(scorer: Scorer, cases: Sequence[Case], good: Sequence[bool]) -> list[float | None]:
    """Eq. 1-2 for cases of one route. Only good completions are sent to the scorer."""
    asked = [i for i, formatted in enumerate(good) if formatted]
    score = dict(zip(asked, scores(scorer, [cases[i] for i in asked]), strict=True))
    return [split_reward(case.prompt.kind, score.get(i), score.get(i), good[i]) for i, case in enumerate(cases)]


def _agreements(
    pivots: PivotReward, cases: Sequence[Case], parts: Sequence[Parts], passed: Sequence[bool]
) -> dict[int, float | None]:
    """Of the completions that passed: the others earn nothing whatever their tags are."""
    asked = [i for i, good in enumerate(passed) if good]
    found = pivots.agreements([cases[i].prompt for i in asked], [parts[i] for i in asked])
    return dict(zip(asked, found, strict=True))


def _log(
    log_metric: LogMetric, prompts: Sequence[Prompt], good: Sequence[bool], values: Sequence[float | None]
) -> None:
    for kind in KINDS:
        rows = [i for i, prompt in enumerate(prompts) if prompt.kind == kind]
        known = [value for i in rows if (value := values[i]) is not None]
        if not rows:
            continue
        log_metric(f"format_rate/{kind}", sum(good[i] for i in rows) / len(rows))
        if known:
            log_metric(f"reward/{kind}", sum(known) / len(known))
        if len(known) < len(rows):
            log_metric(f"scorer_error_rate/{kind}", 1 - len(known) / len(rows))


def _log_terms(
    log_metric: LogMetric, prompts: Sequence[Prompt], failures: Sequence[Sequence[str]], terms: Sequence[TermName]
) -> None:
    for kind in KINDS:
        ours = [failure for prompt, failure in zip(prompts, failures, strict=True) if prompt.kind == kind]
        for term in terms if ours else ():
            log_metric(f"{term}_rate/{kind}", sum(term in failure for failure in ours) / len(ours))


def _log_pivots(log_metric: LogMetric, prompts: Sequence[Prompt], agreed: Mapping[int, float | None]) -> None:
    for kind in KINDS:
        known = [value for i, value in agreed.items() if prompts[i].kind == kind and value is not None]
        if known:
            log_metric(f"pivot_agreement/{kind}", sum(known) / len(known))


def _silence_trl() -> None:
    """Keep prompts and completions out of the log: TRL prints both when no function scores a completion."""
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    if _without_texts not in logger.filters:
        logger.addFilter(_without_texts)


def _without_texts(record: logging.LogRecord) -> bool:
    return "All reward functions returned None" not in record.getMessage()
