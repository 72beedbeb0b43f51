"""An arm with learning rates stands for several; all that is wrong with them is told."""

import pytest

from tars.errors import InputError
from tars.pipeline.plan import plan


def test_an_arm_with_rates_is_one_arm_a_rate(recipe):
    made = recipe(train__tars__rates="[5.0e-4, 1.0e-3]", evaluation__arms="[warm, tars]")
    assert list(made.train) == ["warm", "tars-0.0005", "tars-0.001"]
    assert made.evaluation.arms == ["warm", "tars-0.0005", "tars-0.001"]
    assert [made.train[name].args["learning_rate"] for name in ("tars-0.0005", "tars-0.001")] == [5e-4, 1e-3]
    assert made.train["tars-0.001"].args["beta"] == 0.1
    assert {"tars-0.0005-l0.5-s0", "tars-0.001-l0.5-s0"} <= {stage.name for stage in plan(made)}


@pytest.mark.parametrize("rates", ["1.0e-3", "[]", "[0]", "[fast]", "[1.0e-3, 0.001]", "null"])
def test_rates_that_mean_nothing_are_refused(recipe, rates):
    with pytest.raises(InputError, match=r"tiny\.yaml: train\.tars\.rates: give a list of different learning rates"):
        recipe(train__tars__rates=rates)


def test_no_arm_can_start_from_several(recipe):
    with pytest.raises(InputError, match=r"train\.tars\.start: 'warm' has several rates; name one of its arms"):
        recipe(train__warm__rates="[1.0e-3, 2.0e-3]")
