"""Makes one document in a process of its own, so that neither a pass over the journal nor the
layout of a PDF keeps the backend waiting: `python -m gridtokenx_backend.statements.jobs.worker`.

The task comes as JSON on stdin, the document goes to stdout. Exit codes: 0 done, 2 with one line
on stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from gridtokenx_backend.errors import OperatorError
from gridtokenx_backend.statements.documents.books import Books, NoBooks
from gridtokenx_backend.statements.documents.report import report_of, summary_of
from gridtokenx_backend.statements.documents.statement import statement_of
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.model.document import canonical, encode
from gridtokenx_backend.statements.render.forms import Form, report_as, statement_as

MISTAKE = 2
_LESS_URGENT = 5


class DocumentTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sha256` names a stored document; empty asks for a preview.

    Without a wallet it is about the community's report.
    """

    journal: str
    store: str
    month: str
    wallet: str
    form: Form
    sha256: str = ""


def carry_out(task: DocumentTask) -> bytes:
    """The document in its form. Raises OperatorError."""
    as_form = statement_as if task.wallet else report_as
    if not task.sha256:
        return as_form(task.form, preview(Path(task.journal), task.month, task.wallet))
    document = read_document(Path(task.store), task.sha256)
    if document is None:
        raise NoBooks(f"{task.store}: expected the document {task.sha256}, found none")
    return as_form(task.form, document)


def preview(journal: Path, month: str, wallet: str) -> bytes:
    """What the document would be if the month became final now. Raises NoBooks."""
    with Books(journal, month, {wallet}) as books:
        if not wallet:
            books.catch_up()
            summaries = (summary_of(books.data(each)) for each in books.wallets)
            return canonical(report_of(books, summaries, "open", 0))
        if wallet not in books.roster.names:
            raise NoBooks(f"expected the wallet of a member of {month}, got {wallet}")
        books.catch_up()
        return encode(statement_of(books.data(wallet), "open", 0))


def main() -> int:
    """What the process does."""
    os.nice(_LESS_URGENT)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=DocumentTask)
    try:
        made = carry_out(task)
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return MISTAKE
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
