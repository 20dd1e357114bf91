"""`gridtokenx-edge enrol`: who is believed, what is stored, and every step again."""

from __future__ import annotations

import http.server
import io
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from gridtokenx_edge.__main__ import main
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_wire import jws
from gridtokenx_wire.enrolment import Token, make_token, parse_enrolment, parse_rotation
from gridtokenx_wire.keys import device_id, device_text, load_private_key, raw_public_key

ACK_KEYS = ["FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"]
BUS = """
[[bus]]
name = "roof"       # of the barn
kind = "tcp"
host = "192.0.2.17"
  [[bus.meter]]
  id = "EASTRON-1001"
  profile = "eastron_sdm630"
  address = 1
"""


def make_ca(common_name: str = "lane") -> bytes:
    """A self-signed certificate, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate_for(key.public_key(), key, common_name).public_bytes(Encoding.DER)


def certificate_for(
    public: ec.EllipticCurvePublicKey, key: ec.EllipticCurvePrivateKey, common_name: str = "lane"
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(public).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, SHA256())


def padded_ca() -> bytes:
    """One whose Base64 ends in padding, behind which Python's decoder reads nothing."""
    # ECDSA signatures differ in length by a byte or two, so a name a byte longer is soon one.
    return next(der for n in range(100) if len(der := make_ca("lane" + n * "x")) % 3)


class Backend(http.server.ThreadingHTTPServer):
    """Answers as the backend would. `spoil` changes an answer; `bodies` are what was posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ca_der = padded_ca()
        self.issued: dict[bytes, str] = {}
        self.ca = ssl.DER_cert_to_PEM_cert(self.ca_der)
        self.token: Token = make_token(bytes(16), self.ca_der)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bodies: list[bytes] = []
        self.spoil: Callable[[int, dict[str, Any]], tuple[int, Any]] = lambda s, a: (s, a)

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        self.bodies.append(body)
        if path == "/v1/enrolments":
            enrolment = parse_enrolment(json.loads(body)["statement"].encode())
            key, signed, csr = enrolment.public_key, enrolment.signed, enrolment.statement.csr
        else:
            rotation = parse_rotation(body)
            key, signed, csr = rotation.public_key, rotation.signed, rotation.statement.csr
        jws.verify(signed, key)
        fields = {
            "device": device_text(device_id(key)),
            "site": "Lane 1",
            "status": "active",
            "community": "lane",
            "ack_keys": ACK_KEYS,
            "broker_host": "broker.lane",
            "broker_port": 8884,
            "certificate": self.certify(csr),
            "ca": self.ca,
        }
        return self.spoil(201, fields)

    def certify(self, csr: str) -> str:
        """The same certificate for the same key."""
        key = x509.load_pem_x509_csr(csr.encode()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if der not in self.issued:
            made = certificate_for(key, ec.generate_private_key(ec.SECP256R1()))
            self.issued[der] = made.public_bytes(Encoding.PEM).decode()
        return self.issued[der]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Backend

    def do_GET(self) -> None:
        self._send(200, self.server.ca.encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.server.answer(self.path, body)
        self._send(status, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(name="lane")
def _lane() -> Iterator[Backend]:
    with Backend() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Installer:
    """Runs the command in a folder."""

    def __init__(self, folder: Path, lane: Backend, patch: Any, capsys: Any) -> None:
        self.folder, self.lane = folder, lane
        self.config = folder / "edge.toml"
        self.token_file = folder / "token"
        self.token_file.write_text(lane.token.text + "\n")
        self._patch, self._capsys = patch, capsys

    def __call__(self, *arguments: str) -> Ran:
        self._patch.setattr(sys, "argv", ["gridtokenx-edge", *arguments, "-c", str(self.config)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    def enrol(self, *more: str) -> Ran:
        has_token = {"--token", "--token-file"} & {*more}
        token = () if has_token else ("--token-file", str(self.token_file))
        url = ("--backend", self.lane.url) if "--backend" not in more else ()
        return self("enrol", *url, *token, *more)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@pytest.fixture
def installer(
    tmp_path: Path,
    lane: Backend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Installer:
    return Installer(tmp_path, lane, monkeypatch, capsys)


def test_a_fresh_gateway_lacks_only_its_meters_afterwards(installer: Installer) -> None:
    ran = installer.enrol("--json")
    assert ran.status == 0, ran.err
    device = device_text(device_id(load_private_key(installer.folder / "edge.key").public_key()))
    assert json.loads(ran.out) == {
        "device": device,
        "site": "Lane 1",
        "status": "active",
        "community": "lane",
        "broker": "broker.lane:8884",
        "config": str(installer.config),
    }
    for name in ("edge.key", "edge-tls.key"):
        assert (installer.folder / name).stat().st_mode & 0o777 == 0o600
    installer.config.write_text(installer.config.read_text() + BUS)
    config = load_config(installer.config)
    assert (config.broker.host, config.broker.port, config.site.name) == (
        "broker.lane",
        8884,
        "Lane 1",
    )
    assert config.backend.url == installer.lane.url


def test_a_config_that_is_there_keeps_its_buses_comments_and_file_names(
    installer: Installer,
) -> None:
    installer.config.write_text(
        '# Mine.\n[site]\ncommunity = "old"\nname = "Barn"\n'
        '[device]\nkey = "my.key"\noutbox = "my.db"\n'
        f'[backend]\nack_key = "{ACK_KEYS[0]}"\n'
        '[broker]\nhost = "x"\ninsecure = true  # for a trial\n' + BUS
    )
    assert installer.enrol("--site-name", "Barn").status == 0
    text = installer.config.read_text()
    assert text.startswith("# Mine.\n")
    assert text.endswith(BUS)
    assert "insecure = false  # for a trial" in text
    config = load_config(installer.config)
    assert (config.device.key, config.site.community, config.site.name) == (
        "my.key",
        "lane",
        "Barn",
    )
    assert (installer.folder / "my.key").exists()


def test_enrolling_again_uses_the_same_keys_and_changes_nothing(installer: Installer) -> None:
    installer.enrol()
    before = installer.files()
    assert installer.enrol().status == 0
    assert installer.files() == before
    first, again = (json.loads(body)["statement"] for body in installer.lane.bodies)
    keys = [parse_enrolment(each.encode()).public_key for each in (first, again)]
    assert keys[0] == keys[1]


def test_a_lost_answer_leaves_keys_and_no_config(installer: Installer) -> None:
    installer.lane.spoil = lambda _status, _fields: (503, {"detail": "disk is full"})
    ran = installer.enrol()
    assert ran == (2, "", f"127.0.0.1:{installer.lane.server_port}: disk is full\n")
    assert not installer.config.exists()
    kept = installer.files()
    installer.lane.spoil = lambda status, fields: (status, fields)
    assert installer.enrol().status == 0
    assert kept.items() <= installer.files().items()


def test_the_token_comes_from_stdin_too(
    installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(installer.lane.token.text + "\n"))
    assert installer.enrol("--token", "-").status == 0


def test_a_backend_with_another_ca_is_not_told_the_secret(installer: Installer) -> None:
    installer.lane.ca = ssl.DER_cert_to_PEM_cert(make_ca())
    ran = installer.enrol()
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)
    assert "this is not the backend that the token is from" in ran.err
    assert installer.lane.bodies == []


def test_no_other_ca_rides_on_the_one_that_the_token_names(installer: Installer) -> None:
    lane = installer.lane
    lane.ca += ssl.DER_cert_to_PEM_cert(make_ca("evil"))
    assert installer.enrol().status == 0
    assert (installer.folder / "ca.pem").read_text() == ssl.DER_cert_to_PEM_cert(lane.ca_der)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}, "expected an answer for this device's key"),
        ({"ca": ssl.DER_cert_to_PEM_cert(make_ca())}, "expected an answer by the CA that is trus"),
        ({"ca": "no PEM"}, "expected certificates in PEM in the answer"),
        ({"certificate": "no PEM"}, "expected certificates in PEM in the answer"),
        (
            {"certificate": ssl.DER_cert_to_PEM_cert(make_ca())},
            "expected a certificate for this gateway's TLS key",
        ),
        ({"ack_keys": []}, "expected the public key that acks are signed by"),
        ({"broker_port": "8883"}, "expected the answer to an enrolment: Expected `int`, got `str`"),
    ],
)
def test_an_answer_about_something_else_is_not_stored(
    installer: Installer, change: dict[str, Any], said: str
) -> None:
    installer.lane.spoil = lambda status, fields: (status, fields | change)
    ran = installer.enrol()
    assert (ran.status, said in ran.err, len(ran.err.splitlines())) == (2, True, 1), ran.err
    assert not installer.config.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token", "abc"], "--token: expected a token: 26 letters and digits, a dot, 32 hex d"),
        (["--token-file", "/no/such"], "/no/such: cannot be read: No such file or directory"),
        (["--backend", "http://192.0.2.1"], "--backend: expected https://; --insecure allows"),
        (["--backend", "ftp://x"], "--backend: expected https://HOST or https://HOST:PORT"),
        (["--backend", "https://x:99999"], "--backend: expected https://HOST or https://HOST:PO"),
        (["--backend", "https://[::1"], "--backend: expected https://HOST or https://HOST:PORT"),
        (["--backend", "https://a..x"], "--backend: expected https://HOST or https://HOST:PORT"),
        (["--backend", "https://a b"], "--backend: expected https://HOST or https://HOST:PORT"),
        (["--backend", "https://u:p@x"], "--backend: expected https://HOST or https://HOST:PORT"),
        (["--backend", "http://127.0.0.1:1"], "http://127.0.0.1:1: no answer: Connection refused"),
    ],
)
def test_an_installers_mistake_is_one_line(
    installer: Installer, arguments: list[str], said: str
) -> None:
    ran = installer.enrol(*arguments)
    assert (ran.status, len(ran.err.splitlines())) == (2, 1), ran.err
    assert ran.err.startswith(said), ran.err


def test_the_next_key_is_made_and_the_former_kept_for_what_it_has_left(
    installer: Installer,
) -> None:
    installer.enrol()
    installer.config.write_text(installer.config.read_text() + BUS)
    ran = installer("key", "rotate")
    assert ran.status == 0, ran.err
    config = load_config(installer.config)
    assert (config.device.key, config.device.outbox, config.broker.cert) == (
        "edge-2.key",
        "outbox-2.db",
        "edge-tls-2.pem",
    )
    (former,) = config.device.former
    assert (former.key, former.outbox, former.tls_key) == ("edge.key", "outbox.db", "edge-tls.key")
    consent = parse_rotation(installer.lane.bodies[-1])
    jws.verify(consent.consent, load_public(installer.folder / "edge.key"))
    assert installer("key", "rotate").status == 0
    assert [each.key for each in load_config(installer.config).device.former] == [
        "edge.key",
        "edge-2.key",
    ]


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff"])
def test_a_ca_file_that_was_spoilt_is_one_line(installer: Installer, content: bytes) -> None:
    installer.enrol()
    installer.config.write_text(installer.config.read_text() + BUS)
    (installer.folder / "ca.pem").write_bytes(content)
    ran = installer("key", "rotate")
    assert (ran.status, len(ran.err.splitlines())) == (2, 1), ran.err
    assert "expected the CA's certificate in PEM" in ran.err


def load_public(path: Path) -> bytes:
    return raw_public_key(load_private_key(path).public_key())


def test_an_interrupted_rotation_goes_on_with_the_same_key(installer: Installer) -> None:
    installer.enrol()
    installer.config.write_text(installer.config.read_text() + BUS)
    before = installer.config.read_text()
    installer.lane.spoil = lambda _status, _fields: (503, {"detail": "later"})
    assert installer("key", "rotate").status == 2
    assert installer.config.read_text() == before
    installer.lane.spoil = lambda status, fields: (status, fields)
    assert installer("key", "rotate").status == 0
    keys = [parse_rotation(body).public_key for body in installer.lane.bodies[-2:]]
    assert keys[0] == keys[1]
