"""`gridtokenx-backend reader`: read-only certificates for integrators at the broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, example
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.errors import CannotStart

if TYPE_CHECKING:
    from gridtokenx_backend.enrolment.authority import Authority

reader = typer.Typer(
    no_args_is_help=True, help="Create, list and revoke read-only certificates for integrators."
)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="1 to 20 lower-case letters or digits.")
]


@reader.command("create", epilog=example("reader create dashboard --out dashboard"))
def create_reader(
    name: NameArgument,
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
    config: ConfigOption = CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a key and a certificate with which one may read at the broker, and write nothing."""
    from gridtokenx_backend.enrolment.authority import (  # noqa: PLC0415
        create_tls_key,
        write_public_file,
    )
    from gridtokenx_backend.folders import make_folder  # noqa: PLC0415

    settings = load_settings(config)
    authority = _authority(settings)
    make_folder(out, 0o700)
    key = create_tls_key(out / "reader.key")
    days = settings.backend.enrolment.certificate_days
    pem = authority.certify_reader(name, key.public_key(), days)
    write_public_file(out / "reader.pem", pem.encode())
    write_public_file(out / "ca.pem", authority.pem.encode())
    files = ["ca.pem", "reader.pem", "reader.key"]
    text = f"{out}: {', '.join(files)}\nThe broker lets it in within 20 seconds."
    print_answer({"name": name, "folder": str(out), "files": files}, text, as_json=as_json)


@reader.command("list", epilog=example("reader list"))
def list_readers(config: ConfigOption = CONFIG, *, as_json: JsonOption = False) -> None:
    """Show the readers that are not revoked."""
    names = [each.removeprefix("reader-") for each in _authority(load_settings(config)).readers()]
    print_answer(names, "\n".join(names) or "no readers", as_json=as_json)


@reader.command("revoke", epilog=example("reader revoke dashboard"))
def revoke_reader(
    name: NameArgument, config: ConfigOption = CONFIG, *, as_json: JsonOption = False
) -> None:
    """Shut a reader out for good; it takes 20 seconds."""
    _authority(load_settings(config)).revoke_reader(name)
    print_answer({"name": name, "status": "revoked"}, f"{name}: revoked", as_json=as_json)


def _authority(settings: Settings) -> Authority:
    from gridtokenx_backend.enrolment.authority import open_authority  # noqa: PLC0415

    authority = open_authority(settings.ca)
    if authority is None:
        raise CannotStart(f"{settings.ca}: expected a CA; run: gridtokenx-backend init")
    return authority
