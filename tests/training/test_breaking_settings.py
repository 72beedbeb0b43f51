"""Circuit breakers' settings: the published layers at the published depth, others elsewhere, and the schedule."""

import pytest

from tars.training.breaking_settings import Breaking, coefficients


@pytest.mark.parametrize(
    ("layers", "depths", "last_adapted"),
    [(32, [10, 20], 20), (28, [9, 18], 18), (3, [1, 2], 2), (2, [1], 1), (1, [1], 0)],
)
def test_layers_are_fractions_of_the_depth(layers, depths, last_adapted):
    assert Breaking().depths(layers) == depths
    assert Breaking().adapted(layers) == list(range(last_adapted + 1))


def test_the_deepest_layer_can_be_the_last():
    assert Breaking(layers=(1.0, 0.5)).depths(8) == [4, 8]
    assert Breaking(layers=(1.0, 0.5)).adapted(8) == list(range(8))


@pytest.mark.parametrize(("step", "rerouting", "retain"), [(1, 10 * 299 / 300, 10 / 300), (75, 7.5, 2.5), (150, 5, 5)])
def test_the_schedule_is_the_published_one(step, rerouting, retain):
    """Of 150 steps: the code has alpha times step / 300, and the rest."""
    assert coefficients(step / 150, Breaking()) == pytest.approx((rerouting, retain))


def test_the_retain_loss_can_weigh_less():
    assert coefficients(0.5, Breaking(alpha=8.0, retain=0.25)) == pytest.approx((6.0, 0.5))
