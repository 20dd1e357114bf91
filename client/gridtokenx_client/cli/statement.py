"""`gridtokenx statement MONTH`: a month's statement, as a file for people or for programs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from gridtokenx_client.cli.wallet import DEFAULT_API, ApiOption, KeyOption, key_file
from gridtokenx_client.problem import Mistake, one_line
from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.keys import parse_public_key, read_token


class Form(StrEnum):
    """The form of a statement's file."""

    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


def statement(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="The month, such as 2026-06.")],
    form: Annotated[Form, typer.Option("--format", help="The format of the statement.")] = Form.PDF,
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="FILE", help="The file to write. With - it is standard output."
        ),
    ] = "",
    revision: Annotated[
        int,
        typer.Option(
            "--revision", min=0, help="An earlier revision. The default, 0, is the newest."
        ),
    ] = 0,
    key: KeyOption = None,
    wallet: Annotated[
        str | None,
        typer.Option(
            "--wallet", metavar="ADDRESS", help="The member whose statement the operator gets."
        ),
    ] = None,
    operator_token: Annotated[
        Path | None,
        typer.Option(
            "--operator-token", metavar="FILE", help="The file with the operator's token."
        ),
    ] = None,
    api: ApiOption = DEFAULT_API,
    *,
    report: Annotated[
        bool, typer.Option("--report", help="Get the whole community's report instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON, for programs.")] = False,
) -> None:
    """Get your statement of a month: what you bought, sold, used and pay.

    Of a month that is not over it is a preview.
    """
    from gridtokenx_client.api import Api  # noqa: PLC0415 (takes half a second)

    if (wallet is not None) and operator_token is None:
        raise Mistake("expected --wallet with --operator-token only; your key names your own")
    if operator_token is not None and wallet is None and not report:
        raise Mistake("expected --wallet or --report with --operator-token")
    form, out = (Form.JSON, "-") if as_json else (form, out)
    secret = read_token(operator_token) if operator_token else None
    with Api(api, operator_token=secret) as community:
        token, whose = None, _checked(wallet)
        if secret is None:
            mine = Wallet.load(key_file(key))
            token, whose = mine.read_token(community.health()), mine.address
        what = "reports" if report else f"statements/{whose}"
        path = f"{what}/{quote(month, safe='')}.{form}" + (
            f"?revision={revision}" if revision else ""
        )
        document = community.document(path, token)
    kind = "report" if report else "statement"
    _write(document, out or f"{kind}-{month}.{form}")


def _checked(wallet: str | None) -> str:
    if wallet is not None:
        try:
            parse_public_key(wallet)
        except ValueError as error:
            raise Mistake(f"--wallet: {error}") from None
    return wallet or ""


def _write(document: bytes, out: str) -> None:
    if out == "-":
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
        return
    try:
        Path(out).write_bytes(document)
    except OSError as error:
        raise Mistake(f"{out}: cannot be written: {error.strerror}") from None
    typer.echo(one_line(out))
