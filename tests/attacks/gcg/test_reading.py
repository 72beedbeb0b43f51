"""One pass over candidates against one full forward a candidate, with and without what is shared."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tars.attacks.gcg.gradient import slope
from tars.attacks.gcg.reading import score
from tars.attacks.gcg.terms import Term
from tars.models.local import LocalModel

CURRENT = torch.tensor([40, 41, 42, 43, 44, 45])


def drawn(same, rows=5):
    """Candidates that share the first `same` tokens with the current suffix."""
    fresh = torch.randint(50, 200, (rows, len(CURRENT) - same), generator=torch.Generator().manual_seed(same))
    return torch.cat([CURRENT[:same].expand(rows, -1), fresh], 1)


def slow(term, candidates):
    """Mean negative log-likelihood of the target, one full forward without a cache a candidate."""
    losses = []
    for row in candidates.tolist():
        ids = [*term.before_ids, *row, *term.after_ids, *term.target_ids]
        with torch.no_grad():
            logp_TV = term.local.model(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
        first = len(ids) - len(term.target_ids)
        losses.append(-sum(float(logp_TV[first - 1 + n, t]) for n, t in enumerate(term.target_ids)))
    return [loss / len(term.target_ids) for loss in losses]


@pytest.fixture
def term(local):
    return Term(local, [5, 6, 7], [9, 10], [11, 12, 13, 14])


@pytest.mark.parametrize("same", range(7))
def test_with_a_cache_the_loss_is_that_of_a_full_forward(term, same):
    candidates = drawn(same)
    cache = slope(term, CURRENT).cache
    assert score(term, candidates, cache, same).tolist() == pytest.approx(slow(term, candidates), abs=1e-4)


@pytest.mark.parametrize("same", [0, 3])
def test_fewer_shared_tokens_than_could_be_give_the_same(term, same):
    candidates, cache = drawn(4), slope(term, CURRENT).cache
    assert torch.allclose(score(term, candidates, cache, same), score(term, candidates, cache, 4), atol=1e-5)


def test_without_a_cache_all_is_read(term):
    candidates = drawn(0)
    assert score(term, candidates, None, 0).tolist() == pytest.approx(slow(term, candidates), abs=1e-4)


@pytest.mark.parametrize(("before", "after", "target"), [([], [9], [11, 12]), ([5, 6], [], [11]), ([5], [9, 10], [11])])
@pytest.mark.parametrize("shared", [True, False])
def test_short_terms_are_scored_too(local, before, after, target, shared):
    term, candidates = Term(local, before, after, target), drawn(2)
    cache, same = (slope(term, CURRENT).cache, 2) if shared else (None, 0)
    assert score(term, candidates, cache, same).tolist() == pytest.approx(slow(term, candidates), abs=1e-4)


@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("same", [0, 4])
def test_heads_may_share_keys(tiny_qwen2, world_tokenizer, key_heads, same):
    local = LocalModel(tiny_qwen2(len(world_tokenizer), num_key_value_heads=key_heads), world_tokenizer)
    term, candidates = Term(local, [5, 6, 7], [9, 10], [11, 12, 13]), drawn(same)
    cache = slope(term, CURRENT).cache
    assert score(term, candidates, cache, same).tolist() == pytest.approx(slow(term, candidates), abs=1e-4)


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
def test_mixtures_of_experts_are_scored_too(world_tokenizer, kind):
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_local_experts": 4}
    config = AutoConfig.for_model(kind, vocab_size=len(world_tokenizer), pad_token_id=0, **heads, **shape)
    local = LocalModel(AutoModelForCausalLM.from_config(config).eval(), world_tokenizer)
    term, candidates = Term(local, [5, 6, 7], [9, 10], [11, 12, 13]), drawn(2)
    cache = slope(term, CURRENT).cache
    assert score(term, candidates, cache, 2).tolist() == pytest.approx(slow(term, candidates), abs=1e-4)


def test_the_cache_and_the_model_are_left_as_they_were(term):
    cache = slope(term, CURRENT).cache
    before = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
    for same in (2, 5, 0):
        score(term, drawn(same), cache, same)
    for layer, (keys, values) in zip(cache.layers, before, strict=True):
        assert torch.equal(layer.keys, keys) and torch.equal(layer.values, values)
    assert "forward" not in vars(term.local.model.model.layers[-1].mlp)


def test_a_pass_that_fails_leaves_the_model_as_it_was(term):
    with pytest.raises(IndexError):
        score(term, torch.full((2, 6), 10**6), None, 0)
    assert "forward" not in vars(term.local.model.model.layers[-1].mlp)
