"""Threads are changed for a while, also where the block fails."""

import pytest
import torch

from tars.models.threads import cpu_threads


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="on purpose"), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise ValueError("on purpose")
    assert torch.get_num_threads() == before
