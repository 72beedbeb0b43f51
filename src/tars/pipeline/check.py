"""What can be found wrong with a recipe before any work starts, beyond the form of its keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tars.errors import InputError
from tars.pipeline.recipe import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Names of scorers, judge, sources and teachers, arguments for TRL, and the model folder.

    Raises:
        InputError: One line that names the key, what it says, and what it could say.
    """
    from trl import GRPOConfig, SFTConfig

    from tars.data.sources import SOURCES
    from tars.judges import JUDGES
    from tars.models.loading import check_model_folder, is_local
    from tars.rewards.scorers import SCORERS
    from tars.training.arguments import check_arguments
    from tars.world.source import TEACHERS

    _known("evaluation.judge", recipe.evaluation.judge, JUDGES)
    _known("rewards.safety", recipe.rewards.safety, SCORERS)
    _known("rewards.helpfulness", recipe.rewards.helpfulness, SCORERS)
    data = recipe.data
    for spec in (data.prompts, data.traces, *data.validation, *data.test):
        _known("data: source", spec.source, SOURCES)
        _known("data: teacher", spec.teacher, TEACHERS)
    for name, arm in recipe.train.items():
        config = SFTConfig if arm.method == "sft" else GRPOConfig
        check_arguments(config, arm.args, f"train.{name}.args")
        if arm.teacher is not None:
            _known(f"train.{name}.teacher", arm.teacher, TEACHERS)
        if arm.method == "grpo" and arm.data == "traces":
            raise InputError(f"train.{name}.data: grpo trains on the mix; remove it")
    if recipe.base.path is not None and is_local(recipe.base.path):
        check_model_folder(recipe.base.path)


def _known(key: str, name: str, names: Iterable[str]) -> None:
    choices = sorted(names)
    if name not in choices:
        close = difflib.get_close_matches(name, choices, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(choices)}"
        raise InputError(f"{key}: unknown {name!r}; {hint}")
