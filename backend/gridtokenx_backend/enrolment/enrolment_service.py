"""The enrolment of gateways: a statement is checked, the core decides, a certificate is issued."""

from __future__ import annotations

import asyncio
import hmac

from cryptography.hazmat.primitives.asymmetric import ec

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.core.messages.device_outcomes import DeviceEnrolled, DeviceRotated
from gridtokenx_backend.core.messages.inputs import EnrolmentInput, Input, RotationInput
from gridtokenx_backend.core.messages.outcomes import AlreadyEnrolled, EnrolmentRefused
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_backend.enrolment.authority import Authority
from gridtokenx_backend.enrolment.tls_certificates import CsrError, requested_key
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.repeat_log import RepeatLog
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.signatures.verify_worker import SignatureJob
from gridtokenx_wire.enrolment import (
    EnrolmentAnswer,
    EnrolmentRequest,
    Token,
    parse_enrolment,
    parse_rotation,
)
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_id, device_text


class NotEnrolled(Exception):
    """A gateway was refused, for this reason."""

    def __init__(self, reason: EnrolmentRefusal, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class EnrolmentService:
    """Enrols gateways and changes their keys.

    `ack_keys` are the keys that gateways pin, in Base58, the one in use first.
    """

    def __init__(
        self,
        settings: Settings,
        authority: Authority,
        writer: Writer,
        verifier: Verifier,
        *,
        ack_keys: list[str],
    ) -> None:
        enrolment, broker = settings.backend.enrolment, settings.backend.broker
        self.authority = authority
        self._broker_host = enrolment.broker_host or broker.host
        self._broker_port = enrolment.broker_port or broker.port
        self._repeats = RepeatLog()
        self._days = enrolment.certificate_days
        self._writer = writer
        self._verifier = verifier
        self._ack_keys = ack_keys

    async def enrol(self, request: EnrolmentRequest) -> EnrolmentAnswer:
        """Enrol the gateway that holds a one-time token. Raises NotEnrolled, Overloaded."""
        message = request.statement.encode()
        try:
            enrolment = parse_enrolment(message)
            key = requested_key(enrolment.statement.csr)
        except (WireError, CsrError) as error:
            raise NotEnrolled(EnrolmentRefusal.MALFORMED, str(error)) from None
        # The statement names the hash of the secret, so whoever signed it knew the secret.
        digest = Token(secret=request.secret, ca_fingerprint="").digest
        if not hmac.compare_digest(digest.encode(), enrolment.statement.token.encode()):
            raise NotEnrolled(
                EnrolmentRefusal.MALFORMED, "expected the secret that the statement is about"
            )
        await self._check(enrolment.signed.job(enrolment.public_key))
        await self._submit(EnrolmentInput(message, enrolment))
        return await self._answer(device_id(enrolment.public_key), key)

    async def rotate(self, message: bytes) -> EnrolmentAnswer:
        """Let a new key follow the one that a gateway uses. Raises NotEnrolled, Overloaded."""
        try:
            rotation = parse_rotation(message)
            key = requested_key(rotation.statement.csr)
        except (WireError, CsrError) as error:
            raise NotEnrolled(EnrolmentRefusal.MALFORMED, str(error)) from None
        async with self._writer.durable_state() as community:
            former = community.devices.get(rotation.device)
        if former is None:
            raise NotEnrolled(EnrolmentRefusal.UNKNOWN_DEVICE)
        await self._check(rotation.consent.job(former.public_key))
        await self._check(rotation.signed.job(rotation.public_key))
        await self._submit(RotationInput(message, rotation))
        return await self._answer(device_id(rotation.public_key), key)

    async def _check(self, job: SignatureJob) -> None:
        if not await self._verifier.verify_one(job):
            raise NotEnrolled(EnrolmentRefusal.BAD_SIGNATURE)

    async def _submit(self, input_: Input) -> None:
        (committed,) = await self._writer.submit([input_])
        result = committed.result
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
            self._repeats.warn_about("no certificate can be stored", name, error=reason)
            raise Overloaded("the certificate cannot be stored; ask again later") from None
        async with self._writer.durable_state() as community:
            known = community.devices[device]
            site, status, name_of_community = known.site, known.status, community.name
        if status == "revoked":  # meanwhile; the revocation list may lack this certificate
            raise NotEnrolled(EnrolmentRefusal.DEVICE_REVOKED)
        return EnrolmentAnswer(
            device=name,
            site=site,
            status=status,
            community=name_of_community,
            ack_keys=self._ack_keys,
            broker_host=self._broker_host,
            broker_port=self._broker_port,
            certificate=certificate,
            ca=self.authority.pem,
        )
