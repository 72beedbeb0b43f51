"""A learning-rate search in a recipe: an arm with `rates` stands for one arm a rate, `NAME-RATE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tars.errors import InputError

Tree = dict[str, Any]


def expand_rates(tree: Mapping[str, Any], where: str) -> Tree:
    """The recipe's tree with each such arm replaced, under `train` and in the lists of arms.

    `{rates: [1e-3, 2e-3], …}` under `sft` becomes `sft-0.001` and `sft-0.002` with that `args.learning_rate`.

    Raises:
        InputError: `rates` is no list of different positive numbers, or another arm starts from that arm.
    """
    train = tree.get("train")
    if not isinstance(train, Mapping):
        return dict(tree)
    made, names = Tree(), dict[str, list[str]]()
    for name, arm in train.items():
        if not isinstance(arm, Mapping) or "rates" not in arm:
            made[name] = arm
            continue
        found = {f"{name}-{rate:g}": _at(arm, rate) for rate in _rates(arm["rates"], f"{where}: train.{name}.rates")}
        made |= found
        names[name] = list(found)
    for name, arm in made.items():
        if isinstance(arm, Mapping) and arm.get("start") in names:
            raise InputError(f"{where}: train.{name}.start: {arm['start']!r} has several rates; name one of its arms")
    return (
        dict(tree)
        | {"train": made}
        | {key: _listed(tree[key], names) for key in ("evaluation", "attacks") if tree.get(key)}
    )


def _at(arm: Mapping[str, Any], rate: float) -> Tree:
    rest = {key: value for key, value in arm.items() if key != "rates"}
    return rest | {"args": {**(arm.get("args") or {}), "learning_rate": rate}}


def _rates(given: Any, where: str) -> list[float]:
    numbers = isinstance(given, list) and all(isinstance(one, int | float) and one > 0 for one in given)
    if not numbers or not given or len({f"{one:g}" for one in given}) < len(given):
        raise InputError(f"{where}: give a list of different learning rates, as [5.0e-4, 1.0e-3]")
    return [float(one) for one in given]


def _listed(block: Any, names: Mapping[str, list[str]]) -> Any:
    if not isinstance(block, Mapping) or not isinstance(block.get("arms"), list):
        return block
    return {**block, "arms": [one for name in block["arms"] for one in names.get(name, [name])]}
