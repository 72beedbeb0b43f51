"""Drawn candidates: distinct, allowed, near the current suffix, from the best tokens, the same for a seed."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tars.attacks.gcg.candidates import first_change, merged, sample_candidates


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8), st.integers(6, 40), st.integers(1, 64), st.integers(1, 50), st.integers(1, 3), st.integers(0, 99)
)
def test_candidates(positions, vocabulary, width, topk, n_replace, seed):
    generator = torch.Generator().manual_seed(seed)
    n_replace = min(n_replace, positions)
    current = torch.randint(vocabulary, (positions,), generator=generator)
    gradient = torch.randn(positions, vocabulary, generator=generator)
    allowed = torch.rand(vocabulary, generator=generator) < 0.5
    allowed[0] = True
    drawn = sample_candidates(
        current, gradient, allowed, width=width, topk=topk, n_replace=n_replace, generator=generator
    )
    assert len(drawn) <= width
    rows = [tuple(row) for row in drawn.tolist()]
    assert len(set(rows)) == len(rows)
    changes = []
    for row in rows:
        changed = [i for i in range(positions) if row[i] != int(current[i])]
        assert 1 <= len(changed) <= n_replace
        changes.append(changed[0])
        for i in changed:
            assert allowed[row[i]]
            better = sum(
                bool(allowed[t]) and float(gradient[i, t]) < float(gradient[i, row[i]]) for t in range(vocabulary)
            )
            assert better < topk
    assert changes == sorted(changes, reverse=True)
    assert first_change(drawn, current).tolist() == changes


def test_every_promising_single_change_is_found_in_the_end():
    current, allowed = torch.tensor([0, 1, 2]), torch.ones(5, dtype=torch.bool)
    gradient = torch.arange(5.0).repeat(3, 1)
    generator = torch.Generator().manual_seed(0)
    drawn = sample_candidates(current, gradient, allowed, width=500, topk=2, n_replace=1, generator=generator)
    assert sorted(drawn.tolist()) == [[0, 0, 2], [0, 1, 0], [0, 1, 1], [1, 1, 2]]


def test_an_unchanged_row_has_its_first_change_behind_the_end():
    assert first_change(torch.tensor([[1, 2], [1, 3]]), torch.tensor([1, 2])).tolist() == [2, 1]


def test_changes_of_the_best_candidates_are_put_together():
    current = torch.tensor([1, 2, 3, 4])
    best = torch.tensor([[1, 9, 3, 4], [1, 8, 3, 4], [7, 2, 3, 4], [1, 2, 3, 6]])
    # The second changes the same place as the first, whose token stays: it adds nothing.
    assert merged(current, best).tolist() == [[7, 9, 3, 4], [7, 9, 3, 6]]
    assert merged(current, best[:2]).shape == (0, 4)
