"""The OpenAPI document, completed: Litestar makes paths and parameters out of the routes.

What it does not know is added here: the records' schemas as msgspec encodes them, what their fields
are, bodies that handlers read as bytes, problem documents, and who may call what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

import msgspec
from litestar.connection import Request
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from gridtokenx_backend.api.intervals import IntervalsView
from gridtokenx_backend.api.openapi.bodies import ANSWERS, EXAMPLES, RAW_ANSWERS, RAW_BODIES
from gridtokenx_backend.api.openapi.fields import DEPRECATED, FIELDS, PARAMETERS, example_of
from gridtokenx_backend.api.openapi.operations import Reasons, Tag, describe_refusal
from gridtokenx_backend.api.problems import MEDIA_TYPE, ProblemDocument
from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.statements.render.forms import FORMS
from gridtokenx_wire.enrolment import EnrolmentRequest

_OF_BYTES = (ProblemDocument, PeriodCommand, EnrolmentRequest, IntervalsView)
"""Records that handlers read or write as bytes."""
_REF = "#/components/schemas/{name}"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemDocument")}}}
_OF_PARAMETERS: Reasons = {400: ["bad_request"]}
_OF_BODIES: Reasons = {400: ["bad_request"], 413: ["bad_request"]}
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}

DESCRIPTION = """\
Orders, balances, book and trades of one energy community, and what its operator does.

Amounts are decimal strings in kWh, GRID and GRX. A field whose name ends in `_uwh` or `_ugrx` is a
whole number of millionths, as the journal has it. Times are Unix milliseconds of the community's
clock. Errors are problem documents (RFC 9457), whose `reason` is for programs. Ignore members of
objects that you do not know: new ones may come.

Members need no token to trade: the body of each of their instructions is signed by their wallet."""

COMPONENTS = Components(
    security_schemes={
        "operator": SecurityScheme(
            type="http",
            scheme="bearer",
            description="The operator's token, in the file `operator.token` of the data folder.",
        ),
        "readToken": SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="JWS",
            description="A read token: a compact JWS that a member's wallet has signed.",
        ),
        "metrics": SecurityScheme(
            type="http",
            scheme="bearer",
            description=(
                "The token of the operator's monitoring, in the file `metrics.token` of the data "
                "folder. The config may let everybody read the metrics."
            ),
        ),
    }
)


class CompletedJson(JsonRenderPlugin):
    """Renders the document after `complete`, which needs the functions of the routes."""

    def __init__(self, handlers: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        self._handlers = handlers
        self._made = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        if not self._made:
            self._made = msgspec.json.encode(complete(openapi_schema, self._handlers))
        return self._made


def complete(document: Mapping[str, Any], handlers: Iterable[Callable[..., Any]]) -> dict[str, Any]:
    """Return the document with everything in it. `handlers` are the functions of the routes."""
    whole: dict[str, Any] = _whole_numbers(document)
    whole["tags"] = [dict(zip(("name", "description"), tag.value, strict=True)) for tag in Tag]
    whole["components"]["schemas"] = _schemas(handlers)
    for path in whole["paths"].values():
        for operation in path.values():
            _complete_operation(operation)
    return whole


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation of a document."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


# --- records --------------------------------------------------------------------------------------


def _schemas(handlers: Iterable[Callable[..., Any]]) -> dict[str, Any]:
    """Return the schemas of all records of requests and answers, by name."""
    records: list[type[msgspec.Struct]] = [*_OF_BYTES, *_records_of(handlers)]
    _, schemas = msgspec.json.schema_components(dict.fromkeys(records), ref_template=_REF)
    fields = {record.__name__: record for record in _with_inner(records)}
    for name, schema in schemas.items():
        schema["description"] = " ".join(schema.get("description", "").split())
        if name in fields:
            _describe_fields(name, fields[name].__struct_encode_fields__, schema)
    _add_types(schemas)
    return dict(sorted(schemas.items()))


def _records_of(handlers: Iterable[Callable[..., Any]]) -> list[type[msgspec.Struct]]:
    """Return the records in the signatures of handlers."""
    hints = (hint for handler in handlers for hint in get_type_hints(handler).values())
    return [record for hint in hints for record in _records_in(hint)]


def _records_in(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in get_args(hint):
        yield from _records_in(inner)


def _with_inner(records: Iterable[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    """Return records with those that their fields hold, at any depth."""
    found: set[type[msgspec.Struct]] = set()
    waiting = list(records)
    while waiting:
        record = waiting.pop()
        if record not in found:
            found.add(record)
            for hint in get_type_hints(record).values():
                waiting += _records_in(hint)
    return found


def _describe_fields(record: str, names: Sequence[str], schema: dict[str, Any]) -> None:
    """Describe the fields of an object, or the places of an array that stands for one."""
    places = schema.get("prefixItems")
    given = zip(names, places, strict=True) if places else schema.get("properties", {}).items()
    for name, field in given:
        text = FIELDS.get(f"{record}.{name}") or FIELDS.get(name, "")
        field["description"] = f"`{name}`: {text}" if places else text
        example = example_of(name)
        if example is not None and "default" not in field and "$ref" not in field:
            field["examples"] = [example]
        if DEPRECATED.get(name) == record:
            field["deprecated"] = True


def _add_types(schema: Any) -> None:
    """Say what the values of an enumeration are, which msgspec leaves to its readers."""
    if isinstance(schema, dict):
        values = schema.get("enum")
        if isinstance(values, list) and "type" not in schema:
            schema["type"] = "integer" if isinstance(values[0], int) else "string"
        if schema.get("items") is False:  # `maxItems` says it, and some generators stumble over it
            del schema["items"]
        for inner in schema.values():
            _add_types(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _add_types(inner)


# --- operations -----------------------------------------------------------------------------------


def _complete_operation(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    if name in RAW_BODIES:
        operation["requestBody"] = RAW_BODIES[name]
    if name in EXAMPLES:
        (content,) = operation["requestBody"]["content"].values()
        content["example"] = EXAMPLES[name]
        operation["requestBody"].setdefault("description", "What is to be done, and why.")
    for parameter in operation.get("parameters", ()):
        _complete_parameter(name, parameter)
    answers = operation["responses"]
    done = next(status for status in answers if status < "300")
    if name in RAW_ANSWERS:
        answers[done]["content"] = RAW_ANSWERS[name]
    answers[done]["description"] = ANSWERS.get(name, "What was asked for.")
    if operation.get("parameters"):
        _add_refusals(answers, _OF_PARAMETERS)
    if "requestBody" in operation:
        _add_refusals(answers, _OF_BODIES)
    for status in ("429", "503"):
        if status in answers:
            answers[status]["headers"] = {"Retry-After": _RETRY_AFTER}
    operation["responses"] = dict(sorted(answers.items()))


def _complete_parameter(operation: str, parameter: dict[str, Any]) -> None:
    name = parameter["name"]
    parameter["description"] = PARAMETERS.get(f"{operation}.{name}") or PARAMETERS.get(name, "")
    parameter.pop("allowEmptyValue", None)  # deprecated since OpenAPI 3.1
    example = example_of(name)
    if example is not None:
        parameter["example"] = example
    if name == "document":
        parameter["schema"]["pattern"] = rf"^\d{{4}}-\d{{2}}\.({'|'.join(FORMS)})$"


def _add_refusals(answers: dict[str, Any], refusals: Reasons) -> None:
    """Add answers with problem documents, in place of what the framework says of itself."""
    for status, reasons in refusals.items():
        known = answers.get(str(status), {})
        if MEDIA_TYPE not in known.get("content", {}):
            text = describe_refusal(status, reasons)
            answers[str(status)] = {"description": text, "content": _PROBLEM}


def _whole_numbers(value: Any) -> Any:
    """Return a copy in which 9007199254740992.0 is 9007199254740992."""
    if isinstance(value, Mapping):
        return {name: _whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
