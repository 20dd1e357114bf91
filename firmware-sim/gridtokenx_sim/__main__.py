"""The command `gridtokenx-sim`."""

from __future__ import annotations

import sys

from gridtokenx_terminal.program import begin, end_for_file, end_without

USER_MISTAKE = 2
_NAME = "gridtokenx-sim"

try:
    import typer

    from gridtokenx_sim.demo.command import demo
    from gridtokenx_sim.demo.processes.broker_command import broker
    from gridtokenx_sim.run import run
    from gridtokenx_sim.version_option import VersionOption
except ModuleNotFoundError as missing:
    end_without(_NAME, "sim", missing)

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
    begin(_NAME)
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():  # without a message the help has been printed
            sys.stderr.write(f"gridtokenx-sim: {message}\n")
        sys.exit(USER_MISTAKE)
    except OSError as error:
        end_for_file(_NAME, error)
    except ModuleNotFoundError as missing:  # some are imported by the command that needs them
        end_without(_NAME, "sim", missing)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
