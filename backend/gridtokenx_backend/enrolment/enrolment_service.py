"""Where gateways are let in: checks a statement, asks the core, hands out the certificate."""

from __future__ import annotations

import asyncio

import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.core.messages.inputs import EnrolInput, Input, RotateInput
from gridtokenx_backend.core.messages.outcomes import (
    AlreadyEnrolled,
    DeviceEnrolled,
    DeviceRotated,
    EnrolmentRefusal,
    EnrolmentRefused,
)
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_backend.enrolment.authority import Authority
from gridtokenx_backend.enrolment.tls_certificates import CsrError, requested_key
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.signatures.verify_worker import Job
from gridtokenx_wire.enrolment import (
    EnrolmentAnswer,
    EnrolmentRequest,
    Token,
    parse_enrolment,
    parse_rotation,
)
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_id, device_text

log = structlog.get_logger()


class NotEnrolled(Exception):
    """The answer is no, for this reason."""

    def __init__(self, reason: EnrolmentRefusal, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class EnrolmentService:
    """`ack_keys` are Base58, the one in use first."""

    def __init__(
        self,
        settings: Settings,
        authority: Authority,
        writer: Writer,
        verifier: Verifier,
        ack_keys: list[str],
    ) -> None:
        told, broker = settings.backend.enrolment, settings.backend.broker
        self.authority = authority
        self._broker_host = told.broker_host or broker.host
        self._broker_port = told.broker_port or broker.port
        self._days = told.certificate_days
        self._writer = writer
        self._verifier = verifier
        self._ack_keys = ack_keys

    async def enrol(self, request: EnrolmentRequest) -> EnrolmentAnswer:
        """Lets the holder of a token in. Raises NotEnrolled, Overloaded."""
        message = request.statement.encode()
        try:
            given = parse_enrolment(message)
            key = requested_key(given.statement.csr)
        except (WireError, CsrError) as error:
            raise NotEnrolled(EnrolmentRefusal.MALFORMED, str(error)) from None
        # The statement names the hash of the secret: it was made by one who knew it.
        if Token(request.secret, "").digest != given.statement.token:
            raise NotEnrolled(
                EnrolmentRefusal.MALFORMED, "expected the secret that the statement is about"
            )
        await self._check(given.signed.job(given.public_key))
        await self._put(EnrolInput(message, given))
        return await self._answer(device_id(given.public_key), key)

    async def rotate(self, message: bytes) -> EnrolmentAnswer:
        """Lets a key follow the one in use. Raises NotEnrolled, Overloaded."""
        try:
            given = parse_rotation(message)
            key = requested_key(given.statement.csr)
        except (WireError, CsrError) as error:
            raise NotEnrolled(EnrolmentRefusal.MALFORMED, str(error)) from None
        async with self._writer.reading() as community:
            former = community.devices.get(given.device)
        if former is None:
            raise NotEnrolled(EnrolmentRefusal.UNKNOWN_DEVICE)
        await self._check(given.consent.job(former.public_key))
        await self._check(given.signed.job(given.public_key))
        await self._put(RotateInput(message, given))
        return await self._answer(device_id(given.public_key), key)

    async def _check(self, job: Job) -> None:
        if not await self._verifier.verify_one(job):
            raise NotEnrolled(EnrolmentRefusal.BAD_SIGNATURE)

    async def _put(self, given: Input) -> None:
        ((result, _, _),) = await self._writer.submit([given])
        if isinstance(result, EnrolmentRefused):
            raise NotEnrolled(result.reason, result.detail)
        assert isinstance(result, DeviceEnrolled | DeviceRotated | AlreadyEnrolled)

    async def _answer(self, device: bytes, key: ec.EllipticCurvePublicKey) -> EnrolmentAnswer:
        name = device_text(device)
        try:
            certificate = await asyncio.to_thread(
                self.authority.certify_device, name, key, self._days
            )
        except (OSError, CannotStart) as error:
            reason = getattr(error, "strerror", None) or str(error)
            log.error("no certificate can be stored", device=name, error=reason)
            raise Overloaded("the certificate cannot be stored; ask again later") from None
        async with self._writer.reading() as community:
            known = community.devices[device]
            site, status, town = known.site, known.status, community.name
        if status == "revoked":  # meanwhile, and its list may have been made without this one
            raise NotEnrolled(EnrolmentRefusal.DEVICE_REVOKED)
        return EnrolmentAnswer(
            name,
            site,
            status,
            town,
            self._ack_keys,
            self._broker_host,
            self._broker_port,
            certificate,
            self.authority.pem,
        )
