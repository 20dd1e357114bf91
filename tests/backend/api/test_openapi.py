"""The OpenAPI document: valid, complete, and true of what the routes take and answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from openapi_spec_validator import validate
from tests.backend.parts import journal_at
from tests.backend.serving import Api, api_on
from tests.backend.village import Village

from gridtokenx_backend.api.openapi.bodies import ANSWERS, EXAMPLES, RAW_ANSWERS, RAW_BODIES
from gridtokenx_backend.api.openapi.document import operations
from gridtokenx_backend.api.openapi.fields import DEPRECATED, FIELDS, PARAMETERS

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHOUT_BODY = {"withdraw_token"}
SIGNED = {
    "place_order",
    "cancel_orders",
    "amend_order",
    "set_standing_order",
    "request_withdrawal",
    "transfer_certificate",
    "retire_certificate",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="served")
async def _served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    path = tmp_path_factory.mktemp("openapi") / "journal.db"
    async with journal_at(path) as journal, api_on(journal, Village()) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="document")
async def _document(served: Api) -> dict[str, Any]:
    document: dict[str, Any] = (await served.get("/schema/openapi.json")).json()
    return document


def schemas_in(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every part of a document with the path to it."""
    yield path, value
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in parts if isinstance(value, dict | list) else ():
        yield from schemas_in(inner, f"{path}/{name}")


def fields_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield record, field and schema of everything in a record, arrays that stand for one too."""
    for record, schema in document["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            yield record, name, field
        for place, field in enumerate(schema.get("prefixItems", ())):
            yield record, str(place), field


async def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"


async def test_every_operation_has_a_name_a_summary_a_description_and_a_tag(
    document: dict[str, Any],
) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    names = []
    for _, _, operation in operations(document):
        names.append(operation["operationId"])
        assert operation["summary"]
        assert operation["description"].endswith("."), operation
        assert [tag for tag in operation["tags"] if tags[tag]]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.isidentifier() for name in names)


async def test_every_parameter_record_and_field_is_described(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (operation["operationId"], parameter)
    for record, schema in document["components"]["schemas"].items():
        assert schema["description"], record
    for record, name, field in fields_of(document):
        assert field["description"], (record, name)


async def test_no_description_is_left_over(document: dict[str, Any]) -> None:
    records = {record for record, _, _ in fields_of(document)}
    fields = {(record, name) for record, name, _ in fields_of(document)}
    names = {name for _, name in fields}
    places = {
        each["description"].split("`")[1]
        for _, name, each in fields_of(document)
        if name.isdecimal()
    }
    for key in FIELDS:
        record, dot, name = key.rpartition(".")
        assert name in names | places, key
        assert not dot or record in records, key
    given = {operation["operationId"]: operation for _, _, operation in operations(document)}
    parameters = {each["name"] for op in given.values() for each in op.get("parameters", ())}
    assert {key.rpartition(".")[2] for key in PARAMETERS} == parameters
    for table in (ANSWERS, EXAMPLES, RAW_ANSWERS, RAW_BODIES):
        assert table.keys() <= given.keys()
    assert {(record, name) for name, record in DEPRECATED.items()} <= fields


async def test_every_post_has_a_body_with_an_example(document: dict[str, Any]) -> None:
    for _, method, operation in operations(document):
        name = operation["operationId"]
        assert ("requestBody" in operation) == (method == "post" and name not in WITHOUT_BODY), name
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            shown = "example" in content or "examples" in content["schema"]
            assert shown or kind in ("application/cbor-seq", "application/jose"), name


async def test_signed_instructions_are_described_as_jose_and_as_text(
    document: dict[str, Any],
) -> None:
    for _, _, operation in operations(document):
        if operation["operationId"] in SIGNED:
            content = operation["requestBody"]["content"]
            assert content.keys() == {"application/jose", "text/plain"}
            assert not operation.get("security")


async def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        errors = {int(s): answer for s, answer in operation["responses"].items() if s >= "400"}
        assert 503 in errors
        assert ("requestBody" in operation) <= ({400, 413} <= errors.keys())
        assert bool(operation.get("security")) <= ({401, 429} <= errors.keys())
        for status, answer in errors.items():
            (media,) = answer["content"].items()
            assert media == (
                "application/problem+json",
                {"schema": {"$ref": "#/components/schemas/ProblemDocument"}},
            ), (operation["operationId"], status)
            assert "`reason` is" in answer["description"]
            assert ("Retry-After" in answer.get("headers", {})) == (status in (429, 503))


async def test_amounts_are_strings_and_whole_numbers_say_their_unit(
    document: dict[str, Any],
) -> None:
    for record, name, field in fields_of(document):
        if name.endswith(("_kwh", "_grx")):
            types = {each.get("type") for each in field.get("anyOf", [field])}
            assert types <= {"string", "null"}, (record, name)
    summary = document["components"]["schemas"]["SummaryView"]["properties"]
    assert summary["minted_grid"]["type"] == "string"
    assert summary["minted_uwh"]["deprecated"]


async def test_who_may_call_stands_at_each_operation(served: Api, document: dict[str, Any]) -> None:
    """What answers 401 without a token has a security scheme, and nothing else has one."""
    for path, method, operation in operations(document):
        given = path.replace("{interval_ms}", "1").replace("{number}", "1")
        query = "?from_ms=0&to_ms=900000" if path.endswith("/intervals") else ""
        content = b"{}" if "requestBody" in operation else b""
        answer = await served.client.request(method, given + query, content=content)
        assert (answer.status_code == 401) == bool(operation.get("security")), (path, answer.text)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_an_example_is_what_its_schema_says(document: dict[str, Any], name: str) -> None:
    from jsonschema import Draft202012Validator

    found = next(op for _, _, op in operations(document) if op["operationId"] == name)
    (content,) = found["requestBody"]["content"].values()
    schema = {**content["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(json.loads(msgspec.json.encode(EXAMPLES[name])))
