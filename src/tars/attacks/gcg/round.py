"""The candidates of one step: drawn by the gradient, filtered by text, scored, the best ones looked at once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tars.attacks.base import State, Track
from tars.attacks.gcg.candidates import merged, sample_candidates
from tars.attacks.gcg.frames import survivors
from tars.attacks.gcg.gradient import Slope
from tars.attacks.gcg.keeping import Suffix
from tars.attacks.gcg.losses import Losses, Room, candidate_losses, deciding_tokens, lowest_losses
from tars.attacks.gcg.objective import Place
from tars.attacks.gcg.settings import GCG
from tars.attacks.gcg.terms import Term
from tars.attacks.gcg.vocabulary import allowed_tokens

SAMPLE = 32
"""Candidates whose texts tell whether those of all have to be checked, a tenth of a step's time on a small model."""


@dataclass(frozen=True)
class Found:
    """What a step found.

    Attributes:
        best: Candidates with their losses, lowest first: one, or as many as can wait; empty if none survived.
        count: Candidates that were scored.
        forward: Tokens read for each term.
    """

    best: list[Suffix]
    count: int
    forward: list[int]


def shares(settings: GCG, term: Term) -> bool:
    """Keys and values are shared between candidates."""
    return settings.cache and term.uncached(settings.length) is None


def candidates_of_step(
    settings: GCG,
    track: Track,
    state: State,
    places: Sequence[Place],
    terms: Sequence[Term],
    slopes: Sequence[Slope],
    scores_SV: torch.Tensor,
    room: Room,
) -> Found:
    """Draw, filter and score.

    Args:
        settings, track, state: Of the search.
        places: Every prompt in which a suffix has to survive.
        terms: Those that are scored.
        slopes: At the current suffix, of each term.
        scores_SV: Gradient by one-hot tokens.
        room: Learns how many candidates fit into a batch.
    """
    current_S = torch.tensor(state.facts["suffix"])
    local = places[0].local
    drawn_WS = sample_candidates(
        current_S,
        scores_SV,
        allowed_tokens(local.tokenizer, scores_SV.shape[1], ascii_only=settings.ascii_only),
        width=settings.width,
        topk=settings.topk,
        n_replace=settings.replace,
        generator=torch.Generator().manual_seed(track.integer("gcg candidates", state.step)),
    )
    first = deciding_tokens(slopes[0].loss_T) if len(terms) == 1 and not settings.buffer else None
    late = first is None and not settings.merge and _sample_survives(places, drawn_WS)
    alive_WS = drawn_WS if late else _alive(places, drawn_WS)
    if not len(alive_WS):
        return Found([], 0, [0] * len(terms))
    losses = [_score(term, one, current_S, alive_WS, room, first) for term, one in zip(terms, slopes, strict=True)]
    forward, mean_W = [one.forward for one in losses], torch.stack([one.loss_W for one in losses]).mean(0)
    together_MS = _together(settings, places, current_S, alive_WS, mean_W)
    if len(together_MS):
        more = [_score(term, one, current_S, together_MS, room, None) for term, one in zip(terms, slopes, strict=True)]
        forward = [a + b.forward for a, b in zip(forward, more, strict=True)]
        alive_WS = torch.cat([alive_WS, together_MS])
        mean_W = torch.cat([mean_W, torch.stack([one.loss_W for one in more]).mean(0)])
    return Found(_sent(settings, places, alive_WS, mean_W), len(alive_WS), forward)


def _sample_survives(places: Sequence[Place], drawn_WS: torch.Tensor) -> bool:
    """Hardly any text needs to be checked before scoring: `_sent` checks the best, from the lowest loss on.

    Not so where a candidate that does not survive would count: others are given up against it, or merged with it.
    """
    sample_WS = drawn_WS[:: max(1, len(drawn_WS) // SAMPLE)]
    return len(_alive(places, sample_WS)) == len(sample_WS)


def _alive(places: Sequence[Place], suffixes_WS: torch.Tensor) -> torch.Tensor:
    return survivors(places[0].local, [one.frame for one in places], [one.behind for one in places], suffixes_WS)


def _together(
    settings: GCG, places: Sequence[Place], current_S: torch.Tensor, alive_WS: torch.Tensor, mean_W: torch.Tensor
) -> torch.Tensor:
    """The best candidates' changes put together; a candidate that was given up is not among the best."""
    order_P = mean_W.argsort(stable=True)[: settings.merge]
    best_PS = alive_WS[order_P[mean_W[order_P].isfinite()]]
    if len(best_PS) < 2:
        return alive_WS[:0]
    grown_MS = merged(current_S, best_PS)
    return _alive(places, grown_MS) if len(grown_MS) else grown_MS


def _score(
    term: Term, at: Slope, current_S: torch.Tensor, alive_WS: torch.Tensor, room: Room, first: int | None
) -> Losses:
    if first is None:
        return candidate_losses(term, current_S, alive_WS, at.cache, room)
    return lowest_losses(term, current_S, alive_WS, at.cache, room, first)


def _sent(settings: GCG, places: Sequence[Place], alive_WS: torch.Tensor, mean_W: torch.Tensor) -> list[Suffix]:
    """The best candidates among those that the rendered chat leaves as they are."""
    best: list[Suffix] = []
    for index in mean_W.argsort(stable=True).tolist():
        if not mean_W[index].isfinite() or len(best) > settings.buffer:
            break
        ids = alive_WS[index].tolist()
        if all(one.sends(ids) for one in places):
            best.append((float(mean_W[index]), ids))
    return best
