"""Which defences a model is tested behind, and what its training is said to have taken."""

import json

import pytest

from tars.errors import InputError
from tars.models.local import LocalModel
from tars.pipeline.job import Job
from tars.pipeline.plan import Stage
from tars.pipeline.testing import behind, read_defence, training_tflops
from tars.progress import silent

NAMED = {
    "filtered": {"defence": "pivot-filter"},
    "stopped": {"defence": "pivot-stop", "refusal": "no ."},
    "redrawn": {"defence": "pivot-resample", "tries": 2},
    "unthinking": {"defence": "no-thinking"},
    "reminded": {"defence": "self-reminder", "wording": "world"},
}


@pytest.fixture
def local(world_model, world_tokenizer):
    return LocalModel(world_model(), world_tokenizer)


def test_views_ask_nothing_and_the_others_ask_the_model(local):
    views, others = behind(NAMED, local, pivots=True)
    assert list(views) == ["filtered", "stopped"]
    assert [(name, defence.name) for name, defence in others.items()] == [
        ("redrawn", "pivot-resample"),
        ("unthinking", "no-thinking"),
        ("reminded", "self-reminder"),
    ]
    assert others["redrawn"].tries == 2


def test_a_model_without_pivots_is_spared_what_is_for_those_that_write_them(local):
    views, others = behind(NAMED, local, pivots=False)
    assert (list(views), list(others)) == ([], ["reminded"])


@pytest.mark.parametrize("given", [{}, {"defence": "wall"}, {"defence": "pivot-stop", "refuse": "x"}])
def test_a_defence_that_is_none_is_told(given):
    with pytest.raises(InputError, match="unknown"):
        read_defence(given)


def test_training_took_all_that_it_goes_on_from_but_not_the_base(tmp_path):
    def made(name, kind, needs, **more):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stage.json").write_text(json.dumps({"kind": kind, "needs": needs, **more}))

    made("base-s0", "base", [], tflops=26.0)
    made("warm-s0", "train", ["base-s0"], tflops=3.5)
    made("own-warm-s0", "sample", ["warm-s0"], tflops=1.0)
    made("dpo-s0", "train", ["warm-s0", "own-warm-s0"], tflops=3.0)  # with what drawing took

    def job(name):
        stage = Stage(f"eval-{name}", "evaluate", 0, {}, (name,), "x", None)
        return Job(stage, tmp_path / f"eval-{name}", tmp_path, silent)

    assert training_tflops(job("dpo-s0")) == 6.5
    assert training_tflops(job("warm-s0")) == 3.5
    assert training_tflops(job("base-s0")) is None
