"""What Litestar and msgspec refuse, as problem documents that name what is wrong and where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from gridtokenx_backend.api.problems import Problem, respond
from gridtokenx_backend.api.requests import AnyRequest

_REASONS = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}
_BODY = "data"
"""What Litestar calls the body."""
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_MISSING_FIELD = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.+)`")
_WRONG_VALUE = re.compile(r"Invalid enum value (.+)")
_PATH = re.compile(r"^(.*) - at `\$(.*)`$", re.DOTALL)
_MISSING_PARAMETER = re.compile(r"Missing required (\w+) parameter '(\w+)'")
_NUMBER = re.compile(r"-?\d+")


def respond_http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Return the answer for what Litestar refuses: a path, a method, a parameter or a body."""
    detail, field = _explain(request, error)
    status = error.status_code
    answer = respond(
        request,
        Problem(
            status=status,
            title="The request was refused",
            detail=detail,
            reason=_REASONS.get(status, "bad_request"),
            field=field,
        ),
    )
    if status == 405:
        answer.headers["Allow"] = ", ".join(_allowed(error))
    return answer


def respond_unreadable(request: AnyRequest, _: Exception) -> Response[bytes]:
    """Return the answer for a body that is no text, or nested too deeply for its decoder."""
    return respond(request, unreadable("expected JSON in UTF-8"))


def unreadable(detail: str, field: str = "") -> Problem:
    """Return the problem for a body that is not what the route expects."""
    return Problem(
        status=400,
        title="The request was refused",
        detail=detail,
        reason="bad_request",
        field=field,
    )


def undecodable(error: Exception, kind: Any) -> Problem:
    """Return the problem for what msgspec said of a body that should have been a `kind`."""
    if not isinstance(error, msgspec.ValidationError):
        return unreadable(f"the body: expected JSON in UTF-8: {error}")
    found = _PATH.match(str(error))
    message, place = (found[1], found[2].removeprefix(".")) if found else (str(error), "")
    detail, field = _of_field(place, message, kind)
    return unreadable(detail, field)


def _explain(request: AnyRequest, error: HTTPException) -> tuple[str, str]:
    """Return what was expected, and the field that is wrong, or ""."""
    match error.status_code:
        case 404:
            return _not_found(request)
        case 405:
            return f"expected {' or '.join(_allowed(error))}, got {request.method}", ""
        case 413:
            most = request.route_handler.resolve_request_max_body_size()
            return f"the body: expected at most {most} bytes", ""
    if isinstance(error.extra, list) and error.extra:
        return _of_parameter(request, error.extra[0])
    if missing := _MISSING_PARAMETER.match(error.detail):
        return f"{missing[2]}: expected this {missing[1]} parameter, but it is missing", missing[2]
    return f"the body: expected JSON in UTF-8: {error.detail}", ""


def _allowed(error: HTTPException) -> list[str]:
    """Return the methods that a path takes. HEAD is a GET without the content."""
    methods = (error.headers or {}).get("allow", "").split(", ")
    return sorted({*methods, "HEAD"} if "GET" in methods else methods)


def _not_found(request: AnyRequest) -> tuple[str, str]:
    """Return which part of a path is wrong: a number of a route, or all of it."""
    given = [part for part in request.scope["path"].split("/") if part]
    for route in request.app.routes:
        if len(route.path_components) != len(given):
            continue
        wrong = ""
        for expected, part in zip(route.path_components, given, strict=True):
            if isinstance(expected, str):
                if expected != part:
                    break
            elif expected.type is int and not _NUMBER.fullmatch(part):
                wrong = wrong or expected.name
        else:
            if wrong:
                return f"{wrong}: expected a whole number in the path", wrong
    path = request.scope["path"][:100]
    return f"expected a path that /schema/openapi.json lists, got {path!r}", ""


def _of_parameter(request: AnyRequest, error: Mapping[str, Any]) -> tuple[str, str]:
    """Return what Litestar says of a parameter or of a field of the body."""
    key, message = error.get("key", ""), error["message"]
    if error.get("source") == "body" or key == _BODY:
        kind = get_type_hints(request.route_handler.fn).get(_BODY)
        return _of_field("" if key == _BODY else key, message, kind)
    return _of_field(key, message, None)


def _of_field(place: str, message: str, kind: Any) -> tuple[str, str]:
    """Return what was expected of a field, and its path; without one it is the whole body."""
    if found := _MISSING_FIELD.fullmatch(message):
        field = f"{place}.{found[1]}".lstrip(".")
        return f"{field}: expected this field, but it is missing", field
    if found := _UNKNOWN_FIELD.fullmatch(message):
        field = f"{place}.{found[1][:100]}".lstrip(".")
        known = ", ".join(_fields_at(kind, place))
        return f"{field}: expected only the fields {known}", field
    name = place or "the body"
    if message == f"{_BODY!r}":  # Litestar found no body
        return "the body: expected JSON, but it is empty", ""
    if (found := _WRONG_VALUE.fullmatch(message)) and (values := _values_at(kind, place)):
        return f"{name}: expected one of {', '.join(values)}, got {found[1][:100]}", place
    words = re.sub(r"`([^`]*)`", lambda types: _in_words(types[1]), message[:300])
    return f"{name}: {words[:1].lower()}{words[1:]}", place


def _in_words(types: str) -> str:
    return " or ".join(_TYPES.get(each, each) for each in types.split(" | "))


def _values_at(kind: Any, place: str) -> Sequence[str]:
    """Return the values that a field may have, if they are listed."""
    at = _type_at(kind, place)
    return [str(each) for each in get_args(at)] if get_origin(at) is Literal else []


def _fields_at(kind: Any, place: str) -> Sequence[str]:
    at = _type_at(kind, place)
    return list(get_type_hints(at)) if isinstance(at, type) else []


def _type_at(kind: Any, place: str) -> Any:
    """Return the type of a field such as `series[...].quantity` of a record."""
    for name in re.findall(r"[^.\[\]]+|\[[^\]]*\]", place):
        record = next((each for each in (kind, *get_args(kind)) if _is_record(each)), None)
        if name.startswith("["):
            kind = _inside(kind, name)
        elif record is None:
            return None
        else:
            kind = get_type_hints(record).get(name)
    record = next((each for each in (kind, *get_args(kind)) if _is_record(each)), None)
    return record or kind


def _inside(kind: Any, index: str) -> Any:
    """Return the type of an item of a list, or of a record that is written as a list."""
    if _is_record(kind):
        hints = list(get_type_hints(kind).values())
        number = index.strip("[]")
        return hints[int(number)] if number.isdecimal() and int(number) < len(hints) else None
    return next(iter(get_args(kind)), None)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
