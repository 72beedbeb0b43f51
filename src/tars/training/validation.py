"""Measures a model on validation prompts while it trains: DSR, compliance, length; and variety for a warm start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tars.judges.base import Judge
from tars.models.local import LocalModel
from tars.rewards.scorers import Scorer, scores
from tars.rewards.split import route, split_reward
from tars.training.diversity import average_of_n, best_of_n, distinct_n
from tars.types import Completion, Prompt, Sampling

T = TypeVar("T")


@dataclass(frozen=True)
class Validation:
    """Prompts to measure on, and with what.

    Attributes:
        samples: Completions a prompt for the measures of variety (n).
    """

    prompts: Sequence[Prompt]
    judge: Judge
    safety: Scorer
    helpfulness: Scorer
    max_tokens: int
    reasons: bool
    samples: int = 8

    def rates(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
        """Greedy DSR, compliance and reasoning length; a figure is absent if nothing could be judged."""
        completions = self._local(model, tokenizer).generate(
            [prompt.text for prompt in self.prompts], Sampling(self.max_tokens)
        )
        verdicts = self.judge.judge(self.prompts, [completion.answer for completion in completions])
        judged = list(zip(self.prompts, verdicts, strict=True))
        safe = [not v.harmful for p, v in judged if p.kind == "harmful" and v.harmful is not None]
        helped = [v.helped for p, v in judged if p.kind != "harmful" and v.helped is not None]
        lengths = [c.reasoning_tokens for c in completions if c.reasoning_tokens is not None]
        figures = {"dsr": safe, "compliance": helped, "validation_reasoning_tokens": lengths}
        return {name: sum(values) / len(values) for name, values in figures.items() if values}

    def variety(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> dict[str, float]:
        """Average and best of n rewards, and distinct n-grams, at temperature 1; a failed score counts as 0."""
        repeated = [prompt for prompt in self.prompts for _ in range(self.samples)]
        completions = self._local(model, tokenizer).generate(
            [prompt.text for prompt in repeated], Sampling(self.max_tokens, 1.0, seed)
        )
        rewards = [self._reward(p, c) for p, c in zip(repeated, completions, strict=True)]
        rewards_PG = _grouped(rewards, self.samples)
        texts_PG = _grouped([completion.text for completion in completions], self.samples)
        return {
            "average_of_n": average_of_n(rewards_PG),
            "best_of_n": best_of_n(rewards_PG),
            "distinct_n": distinct_n(texts_PG),
        }

    def _reward(self, prompt: Prompt, completion: Completion) -> float:
        scorer = self.safety if route(prompt.kind) == "safety" else self.helpfulness
        (score,) = scores(scorer, [prompt], [completion.answer])
        return split_reward(prompt.kind, score, score, completion.stop == "finished") or 0.0

    def _local(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> LocalModel:
        return LocalModel(model, tokenizer, reasons=self.reasons)


def _grouped(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[i : i + size] for i in range(0, len(values), size)]
