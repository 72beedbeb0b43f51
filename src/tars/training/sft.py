"""Supervised fine-tuning on traces: the light warm start, and the SFT baseline that goes on to equal compute.

Source: TARS (arXiv 2507.00971) §3.1, §3.3: train little (learning rate 3e-5, 3 epochs), so that samples stay varied
for RL. Instead of a fixed length the warm start can end by `EarlyStop`, which watches what the paper argues from.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tars.training.arguments import trl_arguments
from tars.training.compute import AnnealsOverBudget
from tars.training.early_stop import EarlyStop, ended, kept
from tars.training.rows import Row
from tars.training.target_loss import TargetLoss
from tars.training.watch import Watch


class LightStop(TrainerCallback):
    """Carries out `EarlyStop`: keeps the best model in `folder/best` and ends the run."""

    def __init__(self, rule: EarlyStop, watch: Watch, measure: Callable[[], dict[str, float]]) -> None:
        self.rule, self.watch, self.measure = rule, watch, measure
        self.best = watch.folder / "best"

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        if state.global_step % self.rule.every and state.global_step < state.max_steps:
            return
        figures = self.measure()
        self.watch.log.append({"step": state.global_step, "tflops": self.watch.meter.tflops, **figures})
        looks = [row for row in self.watch.log.rows() if "best_of_n" in row]
        if kept(looks, self.rule) == len(looks) - 1:
            model.save_pretrained(self.best)
        if ended(looks, self.rule):
            control.should_training_stop = True


class BudgetedSFTTrainer(AnnealsOverBudget, TargetLoss, SFTTrainer):
    """TRL's SFT whose learning rate anneals over the compute budget, if there is one."""


def train_sft(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[Row],
    *,
    arguments: dict[str, Any],
    seed: int,
    watch: Watch,
    stop: LightStop | None = None,
) -> PreTrainedModel:
    """Train on tokenised demonstrations and return the model.

    Args:
        rows: From `tars.training.rows.training_rows`.
        arguments: Passed verbatim to TRL's `SFTConfig`.
        stop: Ends the run early and keeps the best look's model.
    """
    defaults = {
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "include_num_input_tokens_seen": "non_padding",
        "logging_steps": 10,
    }
    trainer = BudgetedSFTTrainer(
        model=model,
        args=SFTConfig(**trl_arguments(arguments, defaults, watch, seed)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[watch, stop] if stop else [watch],
    )
    watch.attach(trainer)
    trainer.train(resume_from_checkpoint=watch.resume())
    return _best(watch.folder, model)


def _best(folder: Path, model: PreTrainedModel) -> PreTrainedModel:
    """The model of the kept look, if an early stop kept one; its folder is removed, after the checkpoints:
    a run that resumed from one of them would miss it."""
    best = folder / "best"
    if not best.exists():
        return model
    model = type(model).from_pretrained(best)
    for leftover in [*folder.glob("checkpoint-*"), best]:
        shutil.rmtree(leftover)
    return model
