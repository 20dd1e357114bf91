"""`scripts/bench NAME`: what is measured, and what each figure means."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    help="Measurements. The broker, the load and the backend share this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_MEANING = {
    "readings_per_s": "readings through signature check, oracle, mint, journal (fsync) and ack",
    "frames_per_s": "the same in signed frames",
    "verify_limit_per_s": "Ed25519 checks a second on two threads, before and after, averaged",
    "ratio_to_verify_limit": "frames a second over that limit",
    "lost": "frames sent that are not in the journal",
    "doubled": "frames that are in it more than once",
    "orders_per_s": "orders through book, escrow, matching, settlement and, but via core, commit",
    "settlements_per_s": "trades settled, each in an entry of its own, durable in the journal",
    "resting": "orders in the book before the first that is measured",
    "trades_per_s": "trades settled on the way",
    "p50_ms": "median time from submission to the durable answer",
    "p99_ms": "the same, 99 of 100",
    "reading_p50_ms": "from the intended send time to the verdict at the gateway, median",
    "reading_p99_ms": "the same, 99 of 100",
    "mint_p99_ms": "the mint is in the entry that the ack reports: the same time",
    "order_p50_ms": "from the intended send time to the durable answer, median",
    "settle_p99_ms": "an answered order's trades are settled: the same, 99 of 100",
    "bytes_per_meter": "growth of the backend's resident memory for each registered meter",
    "cost_ratio": "cost of a reading with 100,000 meters over that with 1,000",
    "start_to_first_reading_s": "from the command to the first signed frame on the disk",
    "rss_mib": "highest resident memory of the agent",
    "cpu_percent": "of one core",
    "baud": "the speed of these figures: the one with the lowest ratio",
    "requests_per_s": "requests answered a second, sixteen meters polled back to back",
    "limit_requests_per_s": "the same requests at the protocol's own limit",
    "ratio": "the one over the other: how busy the line is",
    "polls_per_s": "the readings that these requests gave",
    "failed": "requests without an answer",
    "reads_per_s": "single registers with GMAC, authenticated and encrypted, over TCP",
    "cpu_ms_per_read": "the gateway's CPU for one of them",
    "profile_cpu_ms": "its CPU for a day's load profile, three columns, HDLC frames of 128 bytes",
    "profile_rows": "the rows of that load profile",
    "line_ratio": "at 9,600 baud: what the bytes of both ways need, over what it took",
    "polls_per_s_9600": "whole readings a second on that line",
    "drain_s": "from the agent's start until its backlog is stored, judged and acked",
    "new_reading_delay_s": "from the poll of a new reading to its entry, the longest meanwhile",
    "new_readings_during_drain": "how many of the new readings were polled before it was over",
    "oldest_first": "whether the frames came in the order of their seqs",
    "rows": "intervals that are stored",
    "day_ms": "a day of one meter, from the question to the JSON, median",
    "month_ms": "31 days of one meter, the same",
    "month_cpu_ms": "the processor's time for it, mean",
    "p99": "milliseconds for 31 days, 99 of 100",
    "bytes_per_row": "of the file, for each interval",
    "build_s": "to store all of them",
    "quarter_hour_ms": "to store one more interval of every meter",
    "clear_s": "one zone's auction: hash, volume, interval, price, fills, pairs, welfare, curves",
    "clear_s_own_prices": "the same where hardly two orders have the same price",
    "clear_s_one_giant": "the same where most orders on both sides are one member's",
    "growth_over_n_log_n": "ten times the orders: how much longer, over what n log n allows",
    "readings": "of 80 meters in 30 days, every quarter of an hour",
    "wall_s": "from the first standing order to the last statement; the checks come after",
    "live_s": "of it, the month itself: readings, auctions, realtime trades",
    "checks_passed": "recomputed by a reader of the journal that shares no code with the core",
    "bytes_written_per_reading": "to the disk, by the agent, counted by the kernel",
}

_WHILE_ATTACKED = {
    "p50_ms": "another client's call of the health page over a new connection, median",
    "p99_ms": "the same, 99 of 100",
    "failed": "calls without an answer",
    "asked": "calls",
    "peak_mib": "highest resident memory of the backend",
    "frames_per_s": "frames of a thousand refused readings that were stored and acked",
    "entry_bytes": "of the journal, for each of them",
    "mb_written_per_s": "to the disk, by the backend, counted by the kernel",
    "order_p50_ms": "from another member's order to its durable answer, median",
    "order_p99_ms": "the same, 99 of 100",
    "orders": "another member's orders",
}


@app.command(epilog="Example: scripts/bench ingest --readings-per-frame 20 --json")
def ingest(
    readings_per_frame: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    frames: Annotated[int, typer.Option(help="Over all gateways; 0: as fits.")] = 0,
    qos: Annotated[int, typer.Option(min=0, max=1)] = 1,
    *,
    as_json: Json = False,
) -> None:
    """Measure readings a second from the broker to a durable, acked, minted entry."""
    from bench import ingest as bench  # noqa: PLC0415

    wanted = frames or max(5_000, 100_000 // (1 + readings_per_frame // 4))
    _print("ingest", bench.run(readings_per_frame, wanted, qos), as_json=as_json)


@app.command(epilog="Example: scripts/bench orders --via http")
def orders(
    via: Annotated[str, typer.Option(help="core, settle, writer, http or auction")] = "core",
    count: Annotated[int, typer.Option(help="0: as fits.")] = 0,
    connections: Annotated[int, typer.Option(help="For http.")] = 64,
    *,
    as_json: Json = False,
) -> None:
    """Measure orders a second: the core alone, through the writer, or signed over HTTP."""
    from bench import deep_book  # noqa: PLC0415
    from bench import orders as bench  # noqa: PLC0415

    if via == "core":
        report = deep_book.run_core(count or 200_000)
    elif via == "settle":
        report = deep_book.run_settle(count or 100_000)
    elif via == "writer":
        report = bench.run_writer(count or 120_000)
    elif via == "http":
        report = bench.run_http(count or 20_000, connections)
    elif via == "auction":
        from bench import auction  # noqa: PLC0415

        report = auction.run(count or 100_000)
    else:
        typer.echo(f"--via: expected core, settle, writer, http or auction, got {via!r}", err=True)
        raise typer.Exit(2)
    _print(f"orders --via {via}", report, as_json=as_json)


@app.command(epilog="Example: scripts/bench latency --seconds 20")
def latency(seconds: float = 20.0, *, as_json: Json = False) -> None:
    """Measure latency at 500 readings and 100 orders a second, open loop."""
    from bench import latency as bench  # noqa: PLC0415

    _print("latency", bench.run(seconds), as_json=as_json)


@app.command(epilog="Example: scripts/bench growth")
def growth(*, as_json: Json = False) -> None:
    """Measure memory for each meter, and the cost of a reading, at 1,000 and 100,000 meters."""
    from bench import growth as bench  # noqa: PLC0415

    _print("growth", bench.run(), as_json=as_json)


@app.command(epilog="Example: scripts/bench edge --seconds 120")
def edge(
    seconds: float = 120.0,
    meters: Annotated[int, typer.Option(min=1, max=32)] = 32,
    seal_after_s: Annotated[float, typer.Option(help="Below 0: the agent's default.")] = -1.0,
    speed: Annotated[float, typer.Option(help="Of the community's clock.")] = 1.0,
    *,
    as_json: Json = False,
) -> None:
    """Measure a gateway whose meters are polled every ten seconds."""
    from bench import edge as bench  # noqa: PLC0415

    group_s = None if seal_after_s < 0 else seal_after_s
    _print("edge", bench.run(seconds, meters, group_s, speed), as_json=as_json)


@app.command(epilog="Example: scripts/bench backlog --days 42")
def backlog(
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it was offline.")] = 42,
    *,
    as_json: Json = False,
) -> None:
    """Measure how a gateway with eight meters comes back after six weeks offline."""
    from bench import backlog as bench  # noqa: PLC0415

    _print("backlog", bench.run(days), as_json=as_json)


@app.command(epilog="Example: scripts/bench bus --seconds 20")
def bus(seconds: float = 10.0, *, as_json: Json = False) -> None:
    """Measure how busy sixteen meters keep a serial line of 9,600 and of 38,400 baud."""
    from bench import bus as bench  # noqa: PLC0415

    _print("bus", bench.run(seconds), as_json=as_json)


@app.command(epilog="Example: scripts/bench dlms --json")
def dlms(seconds: float = 10.0, *, as_json: Json = False) -> None:
    """Measure a DLMS meter over TCP and a serial line: CPU for a register, use of the line."""
    from bench import dlms as bench  # noqa: PLC0415

    _print("dlms", bench.run(seconds), as_json=as_json)


@app.command(epilog="Example: scripts/bench intervals --json")
def intervals(
    meters: Annotated[int, typer.Option(min=1, max=100_000)] = 1_000,
    days: Annotated[int, typer.Option(min=1, max=3_650)] = 365,
    *,
    as_json: Json = False,
) -> None:
    """Store and query a year of 1,000 meters' 15-minute energy: 35 million intervals."""
    from bench import intervals as bench  # noqa: PLC0415

    _print("intervals", bench.run(meters, days), as_json=as_json)


@app.command(epilog="Example: scripts/bench month --json")
def month(*, as_json: Json = False) -> None:
    """Let a neighbourhood's month pass: 80 meters, two markets, bills, certificates, checks."""
    from bench import month as bench  # noqa: PLC0415

    report = bench.run()
    _print("month", report, as_json=as_json)
    if report["checks_passed"] != report["checks_total"]:
        raise typer.Exit(1)


@app.command(epilog="Example: scripts/bench hostile --seconds 8")
def hostile(
    seconds: Annotated[float, typer.Option(min=2, max=60, help="For each attack.")] = 8.0,
    *,
    as_json: Json = False,
) -> None:
    """Measure how others are served while one client of the API is hostile, in ten ways."""
    from bench import hostile as bench  # noqa: PLC0415

    _print("hostile", bench.run(seconds), as_json=as_json)


@app.command(epilog="Example: scripts/bench refused --seconds 8")
def refused(
    seconds: Annotated[float, typer.Option(min=2, max=60, help="For each case.")] = 8.0,
    *,
    as_json: Json = False,
) -> None:
    """Measure what frames of a thousand refused readings cost the disk and other members."""
    from bench import refused as bench  # noqa: PLC0415

    _print("refused", bench.run(seconds), as_json=as_json)


def _print(name: str, report: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    table = Table(title=name, title_justify="left")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("what it means")
    for key, value in report.items():
        shown = f"{value:,}" if isinstance(value, int | float) else str(value)
        table.add_row(key, shown, _meaning(key))
    Console(markup=False).print(table)


def _meaning(key: str) -> str:
    """Return what a figure means; one of a certain line ends in its speed."""
    attack, _, figure = key.rpartition(":")
    if attack:
        return _WHILE_ATTACKED[figure]
    return _MEANING.get(key, "") or _MEANING.get(key.rstrip("0123456789").rstrip("_"), "")


def main() -> None:
    """Run a command. A mistake in the options is told in one line, as in all commands."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():  # else the list has been printed
            sys.stderr.write(f"scripts/bench: {message}\n")
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(status)


if __name__ == "__main__":
    main()
