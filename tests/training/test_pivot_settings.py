"""What contrasts with what, said by hand, and weights that make no sense."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tars.pivots import PIVOTS
from tars.training.pivot_settings import PivotLoss


def test_opposites():
    mutual, official = PivotLoss(), PivotLoss(rethink="none")
    assert {pivot: mutual.opposites(pivot) for pivot in PIVOTS} == {
        "safe": ("rethink", "unsafe"),
        "rethink": ("safe", "unsafe"),
        "unsafe": ("safe", "rethink"),
    }
    assert {pivot: official.opposites(pivot) for pivot in PIVOTS} == {
        "safe": ("unsafe",),
        "rethink": (),
        "unsafe": ("safe",),
    }


@pytest.mark.parametrize("wrong", [{"contrast": -1}, {"rethink": "safe"}])
def test_a_wrong_setting_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(PivotLoss).validate_python(wrong)
