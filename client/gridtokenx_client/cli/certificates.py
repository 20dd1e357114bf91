"""The commands `gridtokenx rec ...`: certificates of renewable energy, one for each MWh."""

from __future__ import annotations

from typing import Annotated

import typer

from gridtokenx_client.cli import tables
from gridtokenx_client.cli.wallet import (
    DEFAULT_API,
    ApiOption,
    IdOption,
    JsonOption,
    KeyOption,
    address_of,
    key_file,
    open_api,
    show,
)
from gridtokenx_client.wallet import Wallet, new_id

rec_app = typer.Typer(help="Certificates of renewable energy (REC).", no_args_is_help=True)

Serial = Annotated[
    str, typer.Argument(metavar="SERIAL", help="The certificate's number, as `rec list` shows it.")
]
WalletOption = Annotated[
    str | None, typer.Option("--wallet", metavar="ADDRESS", help="Another wallet's address.")
]


@rec_app.command("list", epilog="Example: gridtokenx rec list --key anna.key")
def list_certificates(
    key: KeyOption = None,
    wallet: WalletOption = None,
    api: ApiOption = DEFAULT_API,
    *,
    everyone: Annotated[
        bool, typer.Option("--all", help="List the certificates of all wallets.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show certificates and what became of them."""
    owner = "" if everyone else address_of(key, wallet)
    with open_api(api) as community:
        found = community.certificates(owner)
    show(found, tables.certificates_table(owner or "all wallets", found), as_json=as_json)


@rec_app.command(
    epilog="Example: gridtokenx rec transfer sonnenweg-2026-06-EASTRON-12345678-1 7xKX...Wn2 "
    "--key anna.key"
)
def transfer(
    serial: Serial,
    to: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The member who gets the certificate.")
    ],
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Give a certificate to another member."""
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        jws = wallet.rec_transfer(community.health(), serial, to, id_=id_ or new_id())
        done = community.transfer_certificate(jws)
    show(done, tables.certificate_line(done), as_json=as_json)


@rec_app.command(
    epilog="Example: gridtokenx rec retire sonnenweg-2026-06-EASTRON-12345678-1 "
    '--for "Bakery Sonnenweg, 2026" --key anna.key'
)
def retire(
    serial: Serial,
    beneficiary: Annotated[
        str,
        typer.Option(
            "--for", metavar="TEXT", help="The person or firm in whose name it is used up."
        ),
    ],
    key: KeyOption = None,
    api: ApiOption = DEFAULT_API,
    id_: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Use a certificate up, once and for all, so that nobody can claim it again."""
    wallet = Wallet.load(key_file(key))
    with open_api(api) as community:
        jws = wallet.rec_retire(community.health(), serial, beneficiary, id_=id_ or new_id())
        done = community.retire_certificate(jws)
    show(done, tables.certificate_line(done), as_json=as_json)
