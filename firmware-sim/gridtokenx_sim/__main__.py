"""The command `gridtokenx-sim`."""

from __future__ import annotations

import sys
from typing import NoReturn

USER_MISTAKE = 2


def _refuse_without(package: str | None) -> NoReturn:
    """End the command, saying which extra to install: it comes with every extra, and what it needs
    only with its own.
    """
    sys.stderr.write(
        f"gridtokenx-sim: expected the package {package}, found none;"
        " run: pip install 'gridtokenx[sim]'\n"
    )
    sys.exit(USER_MISTAKE)


try:
    import typer

    from gridtokenx_sim.demo.command import demo
    from gridtokenx_sim.demo.processes.broker_command import broker
    from gridtokenx_sim.run import run
    from gridtokenx_sim.version_option import VersionOption
except ModuleNotFoundError as missing:
    _refuse_without(missing.name)

INTERRUPTED = 130

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _commands(*, _version: VersionOption = False) -> None:
    """Simulated meters on real Modbus lines, and a whole community around them.

    Example: gridtokenx-sim demo

    Example: gridtokenx-sim run config/sim.toml
    """


app.command("run")(run)
app.command("demo")(demo)
app.command("broker", hidden=True)(broker)


def main() -> None:
    """Run the command; what a user can mend is one line on stderr."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():  # without a message the help has been printed
            sys.stderr.write(f"gridtokenx-sim: {message}\n")
        sys.exit(USER_MISTAKE)
    except ModuleNotFoundError as missing:  # some are imported by the command that needs them
        _refuse_without(missing.name)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
