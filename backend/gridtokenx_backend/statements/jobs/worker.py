"""The process that makes one document: `python -m gridtokenx_backend.statements.jobs.worker`.

It is a process of its own, so that the backend does not have to wait while it reads the journal or
lays out a PDF. The task comes as JSON on stdin, the document goes to stdout. The exit code is 0; 2
with one line on stderr for whoever asked; or 3 with one line for the server's log, which may name
files of the server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from gridtokenx_backend.errors import CannotStart, OperatorError
from gridtokenx_backend.statements.documents.books import Books, NoSuchMonth
from gridtokenx_backend.statements.documents.report import report_of
from gridtokenx_backend.statements.documents.report_totals import totals_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.model.document import canonical, encode
from gridtokenx_backend.statements.render.forms import Form, report_as, statement_as
from gridtokenx_wire.plain_text import escaped_lines

MISTAKE = 2
FAULT = 3
_LESS_URGENT = 5


class DocumentTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which document is asked for, in which form.

    `journal` and `store` are the paths of files. `sha256` names a stored document; if it is empty,
    a preview is asked for. Without a wallet it is the community's report.
    """

    journal: str
    store: str
    month: str
    wallet: str
    form: Form
    sha256: str = ""


def carry_out(task: DocumentTask) -> bytes:
    """Return the document in its form. Raises OperatorError."""
    as_form = statement_as if task.wallet else report_as
    if not task.sha256:
        return as_form(task.form, preview(Path(task.journal), task.month, task.wallet))
    document = read_document(Path(task.store), task.sha256)
    if document is None:
        raise CannotStart(f"{task.store}: expected the document {task.sha256}, found none")
    return as_form(task.form, document)


def preview(journal: Path, month: str, wallet: str) -> bytes:
    """Return the document as it would be if the month became final now. Raises NoBooks."""
    with Books(journal, month, {wallet}) as books:
        if not wallet:
            books.catch_up()
            statements = (totals_of(books.data(each)) for each in books.wallets)
            return canonical(report_of(books, statements, "open", 0))
        if wallet not in books.roster.names:
            raise NoSuchMonth(f"expected the wallet of a member of {month}, got {wallet}")
        books.catch_up()
        return encode(statement_of(books.data(wallet), "open", 0))


def main() -> int:
    """Carry out the task on stdin; return the exit code."""
    os.nice(_LESS_URGENT)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=DocumentTask)
    try:
        made = carry_out(task)
    except NoSuchMonth as error:
        sys.stderr.write(f"{escaped_lines(str(error))}\n")
        return MISTAKE
    except OperatorError as error:
        sys.stderr.write(f"{escaped_lines(str(error))}\n")
        return FAULT
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
