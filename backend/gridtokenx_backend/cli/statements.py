"""`gridtokenx-backend period` and `statement`: closing a month, and its documents as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from gridtokenx_backend.cli.admission import ApiOption
from gridtokenx_backend.cli.api_call import ApiRefused, call
from gridtokenx_backend.cli.terminal import (
    CONFIG,
    ConfigOption,
    JsonOption,
    print_json,
    print_table,
)
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.period_records import ChangePeriod
from gridtokenx_backend.core.model.billing_periods import PeriodStatus
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.statements.documents.books import Books, NoBooks
from gridtokenx_backend.statements.documents.report import report_of, summary_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.jobs.month_close import MonthClosing
from gridtokenx_backend.statements.model.document import canonical, encode
from gridtokenx_backend.statements.render.forms import report_as, statement_as

ATTEMPTS = 5
"""Trading goes on while documents are made; then those that it concerned are made again."""
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-06.")]
period = typer.Typer(no_args_is_help=True, help="Months: provisional, final, revised.")


class FormName(StrEnum):
    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


@period.command("list", epilog="Example: gridtokenx-backend period list")
def list_periods(
    config: ConfigOption = CONFIG, api: ApiOption = "", *, as_json: JsonOption = False
) -> None:
    """Show the months that are no longer open."""
    found = call(load_settings(config), api, "GET", "/v1/periods")
    if as_json:
        print_json(found)
        return
    rows = [
        (each["month"], each["status"], str(each["revision"]), str(each["entries"][-1]))
        for each in found
    ]
    print_table(("month", "status", "revision", "entry"), rows)


@period.command("provisional", epilog="Example: gridtokenx-backend period provisional 2026-06")
def provisional(
    month: MonthArgument,
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make every member's statement of a month that is over; late readings may still change it."""
    _step(month, "provisional", config, api, as_json=as_json)


@period.command("final", epilog="Example: gridtokenx-backend period final 2026-06")
def final(
    month: MonthArgument,
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a month final: surplus that nobody bought goes to the utility."""
    _step(month, "final", config, api, as_json=as_json)


@period.command("revise", epilog="Example: gridtokenx-backend period revise 2026-06")
def revise(
    month: MonthArgument,
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a final month's statements again, with a credit or debit note for what has changed."""
    _step(month, "revised", config, api, as_json=as_json)


def _step(month: str, status: PeriodStatus, config: Path, api: str, *, as_json: bool) -> None:
    settings = load_settings(config)
    with Books(settings.journal, month) as books, _progress() as told:
        books.catch_up(told("reading the journal"))
        closing = MonthClosing(books, settings.documents, status)
        done = _take(settings, api, closing, told("making statements"))
    if as_json:
        print_json(done)
        return
    made = f"{len(books.wallets)} statements, entry {done['journal_seq']}"
    typer.echo(f"{month}: {done['status']}, revision {done['revision']}: {made}")


def _take(
    settings: Settings, api: str, closing: MonthClosing, progress: Callable[[int, int], None]
) -> Any:
    for attempt in range(1, ATTEMPTS + 1):
        command = msgspec.json.encode(closing.command(progress))
        try:
            return call(settings, api, "POST", "/v1/periods", msgspec.json.decode(command))
        except ApiRefused as refused:
            if refused.reason != "stale" or attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def statement(
    month: MonthArgument,
    wallet: Annotated[
        str, typer.Option("--wallet", metavar="ADDRESS", help="One member's; else all.")
    ] = "",
    form: Annotated[FormName, typer.Option("--format", help="What to write.")] = FormName.PDF,
    out: Annotated[Path, typer.Option("--out", help="The folder for the files.")] = Path(),
    config: ConfigOption = CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write statements as files: the newest revision, or a preview of a month that is open."""
    settings = load_settings(config)
    with Books(settings.journal, month, {wallet} if wallet else None) as books, _progress() as told:
        if wallet and wallet not in books.roster.names:
            raise NoBooks(f"--wallet: expected a member's wallet, got {wallet!r}")
        step = books.newest_step()
        if step is None:
            books.catch_up(told("reading the journal"))
        wallets = [wallet] if wallet else books.wallets
        progress = told("writing statements")
        files = []
        for done, each in enumerate(wallets):
            progress(done, len(wallets))
            file = out / f"statement-{month}-{each}.{form}"
            _write(file, statement_as(form.value, _document(settings, books, step, each)))
            files.append(str(file))
        progress(len(wallets), len(wallets))
    if as_json:
        print_json({"month": month, "files": files})
    else:
        typer.echo(f"{month}: {len(files)} in {out}/")


def _document(settings: Settings, books: Books, step: ChangePeriod | None, wallet: str) -> bytes:
    """The stored document of the month's last step; a preview if there is none."""
    if step is None:
        return encode(statement_of(books.data(wallet), "open", 0))
    name = dict(step.documents).get(wallet, "")
    stored = read_document(settings.documents, name) if name else None
    if stored is None:
        expected = name or f"a statement for {wallet}"
        raise NoBooks(f"{settings.documents}: expected {expected}, found none")
    return stored


def report(
    month: MonthArgument,
    form: Annotated[FormName, typer.Option("--format", help="What to write.")] = FormName.PDF,
    out: Annotated[Path, typer.Option("--out", help="The folder for the file.")] = Path(),
    config: ConfigOption = CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the community's report: the newest revision, or a preview of a month that is open."""
    settings = load_settings(config)
    with Books(settings.journal, month, ()) as books, _progress() as told:
        if books.newest_step() is None:
            books.catch_up(told("reading the journal"))
        file = out / f"report-{month}.{form}"
        progress = told("adding up")
        _write(file, report_as(form.value, _report(settings, books, progress)))
    if as_json:
        print_json({"month": month, "files": [str(file)]})
    else:
        typer.echo(str(file))


def _report(settings: Settings, books: Books, progress: Callable[[int, int], None]) -> bytes:
    step = books.newest_step()
    if step is not None:
        stored = read_document(settings.documents, step.report)
        if stored is None:
            raise NoBooks(f"{settings.documents}: expected the month's report, found none")
        return stored
    summaries = []
    for done, wallet in enumerate(books.wallets):
        progress(done, len(books.wallets))
        summaries.append(summary_of(books.data(wallet)))
    return canonical(report_of(books, summaries, "open", 0))


def _write(file: Path, content: bytes) -> None:
    """Statements are for their members only."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600)
        file.write_bytes(content)
    except OSError as error:
        raise CannotStart(f"{file}: cannot be written: {error.strerror}") from None


@contextmanager
def _progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Bars on stderr: given a text, what is to be told of (done, total)."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(text: str) -> Callable[[int, int], None]:
            task = progress.add_task(text, total=None)

            def update(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            return update

        yield begin
