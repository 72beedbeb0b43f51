"""R2D's loss against numbers worked out by hand, a slow reference, and finite differences."""

import math

import pytest
import torch

from tars.training.pivot import pivot_loss, segment_weights, tallies
from tars.training.pivot_settings import PivotLoss

SAFE, RETHINK, UNSAFE = PIVOTS = (2, 0, 3)
VOCABULARY = 6
PAIR = PivotLoss(rethink="none")  # [SAFE] against [UNSAFE], as in the paper
SETTINGS = [
    PivotLoss(balanced=balanced, segments=segments, rethink=rethink)
    for balanced in (False, True)
    for segments in (False, True)
    for rethink in ("mutual", "none")
]


def terms(logits, labels, settings, weights=None, counted=None):
    labels = torch.tensor(labels, dtype=torch.long)
    counted = tallies(labels[None], PIVOTS, settings) if counted is None else counted
    return pivot_loss(
        logits, labels, torch.ones(len(labels)) if weights is None else weights, counted, PIVOTS, settings
    )


def test_cpo_by_hand():
    """z⁺ − z⁻ is 2 at a right [SAFE], −1 at a wrong [UNSAFE]; the third token is no pivot.

    −log σ(2) = log(1 + e⁻²) = 0.126928, −log σ(−1) = log(1 + e) = 1.313262; their mean 0.720095.
    """
    logits = torch.zeros(3, VOCABULARY)
    logits[0, SAFE], logits[0, UNSAFE] = 3.0, 1.0
    logits[1, SAFE], logits[1, UNSAFE] = 0.5, -0.5
    logits.requires_grad_(True)
    found = terms(logits, [SAFE, UNSAFE, 5], PAIR)
    assert found.contrast.item() == pytest.approx(0.720095, abs=1e-6)
    assert found.right == 1
    found.contrast.backward()
    # d/dz⁺ −log σ(z⁺ − z⁻) = −σ(z⁻ − z⁺), halved by the mean: σ(−2) = 0.119203, σ(1) = 0.731059.
    wanted = torch.zeros(3, VOCABULARY)
    wanted[0, SAFE], wanted[0, UNSAFE] = -0.119203 / 2, 0.119203 / 2
    wanted[1, UNSAFE], wanted[1, SAFE] = -0.731059 / 2, 0.731059 / 2
    torch.testing.assert_close(logits.grad, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("right", "wrong"), [(SAFE, (RETHINK, UNSAFE)), (RETHINK, (SAFE, UNSAFE)), (UNSAFE, (SAFE, RETHINK))]
)
def test_each_contrasts_with_both_others(right, wrong):
    """By hand, from the probabilities: p(t⁻) / p(t⁺) is what stands beside the 1."""
    logits = torch.zeros(1, VOCABULARY)
    logits[0, SAFE], logits[0, RETHINK], logits[0, UNSAFE] = 2.0, 1.0, -1.0
    weight = logits[0].exp()
    wanted = math.log(1 + float(sum(weight[one] for one in wrong) / weight[right]))
    assert terms(logits, [right], PivotLoss()).contrast.item() == pytest.approx(wanted, abs=1e-6)


def test_rethink_without_a_contrast_has_neither_loss_nor_gradient():
    logits = torch.randn(1, VOCABULARY, requires_grad=True)
    found = terms(logits, [RETHINK], PAIR)
    found.contrast.backward()
    assert found.contrast == 0 and not logits.grad.any()


@pytest.mark.parametrize("rethink", ["mutual", "none"])
def test_the_contrast_is_calibrated(rethink):
    """Of ten equal steps eight are [SAFE], one [RETHINK] and one [UNSAFE]: a model that says just that is at rest."""
    labels, shares = [SAFE] * 8 + [RETHINK, UNSAFE], {SAFE: 0.8, RETHINK: 0.1, UNSAFE: 0.1}
    logits_V = torch.zeros(VOCABULARY, dtype=torch.double)
    for token, share in shares.items():
        logits_V[token] = math.log(share)
    logits_V.requires_grad_(True)
    terms(logits_V.expand(len(labels), -1), labels, PivotLoss(rethink=rethink)).contrast.backward()
    torch.testing.assert_close(logits_V.grad, torch.zeros_like(logits_V), atol=1e-9, rtol=0)


def test_a_kind_without_contrast_does_not_dilute_the_others():
    logits, labels = torch.zeros(4, VOCABULARY), [SAFE, RETHINK, RETHINK, RETHINK]
    assert terms(logits, labels, PAIR).contrast.item() == pytest.approx(math.log(2))


def test_balanced_adds_the_means_of_each_kind():
    """Three [SAFE] with log(1 + e⁻²) and one [UNSAFE] with log(1 + e²): weighed by number, and as two means."""
    logits = torch.zeros(4, VOCABULARY)
    logits[:, SAFE] = 2.0
    low, high = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    labels = [SAFE, SAFE, UNSAFE, SAFE]
    assert terms(logits, labels, PAIR).contrast.item() == pytest.approx((3 * low + high) / 4)
    balanced = PivotLoss(rethink="none", balanced=True)
    assert terms(logits, labels, balanced).contrast.item() == pytest.approx(low + high)


def test_distillation_is_the_mean_negative_log_likelihood():
    logits, labels = torch.randn(5, VOCABULARY), [1, SAFE, 4, 5, UNSAFE]
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    torch.testing.assert_close(terms(logits, labels, PivotLoss()).distillation, wanted)


def test_segments_are_means_by_themselves_summed():
    """Reasoning of 2 tokens and answer of 1; a row of an answer alone: (mean + mean, mean) over 2 rows (Eq. 3)."""
    labels = torch.tensor([[-100, 1, 4, 5, -100], [-100, -100, 4, 4, 4]])
    weights = segment_weights(labels, torch.tensor([3, 2]))
    third = 1 / 3
    torch.testing.assert_close(weights, torch.tensor([[0, 0.5, 0.5, 1, 0], [0, 0, third, third, third]]))
    logits = torch.randn(2, 5, VOCABULARY)
    nll = -logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    wanted = ((nll[0, 1] + nll[0, 2]) / 2 + nll[0, 3] + nll[1, 2:].mean()) / 2
    learned, settings = labels != -100, PivotLoss(segments=True)
    counted = tallies(labels, PIVOTS, settings)
    found = pivot_loss(logits[learned], labels[learned], weights[learned], counted, PIVOTS, settings)
    torch.testing.assert_close(found.distillation, wanted)


def test_tallies_count_what_is_divided_by():
    labels = torch.tensor([[-100, SAFE, 4, UNSAFE], [-100, -100, SAFE, 5]])
    assert tallies(labels, PIVOTS, PivotLoss()).tolist() == [5, 2, 0, 1]
    assert tallies(labels, PIVOTS, PivotLoss(segments=True)).tolist() == [2, 2, 0, 1]


def slowly(logits, labels, settings, weights, counted):
    """The loss as the paper writes it: log-probabilities of single tokens, one position after another."""
    distillation = contrast = 0.0
    opposites = {kind: settings.opposites(kind) for kind in ("safe", "rethink", "unsafe")}
    ids = dict(zip(opposites, PIVOTS, strict=True))
    counts = {kind: counted[1 + i] for i, kind in enumerate(opposites) if opposites[kind]}
    for row, label, weight in zip(logits, labels, weights, strict=True):
        probabilities = row.softmax(-1)
        distillation = distillation - weight * probabilities[label].log() / counted[0]
        for kind, count in counts.items():
            if label == ids[kind]:
                wrong = sum(probabilities[ids[other]] for other in opposites[kind])
                margin = probabilities[label].log() - wrong.log()
                contrast = contrast - margin.sigmoid().log() / (count if settings.balanced else sum(counts.values()))
    return distillation, contrast


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_loss_and_gradient_equal_a_slow_reference(settings):
    torch.manual_seed(0)
    labels = [SAFE, 1, UNSAFE, RETHINK, 4, SAFE, RETHINK, 5, UNSAFE, SAFE]
    weights, counted = torch.rand(len(labels)), torch.tensor([17, 5, 4, 3])  # other micro-batches hold the rest
    logits = torch.randn(len(labels), VOCABULARY, dtype=torch.double, requires_grad=True)
    ours = terms(logits, labels, settings, weights, counted)
    theirs = slowly(logits, labels, settings, weights, counted)
    for mine, slow in zip((ours.distillation, ours.contrast), theirs, strict=True):
        torch.testing.assert_close(mine, slow)
        gradients = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (mine, slow)]
        assert gradients[1].norm() > 1e-3
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("rethink", ["mutual", "none"])
def test_the_gradient_is_that_of_finite_differences(rethink):
    torch.manual_seed(1)
    logits = torch.randn(4, VOCABULARY, dtype=torch.double, requires_grad=True)

    def loss(logits):
        found = terms(logits, [SAFE, RETHINK, 4, UNSAFE], PivotLoss(rethink=rethink, balanced=True))
        return found.distillation + found.contrast

    assert torch.autograd.gradcheck(loss, logits)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("labels", [[], [1, 4]], ids=["nothing learned", "no pivot"])
def test_a_batch_without_pivots_has_no_contrast_and_no_nan(labels, settings):
    logits = torch.randn(len(labels), VOCABULARY, requires_grad=True)
    found = terms(logits, labels, settings, counted=torch.zeros(4).long())
    assert found.contrast == found.right == 0
    (found.distillation + found.contrast).backward()
    assert logits.grad.isfinite().all()


def test_extreme_logits_stay_finite():
    logits = torch.zeros(2, VOCABULARY)
    logits[:, SAFE], logits[:, UNSAFE] = 1e4, -1e4
    logits.requires_grad_(True)
    found = terms(logits, [SAFE, UNSAFE], PAIR)
    assert found.contrast.item() == pytest.approx(1e4)
    found.contrast.backward()
    assert logits.grad.isfinite().all()
