"""`tars run`: a recipe from its first stage to its report."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tyro.conf import Suppress

from tars.cli.arguments import Recipe
from tars.cli.printing import print_figures, print_headline


@dataclass
class Run:
    """Do everything that a recipe says: skip what is done, resume what is half done.

    Any key of the recipe can be replaced, for example --train.tars.args.beta 0.01
    """

    recipe: Recipe
    """A recipe, for example recipes/micro.yaml."""
    out: Path | None = None
    """Run folder; by default runs/NAME."""
    seed: int | None = None
    """Train with this seed alone."""
    model: str | None = None
    """Start from this model folder or Hub id instead of the recipe's."""
    dry_run: bool = False
    """Print what would be done, with counts, steps, tokens and memory, and do nothing."""
    json: bool = False
    """Print results as one JSON object."""
    overrides: Suppress[tuple[tuple[str, str], ...]] = ()

    def __call__(self) -> None:
        from tars.pipeline.dry_run import describe
        from tars.pipeline.read_recipe import load_recipe
        from tars.pipeline.recipe import with_seed
        from tars.pipeline.run import run_recipe
        from tars.progress import Display
        from tars.report.statement import same_judge

        recipe = load_recipe(self.recipe, self.overrides)
        if self.seed is not None:
            recipe = with_seed(recipe, self.seed)
        if self.model is not None:
            recipe = replace(recipe, base=replace(recipe.base, path=self.model, world=None, scratch=None))
        if self.dry_run:
            print_figures(describe(recipe), as_json=self.json)
            return
        if warning := same_judge(asdict(recipe)):
            print(f"tars: {warning}", file=sys.stderr)
        run = self.out or Path("runs") / recipe.name
        with Display() as display:
            report = run_recipe(recipe, run, display)
        print_headline(run, report, as_json=self.json)
