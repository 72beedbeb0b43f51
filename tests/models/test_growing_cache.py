"""`GrowingLayer` against transformers' own layer, whatever is done to both."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from tars.models.growing_cache import ROOM, GrowingLayer, growing_cache

STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, ROOM + 3)),
    st.tuples(st.just("select"), st.lists(st.integers(0, 99), min_size=1, max_size=5)),
    st.tuples(st.just("crop"), st.integers(1, 3)),
    st.tuples(st.just("reset"), st.none()),
)


@given(st.lists(STEPS, max_size=12), st.integers(0, 2**16))
def test_equals_a_layer_that_joins_tensors(steps, seed):
    generator = torch.Generator().manual_seed(seed)
    ours, stock, rows = GrowingLayer(), DynamicLayer(), 3
    for what, value in [("add", 2), *steps]:
        if what == "add":
            keys, values = torch.rand(2, rows, 2, value, 4, generator=generator)
            for mine, theirs in zip(ours.update(keys, values), stock.update(keys, values), strict=True):
                assert torch.equal(mine, theirs)
        elif what == "select" and stock.get_seq_length():
            index = torch.tensor([number % rows for number in value])
            ours.batch_select_indices(index)
            stock.batch_select_indices(index)
            rows = len(index)
        elif what == "crop" and stock.get_seq_length() > value:
            ours.crop(-value)
            stock.crop(-value)
        elif what == "reset":
            ours.reset()
            stock.reset()
        assert ours.get_seq_length() == stock.get_seq_length()


def test_a_token_is_added_without_a_copy_until_the_room_is_full():
    layer, token = GrowingLayer(), torch.ones(2, 1, 1, 4)
    first, _ = layer.update(token, token)
    addresses = [layer.update(token, token)[0].data_ptr() for _ in range(ROOM + 1)]
    assert addresses[:ROOM] == [first.data_ptr()] * ROOM
    assert addresses[ROOM] != first.data_ptr()


def test_what_was_cropped_is_not_written_over():
    """Its tensors may be another's."""
    layer, token = GrowingLayer(), torch.ones(1, 1, 1, 1)
    layer.update(token, token)
    held, _ = layer.update(2 * token, token)
    layer.crop(-1)
    added, _ = layer.update(3 * token, token)
    assert held.flatten().tolist() == [1, 2] and added.flatten().tolist() == [1, 3]


def test_only_layers_that_see_all_keys_are_replaced(tiny_model):
    config = tiny_model("gemma2", "eager").config
    stock = [type(layer) for layer in DynamicCache(config=config).layers]
    assert {*stock} == {DynamicLayer, DynamicSlidingWindowLayer}
    ours = [type(layer) for layer in growing_cache(config).layers]
    assert ours == [GrowingLayer if kind is DynamicLayer else kind for kind in stock]
