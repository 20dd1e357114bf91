"""What commands have in common that ask the operator's API: three options, and their meaning."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import tzinfo
from inspect import Parameter
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec

from gridtokenx_backend.cli.local_time import community_zone
from gridtokenx_backend.cli.operator_api import OperatorApi, operator_api
from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, UrlOption
from gridtokenx_backend.cli.output import print_answer

Own = ParamSpec("Own")


class OperatorCall(NamedTuple):
    """A command's call: the API that it asks, and whether it prints for programs."""

    api: OperatorApi
    as_json: bool

    def zone(self) -> tzinfo:
        """Return the community's time zone, in which people read times."""
        return community_zone(self.api)

    def tell(self, answer: Any, text: str) -> None:
        """Print an answer as JSON for programs, or `text`, which says it to people."""
        print_answer(answer, text, as_json=self.as_json)


def with_operator_api(
    command: Callable[Concatenate[OperatorCall, Own], None],
) -> Callable[..., None]:
    """Return a command that has `--config`, `--api` and `--json` after its own options."""

    @functools.wraps(command)
    def asked(*, config: Path, url: str, as_json: bool, **own: Any) -> None:
        command(OperatorCall(operator_api(config, url), as_json), **own)  # type: ignore[call-arg]

    _, *parameters = inspect.signature(command, eval_str=True).parameters.values()
    for name, kind, default in (
        ("config", ConfigOption, CONFIG),
        ("url", UrlOption, ""),
        ("as_json", JsonOption, False),
    ):
        shared = Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        parameters.append(shared)
    asked.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    asked.__annotations__ = {each.name: each.annotation for each in parameters}
    return asked
