"""A defence as commands name it, and the target behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tars.errors import InputError

if TYPE_CHECKING:
    from tars.defences.base import Defence, DefenceTools, Surprisals
    from tars.models.base import Model

WORLD = "world"
"""The language model that needs no model: counts of the micro-world's prompts."""


@dataclass(frozen=True)
class Defending:
    """What stands before the model, if anything."""

    defence: str | None = None
    """perplexity, smooth-llm, self-reminder or erase-and-check before the model; pivot-filter, pivot-stop,
    pivot-resample, no-thinking or pivot-prompt for R2D; see docs/defences.md."""
    options: dict[str, str] = field(default_factory=dict[str, str])
    """Its options as pairs, for example copies 4 percent 5."""
    asks: str | None = None
    """The model that the defence asks: of perplexity `world` or a folder or Hub id, else MODEL or MODEL@URL."""
    calibration: tuple[str, ...] = ()
    """Sources of plain prompts that perplexity must let pass."""


def check_defending(defending: Defending) -> Defence | None:
    """The defence, or `None`; nothing is loaded.

    Raises:
        InputError: An unknown defence or option, or the defence lacks what it asks or compares with.
    """
    if defending.defence is None:
        if defending != Defending():
            raise InputError("--options, --asks and --calibration are of a defence; name it with --defence")
        return None
    from tars.defences import named_defence

    defence = named_defence(defending.defence, defending.options)
    lacking = {"language_model": defending.asks is None, "chat": defending.asks is None}
    lacking["calibration"] = not defending.calibration
    for need in defence.needs:
        if need == "is_harmful":
            raise InputError(f"{defence.name}: a filter of one's own is given in Python; take another --options filter")
        if lacking[need]:
            option = "--calibration" if need == "calibration" else "--asks"
            raise InputError(f"{defence.name}: needs a {need.replace('_', ' ')}; name it with {option}")
    return defence


def defended(model: Model, defending: Defending) -> Model:
    """The model behind the defence, or the model itself. Raises `InputError` as `check_defending`."""
    defence = check_defending(defending)
    if defence is None:
        return model
    from tars.defences import defend

    return defend(model, defence, _tools(defence, defending))


def counts_of(model: Model) -> Mapping[str, Any] | None:
    """What a defence has done since it was made; `None` without one."""
    from tars.defences.base import DefendedModel

    return asdict(model.counts) if isinstance(model, DefendedModel) else None


def _tools(defence: Defence, defending: Defending) -> DefenceTools:
    from tars.data.sources import load_prompts
    from tars.defences.base import DefenceTools
    from tars.pipeline.tools import open_teacher

    texts = [
        prompt.text
        for word in defending.calibration
        for prompt in load_prompts(word.partition("=")[0], path=word.partition("=")[2] or None, split="train")
        if prompt.kind == "harmless"
    ]
    if "language_model" in defence.needs and defending.asks is not None:
        return DefenceTools(language_model=_surprisals(defending.asks), calibration=texts)
    chat = open_teacher(defending.asks) if "chat" in defence.needs and defending.asks is not None else None
    return DefenceTools(calibration=texts, chat=chat)


def _surprisals(name: str) -> Surprisals:
    if name == WORLD:
        from tars.defences.world_text import world_surprisals

        return world_surprisals
    import torch

    from tars.defences.perplexity import token_surprisals
    from tars.models.loading import load_model
    from tars.models.local import LocalModel

    loaded = load_model(name, device="cuda" if torch.cuda.is_available() else "cpu", template=False)
    return partial(token_surprisals, LocalModel(*loaded, name=Path(name).name))
