"""Average, best and distinct, by hand and by their laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tars.training.diversity import average_of_n, best_of_n, distinct_n


def test_by_hand():
    rewards = [[0.0, 1.0, 0.5], [0.2, 0.2, 0.2]]
    assert average_of_n(rewards) == pytest.approx((0.5 + 0.2) / 2)
    assert best_of_n(rewards) == pytest.approx((1.0 + 0.2) / 2)
    assert (average_of_n([]), best_of_n([])) == (0.0, 0.0)


def test_distinct_by_hand():
    # "a b c d": abc, bcd; twice: 2 different of 4. "x y z": 1 of 1. Mean of 0.5 and 1.
    assert distinct_n([["a b c d", "a b c d"], ["x y z", "p q"]]) == pytest.approx(0.75)
    assert distinct_n([["a b c d", "a b c d"], ["p q", ""]]) == 0.5  # too short to tell: left out
    assert distinct_n([["p", ""]]) == 0.0
    assert distinct_n([["a a a a"]]) == 0.5  # aaa twice
    assert distinct_n([["a b", "a b"]], n=1) == 0.5
    assert distinct_n([["a\nb  c"]]) == 1.0


samples = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=5)


@given(samples)
def test_the_best_is_at_least_the_average(rewards):
    assert min(map(min, rewards)) - 1e-12 <= average_of_n(rewards) <= best_of_n(rewards) + 1e-12
    assert best_of_n(rewards) <= max(map(max, rewards)) + 1e-12


@given(st.lists(st.text("ab ", max_size=12), min_size=1, max_size=4))
def test_saying_everything_twice_halves_it(texts):
    assert distinct_n([texts + texts]) == pytest.approx(distinct_n([texts]) / 2)
