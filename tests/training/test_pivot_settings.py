"""What contrasts with what, said by hand, and weights that make no sense."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tars.training.pivot_settings import PivotLoss


@pytest.mark.parametrize(
    ("rethink", "opposites"), [("safe", ("safe",)), ("unsafe", ("unsafe",)), ("both", ("safe", "unsafe")), ("none", ())]
)
def test_opposites(rethink, opposites):
    settings = PivotLoss(rethink=rethink)
    assert settings.opposites("rethink") == opposites
    assert settings.opposites("safe") == ("unsafe",)
    assert settings.opposites("unsafe") == ("safe",)


@pytest.mark.parametrize("wrong", [{"contrast": -1}, {"rethink": "maybe"}])
def test_a_wrong_setting_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(PivotLoss).validate_python(wrong)
