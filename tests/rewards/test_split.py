"""The split reward, Eq. 1-2 of TARS, by hand."""

import pytest

from tars.rewards.split import route, split_reward


@pytest.mark.parametrize(
    ("kind", "safety", "helpfulness", "formatted", "reward"),
    [
        ("harmful", 0.7, 0.2, True, 0.7),
        ("harmful", 0.7, None, True, 0.7),
        ("harmful", None, 0.2, True, None),
        ("harmful", 0.7, 0.2, False, 0.0),
        ("harmful", None, None, False, 0.0),
        ("harmful", 0.0, 1.0, True, 0.0),
        ("ambiguous", 0.7, 0.2, True, 0.2),
        ("ambiguous", 0.7, None, True, None),
        ("harmless", 0.7, 0.2, True, 0.2),
        ("harmless", None, 1.0, True, 1.0),
        ("harmless", 0.7, 0.2, False, 0.0),
    ],
)
def test_reward(kind, safety, helpfulness, formatted, reward):
    assert split_reward(kind, safety, helpfulness, formatted) == reward


def test_routes():
    assert [route(kind) for kind in ("harmful", "ambiguous", "harmless")] == ["safety", "helpfulness", "helpfulness"]
