"""`gridtokenx-backend init` and `broker-config`: certificates, and all that the broker needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_backend.errors import CannotStart

_NEXT = """\
Next, in {config}, if it is not there yet:
  [broker]
  ca = "{data}/ca/ca.pem"
  cert = "{tls}/backend.pem"
  key = "{tls}/backend.key"
  [api]
  cert = "{tls}/api.pem"
  key = "{tls}/api.key"
and then: gridtokenx-backend broker-config --config {config} --out broker"""


def init(
    config: ConfigOption = CONFIG,
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name or address of this server, as gateways will use it. May be repeated."
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the data folder, the community's certificate authority and the server's certificates.

    What is there is kept; certificates that end within 60 days or lack a host are renewed.
    """
    from gridtokenx_backend.enrolment.preparation import initialise  # noqa: PLC0415

    settings = load_settings(config)
    hosts = host or []
    for name in hosts:
        if not name or not name.isascii() or any(not (c.isalnum() or c in ".-:") for c in name):
            raise CannotStart(f"--host: expected a host name or an address, got {name!r}")
    done = initialise(settings, load_terms(settings.community).community.name, hosts)
    lines = [f"{each.state:<7} {each.file}: {each.note}" for each in done]
    data = settings.backend.backend.data
    lines.append(_NEXT.format(config=config, data=data, tls=data + "/tls"))
    answer = [msgspec.structs.asdict(each) for each in done]
    print_answer(answer, "\n".join(lines), as_json=as_json)


def broker_config(
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
    config: ConfigOption = CONFIG,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where the broker listens.")] = 8883,
    address: Annotated[
        str, typer.Option(help="The address that it listens on. If it is empty, it listens on all.")
    ] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Write Mosquitto's config, certificates and access lists for TLS with client certificates."""
    from gridtokenx_backend.enrolment.broker_files import write_broker_files  # noqa: PLC0415

    settings = load_settings(config)
    name = load_terms(settings.community).community.name
    files = write_broker_files(settings, name, out, port, address)
    lines = (
        f"{out}: {', '.join(files)}",
        f"Try it: mosquitto -c {out}/mosquitto.conf",
        f'In backend.toml: [broker] access = "{out}", and pid_file or reload_command',
    )
    print_answer({"folder": str(out), "files": files}, "\n".join(lines), as_json=as_json)
