"""Defences that read what a model wrote, safety tags included, and give something else on: pure views of a completion.

As they ask nothing, answers that are stored already can be seen through them too (`tars.evaluation.views`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tars.defences.base import DefendedModel
from tars.models.base import Model
from tars.pivots import defuse
from tars.reasoning import CLOSE, OPEN, thought_span
from tars.types import Completion, Sampling

View = Callable[[Completion], Completion]
"""Of a completion, as a model gives it, what is given on; the very same object where nothing changes."""

TokensIn = Callable[[str], int | None]
"""How many tokens a text is; `None` where that is not known. See `tars.models.base.Model.tokens_in`."""


class ViewedModel(DefendedModel):
    """A model whose completions are seen through a view. Tags in prompts are defused, whatever the model holds."""

    def __init__(self, model: Model, defence: str, view: View, *, refuses: bool) -> None:
        super().__init__(model, defence)
        self.view, self.refuses = view, refuses

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, prefills: Sequence[str] | None = None
    ) -> list[Completion]:
        """The model's completions as they are seen. Tags of a prefill count like the model's own."""
        made = self.model.generate([defuse(prompt) for prompt in prompts], sampling, prefills)
        seen = [self.view(one) for one in made]
        self.counts.prompts += len(prompts)
        self.counts.queries += len(made)
        for raw, one in zip(made, seen, strict=True):
            self.counts.changed += one is not raw
            self.counts.refused += self.refuses and one is not raw
            if one.text != raw.text:
                self.discard(raw.text, one.text)
        return seen


def opened_by_template(completion: Completion) -> bool:
    """The text begins inside the reasoning, or nothing opened it."""
    return completion.reasoning is not None and OPEN not in completion.text.partition(CLOSE)[0]


def thought_of(completion: Completion) -> tuple[int, int] | None:
    """Where the reasoning stands in the completion's text; `None` if it has none."""
    if completion.reasoning is None:
        return None
    return thought_span(completion.text, prefilled=opened_by_template(completion))
