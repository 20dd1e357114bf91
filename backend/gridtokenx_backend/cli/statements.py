"""`gridtokenx-backend period`, `statement` and `report`: closes months and writes documents."""

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

from gridtokenx_backend.cli.operator_api import ApiRefused, OperatorApi, operator_api
from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, UrlOption, example
from gridtokenx_backend.cli.output import print_answer, print_json, print_table, write_private_file
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.core.model.billing_periods import PeriodStatus
from gridtokenx_backend.statements.documents.books import Books, NoBooks
from gridtokenx_backend.statements.documents.report import report_of
from gridtokenx_backend.statements.documents.report_totals import totals_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.jobs.month_close import MonthClosing
from gridtokenx_backend.statements.model.document import canonical, encode
from gridtokenx_backend.statements.render.forms import report_as, statement_as

ATTEMPTS = 5
"""Trading goes on while documents are made, and changes some, which are then made again."""
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", help="The month, such as 2026-06.")]
period = typer.Typer(
    no_args_is_help=True, help="Show and make provisional, final and revised months."
)


class FormName(StrEnum):
    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


@period.command("list", epilog=example("period list"))
def list_periods(
    config: ConfigOption = CONFIG, url: UrlOption = "", *, as_json: JsonOption = False
) -> None:
    """Show the months that are no longer open."""
    found = operator_api(config, url).get("/v1/periods")
    if as_json:
        print_json(found)
        return
    rows = [
        (each["month"], each["status"], str(each["revision"]), str(each["entries"][-1]))
        for each in found
    ]
    print_table(("month", "status", "revision", "entry"), rows)


@period.command("provisional", epilog=example("period provisional 2026-06"))
def provisional(
    month: MonthArgument,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make every member's statement of a month that is over; late readings may still change it."""
    _close(month, "provisional", operator_api(config, url), as_json=as_json)


@period.command("final", epilog=example("period final 2026-06"))
def final(
    month: MonthArgument,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a month final: surplus that nobody bought goes to the utility."""
    _close(month, "final", operator_api(config, url), as_json=as_json)


@period.command("revise", epilog=example("period revise 2026-06"))
def revise(
    month: MonthArgument,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a final month's statements again, with a credit or debit note for what has changed."""
    _close(month, "revised", operator_api(config, url), as_json=as_json)


def _close(month: str, status: PeriodStatus, api: OperatorApi, *, as_json: bool) -> None:
    """Make a month's statements, and put the step to `status` into the journal."""
    settings = api.settings
    with Books(settings.journal, month) as books, _progress_bars() as bar:
        books.catch_up(bar("reading the journal"))
        closing = MonthClosing(books, settings.documents, status)
        done = _submit(api, closing, bar("making statements"))
    made = f"{len(books.wallets)} statements, entry {done['journal_seq']}"
    text = f"{month}: {done['status']}, revision {done['revision']}: {made}"
    print_answer(done, text, as_json=as_json)


def _submit(api: OperatorApi, closing: MonthClosing, progress: Callable[[int, int], None]) -> Any:
    """Put the step to the backend, again if something changed while the documents were made."""
    for attempt in range(1, ATTEMPTS + 1):
        command = msgspec.json.encode(closing.command(progress))
        try:
            return api.post("/v1/periods", msgspec.json.decode(command))
        except ApiRefused as refused:
            if refused.reason != "stale" or attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def statement(
    month: MonthArgument,
    wallet: Annotated[
        str,
        typer.Option(
            "--wallet", metavar="ADDRESS", help="Take only this member. The default is all members."
        ),
    ] = "",
    form: Annotated[
        FormName, typer.Option("--format", help="The format of what is written.")
    ] = FormName.PDF,
    out: Annotated[Path, typer.Option("--out", help="The folder for the files.")] = Path(),
    config: ConfigOption = CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write statements as files: the newest revision, or a preview of a month that is open."""
    settings = load_settings(config)
    with (
        Books(settings.journal, month, {wallet} if wallet else None) as books,
        _progress_bars() as bar,
    ):
        if wallet and wallet not in books.roster.names:
            raise NoBooks(f"--wallet: expected a member's wallet, got {wallet!r}")
        step = books.newest_step()
        if step is None:
            books.catch_up(bar("reading the journal"))
        wallets = [wallet] if wallet else books.wallets
        progress = bar("writing statements")
        files = []
        for done, each in enumerate(wallets):
            progress(done, len(wallets))
            file = out / f"statement-{month}-{each}.{form}"
            write_private_file(
                file, statement_as(form.value, _document(settings, books, step, each))
            )
            files.append(str(file))
        progress(len(wallets), len(wallets))
    answer = {"month": month, "files": files}
    print_answer(answer, f"{month}: {len(files)} in {out}/", as_json=as_json)


def _document(settings: Settings, books: Books, step: PeriodCommand | None, wallet: str) -> bytes:
    """Return the stored document of the month's last step, or a preview if there is none."""
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
    form: Annotated[
        FormName, typer.Option("--format", help="The format of what is written.")
    ] = FormName.PDF,
    out: Annotated[Path, typer.Option("--out", help="The folder for the file.")] = Path(),
    config: ConfigOption = CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the community's report: the newest revision, or a preview of a month that is open."""
    settings = load_settings(config)
    with Books(settings.journal, month, ()) as books, _progress_bars() as bar:
        if books.newest_step() is None:
            books.catch_up(bar("reading the journal"))
        file = out / f"report-{month}.{form}"
        progress = bar("adding up")
        write_private_file(file, report_as(form.value, _report(settings, books, progress)))
    print_answer({"month": month, "files": [str(file)]}, str(file), as_json=as_json)


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
        summaries.append(totals_of(books.data(wallet)))
    return canonical(report_of(books, summaries, "open", 0))


@contextmanager
def _progress_bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Yield what starts a bar on stderr with a text; what it returns takes (done, total)."""
    console = Console(stderr=True, markup=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(text: str) -> Callable[[int, int], None]:
            task = progress.add_task(text, total=None)

            def update(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            return update

        yield begin
