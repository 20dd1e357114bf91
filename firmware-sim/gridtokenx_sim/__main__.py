"""The `gridtokenx-sim` command."""

from __future__ import annotations

import typer

from gridtokenx_sim.demo.broker_command import broker
from gridtokenx_sim.demo.command import demo
from gridtokenx_sim.run import run

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Simulated meters on real Modbus lines, and a whole community around them.

    Example: gridtokenx-sim demo

    Example: gridtokenx-sim run config/sim.toml
    """


app.command("run")(run)
app.command("demo")(demo)
app.command("broker", hidden=True)(broker)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
