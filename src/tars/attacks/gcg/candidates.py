"""Candidate suffixes: single-token (or few-token) changes of the current one, drawn by the gradient.

Sources: GCG (Zou et al. 2023, arXiv 2307.15043), algorithm 1; I-GCG (Jia et al. 2024, arXiv 2405.21018) §3.3 for
`merged`. Departures: candidates that were drawn twice, or equal the current suffix, are dropped; banned tokens can
never be drawn, also when fewer than `topk` are allowed.
"""

from __future__ import annotations

import torch


def sample_candidates(
    current_S: torch.Tensor,
    gradient_SV: torch.Tensor,
    allowed_V: torch.Tensor,
    *,
    width: int,
    topk: int,
    n_replace: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """At most `width` distinct suffixes `(W, S)`, sorted by where they first differ from the current one, last first.

    Args:
        current_S: Token ids.
        gradient_SV: Of the loss by one-hot tokens; the lower, the more a token promises.
        allowed_V: True at tokens that may be used.
        width: Draws.
        topk: Tokens to draw from at each position, the most promising ones.
        n_replace: Positions that a draw changes.
        generator: On the CPU.
    """
    positions = len(current_S)
    best_SK = _best_tokens(gradient_SV, allowed_V, topk)
    place_WN = torch.rand(width, positions, generator=generator).argsort(1)[:, :n_replace]
    rank_WN = torch.randint(best_SK.shape[1], place_WN.shape, generator=generator)
    candidates_WS = current_S.repeat(width, 1).scatter(1, place_WN, best_SK[place_WN, rank_WN])
    distinct_WS = torch.unique(candidates_WS, dim=0)
    distinct_WS = distinct_WS[(distinct_WS != current_S).any(1)]
    return distinct_WS[first_change(distinct_WS, current_S).argsort(descending=True, stable=True)]


def merged(current_S: torch.Tensor, best_PS: torch.Tensor) -> torch.Tensor:
    """What the best candidates change, put together: the first two's changes, the first three's, … `(P - 1, S)`.

    Where two change the same place, the better one's token stays; rows that add nothing are left out.

    Args:
        current_S: What they change.
        best_PS: Candidates, best first.
    """
    made_S, rows = best_PS[0], list[torch.Tensor]()
    for other_S in best_PS[1:]:
        grown_S = torch.where(made_S == current_S, other_S, made_S)
        if not bool((grown_S == made_S).all()):
            rows.append(grown_S)
        made_S = grown_S
    return torch.stack(rows) if rows else best_PS[:0]


def first_change(candidates_WS: torch.Tensor, current_S: torch.Tensor) -> torch.Tensor:
    """The first position at which each candidate differs; S where it does not."""
    changed_WS = candidates_WS != current_S
    return torch.where(changed_WS.any(1), changed_WS.int().argmax(1), len(current_S))


def _best_tokens(gradient_SV: torch.Tensor, allowed_V: torch.Tensor, topk: int) -> torch.Tensor:
    banned_V = ~allowed_V.to(gradient_SV.device)
    count = min(topk, int(allowed_V.sum()))
    return gradient_SV.masked_fill(banned_V, float("inf")).topk(count, dim=1, largest=False).indices.cpu()
