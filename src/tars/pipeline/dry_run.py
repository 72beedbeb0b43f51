"""`--dry-run`: what a recipe would do: stages, prompts by source and kind, steps, tokens, estimated GPU memory."""

from __future__ import annotations

import math
from typing import Any

from tars.data.mixture import counts
from tars.errors import InputError
from tars.pipeline.check import check_recipe
from tars.pipeline.datasets import mixture, prompts_of, warm_traces
from tars.pipeline.plan import Stage, plan
from tars.pipeline.recipe import Arm, Recipe
from tars.types import Prompt

GENERATION = {"num_generations": 8, "max_completion_length": 256}
"""TRL's defaults where a recipe is silent."""


def mixture_of(recipe: Recipe, lam: float, seed: int) -> tuple[list[Prompt], dict[str, Any]]:
    """The λ mix of a recipe and its counts by source and kind.

    Raises:
        InputError: λ outside [0, 1], or too few prompts of a kind.
    """
    prompts = mixture(recipe.data, Arm(method="grpo"), lam, seed, None)
    return prompts, {"prompts": len(prompts), "by source and kind": counts(prompts)}


def describe(recipe: Recipe) -> dict[str, Any]:
    """The resolved plan as a tree of plain values.

    Raises:
        InputError: As the run itself would for its data.
    """
    check_recipe(recipe)
    stages = plan(recipe)
    memory = _memory(recipe)
    told = {stage.name: _stage(recipe, stage) for stage in stages if stage.kind == "train"}
    tested = sum(len(prompts_of(spec, 0)) for spec in recipe.data.test)
    return {
        "recipe": recipe.name,
        "model": recipe.base.path or ("micro-world" if recipe.base.world else "made from the recipe's texts"),
        "stages": len(stages),
        "test prompts": tested,
        "train": told,
        "estimated GPU memory in GiB, one device without sharding": memory,
    }


def _stage(recipe: Recipe, stage: Stage) -> dict[str, Any]:
    arm = recipe.train[stage.arm]
    if arm.data == "traces":
        traces = len(warm_traces(recipe.data, arm, stage.seed))
        return {"method": arm.method, "traces": traces, **_steps(arm, traces)}
    prompts = mixture(recipe.data, arm, float(stage.lam or 0.0), stage.seed, None)
    shown = {"λ": stage.lam, "prompts by source and kind": counts(prompts)}
    return {"method": arm.method, **shown, **_steps(arm, len(prompts))}


def _steps(arm: Arm, rows: int) -> dict[str, Any]:
    """Steps and the most tokens that training can generate; `None` where a compute budget decides."""
    args = GENERATION | arm.args
    batch = int(args.get("per_device_train_batch_size", 8)) * int(args.get("gradient_accumulation_steps", 1))
    group = int(args["num_generations"]) if arm.method == "grpo" else 1
    if arm.tflops is not None:
        return {"ends after": f"{arm.tflops:g} TFLOPs"}
    if batch % group:
        raise InputError(f"args: a batch of {batch} completions does not hold whole groups of {group}")
    steps = int(args.get("max_steps", -1))
    if steps < 0:
        steps = math.ceil(float(args.get("num_train_epochs", 3)) * (rows // (batch // group)))
    told: dict[str, Any] = {"steps": steps, "devices assumed": 1}
    if arm.method == "grpo":
        told["generated tokens at most"] = steps * batch * int(args["max_completion_length"])
    return told


def _memory(recipe: Recipe) -> dict[str, Any] | str:
    """Estimate for each arm; in words why there is none."""
    if recipe.base.path is None:
        return "small enough for any device"
    from transformers import AutoConfig

    from tars.models.loading import check_model_folder, is_local
    from tars.models.memory import estimate_memory

    if is_local(recipe.base.path):
        check_model_folder(recipe.base.path)
    try:
        config = AutoConfig.from_pretrained(recipe.base.path, trust_remote_code=False)
    except OSError:
        return f"unknown: the configuration of {recipe.base.path} cannot be reached from here"
    estimates: dict[str, Any] = {}
    for name, arm in recipe.train.items():
        args = GENERATION | arm.args
        length = int(args.get("max_length") or 0) or (
            int(recipe.data.max_prompt_tokens or 512) + int(args["max_completion_length"])
        )
        batch = int(args.get("per_device_train_batch_size", 8))
        estimate = estimate_memory(
            config,
            method=arm.method,
            dtype=recipe.base.dtype,
            autocast=bool(args.get("bf16", True)),
            tokens=batch * length,
            group=int(args.get("generation_batch_size") or batch * int(args.get("gradient_accumulation_steps", 1))),
            length=length,
            checkpointing=bool(args.get("gradient_checkpointing", True)),
            reference=float(args.get("beta", 0.0)) > 0,
        )
        parts = ("weights", "gradients", "optimizer", "reference", "casts", "activations", "kv_cache", "total")
        estimates[name] = {part: round(getattr(estimate, part), 2) for part in parts}
    return estimates
