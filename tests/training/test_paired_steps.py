"""Steps in turn: both sides in every round, medians by hand, and the warm-up left out."""

import pytest

from tars.training.paired_steps import Stopwatch


def test_the_order_has_both_sides_in_every_round():
    order = Stopwatch(("a", "b"), 5).order
    rounds = [order[i : i + 2] for i in range(0, len(order), 2)]
    assert len(rounds) == 6
    assert all(sorted(one) == ["a", "b"] for one in rounds)
    assert len({tuple(one) for one in rounds}) == 2


def test_medians_are_over_the_counted_rounds():
    watch = Stopwatch(("a", "b"), 3)
    times = {"a": iter([9.0, 1.0, 3.0, 2.0]), "b": iter([1.0, 2.0, 3.0, 1.0])}
    watch.seconds = [next(times[side]) for side in watch.order]
    found = watch.result()
    assert found.seconds == {"a": [1.0, 3.0, 2.0], "b": [2.0, 3.0, 1.0]}
    assert (found.n, found.ours, found.theirs) == (3, 2.0, 2.0)
    assert found.ratio == pytest.approx(1.0)  # of 0.5, 1 and 2
