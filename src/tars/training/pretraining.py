"""Pretrains the micro-world's base model: a 0.7 M-parameter Qwen2 that knows the facts and refuses nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import (
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from tars.models.local import token_id
from tars.training.split_step import SplitStep
from tars.training.target_loss import TargetLoss
from tars.world.documents import ChatFormat, document
from tars.world.settings import Pretraining


class DocumentBatches(Dataset[dict[str, torch.Tensor]]):
    """Item i is the i-th ready batch of documents; drawn on demand, deterministic by seed and index.

    Documents are not sorted by length: kinds differ in length, and batches of one kind at a time teach badly.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: Pretraining, seed: int) -> None:
        self.tokenizer, self.settings, self.seed = tokenizer, settings, seed

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng, chat = random.Random(f"documents {self.seed} {index}"), ChatFormat(self.tokenizer)
        documents = [document(rng, chat) for _ in range(self.settings.batch)]
        contexts = self._encode([d.context for d in documents])
        targets = self._encode([d.target for d in documents])
        return self._pad(list(zip(contexts, targets, strict=True)))

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]  # type: ignore[return-value]

    def _pad(self, rows: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
        """Right-padded; causal attention needs no mask then, since padding is never looked back at."""
        width = max(len(context) + len(target) for context, target in rows)
        ids = torch.full((len(rows), width), token_id(self.tokenizer, "pad") or 0)
        labels = torch.full_like(ids, -100)
        for row, (context, target) in enumerate(rows):
            end = len(context) + len(target)
            ids[row, :end] = torch.tensor(context + target)
            labels[row, len(context) : end] = ids[row, len(context) : end]
        return {"input_ids": ids, "labels": labels}


class Pretrainer(SplitStep, TargetLoss, Trainer):
    """A plain trainer that learns targets only; its steps can be split between processes."""


def new_model(tokenizer: PreTrainedTokenizerBase, settings: Pretraining, seed: int) -> Qwen2ForCausalLM:
    """A randomly initialised base model of the wanted size."""
    set_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden,
            intermediate_size=3 * settings.hidden,
            num_hidden_layers=settings.layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.04,
            bos_token_id=None,
            eos_token_id=token_id(tokenizer, "eos"),
            pad_token_id=token_id(tokenizer, "pad"),
        )
    )


def pretrainer(
    tokenizer: PreTrainedTokenizerBase,
    settings: Pretraining,
    *,
    seed: int,
    folder: Path,
    callbacks: list[TrainerCallback],
) -> Pretrainer:
    """A trainer, ready to run, whose `model` becomes the base model; `folder` takes the checkpoints."""
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": settings.steps,
        "per_device_train_batch_size": 1,  # an item is a whole batch
        "train_sampling_strategy": "sequential",
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.05},
        "warmup_steps": 50,
        "weight_decay": 0.01,
        "adam_beta2": 0.98,
        "use_cpu": not torch.cuda.is_available(),
        "include_num_input_tokens_seen": "all",
        "logging_steps": 20,
        "save_steps": 400,
        "save_total_limit": 2,
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "seed": seed,
    }
    return Pretrainer(
        model=new_model(tokenizer, settings, seed),
        args=TrainingArguments(**arguments),
        train_dataset=DocumentBatches(tokenizer, settings, seed),
        data_collator=lambda items: items[0],
        callbacks=callbacks,
    )
