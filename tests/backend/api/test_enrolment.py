"""Enrolment over HTTP: from a token to a certificate, and every way to be refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.backend.newcomers import SITE, csr, enrolment, rotation
from tests.backend.parts import journal_at
from tests.backend.serving import TOKEN, Api, api_on, problem
from tests.backend.village import NAME, START_MS, Gateway, Village, reading

from gridtokenx_backend.api.rate_limit import MAX_WRONG, WrongRequests
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.inputs import DeviceCommand, device_input
from gridtokenx_backend.enrolment.preparation import initialise
from gridtokenx_wire.enrolment import Consent, Enrol, Token, parse_token, sign_statement

NOBODY: dict[str, Any] = {"replaced": [], "followed_by": []}
BACKEND = """
[broker]
insecure = true
[enrolment]
broker_host = "broker.lane"
broker_port = 8884
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "backend.toml").write_text(BACKEND)
    settings = load_settings(tmp_path / "backend.toml")
    initialise(settings, NAME, [])
    return settings


@pytest.fixture
async def api(tmp_path: Path, settings: Settings) -> AsyncIterator[Api]:
    async with (
        journal_at(tmp_path / "journal.db") as journal,
        api_on(journal, Village(), settings) as api,
    ):
        yield api


async def new_token(api: Api, site: str = SITE) -> Token:
    body = f'{{"site": "{site}"}}'.encode()
    response = await api.post("/v1/tokens", body, TOKEN)
    assert response.status_code == 201, response.text
    return parse_token(response.json()["token"])


async def ask(api: Api, gateway: Gateway, token: Token, request: str = "") -> httpx.Response:
    statement = enrolment(gateway, token, request or csr())
    return await api.client.post(
        "/v1/enrolments", json={"secret": token.secret, "statement": statement}
    )


def tls_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def leaf(answer: dict[str, Any]) -> x509.Certificate:
    """Return the certificate of an answer, after a check that the answer's CA has signed it."""
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    ca = x509.load_pem_x509_certificate(answer["ca"].encode())
    certificate.verify_directly_issued_by(ca)
    return certificate


async def test_a_token_becomes_a_certificate_and_all_that_a_gateway_needs(api: Api) -> None:
    token, east, key = (
        await new_token(api),
        Gateway("east"),
        ec.generate_private_key(ec.SECP256R1()),
    )
    response = await ask(api, east, token, csr(key))
    assert response.status_code == 201, response.text
    answer = response.json()
    certificate = leaf(answer)
    assert certificate.public_key() == key.public_key()
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == east.name
    assert answer["ca"] == (await api.get("/v1/ca")).text
    del answer["certificate"], answer["ca"]
    assert answer == {
        "device": east.name,
        "site": SITE,
        "status": "active",
        "community": NAME,
        "ack_keys": ["the ack key"],
        "broker_host": "broker.lane",
        "broker_port": 8884,
    }


async def test_the_same_request_is_answered_as_before_and_another_key_is_certified_anew(
    api: Api,
) -> None:
    token, east, key = (
        await new_token(api),
        Gateway("east"),
        ec.generate_private_key(ec.SECP256R1()),
    )
    first = await ask(api, east, token, csr(key))
    again = await ask(api, east, token, csr(key))
    assert again.json() == first.json()
    other = await ask(api, east, token)
    assert other.status_code == 201
    assert leaf(other.json()).serial_number != leaf(first.json()).serial_number


async def test_who_is_revoked_while_the_certificate_is_made_is_not_given_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.backend.enrolment is not None
    certify, loop = api.backend.enrolment.authority.certify_device, asyncio.get_running_loop()

    def slowly(device: str, key: ec.EllipticCurvePublicKey, days: int) -> str:
        revoke = device_input(DeviceCommand(action="revoke", device=device, reason="stolen"))
        asyncio.run_coroutine_threadsafe(api.backend.writer.submit([revoke]), loop).result(10)
        return certify(device, key, days)

    monkeypatch.setattr(api.backend.enrolment.authority, "certify_device", slowly)
    problem(await ask(api, Gateway("east"), await new_token(api)), 403, "device_revoked")


async def test_a_certificate_that_cannot_be_stored_is_asked_for_again(
    api: Api, settings: Settings
) -> None:
    token, gateway, issued = await new_token(api), Gateway("east"), settings.ca / "issued"
    issued.write_text("in the way")
    problem(await ask(api, gateway, token), 503, "unavailable")
    issued.unlink()
    response = await ask(api, gateway, token)
    assert (response.status_code, response.json()["device"]) == (201, gateway.name)


async def test_a_spoilt_file_keeps_nobody_in_and_nobody_out(api: Api, settings: Settings) -> None:
    token, gateway, request = await new_token(api), Gateway("east"), csr()
    first = leaf((await ask(api, gateway, token, request)).json())
    (file,) = (settings.ca / "issued").iterdir()
    file.write_text("spoilt")
    again = leaf((await ask(api, gateway, token, request)).json())
    assert api.backend.enrolment is not None
    pem = api.backend.enrolment.authority.revocation_list([gateway.name])
    revoked = {each.serial_number for each in x509.load_pem_x509_crl(pem)}
    assert revoked == {first.serial_number, again.serial_number}


async def test_the_token_is_told_once_and_only_its_hash_is_kept(api: Api) -> None:
    token = await new_token(api)
    (listed,) = (await api.ask("/v1/tokens")).json()
    expires_ms = START_MS + 24 * 3_600_000
    assert listed == {
        "id": token.digest[:16],
        "site": SITE,
        "status": "open",
        "expires_ms": expires_ms,
        "device": "",
    }
    await ask(api, Gateway("east"), token)
    (listed,) = (await api.ask("/v1/tokens")).json()
    assert (listed["status"], listed["device"]) == ("used", Gateway("east").name)
    assert token.secret.encode() not in api.state()
    async for entry in api.backend.journal.entries(0):
        assert token.secret.encode() not in entry.input


async def test_a_withdrawn_token_lets_nobody_in(api: Api) -> None:
    token = await new_token(api)
    response = await api.post(f"/v1/tokens/{token.digest[:16]}/withdraw", b"", TOKEN)
    assert (response.status_code, response.json()["status"]) == (200, "withdrawn")
    problem(await ask(api, Gateway("east"), token), 410, "token_withdrawn")
    response = await api.post("/v1/tokens/0123456789abcdef/withdraw", b"", TOKEN)
    problem(response, 404, "unknown_token")


async def test_what_is_no_request_is_refused_with_what_was_expected(api: Api) -> None:
    token, east = await new_token(api), Gateway("east")
    rsa_key: Any = rsa.generate_private_key(65537, 2048)
    good = enrolment(east, token, csr())
    unsigned = good.rpartition(".")[0] + "." + "A" * 86
    by_another = sign_statement(
        Enrol(v=1, token=token.digest, public_key=east.public_key, csr=csr()), Gateway("west").key
    )
    cases: list[tuple[int, str, str, str, str]] = [
        (400, "malformed", "no JWS", "", "expected a compact JWS"),
        (400, "malformed", good + "x" * 9000, "", ""),
        (400, "malformed", enrolment(east, token, "csr"), "", "csr: expected a certificate req"),
        (400, "malformed", enrolment(east, token, csr(rsa_key)), "", "csr: expected an ECDSA key"),
        (400, "malformed", good, "another secret", "expected the secret that the statement is"),
        (401, "bad_signature", unsigned, "", "expected a signature by the device's key"),
        (401, "bad_signature", by_another, "", "expected a signature by the device's key"),
        (
            400,
            "malformed",
            sign_statement(Consent(v=1, device="", statement=""), east.key),
            "",
            "expected a statem",
        ),
    ]
    before = api.state()
    for status, reason, statement, secret, detail in cases:
        body = {"secret": secret or token.secret, "statement": statement}
        response = await api.client.post("/v1/enrolments", json=body)
        if len(statement) > 8500:
            problem(response, 413, "bad_request")
        else:
            assert problem(response, status, reason).startswith(detail), detail
    for body in (b"", b"{}", b"\xff", b"[" * 5000):
        problem(await api.post("/v1/enrolments", body), 400, "malformed")
    assert api.state() == before


async def test_a_request_is_refused_that_another_key_signed(api: Api) -> None:
    """The CSR proves that the TLS key belongs to the one who asks."""
    key, other = (tls_key() for _ in range(2))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    der = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    point = [k.public_key().public_numbers() for k in (key, other)]
    forged = der.replace(point[0].x.to_bytes(32, "big"), point[1].x.to_bytes(32, "big"))
    forged = forged.replace(point[0].y.to_bytes(32, "big"), point[1].y.to_bytes(32, "big"))
    request = x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM).decode()
    response = await ask(api, Gateway("east"), await new_token(api), request)
    assert "signed by its own key" in problem(response, 400, "malformed")


async def test_who_guesses_is_not_listened_to_for_a_minute(api: Api) -> None:
    token = await new_token(api)
    guess = Token(secret="a" * 26, ca_fingerprint=token.ca_fingerprint)
    for _ in range(MAX_WRONG):
        problem(await ask(api, Gateway("east"), guess), 404, "unknown_token")
    response = await ask(api, Gateway("east"), guess)
    problem(response, 429, "too_many_guesses")
    assert 50 < int(response.headers["retry-after"]) <= 60
    problem(await api.post("/v1/enrolments", b"no JSON"), 429, "too_many_guesses")


async def test_who_guesses_keeps_out_no_gateway_with_a_token_at_the_same_address(api: Api) -> None:
    token = await new_token(api)
    guess = Token(secret="a" * 26, ca_fingerprint=token.ca_fingerprint)
    for _ in range(MAX_WRONG):
        await ask(api, Gateway("east"), guess)
    response = await ask(api, Gateway("east"), token)
    assert response.status_code == 201, response.text
    consent = rotation(Gateway("east"), Gateway("later"), csr()).encode()
    assert (await api.post("/v1/enrolments/rotation", consent)).status_code == 201
    problem(await ask(api, Gateway("west"), guess), 429, "too_many_guesses")


async def test_who_has_a_token_may_be_wrong_with_it_as_often_as_others(api: Api) -> None:
    token = await new_token(api)
    for _ in range(MAX_WRONG):
        problem(await ask(api, Gateway("east"), token, "csr"), 400, "malformed")
    problem(await ask(api, Gateway("east"), token), 429, "too_many_guesses")


async def test_an_empty_secret_is_no_token(api: Api) -> None:
    empty = Token(secret="", ca_fingerprint="")
    problem(await ask(api, Gateway("east"), empty), 404, "unknown_token")


def test_wrong_requests_are_counted_by_address_in_a_bounded_table() -> None:
    guesses = WrongRequests()
    for _ in range(MAX_WRONG):
        assert not guesses.wait_s("a", 0)
        guesses.was_wrong("a", 0)
    assert guesses.wait_s("a", 59)
    assert not guesses.wait_s("b", 59)
    assert not guesses.wait_s("a", 60)
    for number in range(2000):
        guesses.was_wrong(str(number), 60)
    assert len(guesses._wrong) == 1000


async def test_a_replacement_waits_for_the_operator_who_shuts_the_former_out(api: Api) -> None:
    east, west = Gateway("east"), Gateway("west")
    await ask(api, east, await new_token(api))
    response = await ask(api, west, await new_token(api))
    assert (response.status_code, response.json()["status"]) == (201, "pending")
    response = await api.post(f"/v1/devices/{west.name}/approve", b"{}", TOKEN)
    assert response.json() == {
        "device": west.name,
        "status": "active",
        **NOBODY,
        "replaced": [east.name],
    }
    devices = {each["device"]: each for each in (await api.ask("/v1/devices")).json()}
    assert devices[east.name]["why"] == f"replaced by {west.name}"
    response = await api.post(f"/v1/devices/{west.name}/revoke", b'{"reason": "sold"}', TOKEN)
    assert response.json() == {"device": west.name, "status": "revoked", **NOBODY}
    response = await api.post(f"/v1/devices/{west.name}/revoke", b'{"reason": "sold"}', TOKEN)
    assert problem(response, 403, "device_revoked") == "it was revoked: sold"


async def test_the_next_key_is_let_in_by_the_one_in_use(api: Api) -> None:
    north, later = api.village.north, Gateway("later")
    consent = rotation(north, later, csr()).encode()
    response = await api.post("/v1/enrolments/rotation", consent)
    assert response.status_code == 201, response.text
    assert (response.json()["device"], leaf(response.json()).issuer) == (
        later.name,
        x509.load_pem_x509_certificate(response.json()["ca"].encode()).subject,
    )
    assert (await api.post("/v1/enrolments/rotation", consent)).json() == response.json()
    devices = {each["device"]: each for each in (await api.ask("/v1/devices")).json()}
    assert devices[later.name]["follows"] == north.name
    response = await api.post(f"/v1/devices/{north.name}/revoke", b'{"reason": "stolen"}', TOKEN)
    assert response.json()["followed_by"] == [later.name]


async def test_a_next_key_without_both_signatures_is_refused(api: Api) -> None:
    north, later, thief = api.village.north, Gateway("later"), Gateway("thief")
    unknown = rotation(thief, later, csr()).encode()
    problem(await api.post("/v1/enrolments/rotation", unknown), 404, "unknown_device")
    stolen = rotation(north, later, csr()).rpartition(".")[0] + "." + "A" * 86
    problem(await api.post("/v1/enrolments/rotation", stolen.encode()), 401, "bad_signature")
    posing = Gateway("posing")
    posing.public_key = later.public_key  # the private key is another one
    inner = rotation(north, posing, csr()).encode()
    problem(await api.post("/v1/enrolments/rotation", inner), 401, "bad_signature")
    no_consent = enrolment(later, await new_token(api), csr()).encode()
    problem(await api.post("/v1/enrolments/rotation", no_consent), 400, "malformed")


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/v1/tokens", b'{"site": ""}', "site: expected 1 to 200 printable characters in one line"),
        (
            "/v1/tokens",
            b'{"site": "a\\nb"}',
            "site: expected 1 to 200 printable characters in one line",
        ),
        ("/v1/tokens", b'{"site": "a", "valid_hours": 0}', "valid_hours: expected 1 to 720, got 0"),
        (
            "/v1/tokens",
            b'{"site": "a", "valid_hours": 721}',
            "valid_hours: expected 1 to 720, got 721",
        ),
        (
            "/v1/devices/x/revoke",
            b'{"reason": ""}',
            "reason: expected 1 to 500 printable characters in one line",
        ),
    ],
)
async def test_a_mistake_of_the_operators_is_told(
    api: Api, path: str, body: bytes, detail: str
) -> None:
    assert problem(await api.post(path, body, TOKEN), 400, "bad_request") == detail


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("POST", "/v1/tokens/x/withdraw"),
        ("POST", "/v1/devices/x/approve"),
        ("POST", "/v1/devices/x/revoke"),
    ],
)
async def test_only_the_operator_says_who_may_come(api: Api, method: str, path: str) -> None:
    response = await api.client.request(method, path, json={"site": "a", "reason": "b"})
    problem(response, 401, "unauthorized")


async def test_without_a_ca_nobody_enrols(tmp_path: Path) -> None:
    async with (
        journal_at(tmp_path / "journal.db") as journal,
        api_on(journal, Village()) as api,
    ):
        problem(await api.get("/v1/ca"), 404, "no_ca")
        problem(await api.post("/v1/enrolments", b"{}"), 404, "no_ca")
        problem(await api.post("/v1/tokens", b'{"site": "a"}', TOKEN), 404, "no_ca")


async def test_readings_of_a_meter_come_from_all_keys_that_spoke_for_it(api: Api) -> None:
    north, later = api.village.north, Gateway("later", b"chain-02")
    await api.send(north.next([reading("ABB-1", START_MS - 5000)]))
    await api.post("/v1/enrolments/rotation", rotation(north, later, csr()).encode())
    await api.send(later.next([reading("ABB-1", START_MS - 3000)]))
    await api.send(north.next([reading("ABB-1", START_MS - 1000)]))
    found = (await api.ask("/v1/meters/ABB-1/readings")).json()["readings"]
    times = [START_MS - ago_ms for ago_ms in (1000, 3000, 5000)]
    assert [each["time_ms"] for each in found] == times
