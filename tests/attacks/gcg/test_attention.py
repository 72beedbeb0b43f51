"""Grouped attention against transformers' own, and when it steps back."""

import pytest
import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tars.attacks.gcg import attention
from tars.attacks.gcg.attention import attend, grouped_attention


class Layer(torch.nn.Module):
    """What an attention function reads of its layer."""

    is_causal = True

    def __init__(self, groups):
        super().__init__()
        self.num_key_value_groups = groups


def drawn(heads, shared, rows=3, new=4, seen=5, size=8):
    torch.manual_seed(0)
    query = torch.randn(rows, new, heads, size).transpose(1, 2)  # as projections leave it: not contiguous
    key, value = torch.randn(2, rows, shared, seen + new, size)
    mask = torch.full((new, seen + new), torch.finfo(torch.float32).min).triu(seen + 1)[None, None]
    return Layer(heads // shared), query, key, value, mask


@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (4, 1), (1, 1)])
@pytest.mark.parametrize("scaling", [None, 0.5])
def test_it_is_transformers_attention(heads, shared, scaling):
    layer, *rest = drawn(heads, shared)
    ours, theirs = (made(layer, *rest, scaling=scaling)[0] for made in (attend, sdpa_attention_forward))
    assert ours.shape == theirs.shape == (3, 4, heads, 8)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_mask_of_each_row_and_head_is_added_too():
    layer, query, key, value, mask = drawn(4, 2)
    mask = mask + torch.randn(3, 4, 1, 9)
    ours, theirs = (made(layer, query, key, value, mask)[0] for made in (attend, sdpa_attention_forward))
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("change", ["no mask", "boolean", "half", "bias"])
def test_what_it_does_not_cover_is_left_to_transformers(monkeypatch, change):
    layer, query, key, value, mask = drawn(4, 2)
    others = {"position_bias": torch.zeros(1, 4, 4, 9)} if change == "bias" else {}
    if change == "half":
        query, key, value, mask = (one.bfloat16() for one in (query, key, value, mask))
    mask = {"no mask": None, "boolean": mask == 0}.get(change, mask)
    asked = []

    def theirs(*args, **kwargs):
        asked.append(1)
        return sdpa_attention_forward(*args, **kwargs)

    monkeypatch.setattr(attention, "sdpa_attention_forward", theirs)
    made = attend(layer, query, key, value, mask, **others)[0]
    assert asked == [1] and torch.equal(made, sdpa_attention_forward(layer, query, key, value, mask, **others)[0])


def test_only_the_last_queries_are_looked_from_when_told():
    layer, *rest = drawn(4, 2)
    made, whole = attend(layer, *rest, last=3)[0], attend(layer, *rest)[0]
    assert torch.allclose(made[:, 1:], whole[:, 1:], atol=1e-6) and not made[:, :1].any()


def test_it_is_in_force_within_the_block_and_on_a_cpu_only():
    layer, *rest = drawn(4, 2)
    with pytest.raises(KeyError), grouped_attention(torch.device("cpu"), layer, 3):
        ours = AttentionInterface()["sdpa"]
        assert not ours(layer, *rest)[0][:, :1].any()
        assert torch.equal(ours(drawn(4, 2)[0], *rest)[0], attend(layer, *rest)[0])
        raise KeyError
    with grouped_attention(torch.device("meta"), None, 3):
        assert AttentionInterface()["sdpa"] is sdpa_attention_forward
    assert AttentionInterface()["sdpa"] is sdpa_attention_forward
