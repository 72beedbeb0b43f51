"""`tars eval`: any model on any prompts, judged and reported, as a run folder of its own."""

from __future__ import annotations

import importlib.metadata
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tars.data.benchmarks import unique
from tars.data.sources import load_prompts
from tars.defences.pivot_filter import PivotFilter
from tars.defences.pivot_stop import PivotStop
from tars.defences.views import View
from tars.errors import InputError
from tars.evaluation.run import Benchmark, evaluate
from tars.evaluation.summary import summarise
from tars.evaluation.views import evaluate_views
from tars.models.base import Model
from tars.pipeline.claiming import claim_stage
from tars.pipeline.defending import Defending, check_defending, counts_of, defended
from tars.pipeline.plan import model_files
from tars.pipeline.summary import summary, write_summary
from tars.pipeline.targets import check_target, open_target, parse_target
from tars.pipeline.tools import Tool, check_judge, open_judge
from tars.pipeline.tree import dump
from tars.progress import Display
from tars.report.page import write_report
from tars.store import RowLog, fingerprint, locked, read_json, stage_folder, write_json, write_text
from tars.types import Prompt, Sampling
from tars.world.lexicon import REFUSAL as WORLD_REFUSAL


@dataclass(frozen=True)
class EvaluationRequest:
    """What `tars eval` was asked; see its help for the fields.

    `model` is `MODEL` or `MODEL@URL`; `model_key` and `model_extra` go with a URL, see `tars.pipeline.targets.Target`.
    """

    benchmarks: list[str]
    model: str
    out: Path
    judge: Tool
    max_tokens: int
    temperature: float
    limit: int | None
    seed: int
    reasons: bool
    columns: dict[str, str]
    model_key: str | None = None
    model_extra: dict[str, Any] = field(default_factory=dict[str, Any])
    model_pivots: bool = False
    defending: Defending = field(default_factory=Defending)


def evaluate_model(request: EvaluationRequest, display: Display) -> Path:
    """Evaluate, resume if half done, and return the path of the report.

    Raises:
        InputError: Unknown judge or source, a model that cannot be loaded or asked, a folder made with other settings.
        RunError: A server gave no answer to some prompts; those answered are kept.
    """
    check_judge("--judge", request.judge)
    check_target(parse_target(request.model, request.model_key, request.model_extra))
    check_defending(request.defending)
    if request.max_tokens < 1 or request.temperature < 0:
        raise InputError("--max-tokens must be at least 1, --temperature at least 0")
    prompts = unique([prompt for name in request.benchmarks for prompt in _prompts(name, request)], "benchmarks")
    if request.model_pivots and "://" not in request.model:
        raise InputError("--model-pivots: a local model's tokenizer says so itself; leave it out")
    settings = asdict(request) | {"out": request.out.resolve().name, "files": model_files(Path(request.model))}
    with locked(request.out):
        folder = request.out / "evaluate"
        claim_stage(folder, fingerprint(settings), "completions.jsonl")
        if not folder.exists():
            _answer(request, prompts, settings, folder, display)
        write_text(request.out / "recipe.yaml", dump(settings))
        write_json(request.out / "environment.json", {"versions": {"tars": importlib.metadata.version("tars")}})
        write_summary(request.out / "summary.json", summary(read_json(folder / "results.json")))
        write_report([request.out], request.out / "report.html")
    return request.out / "report.html"


def _prompts(benchmark: str, request: EvaluationRequest) -> list[Prompt]:
    name, _, path = benchmark.partition("=")
    columns = tuple(request.columns.items())
    return load_prompts(name, path=path or None, limit=request.limit, seed=request.seed, split="test", columns=columns)


def _views(model: Model, prompts: list[Prompt]) -> dict[str, View]:
    """What a model with safety tags is seen through beside its raw answers; nothing is asked of it again."""
    in_world = all(prompt.source == "world" for prompt in prompts)
    views = (PivotFilter(), PivotStop(refusal=WORLD_REFUSAL) if in_world else PivotStop())
    return {view.name: view.view(model.tokens_in) for view in views}


def _answer(
    request: EvaluationRequest, prompts: list[Prompt], settings: dict[str, object], folder: Path, display: Display
) -> None:
    decoding = "greedy" if request.temperature == 0 else "sampled"
    # A server's answers are kept here until all are rows, and not longer: later it may serve another model.
    answers = folder.with_name(folder.name + ".partial") / "answers"
    model = open_target(
        request.model,
        request.model_key,
        reasons=request.reasons,
        cache=answers,
        extra=request.model_extra,
        pivots=request.model_pivots,
    )
    model = defended(model, request.defending)
    record = {"name": "evaluate", "kind": "evaluate", "arm": model.name, "lambda": None, "seed": request.seed}
    record |= {"settings": settings, "key": fingerprint(settings)}
    with stage_folder(folder) as partial:
        write_json(partial / "stage.json", record | {"status": "running"})
        sampling = Sampling(request.max_tokens, request.temperature, request.seed)
        benchmark = Benchmark(prompts, "test", {decoding: sampling})
        log, judge = RowLog(partial / "completions.jsonl"), open_judge(request.judge)
        rows = evaluate(model, benchmark, judge, log, stage="evaluate", report=display)
        if request.defending.defence is None:
            rows = evaluate_views(_views(model, prompts), judge, log)
        labels = {"run": settings["out"], "method": model.name, "lambda": None, "seed": request.seed}
        write_json(partial / "results.json", summarise(rows, labels))
        shutil.rmtree(answers, ignore_errors=True)
        write_json(partial / "stage.json", record | {"status": "done", "defence": counts_of(model)})
