"""The `gridtokenx-sim` command."""

from __future__ import annotations

import typer

from gridtokenx_sim.run import run

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Simulated meters on real Modbus lines.

    Example: gridtokenx-sim run config/sim.toml
    """


app.command("run")(run)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
