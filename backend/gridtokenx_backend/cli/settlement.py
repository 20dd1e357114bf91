"""`gridtokenx-backend deposit`, `correct`, `withdrawal` and `rec`: what the operator settles."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gridtokenx_backend.cli.certificate_file import as_csv
from gridtokenx_backend.cli.operator_api import operator_api
from gridtokenx_backend.cli.operator_command import OperatorCall, with_operator_api
from gridtokenx_backend.cli.options import (
    CONFIG,
    ConfigOption,
    JsonOption,
    ReasonOption,
    UrlOption,
    example,
)
from gridtokenx_backend.cli.output import print_answer, print_json, print_table, say, write_file
from gridtokenx_backend.core.model.local_time import parse_month
from gridtokenx_backend.errors import OperatorError

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
NumberArgument = Annotated[
    int, typer.Argument(metavar="NUMBER", help="The number, as `list` shows it.")
]
ReferenceOption = Annotated[
    str, typer.Option(metavar="TEXT", help="The bank's reference for this payment and no other.")
]
withdrawal = typer.Typer(
    no_args_is_help=True, help="Show and settle the money that members want paid out."
)
rec = typer.Typer(no_args_is_help=True, help="Certificates of renewable energy (REC).")


def deposit(
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="The member's address.")],
    amount: Annotated[
        str, typer.Argument(metavar="GRX", help="The money that came in, such as 50.")
    ],
    reference: ReferenceOption,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Credit a payment that came in. A reference that was used is never credited again."""
    body = {"wallet": wallet, "amount_grx": amount, "reference": reference}
    done = operator_api(config, url).post("/v1/operator/deposits", body)
    entry = done["journal_seq"]
    text = f"{done['wallet']}: {done['amount_grx']} GRX credited (entry {entry})"
    print_answer(done, text, as_json=as_json)


def correct(
    meter: Annotated[str, typer.Argument(metavar="METER", help="The meter's id.")],
    since: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="The start, such as 2026-06-01T12:15+02:00."),
    ],
    until: Annotated[
        str,
        typer.Option("--to", metavar="TIME", help="The end, at the end of a 15-minute interval."),
    ],
    imported: Annotated[
        str,
        typer.Option(
            "--import", metavar="KWH", help="The energy that it really imported in this time."
        ),
    ],
    exported: Annotated[
        str,
        typer.Option(
            "--export", metavar="KWH", help="The energy that it really exported in this time."
        ),
    ],
    reason: ReasonOption,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Correct what a meter counted: the difference is minted or clawed back.

    It concerns who owned the meter in this time.
    """
    body: dict[str, str | int] = {"meter": meter}
    body |= {"import_kwh": imported, "export_kwh": exported, "reason": reason}
    body |= {"from_ms": _moment("--from", since), "to_ms": _moment("--to", until)}
    done = operator_api(config, url).post("/v1/operator/corrections", body)
    if as_json:
        print_json(done)
        return
    for name in ("import", "export", "surplus"):
        say(f"{name:>8}  {done[f'{name}_kwh']} kWh")
    say(f"{'owed':>8}  {done['owed_kwh']} kWh of the owner's next mints")
    say(f"{'owner':>8}  {done['owner']} in this time")
    count, entry = done["intervals"], done["journal_seq"]
    say(f"{done['meter']}: {count} intervals corrected (entry {entry})", err=True)


def _moment(option: str, text: str) -> int:
    """Return a time with its offset as Unix milliseconds. Raises OperatorError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        expected = "expected a time with its offset, such as 2026-06-01T12:15+02:00 or ...T10:15Z"
        raise OperatorError(f"{option}: {expected}, got {text!r}")
    if at < _FIRST:
        raise OperatorError(f"{option}: expected a time after {_FIRST:%Y}, got {text!r}")
    return (at - _FIRST) // timedelta(milliseconds=1)


@withdrawal.command("list", epilog=example("withdrawal list"))
@with_operator_api
def list_withdrawals(call: OperatorCall) -> None:
    """Show the withdrawals that wait to be paid out."""
    found = call.api.get("/v1/operator/withdrawals")
    if call.as_json:
        print_json(found)
        return
    rows = [
        (str(each["number"]), each["name"], each["amount_grx"], each["reference"]) for each in found
    ]
    print_table(("number", "member", "GRX", "reference"), rows)


@withdrawal.command(
    "confirm",
    epilog=example('withdrawal confirm 17 --reference "SEPA 2026-07-01/3"'),
)
@with_operator_api
def confirm_withdrawal(
    call: OperatorCall, number: NumberArgument, reference: ReferenceOption
) -> None:
    """Say that a withdrawal was paid."""
    path = f"/v1/operator/withdrawals/{number}/confirm"
    done = call.api.post(path, {"reference": reference})
    _show_withdrawal(call, done)


@withdrawal.command(
    "refuse",
    epilog=example('withdrawal refuse 17 --reason "no bank account known"'),
)
@with_operator_api
def refuse_withdrawal(call: OperatorCall, number: NumberArgument, reason: ReasonOption) -> None:
    """Give the money back to the member's wallet."""
    path = f"/v1/operator/withdrawals/{number}/refuse"
    done = call.api.post(path, {"reason": reason})
    _show_withdrawal(call, done)


def _show_withdrawal(call: OperatorCall, done: dict[str, Any]) -> None:
    what = f"withdrawal {done['number']}: {done['amount_grx']} GRX {done['status']}"
    call.tell(done, f"{what} (entry {done['journal_seq']})")


@rec.command("issue", epilog=example("rec issue 2026-06"))
@with_operator_api
def issue(
    call: OperatorCall,
    month: Annotated[
        str, typer.Argument(metavar="MONTH", help="A month that is over, such as 2026-06.")
    ],
) -> None:
    """Issue a certificate for each full MWh that renewable meters minted up to a month's end."""
    done = call.api.post("/v1/operator/certificates", {"month": month})
    if call.as_json:
        print_json(done)
        return
    for each in done["certificates"]:
        say(f"{each['serial']}: to {each['owner']}")
    count = len(done["certificates"])
    say(f"{done['month']}: {count} certificates issued", err=True)


@rec.command("export", epilog=example("rec export --out certificates.csv"))
@with_operator_api
def export(
    call: OperatorCall,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write instead of standard output."),
    ] = None,
    month: Annotated[
        str,
        typer.Option(
            metavar="MONTH", help="Take only the certificates of this month, such as 2026-06."
        ),
    ] = "",
) -> None:
    """Write all certificates as CSV for a registry."""
    _check_month(month)
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        path = f"/v1/certificates?limit=1000&after={quote(after, safe='')}"
        page = call.api.get(path)
        found += [each for each in page["certificates"] if month in ("", each["month"])]
        after = page["next"]
        if not after:
            break
    if call.as_json:
        print_json(found)
        return
    table = as_csv(found)
    if out is None:
        sys.stdout.write(table)
        return
    write_file(out, table.encode())
    say(f"{out}: {len(found)} certificates", err=True)


def _check_month(month: str) -> None:
    try:
        if month:
            parse_month(month)
    except ValueError as error:
        raise OperatorError(f"--month: {error}") from None
