"""Stages in worker processes: order, resuming, refusing, and every way in which one can end badly."""

import json
import os
import shutil
import signal
import time

import psutil
import pytest

from tars.errors import InputError
from tars.pipeline.execute import is_done
from tars.pipeline.plan import plan

BROKEN = """
from tars.rewards.scorers import SCORERS
from tars.types import Score

class Broken:
    name = "broken"
    def score(self, prompts, answers):
        {body}

SCORERS["broken"] = Broken
"""
RL_ALONE = {"train__tars__start": "base", "evaluation__arms": "[tars]", "train__tars__reasoning": "false"}
"""`reasoning: false`: answers of an untrained model are well formed then, so that the scorer is asked."""


def test_a_made_stage_is_done_and_one_of_other_settings_is_refused_by_the_key_that_differs(recipe, finished):
    assert all(is_done(stage, finished) for stage in plan(recipe()))
    stages = {stage.name: stage for stage in plan(recipe(train__tars__args__beta="0.2", base__world__steps="13"))}
    with pytest.raises(InputError, match=r"base\.world\.steps was 12, is 13\); give another --out or delete it"):
        is_done(stages["base-s0"], finished)
    with pytest.raises(InputError, match=r"arm\.args\.beta was 0\.1, is 0\.2"):
        is_done(stages["tars-l0.5-s0"], finished)
    with pytest.raises(InputError, match="something that it builds on has changed"):
        is_done(stages["warm-s0"], finished)


def test_a_half_made_stage_of_other_settings_is_refused_too(recipe, finished, tmp_path):
    (stage, *_) = plan(recipe(base__world__steps="13"))
    assert not is_done(stage, tmp_path)
    partial = tmp_path / "base-s0.partial"
    partial.mkdir()
    assert not is_done(stage, tmp_path)
    shutil.copy(finished / "base-s0" / "stage.json", partial)
    with pytest.raises(InputError, match=r"base-s0\.partial: made with other settings \(base\.world\.steps"):
        is_done(stage, tmp_path)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise KeyError('service gone')", "scorer 'broken' failed: KeyError: 'service gone'"),
        ("return [Score(float('nan'))] * len(prompts)", "scorer 'broken' gave nan for prompt"),
    ],
)
def test_a_scorer_that_fails_stops_the_run_and_what_was_made_stays(tars, recipe_file, tmp_path, complaint, body, told):
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(body=body))  # workers are processes of their own
    path = recipe_file(rewards="{safety: broken, helpfulness: broken}", **RL_ALONE)
    done = tars("run", path, "--out", "run", PYTHONPATH=str(tmp_path))
    assert told in complaint(done, 1)
    assert "done in" in done.stderr
    run = tmp_path / "run"
    assert (run / "base-s0" / "model").is_dir() and not (run / "tars-l0.5-s0").exists()
    assert json.loads((run / "tars-l0.5-s0.partial" / "stage.json").read_text())["status"] == "running"
    assert not (run / "summary.json").exists()


def test_an_error_of_any_class_crosses_from_the_worker_in_one_line(tars, recipe_file, tmp_path, complaint):
    body = "from pydantic import TypeAdapter; TypeAdapter(int).validate_python('x')"
    (tmp_path / "sitecustomize.py").write_text(
        BROKEN.format(body="...")
        + f"\nimport tars.evaluation.run as r\ndef broken(*a, **k):\n    {body}\nr.evaluate = broken\n"
    )
    path = recipe_file(evaluation__arms="[base]")
    words = ("run", path, "--out", "run")
    said = complaint(tars(*words, PYTHONPATH=str(tmp_path)), 1)
    assert said.startswith("eval-base-s0: ValidationError: 1 validation error") and said.endswith("run again to resume")
    shown = tars(*words, "--debug", PYTHONPATH=str(tmp_path))
    assert shown.returncode == 1 and "Traceback" in shown.stderr and "sitecustomize.py" in shown.stderr


def workers(process):
    """The worker processes of a run: they import; the others are Python's own book-keeping."""
    try:
        return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def until(what, process, seconds=60.0):
    """Wait for a condition while a process runs; false if it ended first."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    return True


ENDLESS = {"base__world__steps": "100000"}


def test_a_killed_worker_is_told_as_such(start, recipe_file, tmp_path):
    process = start("run", recipe_file(**ENDLESS), "--out", "run")
    assert until(lambda: (tmp_path / "run" / "base-s0.partial" / "log.jsonl").exists(), process)
    workers(process)[0].kill()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("tars: base-s0: its process was killed, as the system does when memory")
    assert "Traceback" not in err


def test_a_busy_folder_is_refused_and_ctrl_c_ends_in_one_line(start, tars, recipe_file, tmp_path, complaint):
    path = recipe_file(**ENDLESS)
    process = start("run", path, "--out", "run")
    assert until(lambda: (tmp_path / "run" / "base-s0.partial" / "log.jsonl").exists(), process)
    assert "another process is running this" in complaint(tars("run", path, "--out", "run"), 2)
    children = workers(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everyone in the foreground gets it
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "tars: interrupted; run the same command again to resume"
    assert "Traceback" not in err and "KeyboardInterrupt" not in err
    assert children and not any(child.is_running() for child in children)


MOMENTS = {
    "base": "base-s0.partial/log.jsonl",
    "sft": "warm-s0.partial/checkpoint-4/whole.json",
    "grpo": "tars-l0.5-s0.partial/checkpoint-2/whole.json",
    "evaluation": "eval-tars-l0.5-s0.partial/completions.jsonl",
}
LONGER = {
    "base__world__steps": "300",
    "train__warm__args__num_train_epochs": "12",
    "train__tars__args__max_steps": "30",
    "data__test__0__limit": "900",
    "evaluation__decodings": "{greedy: 0.0, sampled: 1.0}",
}


def kill_at(start, words, moment):
    """Kill a run, hard, when a file appears in its folder; whether it came to that."""
    process = start(*words, TARS_CACHE=str(words[-1].parent / "cache"))
    if not until(lambda: (words[-1] / MOMENTS[moment]).exists(), process):
        return False
    children = workers(process)
    process.kill()
    process.wait()
    assert children
    assert not psutil.wait_procs(children, timeout=2)[1], "a worker outlived its run"
    return True


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_summary(start, tars, recipe_file, tmp_path):
    path = recipe_file(**LONGER)
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    assert tars("run", path, "--out", whole, TARS_CACHE=str(tmp_path / "whole" / "cache")).returncode == 0
    assert all(kill_at(start, ("run", path, "--out", killed), moment) for moment in MOMENTS)
    again = tars("run", path, "--out", killed, TARS_CACHE=str(tmp_path / "killed" / "cache"))
    assert again.returncode == 0, again.stderr
    assert (killed / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()
    for file in (
        "tars-l0.5-s0/model/model.safetensors",
        "tars-l0.5-s0/log.jsonl",
        "eval-tars-l0.5-s0/completions.jsonl",
    ):
        if "log" not in file:  # its compute is counted from the checkpoint on, and so are its floats
            assert (killed / file).read_bytes() == (whole / file).read_bytes()
    assert not list(killed.glob("*.partial")) and not list(killed.glob("*.copy-*"))
    assert json.loads((killed / "tars-l0.5-s0" / "stage.json").read_text())["resumed"]
