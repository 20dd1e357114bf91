"""The way to the broker, step by step: name, TCP, TLS, certificates, MQTT, the acks' topic."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from gridtokenx_edge.commissioning.check.finding import Finding, Severity, error, ok, warning
from gridtokenx_edge.config.edge_config import BrokerConfig, Paths
from gridtokenx_edge.uplink.mqtt import Broker, MqttConnection, MqttError

_STEP_TIMEOUT_S = 5.0
_WARNING_DAYS = 30


class Reach(msgspec.Struct):
    """How far the command came: its findings, and what an MQTT connection needs if TLS worked."""

    findings: list[Finding]
    broker: Broker | None = None

    @property
    def is_open(self) -> bool:
        return self.broker is not None


async def reach_broker(config: BrokerConfig, paths: Paths, device: str, now: datetime) -> Reach:
    """Try name, TCP and TLS. The first one that fails is the last finding."""
    where = f"{config.host}:{config.port}"
    address = await _resolve(config)
    if isinstance(address, Finding):
        return Reach([address])
    try:
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address, config.port)
    except (OSError, TimeoutError) as fault:
        reason = _reason(fault)
        do = "is the broker on, the port right, and no firewall between?"
        return Reach([error("broker_tcp", "", f"{where} ({address}): {reason}", do)])
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    found = [ok("broker_tcp", "", f"{where} is reached at {address}")]
    if config.insecure:
        found.append(
            warning("broker_tls", "", "insecure = true: plain text", "use TLS on a real site")
        )
        return Reach(found, Broker(host=config.host, port=config.port, tls=None))
    found += judge_certificates(paths, device, now)
    if any(each.severity is Severity.ERROR for each in found):
        return Reach(found)
    try:
        context = ssl.create_default_context(cafile=str(paths.broker_ca))
        context.load_cert_chain(paths.broker_cert, paths.broker_key)
        expiry = await _shake_hands(config, context)
    except (OSError, TimeoutError) as fault:
        return Reach([*found, _tls_error(where, fault)])
    found.append(judge_expiry("broker_tls", f"{where} verified, its certificate", expiry, now))
    return Reach(found, Broker(host=config.host, port=config.port, tls=context))


async def try_mqtt(
    broker: Broker, client_id: str, acks_topic: str, on_message: Callable[[str, bytes], None]
) -> tuple[Finding, MqttConnection | None]:
    """Connect and subscribe to our acks. The caller closes the connection."""
    connection = MqttConnection(broker, client_id, None, 1, on_message)
    try:
        await connection.open()
        await connection.subscribe(acks_topic)
    except MqttError as fault:
        connection.close()
        return error("broker_mqtt", "", str(fault), fault.fault.do), None
    return ok("broker_mqtt", "", "connected, and subscribed to our acks"), connection


def judge_certificates(paths: Paths, device: str, now: datetime) -> Iterator[Finding]:
    """Yield findings on our certificate and the CA's: readable, ours, and not about to end."""
    for what, file in (("authority's", paths.broker_ca), ("gateway's", paths.broker_cert)):
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except (OSError, ValueError) as fault:
            reason = _reason(fault) if isinstance(fault, OSError) else "no PEM certificate"
            yield error("certificate", "", f"{file}: {reason}", "get it from the operator")
            continue
        if file == paths.broker_cert:
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            name = str(names[0].value) if names else ""
            if device and name != device:
                seen = f"{file} is for {name!r}, this device is {device}"
                do = "let the operator make one for this device"
                yield error("certificate", "", seen, do)
                continue
        yield judge_expiry(
            "certificate", f"the {what} certificate", certificate.not_valid_after_utc, now
        )


def judge_expiry(name: str, what: str, expiry: datetime, now: datetime) -> Finding:
    days = (expiry - now).days
    if expiry <= now:
        seen = f"{what} ended on {expiry:%Y-%m-%d}"
        return error(name, "", seen, "renew it, or set this machine's clock")
    if days < _WARNING_DAYS:
        return warning(name, "", f"{what} ends in {days} days", "renew it before")
    return ok(name, "", f"{what} ends in {days} days")


async def _resolve(config: BrokerConfig) -> str | Finding:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            found = await loop.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        do = "correct broker.host, or the network's name server"
        return error("broker_name", "", f"the name {config.host} is not known", do)
    return str(found[0][4][0])


async def _shake_hands(config: BrokerConfig, context: ssl.SSLContext) -> datetime:
    """Return when the broker's certificate ends. Raises OSError, which ssl.SSLError is too."""
    async with asyncio.timeout(_STEP_TIMEOUT_S):
        _, writer = await asyncio.open_connection(config.host, config.port, ssl=context)
    certificate = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            await writer.wait_closed()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _tls_error(where: str, fault: Exception) -> Finding:
    if isinstance(fault, ssl.SSLCertVerificationError):
        seen = f"{where} does not verify: {fault.verify_message}"
        do = (
            "is ca the authority that signed the broker's certificate, host the name in it, and"
            " this machine's clock right?"
        )
        return error("broker_tls", "", seen, do)
    reason = _reason(fault)
    do = "is this the broker's TLS port, and do cert and key belong together?"
    return error("broker_tls", "", f"{where}: {reason}", do)


def _reason(fault: Exception) -> str:
    if isinstance(fault, TimeoutError) and not fault.errno:
        return f"no answer within {_STEP_TIMEOUT_S:g} s"
    if isinstance(fault, ssl.SSLError):
        return str(fault.reason or fault)
    if isinstance(fault, OSError) and fault.errno:
        return os.strerror(fault.errno)
    return str(fault) or type(fault).__name__
