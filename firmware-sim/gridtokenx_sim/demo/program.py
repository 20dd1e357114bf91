"""The demo as a program: folder, run, audit, and the exit code that says how it went."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from gridtokenx_sim.demo.audit.audit import Finding, audit
from gridtokenx_sim.demo.files.folder import NAME, Folder, FolderError, open_folder
from gridtokenx_sim.demo.processes.broker import BrokerChoice, NoBroker, choose_broker
from gridtokenx_sim.demo.screen.progress import progress_line
from gridtokenx_sim.demo.session import Interrupted, Mode, RunFailed, Session
from gridtokenx_terminal.table import Column, TerminalTable

DONE = 0
FAILED = 1
USER_ERROR = 2
INTERRUPTED = 130
_FASTEST = 3600


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line."""

    speed: float
    broker: BrokerChoice
    fresh: bool
    until_settled: bool
    as_json: bool


def run_demo(options: Options) -> int:
    """Run the demo in the current folder and return the exit code.

    Reasons go to stderr, a line each.
    """
    started = time.monotonic()
    if options.as_json and not options.until_settled:
        return _refuse("--json: expected --until-settled with it", USER_ERROR)
    if not 1 <= options.speed <= _FASTEST:
        return _refuse(f"--speed: expected 1 to {_FASTEST}, got {options.speed:g}", USER_ERROR)
    try:
        with open_folder(Path.cwd() / NAME, fresh=options.fresh) as folder:
            last_line = _run(folder, options)
            if options.until_settled:
                return _check(folder, started, as_json=options.as_json)
    except (NoBroker, FolderError) as error:
        return _refuse(str(error), USER_ERROR)
    except (RunFailed, OSError) as error:
        return _refuse(str(error), FAILED)
    except Interrupted:
        return _refuse("stopped before it was done", INTERRUPTED)
    _say(f"{last_line}; start it again to go on, with --fresh to start over")
    return DONE


def _run(folder: Folder, options: Options) -> str:
    """Run the community and return its last state in one line."""
    broker = choose_broker(options.broker)
    screen = sys.stdout.isatty() and not options.until_settled
    mode = Mode(until_settled=options.until_settled, screen=screen)
    return progress_line(asyncio.run(Session(folder, broker, options.speed, mode).run()))


def _check(folder: Folder, started: float, *, as_json: bool) -> int:
    """Audit what was stored, print the result, and return the exit code."""
    totals, findings = audit(folder)
    failed = [finding for finding in findings if not finding.passed]
    result = {
        **msgspec.to_builtins(totals),
        "checks_passed": len(findings) - len(failed),
        "checks_total": len(findings),
        "elapsed_s": round(time.monotonic() - started, 1),
    }
    if as_json:
        _say(json.dumps(result))
    else:
        _print_table(findings, result)
    for finding in failed:
        _refuse(f"{finding.name}: {finding.detail}", FAILED)
    return FAILED if failed else DONE


def _print_table(findings: list[Finding], result: dict[str, int | float]) -> None:
    table = TerminalTable(
        [Column(""), Column("check", wraps=True), Column("looked at", wraps=True)]
    )
    for finding in findings:
        mark = Text("✓", style="green") if finding.passed else Text("✗", style="bold red")
        table.add(mark, finding.name.replace("_", " "), finding.detail)
    console = Console(markup=False)
    console.print("What was stored, checked by other code:")
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in result.items()))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _refuse(line: str, code: int) -> int:
    sys.stderr.write(f"{line}\n")
    return code
