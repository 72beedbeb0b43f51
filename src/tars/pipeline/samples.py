"""The stage of a model's own answers to the mix, with their rewards: what DPO pairs and the best of n are made from.

Source: TARS (arXiv 2507.00971) §4 and appendix K. Answers are drawn in a stage of their own, so that arms which differ
in what they do with them share them; what drawing them cost counts against the budget of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tars.data.preferences import Sample, read_samples
from tars.models.base import Model
from tars.models.local import LocalModel
from tars.pipeline.datasets import mixture
from tars.pipeline.job import Job, Made
from tars.pipeline.prefer import SAMPLES, Drawing, draw
from tars.pipeline.recipe import Arm, Data, Own, Rewards, block
from tars.pipeline.rewarding import open_rewards
from tars.store import RowLog
from tars.training.compute import TERA
from tars.types import Completion, Sampling


class Guided:
    """A model that is asked in a form of words, and whose answers begin as they are told to."""

    def __init__(self, model: Model, form: str, prefill: str) -> None:
        self.model, self.form, self.prefill = model, form, prefill
        self.name, self.batch = model.name, model.batch

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, prefills: Sequence[str] | None = None
    ) -> list[Completion]:
        """The model's completions of the prompts in the form; `prefills` go before ours."""
        begun = [f"{one}{self.prefill}" for one in prefills or [""] * len(prompts)]
        asked = [self.form.replace("{prompt}", prompt) for prompt in prompts]
        return self.model.generate(asked, sampling, begun if any(begun) else None)

    def logprobs(self, prompts: Sequence[str], completions: Sequence[str]) -> list[list[float]]:
        """The model's, of prompts in the form."""
        return self.model.logprobs([self.form.replace("{prompt}", prompt) for prompt in prompts], completions)

    def tokens_in(self, text: str) -> int | None:
        return self.model.tokens_in(text)


def make_samples(job: Job) -> Made:
    """Draw and score; a stop loses at most one batch."""
    settings, seed = job.stage.settings, job.stage.seed
    data, own, rewards = block(Data, settings["data"]), block(Own, settings["own"]), block(Rewards, settings["rewards"])
    model, tokenizer = job.load(job.stage.needs[0])
    local = LocalModel(model, tokenizer, name=job.stage.needs[0], reasons=settings["reasoning"])
    arm = Arm(method="dpo", ambiguous_share=settings["ambiguous_share"])
    prompts = mixture(data, arm, float(job.stage.lam or 0.0), seed, tokenizer)
    rewarding = open_rewards(rewards, settings["reasoning"])
    samples = draw(
        prompts,
        lambda: Guided(local, own.form, own.prefill),
        lambda: rewarding,
        Drawing(own.samples, settings["max_tokens"], own.temperature, seed),
        RowLog(job.folder / SAMPLES),
        lambda tick: job.report(replace(tick, stage=job.stage.name)),
    )
    tokens = _tokens_read(local, own, samples)
    scored = [sample.reward for sample in samples if sample.reward is not None]
    return {
        "samples": len(samples),
        "unscored": len(samples) - len(scored),
        "reward": sum(scored) / len(scored) if scored else None,
        "tokens_since_resume": tokens,
        "tflops": 2 * model.num_parameters() * tokens / TERA,
    }


def read_stage(folder: Path) -> list[Sample]:
    """What `make_samples` wrote."""
    return read_samples(RowLog(folder / SAMPLES).rows())


def _tokens_read(local: LocalModel, own: Own, samples: Sequence[Sample]) -> int:
    """Each distinct prompt once, and every completion with its end, as `tars.models.decoding` reads them."""
    asked = {sample.prompt.id: sample.prompt.text for sample in samples}
    prompts = sum(len(local.prompt_ids(own.form.replace("{prompt}", text))) for text in asked.values())
    return prompts + sum(local.tokens_in_each([sample.completion.text for sample in samples])) + len(samples)
