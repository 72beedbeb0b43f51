"""`tars run`: one recipe from nothing to report, resumable at any moment."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from tars.pipeline.check import check_recipe
from tars.pipeline.execute import execute, is_done
from tars.pipeline.plan import Stage, plan
from tars.pipeline.recipe import Recipe
from tars.progress import Display
from tars.report.page import write_report
from tars.store import locked, read_json, write_json

PACKAGES = ("tars", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "tokenizers")


def run_recipe(recipe: Recipe, run: Path, display: Display) -> Path:
    """Make everything that the recipe asks for and return the path of the report.

    Raises:
        InputError, RunError: See `tars.pipeline.execute.execute`; what was made stays and is not made again.
    """
    stages = plan(recipe)
    with locked(run):
        (run / "recipe.yaml").write_text(yaml.safe_dump(asdict(recipe), sort_keys=False, allow_unicode=True))
        write_json(run / "environment.json", environment(recipe))
        make(recipe, stages, run, display)
        summary = {"schema": 1, "results": [row for stage in stages for row in results(stage, run)]}
        report = run / "report.html"
        if not report.exists() or not _same(run / "summary.json", summary):
            write_json(run / "summary.json", summary)
            write_report([run], report)
    return report


def make(recipe: Recipe, stages: list[Stage], run: Path, display: Display) -> None:
    """Make the stages that are not there yet; raises as `run_recipe` does."""
    bring_cached(stages, run)
    todo = [stage for stage in stages if not is_done(stage, run)]
    if todo:
        check_recipe(recipe)
        execute(todo, run, workers=recipe.workers, display=display)
        cache_bases(stages, run)


def train_arm(recipe: Recipe, arm: str, run: Path, display: Display) -> list[Path]:
    """Train one arm and what it starts from; returns its model folders. Raises as `run_recipe` does."""
    alone = replace(recipe, evaluation=replace(recipe.evaluation, arms=[arm]))
    stages = [stage for stage in plan(alone) if stage.kind != "evaluate"]
    with locked(run):
        make(recipe, stages, run, display)
    return [run / stage.name / "model" for stage in stages if stage.arm == arm]


def results(stage: Stage, run: Path) -> list[dict[str, Any]]:
    """A stage's summary rows; only evaluations have any."""
    return read_json(run / stage.name / "results.json") if stage.kind == "evaluate" else []


def environment(recipe: Recipe) -> dict[str, Any]:
    """Versions, hardware, seeds and commit: what someone needs to know to get the same figures."""
    return {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "seeds": sorted({seed for seeds in recipe.lambdas.values() for seed in seeds}),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of a source checkout; `None` for an installed package."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def bring_cached(stages: list[Stage], run: Path) -> None:
    """Copy base models that an earlier run made with the same settings."""
    for stage in stages:
        cached = _cache() / stage.key
        if stage.kind == "base" and cached.exists() and not (run / stage.name).exists():
            _copy(cached, run / stage.name)


def cache_bases(stages: list[Stage], run: Path) -> None:
    """Keep base models that the micro-world made; a model from a folder or the Hub is at hand anyway."""
    for stage in stages:
        cached = _cache() / stage.key
        if stage.kind == "base" and stage.settings["base"]["world"] and not cached.exists():
            _copy(run / stage.name, cached)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder so that the target appears only when whole."""
    beside = target.with_name(f"{target.name}.copy-{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, beside)
    beside.rename(target)


def _cache() -> Path:
    return Path(os.environ.get("TARS_CACHE") or Path.home() / ".cache" / "tars") / "base"


def _same(path: Path, value: Any) -> bool:
    return path.exists() and read_json(path) == value
