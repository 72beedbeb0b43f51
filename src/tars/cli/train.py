"""`tars train`: one arm of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional, Suppress

from tars.cli.arguments import Recipe
from tars.errors import InputError


@dataclass
class Train:
    """Train one arm of a recipe, and what it starts from, without evaluating it."""

    method: Positional[Literal["sft", "r2d", "grpo", "dpo", "breakers"]]
    """How the arm is trained; must be what the recipe says."""
    recipe: Recipe
    """A recipe."""
    arm: str
    """Key under `train` in the recipe."""
    out: Path | None = None
    """Run folder; by default runs/NAME. `tars run` with the same folder goes on from it."""
    overrides: Suppress[tuple[tuple[str, str], ...]] = ()

    def __call__(self) -> None:
        from tars.pipeline.read_recipe import load_recipe
        from tars.pipeline.run import train_arm
        from tars.progress import Display

        recipe = load_recipe(self.recipe, self.overrides)
        if self.arm not in recipe.train:
            raise InputError(f"--arm {self.arm}: not under train in {self.recipe} ({', '.join(recipe.train)})")
        if recipe.train[self.arm].method != self.method:
            raise InputError(f"--arm {self.arm}: trained by {recipe.train[self.arm].method}, not by {self.method}")
        with Display() as display:
            for folder in train_arm(recipe, self.arm, self.out or Path("runs") / recipe.name, display):
                print(folder)
