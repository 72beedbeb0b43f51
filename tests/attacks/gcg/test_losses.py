"""Candidates' losses against one forward a candidate; memory that does not suffice; candidates that are given up."""

from dataclasses import replace

import pytest
import torch

from tars.attacks.gcg.candidates import first_change
from tars.attacks.gcg.gradient import slope
from tars.attacks.gcg.losses import CPU_TOKENS, Room, candidate_losses, deciding_tokens, lowest_losses
from tars.attacks.gcg.terms import Term
from tars.errors import RunError

CURRENT = torch.tensor([40, 41, 42, 43, 44, 45])


def drawn(count):
    """Single changes anywhere, last first."""
    generator = torch.Generator().manual_seed(3)
    rows = CURRENT.repeat(count, 1)
    place = torch.randint(6, (count, 1), generator=generator)
    rows = rows.scatter(1, place, torch.randint(50, 200, (count, 1), generator=generator))
    return rows[first_change(rows, CURRENT).argsort(descending=True)]


def slow(term, rows):
    """Mean loss of each candidate, one forward over everything."""
    losses = []
    for row in rows.tolist():
        ids = torch.tensor([[*term.before_ids, *row, *term.after_ids, *term.target_ids]])
        logps = term.local.model(ids).logits[0].log_softmax(-1)
        count, length = len(term.target_ids), ids.shape[1]
        losses.append(-sum(logps[length - count - 1 + i, t].item() for i, t in enumerate(term.target_ids)) / count)
    return losses


@pytest.fixture
def term(local):
    return Term(local, [5, 6, 7], [9, 10], [11, 12, 13, 14])


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("rows", [0, 3])
def test_losses_equal_one_forward_a_candidate(term, shared, rows):
    candidates = drawn(40)
    cache = slope(term, CURRENT, shared=shared).cache
    found = candidate_losses(term, CURRENT, candidates, cache, Room(rows))
    assert found.loss_W.tolist() == pytest.approx(slow(term, candidates), abs=1e-4)
    again = candidate_losses(term, CURRENT, candidates, cache, Room(rows))  # what is shared stayed as it was
    assert torch.equal(again.loss_W, found.loss_W)


def test_only_what_differs_is_read(term):
    candidates = CURRENT.repeat(2, 1)
    candidates[0, 5], candidates[1, 4] = 99, 98
    cache = slope(term, CURRENT).cache
    # One row a batch: the last 1 and 2 tokens of the suffix, 2 after it, all of the target but its last.
    assert candidate_losses(term, CURRENT, candidates, cache, Room(1)).forward == (1 + 5) + (2 + 5)
    assert candidate_losses(term, CURRENT, candidates, None, Room(1)).forward == 2 * (3 + 6 + 5)


def test_giving_up_candidates_changes_neither_the_best_nor_its_loss(term):
    """The first target token is unlikely; the others are what the model goes on with after it."""
    ids = torch.tensor([[*term.before_ids, *CURRENT.tolist(), *term.after_ids, 11]])
    told = term.local.model.generate(ids, max_new_tokens=3, do_sample=False, eos_token_id=None, pad_token_id=0)
    term = replace(term, target_ids=told[0, -4:].tolist())
    candidates, cache = drawn(120), slope(term, CURRENT).cache
    whole = candidate_losses(term, CURRENT, candidates, cache, Room())
    given_up = 0
    for first in (1, 2, 3):
        some = lowest_losses(term, CURRENT, candidates, cache, Room(), first)
        assert int(some.loss_W.argmin()) == int(whole.loss_W.argmin())
        known = some.loss_W.isfinite()
        assert torch.allclose(some.loss_W[known], whole.loss_W[known], atol=1e-5)
        given_up += int((~known).sum())
    assert given_up > 0


@pytest.mark.parametrize(
    ("losses", "first"),
    [
        ([9.0, 0.5, 0.3, 0.2], 1),
        ([5.0, 4.0, 0.5, 0.5], 2),
        ([1.0, 1.0, 1.0, 1.0], None),
        ([0.0, 0.0, 0.0, 9.0], None),
        ([1.0], None),
    ],
)
def test_candidates_are_given_up_by_the_tokens_that_hold_the_loss(losses, first):
    assert deciding_tokens(losses) == first


class Small(torch.nn.Module):
    """Runs out of memory with more than `most` rows at once."""

    def __init__(self, model, most):
        super().__init__()
        self.inside, self.most = model, most

    def forward(self, input_ids):
        if len(input_ids) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inside(input_ids)


def test_memory_that_does_not_suffice_halves_the_batch_and_goes_on(term):
    model, candidates = term.local.model, drawn(40)
    cache = slope(term, CURRENT).cache
    whole = candidate_losses(term, CURRENT, candidates, cache, Room())
    model.set_input_embeddings(Small(model.get_input_embeddings(), 3))
    room = Room()
    found = candidate_losses(term, CURRENT, candidates, cache, room)
    assert room.rows == 2  # 10, 5, then what fits
    assert torch.allclose(found.loss_W, whole.loss_W, atol=1e-5)
    model.set_input_embeddings(Small(model.get_input_embeddings().inside, 0))
    with pytest.raises(RunError, match="out of memory with a single candidate"):
        candidate_losses(term, CURRENT, candidates, cache, Room())


def test_other_errors_are_not_taken_for_memory(term):
    with pytest.raises(IndexError):
        candidate_losses(term, CURRENT, torch.full((2, 6), 10**6), None, Room())


def test_a_batch_on_a_cpu_fits_its_caches():
    cpu = torch.device("cpu")
    assert Room().fits(512, CPU_TOKENS // 8, cpu) == 8
    assert Room().fits(512, 1, cpu) == 128
    assert Room(5).fits(512, 1, cpu) == 5
    assert Room().fits(512, CPU_TOKENS // 8, torch.device("meta")) == 128
