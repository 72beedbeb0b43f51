"""How each kind of stage is made. A stage reads folders of earlier stages and writes its own, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tars.attacks.engine import Plan
from tars.attacks.parties import Parties, Target
from tars.data.benchmarks import unique
from tars.errors import InputError
from tars.evaluation.run import Benchmark, evaluate
from tars.evaluation.summary import summarise
from tars.models.loading import load_model
from tars.models.local import LocalModel
from tars.models.scratch import make_scratch
from tars.pipeline.attacking import Siege, default_attacker, named_attack, open_attacker
from tars.pipeline.datasets import mixture, mixture_traces, prompts_of, warm_traces
from tars.pipeline.plan import Stage
from tars.pipeline.recipe import Arm, Attacks, Base, Data, Evaluation, Rewards, SourceSpec, block
from tars.pipeline.tools import Tool, open_judge, open_scorer
from tars.progress import Report
from tars.rewards.format import FORMATS
from tars.rewards.trl import reward_functions
from tars.store import RowLog, read_json, write_json
from tars.training.compute import ComputeMeter
from tars.training.grpo import train_grpo
from tars.training.pretraining import pretrainer
from tars.training.rows import training_rows
from tars.training.sft import LightStop, train_sft
from tars.training.validation import Validation
from tars.training.watch import Watch
from tars.types import Prompt, Sampling, Split
from tars.world.settings import Pretraining
from tars.world.tokenizer import build_tokenizer


@dataclass(frozen=True)
class Job:
    """A stage to make: where to write, where the run's other stages are, whom to tell."""

    stage: Stage
    folder: Path
    run: Path
    report: Report

    def load(self, name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model of an earlier stage: from its folder, or from where the recipe's `base.path` points."""
        made = read_json(self.run / name / "stage.json")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if "model" in made:  # of another's making: in the recipe's dtype, not the one that it was published in
            return load_model(made["model"], dtype=made["settings"]["base"]["dtype"], device=device)
        return load_model(str(self.run / name / "model"), device=device)


Made = dict[str, Any]
"""What a stage reports of itself into its `stage.json`: tokens, tflops, what was dropped."""


def make_base(job: Job) -> Made:
    """Load, build or pretrain the model that everything starts from."""
    base = block(Base, job.stage.settings["base"])
    if base.path is not None:
        model, _ = load_model(base.path, dtype=base.dtype)  # fails here rather than hours later
        return {"model": base.path, "parameters": model.num_parameters()}
    if base.scratch is not None:
        size = base.scratch
        texts = _texts(block(Data, job.stage.settings["data"]), job.stage.seed)
        made = make_scratch(texts, seed=job.stage.seed, hidden=size.hidden, layers=size.layers, vocab=size.vocabulary)
        return _save(job, *made, {})
    return _pretrain(job, base.world or Pretraining())


def _texts(data: Data, seed: int) -> list[str]:
    traces = warm_traces(data, Arm(method="sft", data="traces"), seed)
    shown = [f"{trace.prompt.text}\n{trace.reasoning or ''}\n{trace.answer}" for trace in traces]
    return shown + [prompt.text for prompt in prompts_of(data.prompts, seed)]


def _pretrain(job: Job, settings: Pretraining) -> Made:
    tokenizer, meter = build_tokenizer(), ComputeMeter(0)
    watch = Watch(job.folder, stage=job.stage.name, meter=meter, report=job.report)
    trainer = pretrainer(tokenizer, settings, seed=job.stage.seed, folder=job.folder, callbacks=[watch])
    model = cast(PreTrainedModel, trainer.model)
    meter.parameters = model.num_parameters()
    watch.attach(trainer)
    trainer.train(resume_from_checkpoint=watch.resume())
    return _save(job, model, tokenizer, meter.totals())


@dataclass(frozen=True)
class _Training:
    """What training one arm works with."""

    job: Job
    arm: Arm
    data: Data
    rewards: Rewards | None
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    watch: Watch
    validation: Validation | None

    @property
    def seed(self) -> int:
        return self.job.stage.seed

    def mixture(self) -> list[Prompt]:
        return mixture(self.data, self.arm, float(self.job.stage.lam or 0.0), self.seed, self.tokenizer)


def make_trained(job: Job) -> Made:
    """Train one arm from the model that it starts from."""
    settings = job.stage.settings
    arm, data = block(Arm, settings["arm"]), block(Data, settings["data"])
    rewards = block(Rewards, settings["rewards"]) if "rewards" in settings else None
    model, tokenizer = job.load(job.stage.needs[0])
    meter = ComputeMeter(model.num_parameters(), arm.tflops)
    watch = Watch(job.folder, stage=job.stage.name, meter=meter, report=job.report)
    validation = _validation(settings, data, rewards, arm)
    if arm.validate_every and validation:
        watch.probe, watch.probe_every = (lambda: validation.rates(model, tokenizer)), arm.validate_every
    training = _Training(job, arm, data, rewards, model, tokenizer, watch, validation)
    trained, notes = _sft(training) if arm.method == "sft" else _grpo(training)
    return _save(job, trained, tokenizer, meter.totals() | notes)


def _sft(training: _Training) -> tuple[PreTrainedModel, Made]:
    arm, data, seed = training.arm, training.data, training.seed
    traces = mixture_traces(data, arm, training.mixture(), seed) if arm.data == "mix" else warm_traces(data, arm, seed)
    arguments = {name: value for name, value in arm.args.items() if name != "max_length"}
    rows, dropped = training_rows(
        training.tokenizer, traces, reasoning=arm.reasoning, max_tokens=arm.args.get("max_length")
    )
    trained = train_sft(
        training.model,
        training.tokenizer,
        rows,
        arguments=arguments,
        seed=seed,
        watch=training.watch,
        stop=_light_stop(training),
    )
    return trained, {"traces": len(rows), "dropped_as_too_long": dropped}


def _light_stop(training: _Training) -> LightStop | None:
    rule, validation = training.arm.stop, training.validation
    if rule is None:
        return None
    if validation is None:
        raise InputError(f"train.{training.job.stage.arm}.stop: measuring needs data.validation; add it or remove stop")
    return LightStop(
        rule, training.watch, lambda: validation.variety(training.model, training.tokenizer, training.seed)
    )


def _grpo(training: _Training) -> tuple[PreTrainedModel, Made]:
    rewards, tokenizer = training.rewards, training.tokenizer
    assert rewards is not None  # every plan gives GRPO its rewards
    functions = reward_functions(
        cast(Any, tokenizer),
        safety=open_scorer(rewards.safety),
        helpfulness=open_scorer(rewards.helpfulness),
        check=FORMATS[rewards.format],
        terms=rewards.terms,
        reasons=training.arm.reasoning,
        end_ids=LocalModel(training.model, tokenizer).eos_ids,
    )
    prompts = training.mixture()
    train_grpo(
        training.model,
        tokenizer,
        prompts,
        functions,
        arguments=training.arm.args,
        seed=training.seed,
        watch=training.watch,
    )
    return training.model, {"prompts": len(prompts), "seams_off": training.watch.trainer.seams_off}


def make_evaluated(job: Job) -> Made:
    """Answer and judge the test prompts; write every answer and the summary rows."""
    settings = job.stage.settings
    test = block(Evaluation, {**settings["evaluation"], "arms": []})
    model, tokenizer = job.load(job.stage.needs[0])
    local = LocalModel(model, tokenizer, name=job.stage.needs[0], reasons=settings["reasoning"])
    decodings = {
        name: Sampling(test.max_tokens, temperature, job.stage.seed) for name, temperature in test.decodings.items()
    }
    log = RowLog(job.folder / "completions.jsonl")
    labels = {"run": job.run.resolve().name, "method": job.stage.arm, "lambda": job.stage.lam, "seed": job.stage.seed}
    specs = [block(SourceSpec, spec) for spec in settings["test"]]
    benchmark = Benchmark(_prompts(specs), _split(specs), decodings)
    rows = evaluate(local, benchmark, open_judge(test.judge), log, stage=job.stage.name, report=job.report)
    write_json(job.folder / "results.json", summarise(rows, labels))
    return {"answers": len(rows)}


def make_attacked(job: Job) -> Made:
    """Attack a model with one method; write every step, the finished cases and the summary rows."""
    settings = job.stage.settings
    how, method = block(Attacks, settings["attacks"] | {"arms": [], "methods": {}}), settings["method"]
    model, tokenizer = job.load(job.stage.needs[0])
    local = LocalModel(model, tokenizer, name=job.stage.needs[0], reasons=settings["reasoning"])
    behaviors = [prompt for prompt in _prompts([how.behaviors]) if prompt.kind == "harmful"]
    parties = Parties(
        Target(local, Sampling(settings["max_tokens"])),
        open_judge(block(Tool, settings["judge"])),
        open_attacker(how.attacker or default_attacker(behaviors)),
    )
    siege = Siege(
        named_attack(method, settings["title"]),
        settings["title"],
        behaviors,
        parties,
        Plan(how.budget, how.restarts, how.at_once, seed=job.stage.seed),
        {"run": job.run.resolve().name, "method": job.stage.arm, "lambda": job.stage.lam, "seed": job.stage.seed},
        _split([how.behaviors]),
    )
    return {"behaviors": siege.run(job.folder, lambda tick: job.report(replace(tick, stage=job.stage.name)))}


STAGES: dict[str, Callable[[Job], Made]] = {
    "base": make_base,
    "train": make_trained,
    "evaluate": make_evaluated,
    "attack": make_attacked,
}


def _prompts(specs: list[SourceSpec]) -> list[Prompt]:
    """The same prompts for every seed, so that seeds differ in the model alone. Ids tell their answers apart."""
    return unique([prompt for spec in specs for prompt in prompts_of(spec, 0)], "data.test and data.validation")


def _split(specs: list[SourceSpec]) -> Split:
    """What the figures are of: a recipe that searches for settings tests on validation prompts, and says so."""
    return "validation" if {spec.split for spec in specs} == {"validation"} else "test"


def _validation(settings: dict[str, Any], data: Data, rewards: Rewards | None, arm: Arm) -> Validation | None:
    if not data.validation or rewards is None:
        return None
    return Validation(
        _prompts(data.validation),
        open_judge(block(Tool, settings["judge"])),
        open_scorer(rewards.safety),
        open_scorer(rewards.helpfulness),
        settings["max_tokens"],
        arm.reasoning,
        terms=rewards.terms,
    )


def _save(job: Job, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, made: Made) -> Made:
    model.save_pretrained(job.folder / "model")
    tokenizer.save_pretrained(job.folder / "model")
    return {**made, "parameters": model.num_parameters()}
