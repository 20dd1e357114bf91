"""The page as PDF/A-3a, with the document's JSON attached to it.

WeasyPrint needs Debian's libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0.
"""

from __future__ import annotations

from gridtokenx_backend.errors import OperatorError

MISSING = (
    "a PDF needs WeasyPrint and Pango ({reason}); run: pip install 'gridtokenx[backend]' and "
    "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
)


class NoPdf(OperatorError):
    """What makes PDFs is not installed."""


def to_pdf(page: str, document: bytes, name: str) -> bytes:
    """The PDF of a page; `document` is attached as `name`. Raises NoPdf."""
    try:
        import weasyprint  # noqa: PLC0415 - it takes half a second, and loads C libraries
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise NoPdf(MISSING.format(reason=reason)) from None
    attached = weasyprint.Attachment(
        string=document, name=name, description="the same in JSON", relationship="Data"
    )
    pages = weasyprint.HTML(string=page, url_fetcher=_nothing)
    made: bytes = pages.write_pdf(pdf_variant="pdf/a-3a", attachments=[attached])
    return made


def _nothing(url: str, *_: object, **__: object) -> None:
    """A page asks for no file and no address; if one ever did, it would not get it."""
    raise ValueError(f"expected a page that needs nothing else, got {url[:80]}")
