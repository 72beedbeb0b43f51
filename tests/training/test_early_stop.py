"""The early-stop rule on looks made by hand."""

import pytest

from tars.training.early_stop import EarlyStop, ended, kept

RULE = EarlyStop(every=1, patience=2, min_gain=0.1, distinct_floor=0.5)


def looks(averages, distinct=None):
    pairs = zip(averages, distinct or [1.0] * len(averages), strict=True)
    return [{"average_of_n": average, "distinct_n": share, "best_of_n": 0.0} for average, share in pairs]


@pytest.mark.parametrize(
    ("averages", "index", "over"),
    [
        ([0.5], 0, False),
        ([0.5, 0.75], 1, False),
        ([0.5, 0.59], 0, False),
        ([0.5, 0.59, 0.58], 0, True),
        ([0.5, 0.55, 0.65], 2, False),  # gains add up against the look kept, not the one before
        ([0.5, 0.25, 0.5], 0, True),
        ([0.5, 0.25, 0.75], 2, False),
        ([0.5, 0.75, 0.75, 0.75], 1, True),
        ([0.0, 0.25, 0.5, 0.75], 3, False),
    ],
)
def test_patience_and_gain(averages, index, over):
    assert kept(looks(averages), RULE) == index
    assert ended(looks(averages), RULE) is over


@pytest.mark.parametrize(
    ("distinct", "over"), [([1.0, 0.5], False), ([1.0, 0.49], True), ([0.5, 0.26], False), ([0.5, 0.24], True)]
)
def test_a_collapse_of_variety_ends_it_even_while_it_gains(distinct, over):
    assert ended(looks([0.1, 0.9], distinct), RULE) is over


def test_every_look_gains_where_nothing_is_asked_for():
    rule = EarlyStop(min_gain=0.0, patience=1)
    assert kept(looks([0.5, 0.5, 0.4]), rule) == 1
    assert ended(looks([0.5, 0.5, 0.4]), rule)
    assert not ended(looks([0.5, 0.5]), rule)
