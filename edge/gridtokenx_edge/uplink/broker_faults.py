"""What goes wrong between a gateway and its broker: each fault has a name, and what to do. Pure."""

from __future__ import annotations

import ssl
from enum import Enum


class BrokerFault(Enum):
    """What ended a connection to the broker, or kept it from being made."""

    UNREACHABLE = "unreachable"
    SILENT = "silent"
    CLOSED = "closed"
    TAKEN_OVER = "taken_over"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_REFUSED = "certificate_refused"
    BROKER_UNTRUSTED = "broker_untrusted"
    TLS_FAILED = "tls_failed"
    NOT_AUTHORISED = "not_authorised"
    NOT_LET_IN = "not_let_in"
    TOO_MUCH = "too_much"

    @property
    def do(self) -> str:
        """What a person at the gateway should do about it."""
        return _DO[self]


_DO = {
    BrokerFault.UNREACHABLE: "is the broker on, its host and port right, and no firewall between?",
    BrokerFault.SILENT: "is this the broker's port, and is the broker well? See its log",
    BrokerFault.CLOSED: (
        "see the broker's log; does another program connect with this device's key or name?"
    ),
    BrokerFault.TAKEN_OVER: (
        "find the other gateway or agent with this key and stop it; if the key was copied,"
        " make a new one: gridtokenx-edge enrol"
    ),
    BrokerFault.CERTIFICATE_EXPIRED: (
        "renew this gateway's certificate (gridtokenx-edge enrol, or ask the operator);"
        " are the clocks right?"
    ),
    BrokerFault.CERTIFICATE_REFUSED: (
        "ask the operator for a certificate of the broker's authority for this device"
    ),
    BrokerFault.BROKER_UNTRUSTED: (
        "is ca the authority of the broker's certificate, host the name in it, and this machine's"
        " clock right?"
    ),
    BrokerFault.TLS_FAILED: "is this the broker's TLS port, and do cert and key belong together?",
    BrokerFault.NOT_AUTHORISED: (
        "the broker's access list must allow this device its own topics: ask the operator; is the"
        " community's name right?"
    ),
    BrokerFault.NOT_LET_IN: "does the broker know this gateway's name? See the broker's log",
    BrokerFault.TOO_MUCH: "the broker's limits are too low for a gateway: ask the operator",
}

TAKEN_OVER_REASON = "another program has connected with this device's key"
# MQTT 5.0, 2.4: reason codes.
NO_SUBSCRIBERS = 0x10
_NOT_AUTHORISED = {0x86, 0x87}
_TAKEN_OVER = 0x8E
_SHUTTING_DOWN = {0x88, 0x89, 0x8B}
_TOO_MUCH = {0x93, 0x95, 0x96, 0x97}
UNSUPPORTED_VERSION = 0x84


def disconnect_fault(code: int) -> tuple[BrokerFault, str]:
    """Return what a broker's DISCONNECT says (MQTT 5.0, 3.14.2.1), as a fault and a sentence."""
    if code == _TAKEN_OVER:
        return BrokerFault.TAKEN_OVER, TAKEN_OVER_REASON
    if code in _NOT_AUTHORISED:
        return BrokerFault.NOT_AUTHORISED, "the broker ended the connection: not authorised"
    if code in _SHUTTING_DOWN:
        return BrokerFault.CLOSED, "the broker is shutting down or busy"
    if code in _TOO_MUCH:
        return BrokerFault.TOO_MUCH, f"the broker ended the connection: limit reached (0x{code:x})"
    return BrokerFault.CLOSED, f"the broker ended the connection (reason 0x{code:x})"


def refusal_fault(code: int) -> BrokerFault:
    """Return what a broker's CONNACK with a reason of failure means (MQTT 5.0, 3.2.2.2)."""
    if code in _NOT_AUTHORISED:
        return BrokerFault.NOT_AUTHORISED
    return BrokerFault.CLOSED if code in _SHUTTING_DOWN else BrokerFault.NOT_LET_IN


def is_denied(code: int) -> bool:
    """Return whether a PUBACK says that the broker has dropped the message (MQTT 5.0, 3.4.2.1)."""
    return code >= 0x80


# These are OpenSSL's X509_V_ERR_... numbers, x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_SIGNERS = {2, 18, 19, 20, 21}
_OTHER_NAMES = {62, 64}
# Alerts of TLS (RFC 8446, 6.2), as OpenSSL names them. They come after the handshake in TLS 1.3.
_ALERTS = {
    "CERTIFICATE_EXPIRED": (
        BrokerFault.CERTIFICATE_EXPIRED,
        "the broker says that this gateway's certificate has expired",
    ),
    "CERTIFICATE_REVOKED": (
        BrokerFault.CERTIFICATE_REFUSED,
        "the broker says that this gateway's certificate was revoked",
    ),
    "UNKNOWN_CA": (
        BrokerFault.CERTIFICATE_REFUSED,
        "the broker does not know the authority that signed this gateway's certificate",
    ),
    "CERTIFICATE_REQUIRED": (
        BrokerFault.CERTIFICATE_REFUSED,
        "the broker wants a certificate of this gateway",
    ),
    "BAD_CERTIFICATE": (
        BrokerFault.CERTIFICATE_REFUSED,
        "the broker refuses this gateway's certificate",
    ),
    "UNSUPPORTED_CERTIFICATE": (
        BrokerFault.CERTIFICATE_REFUSED,
        "the broker refuses this gateway's certificate",
    ),
    "CERTIFICATE_UNKNOWN": (
        BrokerFault.CERTIFICATE_REFUSED,
        "the broker refuses this gateway's certificate",
    ),
}


def socket_fault(error: Exception) -> tuple[BrokerFault, str]:
    """Return what an error of the socket, of TLS or of name lookup means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerFault.BROKER_UNTRUSTED, f"TLS: {_certificate_reason(error)}"
    if isinstance(error, ssl.SSLError):
        said = error.reason or str(error)
        for alert, meaning in _ALERTS.items():
            if alert in said:
                return meaning[0], f"TLS: {meaning[1]}"
        return BrokerFault.TLS_FAILED, f"TLS: {said}"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return BrokerFault.CLOSED, error.strerror or "the connection was reset"
    if isinstance(error, TimeoutError) and not error.strerror:
        return BrokerFault.UNREACHABLE, "timed out"
    if isinstance(error, OSError) and error.strerror:
        return BrokerFault.UNREACHABLE, error.strerror
    return BrokerFault.UNREACHABLE, str(error) or type(error).__name__


def _certificate_reason(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "the broker's certificate has expired (or this machine's clock is wrong)"
    if error.verify_code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet (is this machine's clock set?)"
    if error.verify_code in _OTHER_SIGNERS:
        return "the broker's certificate is not signed by ca"
    if error.verify_code in _OTHER_NAMES:
        return "the broker's certificate is for another name than host"
    return f"the broker's certificate is refused: {error.verify_message}"
