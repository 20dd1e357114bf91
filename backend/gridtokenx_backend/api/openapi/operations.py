"""What a route says of itself in the OpenAPI document, as options of its decorator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

from litestar.openapi.datastructures import ResponseSpec

from gridtokenx_backend.api.problems import MEDIA_TYPE, ProblemDocument

Reasons: TypeAlias = Mapping[int, Sequence[str]]
"""The reasons with which a route refuses, by HTTP status."""

_TITLES = {
    400: "The request cannot be understood, or asks for what cannot be",
    401: "The request does not show who asks, or is not signed by whom it names",
    403: "What is asked for is forbidden for good",
    404: "There is no such thing",
    409: "What is asked for does not fit the present state; nothing has changed",
    410: "What was shown is no longer good",
    413: "The body is too large",
    429: "Too many requests; send the same again after `Retry-After` seconds",
    503: "The backend cannot store or read now; send the same again after `Retry-After` seconds",
}


class Tag(Enum):
    """The groups of operations, each with its description."""

    STATE = "State", "Whether the backend works, and what the community has done so far."
    WALLETS = "Wallets", "What wallets own, and what rests in their names."
    MARKET = "Market", "Book, zones, trades and auctions, which everybody may read and recompute."
    INSTRUCTIONS = (
        "Instructions",
        "What members ask for. Each body is signed by the member's wallet; no token is needed.",
    )
    ENERGY = "Energy", "Readings and 15-minute energies of meters."
    DOCUMENTS = "Documents", "Statements of members, reports of the community, and their months."
    ENROLMENT = "Enrolment", "How a gateway becomes known, and how it changes its key."
    OPERATION = "Operation", "What only the operator may see and do."


class Access(Enum):
    """Who may call an operation."""

    EVERYONE = "everyone"
    OPERATOR = "operator"
    OWNER = "owner"
    MONITORING = "monitoring"


_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.EVERYONE: [],
    Access.OPERATOR: [{"operator": []}],
    Access.OWNER: [{"operator": []}, {"readToken": []}],
    Access.MONITORING: [{"metrics": []}, {"operator": []}],
}

_OF_CREDENTIALS: Reasons = {401: ["unauthorized"], 429: ["too_many_wrong_credentials"]}


def operation(
    id_: str,
    summary: str,
    tag: Tag,
    access: Access = Access.EVERYONE,
    *refusals: Reasons,
) -> dict[str, Any]:
    """Return the options of a route. Its docstring becomes the operation's description.

    `refusals` are those that are special to the route; every route may be unavailable.
    """
    given = [{503: ["unavailable"]}, *refusals]
    if access is not Access.EVERYONE:
        given.append(_OF_CREDENTIALS)
    return {
        "operation_id": id_,
        "summary": summary,
        "tags": [tag.value[0]],
        "security": _SECURITY[access],
        "responses": problem_answers(*given),
    }


def problem_answers(*refusals: Reasons) -> dict[int, ResponseSpec]:
    """Return the answers with problem documents for all of these reasons."""
    merged: dict[int, dict[str, None]] = {}
    for each in refusals:
        for status, reasons in each.items():
            merged.setdefault(status, {}).update(dict.fromkeys(reasons))
    return {
        status: ResponseSpec(
            data_container=ProblemDocument,
            generate_examples=False,
            description=describe_refusal(status, list(reasons)),
            media_type=MEDIA_TYPE,
        )
        for status, reasons in sorted(merged.items())
    }


def describe_refusal(status: int, reasons: Sequence[str]) -> str:
    """Return the description of an answer with a problem document."""
    named = ", ".join(f"`{reason}`" for reason in reasons)
    return f"{_TITLES[status]}. `reason` is {'one of ' if len(reasons) > 1 else ''}{named}."
