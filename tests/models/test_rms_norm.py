"""The norm whose gradient is written out: against autograd's, and only where it pays."""

import pytest
import torch
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm

from tars.models.rms_norm import NORMS, RMSNorm, write_out_gradients


@pytest.fixture
def norms():
    """Transformers' norms with gradients written out, and as they were; they are given back."""
    before = [norm.forward for norm in NORMS]
    undo = write_out_gradients()
    yield list(zip(NORMS, before, strict=True))
    undo()
    assert [norm.forward for norm in NORMS] == before


def test_worked_by_hand():
    """x = (3, 4), w = (1, 2): mean square 12.5; y = (3, 8) / √12.5. Of y₁: dx = w(1 − x₁²/25, −x₁x₂/25) / √12.5."""
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = RMSNorm.apply(x, w, 0.0)
    y[0, 0].backward()
    root = 12.5**0.5
    assert y.tolist() == [[pytest.approx(3 / root), pytest.approx(8 / root)]]
    assert x.grad.tolist() == [[pytest.approx(16 / 25 / root), pytest.approx(-12 / 25 / root)]]
    assert w.grad.tolist() == [pytest.approx(3 / root), 0.0]


@pytest.mark.parametrize("shape", [(7,), (2, 3, 7), (1, 1, 4, 7)])
def test_the_gradient_is_that_of_finite_differences(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    w = torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: RMSNorm.apply(x, w, 1e-2), (x, w))


def test_values_and_gradients_are_those_of_transformers(norms):
    torch.manual_seed(0)
    for norm, forward in norms:
        module = norm(16)
        module.weight.data.normal_()
        x = torch.randn(3, 5, 16)
        x[0, 0] = 0  # a vector without a direction
        found = []
        for how in (forward, type(module).forward):
            read = x.clone().requires_grad_()
            module.weight.grad = None
            made = how(module, read)
            made.square().sum().backward()
            found.append((made, read.grad, module.weight.grad))
        for old, new in zip(*found, strict=True):
            assert torch.allclose(old, new, rtol=1e-4, atol=1e-5)


def test_only_where_it_pays(norms):
    for norm, _ in norms:
        module = norm(4)
        x = torch.randn(2, 4)
        assert "RMSNorm" in type(module(x).grad_fn).__name__
        half = norm(4).bfloat16()
        assert "RMSNorm" not in type(half(x.bfloat16()).grad_fn).__name__
        with torch.no_grad():
            assert torch.equal(module(x), module.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)))
    assert GemmaRMSNorm not in NORMS  # it scales by 1 + w


def test_twice_is_once(norms):
    now = [norm.forward for norm, _ in norms]
    undo = write_out_gradients()
    assert [norm.forward for norm, _ in norms] == now
    undo()
    assert [norm.forward for norm, _ in norms] == now
