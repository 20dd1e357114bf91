"""Makes a PDF/A-3a of a page, with the document's JSON attached to it.

WeasyPrint needs Debian's libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0.
"""

from __future__ import annotations

from gridtokenx_backend.errors import OperatorError

MISSING = (
    "a PDF needs WeasyPrint and Pango ({reason}); run: pip install 'gridtokenx[backend]' and "
    "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
)


class NoPdf(OperatorError):
    """WeasyPrint or Pango, which make PDFs, are not installed."""


def to_pdf(page: str, document: bytes, name: str) -> bytes:
    """Return the PDF of a page, with `document` attached as `name`. Raises NoPdf."""
    try:
        import weasyprint  # noqa: PLC0415 - it takes half a second, and loads C libraries
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise NoPdf(MISSING.format(reason=reason)) from None
    attached = weasyprint.Attachment(
        string=document, name=name, description="the same in JSON", relationship="Data"
    )
    pages = weasyprint.HTML(string=page, url_fetcher=_nothing)
    pdf: bytes = pages.write_pdf(pdf_variant="pdf/a-3a", attachments=[attached])
    return pdf


def _nothing(url: str, *_: object, **__: object) -> None:
    """Refuse to fetch a file or address: a page needs none."""
    raise ValueError(f"expected a page that needs nothing else, got {url[:80]}")
