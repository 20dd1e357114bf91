"""The forms in which a document is available."""

from __future__ import annotations

from typing import Literal, get_args

from gridtokenx_backend.statements.documents.report import decode_report
from gridtokenx_backend.statements.model.document import decode, sha256
from gridtokenx_backend.statements.render.csv_form import report_to_csv, to_csv
from gridtokenx_backend.statements.render.page import report_page, statement_page
from gridtokenx_backend.statements.render.pdf import to_pdf

Form = Literal["json", "csv", "html", "pdf"]
FORMS: tuple[Form, ...] = get_args(Form)
MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "html": "text/html",
    "pdf": "application/pdf",
}


def report_as(form: Form, document: bytes) -> bytes:
    """Return a stored report in one of the forms. Raises as `statement_as` does."""
    if form == "json":
        return document
    report = decode_report(document)
    if form == "csv":
        return report_to_csv(report).encode()
    page = report_page(report, sha256(document))
    if form == "html":
        return page.encode()
    return to_pdf(page, document, f"report-{report.data.month}.json")


def statement_as(form: Form, document: bytes) -> bytes:
    """Return a stored statement in one of the forms; JSON is the document itself.

    Raises NoPdf, and ValueError if it is not a statement.
    """
    if form == "json":
        return document
    statement = decode(document)
    if form == "csv":
        return to_csv(statement).encode()
    page = statement_page(statement, sha256(document))
    if form == "html":
        return page.encode()
    return to_pdf(page, document, f"statement-{statement.data.month}.json")
