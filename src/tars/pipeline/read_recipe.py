"""Reading a recipe strictly from YAML, with dotted overrides from the command line; complaints name key and remedy."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from tars.attacks.budget import Budget
from tars.errors import InputError
from tars.pipeline.rates import expand_rates
from tars.pipeline.recipe import (
    Arm,
    Attacks,
    Base,
    Data,
    Evaluation,
    Own,
    PivotTerm,
    Recipe,
    Rewards,
    Scratch,
    SourceSpec,
)
from tars.pipeline.tools import Tool
from tars.pipeline.tree import override, parse
from tars.training.breaking_settings import Breaking
from tars.training.early_stop import EarlyStop
from tars.training.pivot_settings import PivotLoss
from tars.world.settings import Pretraining

_BLOCKS: dict[str, type] = {
    "base": Base,
    "world": Pretraining,
    "scratch": Scratch,
    "data": Data,
    "prompts": SourceSpec,
    "traces": SourceSpec,
    "validation": SourceSpec,
    "test": SourceSpec,
    "rewards": Rewards,
    "safety": Tool,
    "helpfulness": Tool,
    "judge": Tool,
    "train": Arm,
    "stop": EarlyStop,
    "own": Own,
    "pivots": PivotTerm,
    "pivot_loss": PivotLoss,
    "breaking": Breaking,
    "harmful": SourceSpec,
    "evaluation": Evaluation,
    "attacks": Attacks,
    "behaviors": SourceSpec,
    "budget": Budget,
}
"""Key -> what stands under it."""


def load_recipe(path: Path, overrides: Sequence[tuple[str, str]] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file.
        overrides: Dotted keys and YAML values, for example `("train.tars.args.learning_rate", "5e-4")`.

    Raises:
        InputError: No such file, no YAML, an unknown or ill-typed key; the message names the key and the remedy.
    """
    try:
        tree = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a recipe is a mapping of blocks such as base, data, train")
    for key, value in overrides:
        override(tree, key, value)
    tree.pop("templates", None)  # a place for YAML anchors
    return build_recipe(tree, str(path))


def build_recipe(tree: Mapping[str, Any], where: str) -> Recipe:
    """Check a recipe's tree; `where` names it in errors. Raises `InputError` as `load_recipe` does."""
    try:
        recipe = TypeAdapter(Recipe).validate_python(expand_rates(tree, where))
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(error)}") from error
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    if sum(x is not None for x in (recipe.base.path, recipe.base.world, recipe.base.scratch)) != 1:
        raise InputError(f"{where}: base: give exactly one of path, world and scratch")
    if recipe.base.chat_template is not None and recipe.base.path is None:
        raise InputError(f"{where}: base.chat_template: is for a model of base.path; remove it")
    if "base" in recipe.train:
        raise InputError(f"{where}: train.base: base is the model that arms start from; rename the arm")
    attacked = recipe.attacks.arms if recipe.attacks else []
    for key, arms in {"evaluation.arms": recipe.evaluation.arms, "attacks.arms": attacked}.items():
        for name in arms:
            if name != "base" and name not in recipe.train:
                raise InputError(f"{where}: {key}: {name!r} is not under train ({', '.join(recipe.train)})")
    for name in (*recipe.evaluation.decodings, *recipe.evaluation.behind):
        if ", " in name:
            raise InputError(f"{where}: evaluation: {name!r}: a comma parts a decoding from a defence; rename it")
    for name in recipe.train:
        _ancestors(recipe, name, where)


def _ancestors(recipe: Recipe, name: str, where: str) -> None:
    seen = [name]
    while (start := recipe.train[seen[-1]].start) != "base":
        if start not in recipe.train:
            raise InputError(
                f"{where}: train.{seen[-1]}.start: no arm {start!r}; there is base, {', '.join(recipe.train)}"
            )
        if start in seen:
            raise InputError(f"{where}: train.{name}.start: arms start from each other: {' -> '.join([*seen, start])}")
        seen.append(start)


def _explain(error: ValidationError) -> str:
    """One complaint as one line: key, what is wrong, what was given or meant. Unknown keys first: they explain more."""
    first = min(error.errors(), key=lambda one: one["type"] != "unexpected_keyword_argument")
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "unexpected_keyword_argument":
        close = difflib.get_close_matches(str(first["loc"][-1]), _fields(first["loc"][:-1]), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_fields(first['loc'][:-1]))}"
        return f"{place}: unknown key; {hint}"
    if first["type"] == "missing":
        return f"{place}: missing; add it"
    given = first["input"]
    return (
        f"{place}: {first['msg']}, not {given!r}"
        if isinstance(given, str | int | float)
        else f"{place}: {first['msg']}"
    )


def _fields(location: tuple[int | str, ...]) -> list[str]:
    """Known keys of the block at a location in the tree."""
    keys = [part for above, part in zip((None, *location), location, strict=False) if above != "train"]  # no arm names
    blocks = [_BLOCKS[str(key)] for key in keys if str(key) in _BLOCKS]
    return [entry.name for entry in dataclasses.fields(blocks[-1] if blocks else Recipe)]
