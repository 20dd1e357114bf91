"""The TLS contexts that the config's files make."""

from __future__ import annotations

import ssl

from gridtokenx_backend.config.settings import Settings


class BadTls(ValueError):
    """Files for TLS that cannot be used. The text says why."""


def broker_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what secures the connection to the broker; None for plain text. Raises BadTls."""
    broker = settings.backend.broker
    if broker.insecure:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.path(broker.ca)))
        context.load_cert_chain(settings.path(broker.cert), settings.path(broker.key))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise BadTls(f"ca, cert or key cannot be used: {_reason(error)}") from None
    return context


def check_api_files(settings: Settings) -> None:
    """Load the API's certificate and key, if the config names any. Raises BadTls."""
    api = settings.backend.api
    if not api.cert:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.path(api.cert), settings.path(api.key))
    except (OSError, ValueError) as error:
        raise BadTls(f"cert or key cannot be used: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
