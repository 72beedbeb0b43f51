"""The model under test as commands name it: on this machine, or behind an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tars.errors import InputError
from tars.models.loading import check_model_folder, is_local
from tars.pipeline.tools import parse_tool

if TYPE_CHECKING:
    from tars.models.base import Model
    from tars.models.endpoint import Endpoint


@dataclass(frozen=True)
class Target:
    """A model under test.

    Attributes:
        model: A folder or Hub id, or with `url` the name that the server knows it by.
        url: OpenAI-compatible server; without it the model is loaded here.
        key: Name of the environment variable with the server's key.
        extra: Fields added to every request to the server; `None` removes one.
    """

    model: str
    url: str | None = None
    key: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """How rows and reports call it: the last part of the model's name."""
        return Path(self.model).name


def parse_target(text: str, key: str | None = None, extra: Mapping[str, Any] | None = None) -> Target:
    """A target from the command line, `MODEL` or `MODEL@URL`; `key` and `extra` go with a URL.

    Raises:
        InputError: A URL that is not http or https; a key or fields without one.
    """
    if "://" in text:
        tool = parse_tool(f"model={text}", key)
        return Target(tool.model or "", tool.url, tool.key, extra or {})
    if key or extra:
        raise InputError(f"{text}: no server to send a key or fields to; name it as MODEL@URL, or leave them out")
    return Target(text)


def check_target(target: Target) -> None:
    """Whether there can be such a model; nothing is loaded and no request is made.

    Raises:
        InputError: A folder that holds no model; an unusable URL, or a key missing from the environment.
    """
    if target.url is not None:
        _endpoint(target, None)
    elif is_local(target.model):
        check_model_folder(target.model)


def open_target(
    text: str,
    key: str | None = None,
    *,
    reasons: bool = True,
    batch: int | None = None,
    cache: Path | None = None,
    extra: Mapping[str, Any] | None = None,
    pivots: bool = False,
) -> Model:
    """A model under test, `MODEL` loaded or `MODEL@URL` ready to be asked.

    Args:
        text: What to open; see `parse_target`.
        key: Name of the environment variable with the server's key.
        reasons: The model is expected to think first.
        batch: Prompts asked together by callers that keep what is done batch by batch; by default 64 here, and as many
            as keep a server busy there.
        cache: Folder for the answers of a server, so that those before a fault are not asked for again. Give one of the
            run's own: the server may serve another model under the same name tomorrow.
        extra: Fields added to every request to a server.
        pivots: The served model has R2D's safety tags as tokens.

    Raises:
        InputError: As `check_target`, and a model that cannot be loaded.
    """
    target = parse_target(text, key, extra)
    if target.url is not None:
        from tars.models.endpoint_model import EndpointModel

        endpoint = _endpoint(target, cache)
        many = batch or 4 * endpoint.in_flight
        return EndpointModel(endpoint, reasons=reasons, batch=many, name=target.name, pivots=pivots)
    import torch

    from tars.models.loading import load_model
    from tars.models.local import LocalModel

    loaded = load_model(target.model, device="cuda" if torch.cuda.is_available() else "cpu")
    return LocalModel(*loaded, name=target.name, reasons=reasons, batch=batch or 64)


def _endpoint(target: Target, cache: Path | None) -> Endpoint:
    from tars.models.endpoint import Endpoint

    return Endpoint(target.url or "", target.model, target.key, cache=cache, extra=target.extra)
