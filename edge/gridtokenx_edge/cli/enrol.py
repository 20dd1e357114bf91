"""`gridtokenx-edge enrol` makes a config from a token; `key rotate` changes the key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gridtokenx_edge.cli.options import ConfigOption, JsonOption
from gridtokenx_edge.cli.terminal import fail, print_json, say
from gridtokenx_edge.config.edge_config import EdgeConfig
from gridtokenx_edge.config.site_files import (
    config_text,
    names_in,
    read_config,
    rotated_text,
    store,
)
from gridtokenx_edge.enrolment.backend_call import parse_url
from gridtokenx_edge.enrolment.enrolment import enrol as enrol_device
from gridtokenx_edge.enrolment.enrolment import rotate as rotate_key
from gridtokenx_edge.errors import CannotEnrol
from gridtokenx_wire.enrolment import EnrolmentAnswer, Token, parse_token
from gridtokenx_wire.errors import ConfigError, KeyFileError, WireError

_MENDABLE = (CannotEnrol, KeyFileError, ConfigError)
_MOST_TOKEN_CHARS = 200
UrlOption = Annotated[
    str, typer.Option("--backend", metavar="URL", help="The address of the backend's API.")
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Allow plain HTTP over a network that you trust.")
]


def enrol(
    backend: UrlOption,
    config: Annotated[
        Path,
        typer.Option("--config", "-c", help="The site's edge.toml. It is made if it is missing."),
    ] = Path("edge.toml"),
    token: Annotated[
        str, typer.Option(help="The one-time token. With - it is read from stdin.")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="A file that holds the one-time token.")
    ] = None,
    site_name: Annotated[
        str, typer.Option(help="The site's name for people. The default is the token's.")
    ] = "",
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make this gateway's keys, have them let in with a one-time token, and write the config.

    It may be repeated with the same token after an interruption. A config that is there keeps its
    buses and comments.
    """
    try:
        url = parse_url(backend, insecure=insecure)
        one_time_token = _token(token, token_file)
        known = read_config(config)
        names, folder = names_in(known), config.absolute().parent
        answer = enrol_device(url, one_time_token, folder / names.key, folder / names.tls_key)
        text = config_text(config, names, backend, site_name or answer.site, answer)
        store(folder / names.ca, answer.ca)
        store(folder / names.cert, answer.certificate)
        store(folder / config.name, text)
    except _MENDABLE as error:
        fail(str(error))
    _report(answer, config, as_json=as_json)


def _token(text: str, file: Path | None) -> Token:
    """Return the token of the option, the file or stdin. Raises CannotEnrol."""
    if bool(text) == bool(file):
        raise CannotEnrol("expected --token or --token-file")
    try:
        if text == "-":
            text = sys.stdin.read(_MOST_TOKEN_CHARS)
        elif file is not None:
            text = file.read_text()[:_MOST_TOKEN_CHARS]
        return parse_token(text)
    except OSError as error:
        raise CannotEnrol(f"{file}: cannot be read: {error.strerror}") from None
    except (WireError, UnicodeDecodeError) as error:
        what = "expected text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise CannotEnrol(f"--token: {what}") from None


def rotate(
    config: ConfigOption,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            metavar="URL",
            help="The address of the backend's API, if it is not the config's.",
        ),
    ] = "",
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the next key, have it let in by the present one, and write the config for it.

    The former key sends what it has left; then the agent says so, and its section and files may go.
    """
    try:
        known = read_config(config)
        if known is None:
            raise CannotEnrol(f"{config}: expected the config of an enrolled gateway")
        answer = _rotate(known, config, backend, insecure=insecure)
    except _MENDABLE as error:
        fail(str(error))
    _report(answer, config, as_json=as_json)


def _rotate(known: EdgeConfig, config: Path, backend: str, *, insecure: bool) -> EnrolmentAnswer:
    address = backend or known.backend.url
    if not address:
        raise CannotEnrol(f"{config}: backend.url: missing; say it with --backend URL")
    if known.broker.insecure:
        raise CannotEnrol(f"{config}: expected a broker with TLS; enrol first")
    url, folder = parse_url(address, insecure=insecure), config.absolute().parent
    former = names_in(known)
    names = former.next(len(known.device.former) + 2)
    try:
        ca = (folder / names.ca).read_text("ascii")
    except OSError as error:
        raise CannotEnrol(f"{folder / names.ca}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CannotEnrol(f"{folder / names.ca}: expected the CA's certificate in PEM") from None
    answer = rotate_key(url, ca, folder / former.key, folder / names.key, folder / names.tls_key)
    text = rotated_text(config, names, former, address, known.site.name, answer)
    store(folder / names.cert, answer.certificate)
    store(folder / config.name, text)
    return answer


def _report(answer: EnrolmentAnswer, config: Path, *, as_json: bool) -> None:
    fields: dict[str, Any] = {
        "device": answer.device,
        "site": answer.site,
        "status": answer.status,
        "community": answer.community,
        "broker": f"{answer.broker_host}:{answer.broker_port}",
        "config": str(config),
    }
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        say(f"{name:<10} {value}")
    if answer.status == "pending":
        say("The site has a gateway already: the operator must approve this one.")
    say(f"Next: gridtokenx-edge check-config --config {config}; then start the agent anew.")
