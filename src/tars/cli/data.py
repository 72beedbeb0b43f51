"""`tars data`: the sources, λ mixes of them, data sets, and overlap with benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tars.cli.arguments import Benchmarks, RecipeOrSources, Sources, check_named
from tars.cli.group import Group
from tars.cli.made_data import Pairs, Rainbow, Traces
from tars.cli.printing import print_figures
from tars.errors import InputError

if TYPE_CHECKING:
    from tars.pipeline.build_prompts import BuildRequest

OF_SOURCES = ("composition", "against", "remove", "count", "max_characters", "near_duplicates")
"""Options that say how named sources are drawn from; a recipe says so itself."""


@dataclass(kw_only=True)
class Drawing:
    """How a mix is drawn."""

    lam: float = 0.5
    """Harmful fraction λ in [0, 1]."""
    seed: int = 0
    """Of every draw and of the order."""
    composition: Literal["paper", "published", "warm-start", "by-size"] = "paper"
    """Of named sources: TARS's counts, its script's own draws, its warm start's prompts, or whatever there is."""
    against: Benchmarks = ()
    """What --remove compares with; see docs/data.md."""
    remove: bool = False
    """Leave out what overlaps with benchmarks, and draw others for it."""
    count: int | None = None
    """Prompts in all; by default as the composition says."""
    max_characters: int | None = 1000
    """Prompts of named sources must be shorter."""
    near_duplicates: float | None = 0.8
    """Similarity from which a prompt of named sources repeats another."""
    json: bool = False
    """Print counts as one JSON object."""

    def request(self, sources: Sequence[str]) -> BuildRequest:
        """What named sources are asked for."""
        from tars.pipeline.build_prompts import BuildRequest

        return BuildRequest(sources, self.lam, seed=self.seed, **{name: getattr(self, name) for name in OF_SOURCES})

    def mixed(self, what: Sequence[str], out: Path | None = None) -> dict[str, Any]:
        """Counts of a mix of a recipe or of named sources; with `out` its prompts are written."""
        from tars.pipeline.build_prompts import mix_prompts
        from tars.pipeline.named_sources import is_recipe

        return self._of_recipe(what, out) if is_recipe(what[0]) else mix_prompts(self.request(what), out)

    def _of_recipe(self, what: Sequence[str], out: Path | None) -> dict[str, Any]:
        from tars.pipeline.dry_run import mixture_of
        from tars.pipeline.named_sources import refuse_existing, write_prompts
        from tars.pipeline.read_recipe import load_recipe

        if len(what) > 1:
            raise InputError(f"{what[1]}: give one recipe, or sources without it")
        for option in fields(self):
            if option.name in OF_SOURCES and getattr(self, option.name) != option.default:
                name = option.name.replace("_", "-")
                raise InputError(f"--{name}: is for named sources; {what[0]} has its own data block")
        refuse_existing(out)
        prompts, counts = mixture_of(load_recipe(Path(what[0])), self.lam, self.seed)
        if out is not None:
            write_prompts(out, prompts)
        return counts


@dataclass(kw_only=True)
class Show(Drawing):
    """Print all sources, or the counts of a λ mix of a recipe or of named sources."""

    what: RecipeOrSources = field(default_factory=list[str])
    """Nothing for the table of sources."""

    def __call__(self) -> None:
        from tars.data.catalogue import catalogue

        print_figures(self.mixed(self.what) if self.what else catalogue(), as_json=self.json)


@dataclass(kw_only=True)
class Mix(Drawing):
    """Write the prompts of a λ mix to a file."""

    what: RecipeOrSources
    """A recipe, or sources; tars data show lists them."""
    out: Path
    """JSONL file to write."""

    def __call__(self) -> None:
        check_named("mix", self.what)
        print_figures(self.mixed(self.what, self.out), as_json=self.json)


@dataclass(kw_only=True)
class Build(Drawing):
    """Write a folder with the prompts of a λ mix, their manifest and their card."""

    what: Sources
    """Sources; tars data show lists them."""
    against: Benchmarks = ()
    """What the prompts are compared with; see docs/data.md."""
    out: Path
    """Folder to make."""

    def __call__(self) -> None:
        from tars.pipeline.build_prompts import build_prompts
        from tars.pipeline.named_sources import is_recipe

        check_named("build", self.what)
        if is_recipe(self.what[0]):
            raise InputError(f"tars data build {self.what[0]}: name sources, not a recipe; its mix is `mix`'s")
        print_figures(build_prompts(self.request(self.what), self.out), as_json=self.json)


@dataclass(kw_only=True)
class Check:
    """Look for prompts that benchmarks hold too."""

    what: RecipeOrSources
    """A recipe, then all that it trains on, or sources; tars data show lists them."""
    against: Benchmarks = ()
    """Benchmarks; of a recipe by default all that it validates and tests on."""
    remove: bool = False
    """Write the prompts that do not overlap to --out."""
    out: Path | None = None
    """JSONL file for them."""
    lam: float = 0.5
    """Harmful fraction λ of a recipe's mix."""
    seed: int = 0
    """Of a recipe's mix."""
    json: bool = False
    """Print counts as one JSON object."""

    def __call__(self) -> None:
        from tars.pipeline.check_prompts import CheckRequest, check_prompts

        check_named("check", self.what)
        request = CheckRequest(self.what, self.against, self.remove, self.out, self.lam, self.seed)
        print_figures(check_prompts(request), as_json=self.json)


DATA = Group(
    "Sources of prompts, λ mixes, data sets with manifest and card, overlap with benchmarks, and what models make.",
    {
        "show": Show,
        "mix": Mix,
        "build": Build,
        "check": Check,
        "traces": Traces,
        "pairs": Pairs,
        "rainbow": Rainbow,
    },
)
