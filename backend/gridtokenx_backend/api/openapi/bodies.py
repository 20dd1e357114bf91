"""Bodies of requests and answers that their handlers read and write as bytes, and examples."""

from __future__ import annotations

from typing import Any

from gridtokenx_backend.api.metrics import PROMETHEUS_TEXT
from gridtokenx_backend.statements.render.forms import MEDIA_TYPES

_WALLET = "3cuQ7ktXCfiYhZstjRdZvRDBYoH5edou9GrhMT7NfXXQ"
_JWS = (
    "eyJhbGciOiJFZDI1NTE5In0.eyJraW5kIjoib3JkZXIifQ."
    "c2lnbmF0dXJlIG9mIDY0IGJ5dGVzLCB3aGljaCB0aGlzIGV4YW1wbGUgZG9lcyBub3QgaGF2ZS4gLiAuIC4gLg"
)
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

_TEXT = {"schema": {"type": "string"}}
_FILE = {"type": "string", "format": "binary"}


def _record(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _jws(what: str, signer: str = "the wallet that it names") -> dict[str, Any]:
    text = {
        "type": "string",
        "description": f"{what}: a compact JWS (RFC 7515) with `alg` Ed25519 (RFC 9864).",
        "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
        "examples": [_JWS],
    }
    return {
        "description": (
            f"{what}, signed by {signer}. docs/wire-format.md has the fields and an example; the "
            "content type is not looked at."
        ),
        "required": True,
        "content": {
            "application/jose": {"schema": _FILE | {"description": text["description"]}},
            "text/plain": {"schema": text},
        },
    }


def _json(name: str, what: str) -> dict[str, Any]:
    return {
        "description": what,
        "required": True,
        "content": {"application/json": {"schema": _record(name)}},
    }


def _bytes(media_type: str, what: str) -> dict[str, Any]:
    return {
        "description": what,
        "required": True,
        "content": {media_type: {"schema": _FILE}},
    }


RAW_BODIES: dict[str, dict[str, Any]] = {
    "place_order": _jws("An instruction of kind `order`"),
    "cancel_orders": _jws("An instruction of kind `cancel` or `cancel_all`"),
    "amend_order": _jws("An instruction of kind `amend`"),
    "set_standing_order": _jws("An instruction of kind `standing`"),
    "request_withdrawal": _jws("An instruction of kind `withdraw`"),
    "transfer_certificate": _jws("An instruction of kind `rec_transfer`"),
    "retire_certificate": _jws("An instruction of kind `rec_retire`"),
    "rotate_gateway_key": _jws("The consent to a new key", "the gateway's key in use"),
    "enrol_gateway": _json("EnrolmentRequest", "A token's secret, and the gateway's statement."),
    "take_period_step": _json("PeriodCommand", "The step, with the hashes of its documents."),
    "import_frames": _bytes(
        "application/cbor-seq", "Signed frames, one behind the other (RFC 8742); at most 1 MiB."
    ),
}
"""The bodies of the operations whose handlers read them as bytes."""

RAW_ANSWERS: dict[str, dict[str, Any]] = {
    "get_intervals": {
        "application/json": {"schema": _record("IntervalsView")},
        "text/csv": _TEXT,
    },
    "get_statement": {
        each.partition(";")[0]: {"schema": _FILE} if each.startswith("application/pdf") else _TEXT
        for each in MEDIA_TYPES.values()
        if not each.startswith("application/json")
    }
    | {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    "get_metrics": {PROMETHEUS_TEXT: _TEXT},
    "get_ca": {"text/plain": _TEXT},
}
RAW_ANSWERS["get_report"] = RAW_ANSWERS["get_statement"]

ANSWERS: dict[str, str] = {
    "place_order": "The order was accepted, now or by the same request before.",
    "enrol_gateway": "The gateway is known, and waits for the operator unless its token is enough.",
    "rotate_gateway_key": "The new key follows the one in use.",
    "create_token": "The token, which only this answer shows.",
    "get_ca": "The certificate as PEM.",
    "get_metrics": "All metrics in the text format of Prometheus.",
    "get_intervals": "The intervals; CSV if `Accept` asks for it.",
    "get_statement": "The document, in the form that its name ends with.",
    "get_report": "The document, in the form that its name ends with.",
}
"""What a successful answer is, where its record does not say it all."""

EXAMPLES: dict[str, Any] = {
    "pause_oracle": {"reason": "The broker moves to another machine."},
    "resume_oracle": {"reason": "The broker is back."},
    "confirm_clock": {"time_ms": 1_782_039_600_000, "reason": "The clock was set by hand."},
    "switch_market": {"action": "halt", "zone": "main", "reason": "A price was mistyped."},
    "create_token": {"site": "Sonnenweg 3", "valid_hours": 24},
    "approve_device": {"beside": False},
    "revoke_device": {"reason": "The gateway was stolen."},
    "release_device": {"reason": "The clone of its card is found."},
    "record_deposit": {"wallet": _WALLET, "amount_grx": "50", "reference": "2026-06-21/17"},
    "confirm_withdrawal": {"reference": "2026-06-22/4"},
    "refuse_withdrawal": {"reason": "The account is closed."},
    "issue_certificates": {"month": "2026-06"},
    "decide_held_energy": {
        "decision": "void",
        "since_entry": 512,
        "steps": 1,
        "reason": "A power cut on 18 June; its display was read.",
    },
    "correct_meter": {
        "meter": "EASTRON-12345678",
        "from_ms": 1_782_039_600_000,
        "to_ms": 1_782_041_400_000,
        "import_kwh": "0",
        "export_kwh": "1.5",
        "reason": "The transformer ratio was wrong.",
    },
    "import_grid_data": {
        "source": _HASH,
        "name": "june.csv",
        "format": "csv",
        "series": [["AT001", "received", 1_782_039_600_000, [250_000_000, None], "04"]],
    },
    "enrol_gateway": {"secret": "t6zq-example", "statement": _JWS},
    "take_period_step": {
        "month": "2026-06",
        "status": "provisional",
        "revision": 1,
        "from_ms": 1_780_264_800_000,
        "to_ms": 1_782_856_800_000,
        "documents": [[_WALLET, _HASH]],
        "report": _HASH,
    },
}
"""An example of each JSON body, by operation."""
