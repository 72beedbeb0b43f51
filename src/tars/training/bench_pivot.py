"""What Contrastive Pivot Optimization adds to a step of supervised training: `tars bench cpo`.

One process trains one model with one trainer on the same rows; each round runs a step of plain SFT's loss (the one
`tars.training.sft` has) and one of R2D's with CPO, in an order drawn anew. The learning rate is 0, so that every step
sees the same weights. Before anything is timed, both compute their loss of one batch, and it ends the bench if R2D's
part without CPO is not the plain one. The first round is a warm-up and is not counted.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainerCallback
from trl.trainer.sft_config import SFTConfig

from tars.errors import InputError, RunError
from tars.models.local import token_id
from tars.models.pivot_tokens import PivotIds, add_pivots
from tars.models.threads import cpu_threads
from tars.training.pivot_settings import PivotLoss
from tars.training.pretraining import new_model
from tars.training.r2d import Collator, PivotTrainer, pivot_rows
from tars.training.target_loss import TargetLoss
from tars.world.settings import Pretraining
from tars.world.source import make_prompts
from tars.world.teachers import teach
from tars.world.tokenizer import build_tokenizer

Side = Literal["cpo", "sft"]

TOLERANCE = 1e-4
"""Largest accepted relative difference of the likelihood between the two sides."""


@dataclass(frozen=True)
class CpoBench:
    """The result of `bench_cpo`; all times are in seconds per optimizer step.

    Attributes:
        ratio: Median over rounds of the step with CPO over the plain one beside it.
        ours: Median step with CPO.
        theirs: Median plain step.
        n: Timed steps of each side.
        seconds: The timed steps of each side, round by round.
        tokens: Learned tokens in a step.
        pivots: Pivots in a step.
    """

    ratio: float
    ours: float
    theirs: float
    n: int
    seconds: dict[Side, list[float]]
    tokens: int
    pivots: int
    unit: str = "s/step"


class BothLosses(PivotTrainer):
    """R2D's trainer that can also take a step of plain SFT, as `TargetLoss` computes and the Trainer counts it."""

    side: Side = "cpo"

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Any:
        if self.side == "cpo":
            return super()._get_num_items_in_batch(batch_samples, device)
        return Trainer._get_num_items_in_batch(self, batch_samples, device)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss = PivotTrainer.compute_loss if self.side == "cpo" else TargetLoss.compute_loss
        return loss(self, model, inputs, return_outputs, num_items_in_batch)


@dataclass
class _Stopwatch(TrainerCallback):
    """Sets the side of each step before its batches are fetched, and keeps the times."""

    order: list[Side]
    report: Callable[[int, int], None] | None
    trainer: BothLosses = field(init=False)
    seconds: list[float] = field(default_factory=list)
    start: float = 0.0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._next()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.start)
        if self.report is not None:
            self.report(len(self.seconds), len(self.order))
        self._next()

    def _next(self) -> None:
        if len(self.seconds) < len(self.order):
            self.trainer.side = self.order[len(self.seconds)]
        self.start = time.perf_counter()


def bench_cpo(
    model: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    batch: int = 32,
    rounds: int = 24,
    threads: int = 1,
    settings: PivotLoss = PivotLoss(),  # noqa: B008  frozen
    report: Callable[[int, int], None] | None = None,
) -> CpoBench:
    """Time steps with CPO against plain ones, on the micro-world's tagged traces.

    Args:
        model: A causal LM that gets the tags as tokens; the micro-world's with random weights if not given.
        tokenizer: Its tokenizer.
        batch: Rows of a step.
        rounds: Timed steps of each side.
        threads: CPU threads.
        report: Called after each step with steps done and steps in all.

    Raises:
        InputError: No rounds, rows or threads to time with.
        RunError: The two sides disagree on the likelihood.
    """
    if min(batch, rounds, threads) < 1:
        raise InputError(f"{rounds} rounds of {batch} rows on {threads} threads: give at least 1 of each")
    tokenizer = tokenizer or build_tokenizer()
    model = model or new_model(tokenizer, Pretraining(), 0)
    pivots = add_pivots(model, tokenizer)
    traces = teach(make_prompts("train", batch, 0), "pivots", 0)
    rows, facts = pivot_rows(tokenizer, traces, pivots, settings=settings, max_tokens=None)
    watch = _Stopwatch(_order(rounds), report)
    with tempfile.TemporaryDirectory() as folder, cpu_threads(threads):
        watch.trainer = _trainer(model, tokenizer, rows, pivots, settings, folder, watch)
        if not settings.segments:
            check_likelihood(watch.trainer, rows)
        watch.trainer.train()
    tokens = sum(label >= 0 for row in rows for label in row["labels"])
    return _summary(watch, tokens, sum(facts["pivots"].values()))


def check_likelihood(trainer: BothLosses, rows: list[dict[str, Any]]) -> None:
    """Both sides' likelihood of the same rows.

    Raises:
        RunError: They differ by more than rounding.
    """
    inputs: dict[str, Any] = {k: v.to(trainer.accelerator.device) for k, v in trainer.data_collator(rows).items()}  # type: ignore[operator]
    with torch.no_grad():
        counted = PivotTrainer._get_num_items_in_batch(trainer, [inputs], trainer.accelerator.device)
        ours = trainer._terms(trainer.model, inputs, counted).distillation.item()
        theirs = TargetLoss.compute_loss(trainer, trainer.model, inputs).item()
    if abs(ours - theirs) > TOLERANCE * abs(theirs):
        raise RunError(f"the two sides disagree, so timing them would mean nothing: likelihood {ours} and {theirs}")


def _trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[dict[str, Any]],
    pivots: PivotIds,
    settings: PivotLoss,
    folder: str,
    watch: _Stopwatch,
) -> BothLosses:
    """Every step has all rows."""
    args = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=len(rows),
        max_steps=len(watch.order),
        learning_rate=0.0,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
        bf16=torch.cuda.is_available(),
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = BothLosses(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(rows * len(watch.order)),
        processing_class=tokenizer,
        data_collator=Collator(token_id(tokenizer, "pad") or 0),
        callbacks=[watch],
        pivots=pivots,
        settings=settings,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _order(rounds: int) -> list[Side]:
    """Both sides in each round, in an order of its own; one round more than is counted."""
    draw, order = random.Random(0), list[Side]()
    for _ in range(rounds + 1):
        order += draw.sample(("cpo", "sft"), 2)
    return order


def _summary(watch: _Stopwatch, tokens: int, pivots: int) -> CpoBench:
    steps = list(zip(watch.order, watch.seconds, strict=True))[2:]
    seconds: dict[Side, list[float]] = {side: [s for name, s in steps if name == side] for side in ("cpo", "sft")}
    return CpoBench(
        ratio=statistics.median(a / b for a, b in zip(seconds["cpo"], seconds["sft"], strict=True)),
        ours=statistics.median(seconds["cpo"]),
        theirs=statistics.median(seconds["sft"]),
        n=len(seconds["cpo"]),
        seconds=seconds,
        tokens=tokens,
        pivots=pivots,
    )
