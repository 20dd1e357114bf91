"""`gridtokenx-edge check` on its way to the backend: TLS, a running agent, acks; disk and key."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.edge.commissioning.check.checked_site import (
    HEAVY,
    SPEED,
    change,
    check,
    clock_table,
    errors,
    running,
)
from tests.edge.commissioning.check.test_read_and_watch import edge
from tests.edge.conftest import Mosquitto, free_port
from tests.edge.uplink.certificates import SIGNS_CERTIFICATES

from gridtokenx_edge.commissioning.check.agent_status import ask_agent
from gridtokenx_edge.commissioning.check.broker import judge_expiry, reach_broker, try_mqtt
from gridtokenx_edge.commissioning.check.finding import Severity
from gridtokenx_edge.commissioning.check.host import judge_disk, judge_free_space, judge_key
from gridtokenx_edge.config.edge_config import BrokerConfig, Paths
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.verdict import Reason, Verdict

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.issue(name, is_authority=True)

    def issue(
        self, name: str, *, is_authority: bool = False, host: str = "", days: int = 90
    ) -> tuple[Path, Path]:
        """The files of a new certificate and its key."""
        key = self.key if is_authority else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 400 * DAY)
            .not_valid_after(NOW + days * DAY + DAY / 2)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if is_authority:
            builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
            identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        if host:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(names, critical=False)
        certificate = self.file if is_authority else self.folder / f"{name}.cert.pem"
        certificate.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        secret = self.folder / f"{name}.key.pem"
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        secret.chmod(0o600)
        return certificate, secret


def tls_listener(port: int, authority: Authority, host: str) -> list[str]:
    certificate, key = authority.issue("broker", host=host)
    return [
        f"listener {port} 127.0.0.1",
        f"cafile {authority.file}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        "user root",
    ]


@pytest.mark.parametrize(
    ("mistake", "name", "said"),
    [
        ("", "", ""),
        ("ca", "broker_tls", "is ca the authority that signed the broker's certificate"),
        ("host", "broker_tls", "host the name in it"),
        ("cert", "broker_mqtt", "a certificate of the broker's authority"),
        ("name", "certificate", "let the operator make one for this device"),
        ("expired", "certificate", "renew it"),
        ("unreadable", "certificate", "get it from the operator"),
        ("plain", "broker_tls", "is this the broker's TLS port"),
    ],
)
async def test_8_tls_mistakes_are_told_apart(
    tmp_path: Path, mistake: str, name: str, said: str
) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    broker = Mosquitto(tmp_path)
    listener = tls_listener(broker.port, ours, "127.0.0.9" if mistake == "host" else "127.0.0.1")
    broker.start(*([] if mistake == "plain" else listener))
    signer = other if mistake == "cert" else ours
    days = -1 if mistake == "expired" else 90
    certificate, key = signer.issue("someone" if mistake == "name" else "device", days=days)
    if mistake == "unreadable":
        certificate.write_text("no certificate")
    ca = other.file if mistake == "ca" else ours.file
    config = BrokerConfig(host="127.0.0.1", port=broker.port)
    paths = Paths(
        key=key,
        outbox=tmp_path / "outbox.db",
        broker_ca=ca,
        broker_cert=certificate,
        broker_key=key,
    )
    reach = await reach_broker(config, paths, "device", NOW)
    found = list(reach.findings)
    if reach.broker:
        finding, connection = await try_mqtt(reach.broker, "device", "acks", lambda *_: None)
        found.append(finding)
        if connection:
            await connection.disconnect()
            connection.close()
    broker.stop()
    wrong = [each for each in found if each.severity is not Severity.OK]
    assert [each.name for each in wrong] == ([name] if name else [])
    assert all(each.severity is Severity.ERROR and said in each.do for each in wrong), wrong
    if not mistake:
        assert [each.name for each in found] == [
            "broker_tcp",
            "certificate",
            "certificate",
            "broker_tls",
            "broker_mqtt",
        ]
        assert "ends in 90 days" in found[2].seen


@pytest.mark.parametrize(
    ("days", "severity"), [(-1, Severity.ERROR), (29, Severity.WARNING), (30, Severity.OK)]
)
def test_a_certificate_that_ends_soon_is_told(days: int, severity: Severity) -> None:
    assert judge_expiry("certificate", "it", NOW + days * DAY, NOW).severity is severity


async def test_beside_a_running_agent_its_next_ack_is_awaited_and_it_stays_connected(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    roof = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    hall = meters.tcp(meters.meter("carlo_gavazzi_em24_e1", 2, "KY1", **HEAVY))
    async with running(roof, hall) as (served, clock):
        site.write(served, ack_key, broker.port, every_s=SPEED / 4, extra=clock_table(clock))
        agent = site.start()
        await wait_until(lambda: backend.readings)
        found = await check(site.config, duration_s=5)
        agent.send_signal(signal.SIGTERM)
        await wait_until(lambda: agent.poll() is not None)
    assert set(errors(found)) == {("port_taken", "roof")}
    assert "systemctl stop gridtokenx-edge" in found["port_taken", "roof"].do
    assert found["identity", "CARLO-GAVAZZI-KY1"].severity is Severity.OK
    assert found["ack", ""].severity is Severity.OK
    assert not site.events("broker_lost"), "the check did not take the agent's place"


async def test_a_running_agent_is_asked_where_the_broker_knows_one_connection_a_name(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    port = free_port()
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as served:
        site.write(served, ack_key, broker.port, extra=f"status = {{port = {port}}}")
        agent = site.start()
        await wait_until(lambda: backend.readings)
        async with asyncio.timeout(20):
            while (acked := await ask_agent(port, 60)).severity is not Severity.OK:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        backend.is_mute = True
        late = await ask_agent(port, -1)
        agent.send_signal(signal.SIGTERM)
        await wait_until(lambda: agent.poll() is not None)
    assert "the agent's last ack came" in acked.seen
    assert "no ack to the agent" in late.seen
    gone, off = await ask_agent(port, 60), await ask_agent(0, 60)
    assert (gone.name, off.name) == ("ack_untried", "ack_untried")
    assert "[status] port" in off.do


async def test_a_reading_that_the_oracle_refuses_is_told_with_its_reason(
    meters: Any, site: Any, write: Any, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = backend.send_ack
    monkeypatch.setattr(
        backend,
        "send_ack",
        lambda next_seq: plain(
            next_seq, verdicts=[Verdict(seq=0, index=0, reason=Reason.UNBOUND_METER)]
        ),
    )
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config, duration_s=5)
    (finding,) = errors(found).values()
    assert finding.name == "reading_refused"
    assert Reason.UNBOUND_METER.label in finding.seen


async def test_an_ack_of_another_chain_and_an_older_outbox_are_told(
    meters: Any, site: Any, write: Any, backend: Any
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        await check(site.config, duration_s=5)
        for file in site.folder.glob("outbox.db*"):
            file.unlink()
        backend.is_mute = True
        answers = iter([lambda: backend.send_ack(1)])
        received = backend._received

        def answer(*message: Any) -> None:
            received(*message)
            for each in answers:
                each()

        backend._client.on_message = answer
        found = await check(site.config, duration_s=5, ack_wait_s=2.0)
    (finding,) = errors(found).values()
    assert finding.name == "chain"


async def test_an_outbox_of_another_device_is_not_touched(
    meters: Any, site: Any, write: Any, backend: Any
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = Outbox(site.outbox, Ed25519PrivateKey.generate())
    await other.open()
    await other.close()
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        found = await check(site.config, duration_s=5)
    (finding,) = errors(found).values()
    assert finding.name == "outbox"
    assert "expected an outbox of device" in finding.seen
    assert not backend.readings


async def test_nothing_is_sent_of_a_meter_that_counts_wrongly(
    meters: Any, site: Any, write: Any, backend: Any
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm630", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        change(site, 'profile = "eastron_sdm630"', 'profile = "eastron_sdm120"')
        found = await check(site.config)
    assert found["ack_untried", ""].severity is Severity.NOTE
    assert not backend.readings


async def test_the_command_fits_80_columns_and_ends_in_a_verdict(
    meters: Any, site: Any, write: Any, backend: Any
) -> None:
    bus = meters.serial(meters.meter("eastron_sdm120", 1, **HEAVY))
    async with running(bus) as (served, clock):
        write(served, clock)
        arguments = ("check", "--config", site.config, "--duration", "30", "--flow", "import")
        code, output, errors_ = await edge(*arguments)
        change(site, "EASTRON-1001", "EASTRON-1002")
        wrong = await edge(*arguments, "--json")
    assert (code, errors_) == (0, "")
    lines = output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "ready, with 1 warning, 1 note", output
    assert any(line.startswith("ok       ack: a verified ack after") for line in lines)
    report = json.loads(wrong[1])
    assert (wrong[0], report["ready"]) == (1, False)
    assert report["verdict"].startswith("not ready: 1 error")
    (finding,) = [each for each in report["findings"] if each["severity"] == "error"]
    assert finding["name"] == "another_meter"
    assert finding["about"] == "EASTRON-1002"


@pytest.mark.parametrize(
    ("free_mib", "severity"),
    [(10, Severity.ERROR), (49, Severity.ERROR), (50, Severity.WARNING), (500, Severity.OK)],
)
def test_the_disk_must_have_room(free_mib: int, severity: Severity) -> None:
    assert judge_free_space("/var", free_mib).severity is severity


def test_a_folder_that_is_not_there_cannot_be_written_to(tmp_path: Path) -> None:
    (finding,) = judge_disk(tmp_path / "gone" / "outbox.db")
    assert (finding.name, finding.severity) == ("disk", Severity.ERROR)


def test_the_key_is_ours_alone(tmp_path: Path, device_key: Any) -> None:
    file = tmp_path / "edge.key"
    assert judge_key(file).severity is Severity.OK
    file.chmod(0o640)
    assert judge_key(file).do == f"chmod 600 {file}"
    file.chmod(0o600)
    file.write_text("nonsense")
    assert judge_key(file).severity is Severity.ERROR
    file.unlink()
    assert "gridtokenx-edge enrol" in judge_key(file).do
