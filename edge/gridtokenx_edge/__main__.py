"""The command `gridtokenx-edge`."""

from __future__ import annotations

import sys

from gridtokenx_terminal.program import begin, end_for_file, end_without

USER_ERROR = 2
_NAME = "gridtokenx-edge"

try:
    import typer

    from gridtokenx_edge.cli import outbox
    from gridtokenx_edge.cli.check import check
    from gridtokenx_edge.cli.check_config import check_config
    from gridtokenx_edge.cli.dlms import app as dlms
    from gridtokenx_edge.cli.enrol import enrol, rotate
    from gridtokenx_edge.cli.key import key
    from gridtokenx_edge.cli.profile import app as profile
    from gridtokenx_edge.cli.read import read
    from gridtokenx_edge.cli.run import run
    from gridtokenx_edge.cli.scan import scan
    from gridtokenx_edge.cli.terminal import INTERRUPTED, example
    from gridtokenx_edge.cli.version_option import VersionOption
    from gridtokenx_edge.cli.watch import watch
    from gridtokenx_wire.plain_text import escaped_lines
except ModuleNotFoundError as missing:
    end_without(_NAME, "edge", missing)

app = typer.Typer(
    help="Reads the meters of a site, signs what it read, keeps it safe and sends it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(*, _version: VersionOption = False) -> None:
    """Take the options of the command itself."""


app.command(epilog=example("run --config /etc/gridtokenx/edge.toml"))(run)
app.command(epilog=example("check-config --config config/edge.toml"))(check_config)
app.command(epilog=example("read --config config/edge.toml --meter EASTRON-12345678"))(read)
app.command(epilog=example("scan /dev/ttyUSB0"))(scan)
app.add_typer(profile, name="profile")
app.add_typer(dlms, name="dlms")
app.command(epilog=example("watch --config config/edge.toml --every 5"))(watch)
app.command(epilog=example("check --config config/edge.toml --flow import"))(check)
app.command(epilog=example("enrol --backend https://community.example:8080 --token -"))(enrol)
keys = typer.Typer(rich_markup_mode="rich", invoke_without_command=True)
keys.callback(epilog=example("key --config config/edge.toml"))(key)
keys.command("rotate", epilog=example("key rotate --config edge.toml"))(rotate)
app.add_typer(keys, name="key")
app.add_typer(outbox.app, name="outbox")


def main() -> None:
    """Run the console script. A mistake in the options is one line, as everywhere else."""
    begin(_NAME)
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():  # without a message the help has been printed
            sys.stderr.write(f"gridtokenx-edge: {escaped_lines(message)}\n")
        sys.exit(USER_ERROR)
    except OSError as error:
        end_for_file(_NAME, error)
    except ModuleNotFoundError as missing:  # some are imported by the command that needs them
        end_without(_NAME, "edge", missing)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
