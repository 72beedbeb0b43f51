"""The stage that tests an arm: its answers to the test prompts, raw and behind each defence of the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tars.defences import OF_R2D, Defence, defend, named_defence
from tars.defences.views import View
from tars.evaluation.run import Benchmark, evaluate
from tars.evaluation.summary import compute_rows, summarise
from tars.evaluation.views import evaluate_views
from tars.models.local import LocalModel
from tars.models.pivot_tokens import find_pivots
from tars.pipeline.job import Job, Made, benchmark_prompts, split_of
from tars.pipeline.recipe import Evaluation, SourceSpec, block
from tars.pipeline.tools import open_judge
from tars.store import RowLog, write_json
from tars.types import Sampling

Row = dict[str, Any]


def make_evaluated(job: Job) -> Made:
    """Answer and judge the test prompts; write every answer and the summary rows.

    What only reads an answer behind the model is applied to the stored answers; other defences ask the model anew.
    """
    settings = job.stage.settings
    test = block(Evaluation, settings["evaluation"] | {"arms": []})
    specs = [block(SourceSpec, spec) for spec in settings["test"]]
    model, tokenizer = job.load(job.stage.needs[0])
    local = LocalModel(model, tokenizer, name=job.stage.needs[0], reasons=settings["reasoning"])
    asked, split = benchmark_prompts(specs), split_of(specs)
    decodings = {name: Sampling(test.max_tokens, heat, job.stage.seed) for name, heat in test.decodings.items()}
    judge, log = open_judge(test.judge), RowLog(job.folder / "completions.jsonl")
    told = {"stage": job.stage.name, "report": job.report}
    evaluate(local, Benchmark(asked, split, decodings), judge, log, **told)
    views, others = behind(test.behind, local, pivots=find_pivots(tokenizer) is not None)
    rows = evaluate_views(views, judge, log)
    for name, defence in others.items():
        seen = {f"{decoding}, {name}": sampling for decoding, sampling in decodings.items()}
        rows = evaluate(defend(local, defence), Benchmark(asked, split, seen), judge, log, **told)
    labels = {"run": job.run.resolve().name, "method": job.stage.arm, "lambda": job.stage.lam, "seed": job.stage.seed}
    tflops = training_tflops(job)
    write_json(job.folder / "results.json", [*summarise(rows, labels), *compute_rows(rows, labels, tflops)])
    return {"answers": len(rows), "train_tflops": tflops}


def behind(
    named: Mapping[str, Mapping[str, Any]], local: LocalModel, *, pivots: bool
) -> tuple[dict[str, View], dict[str, Defence]]:
    """The recipe's defences that mean something for this model: views of what it says, and those that ask it.

    Those of R2D are for models that write pivots.

    Raises:
        InputError: No such defence or option.
    """
    views, others = dict[str, View](), dict[str, Defence]()
    for name, given in named.items():
        defence = read_defence(given)
        if defence.name in OF_R2D and not pivots:
            continue
        if (view := getattr(defence, "view", None)) is not None:
            views[name] = view(local.tokens_in)
        else:
            others[name] = defence
    return views, others


def read_defence(given: Mapping[str, Any]) -> Defence:
    """A defence as a recipe writes it: `{defence: NAME, OPTION: VALUE}`. Raises `InputError` as `behind`."""
    options = {key: value for key, value in given.items() if key != "defence"}
    return named_defence(str(given.get("defence", "")), options)


def training_tflops(job: Job) -> float | None:
    """Compute of the tested model's training and of all that it goes on from, but for the base model; `None` for that.

    A training's own record holds what drawing its own answers took.
    """
    total, name = None, job.stage.needs[0]
    while (made := job.record(name))["kind"] == "train":
        total, name = (total or 0.0) + made["tflops"], made["needs"][0]
    return total
