"""The options of `gridtokenx-sim demo`, which a stranger runs first. `program` does the work."""

from __future__ import annotations

from typing import Annotated

import typer

from gridtokenx_sim.demo.processes.broker import BrokerChoice


def demo(
    *,
    speed: Annotated[
        float,
        typer.Option(
            metavar="N", help="How many community seconds pass in a real second, 1 to 3600."
        ),
    ] = 180.0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over with a new community.")
    ] = False,
    until_settled: Annotated[
        bool,
        typer.Option(
            "--until-settled",
            help="Stop when both markets have settled a trade, and check everything.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --until-settled: print JSON, for programs.")
    ] = False,
    broker: Annotated[
        BrokerChoice,
        typer.Option(help="The MQTT broker. With auto it is Mosquitto if it is installed."),
    ] = BrokerChoice.AUTO,
) -> None:
    """Run a whole community here: meters, gateways, broker, backend, members.

    Everything it makes lies in .gridtokenx-demo in the current folder.
    Started again, it goes on where it stopped; a day takes eight minutes.

    Example: gridtokenx-sim demo --until-settled --json
    """
    # Rich and an HTTP client, which `gridtokenx-sim run` does not need.
    from gridtokenx_sim.demo.program import Options, run_demo  # noqa: PLC0415

    options = Options(
        speed=speed, broker=broker, fresh=fresh, until_settled=until_settled, as_json=as_json
    )
    raise typer.Exit(run_demo(options))
