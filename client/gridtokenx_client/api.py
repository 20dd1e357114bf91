"""The typed client of a community's HTTP API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from gridtokenx_client.answers import (
    AllCancelled,
    Amended,
    Balance,
    Book,
    Cancelled,
    Certificate,
    CertificateChange,
    Certificates,
    Device,
    Health,
    MeterIntervals,
    MeterReadings,
    Orders,
    Placed,
    StandingSet,
    Summary,
    Trades,
    Withdrawal,
)
from gridtokenx_client.problem import ApiProblem, Mistake, one_line, problem_of
from gridtokenx_client.verification.clearing_document import Clearing, Clearings

T = TypeVar("T")

ATTEMPTS = 5
TIMEOUT_S = 5.0
DOCUMENT_TIMEOUT_S = 70.0
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0
_TRY_LATER = frozenset({429, 503})


class Api:
    """One community's API at `url`. Every method raises ApiProblem.

    A lost connection and "try again later" are retried a few times with growing delays. Signed
    instructions are sent again as the same text, which the API answers as it did before, so a
    retry never trades twice. What only the operator may do needs `operator_token`.
    """

    def __init__(
        self,
        url: str,
        *,
        operator_token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a client of the API at `url`.

        Raises Mistake unless it is an http or https address.
        """
        headers = {"Authorization": f"Bearer {operator_token}"} if operator_token else {}
        self._http = httpx.Client(base_url=_checked(url), headers=headers, timeout=timeout_s)
        self._url = url
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def health(self) -> Health:
        """Return the state of the server, with the community's name and its time, which signed
        instructions carry.
        """
        return self._get("/v1/health", Health)

    def summary(self) -> Summary:
        return self._get("/v1/summary", Summary)

    def balance(self, wallet: str) -> Balance:
        return self._get(f"/v1/balances/{quote(wallet, safe='')}", Balance)

    def orders(self, wallet: str) -> Orders:
        return self._get(f"/v1/orders/{quote(wallet, safe='')}", Orders)

    def book(self) -> Book:
        return self._get("/v1/book", Book)

    def trades(self, limit: int = 100) -> Trades:
        return self._get(f"/v1/trades?limit={limit}", Trades)

    def clearings(self, limit: int = 100, before_ms: int | None = None) -> Clearings:
        """Return interval auctions, newest first, or those before an interval."""
        before = "" if before_ms is None else f"&before_ms={before_ms}"
        return self._get(f"/v1/clearings?limit={limit}{before}", Clearings)

    def zones_of(self, interval_ms: int) -> list[str]:
        """Return the zones that were cleared for an interval."""
        found = self.clearings(1, interval_ms + 1).clearings
        return [each.zone for each in found if each.interval_ms == interval_ms]

    def clearing(self, zone: str, interval_ms: int) -> Clearing:
        """Return everything that is published of one zone's auction."""
        return self._get(f"/v1/clearings/{quote(zone, safe='')}/{interval_ms}", Clearing)

    def place(self, jws: str) -> Placed:
        """Send a signed order."""
        return self._post_signed("/v1/orders", jws, Placed)

    def cancel(self, jws: str) -> Cancelled:
        """Send a signed cancellation."""
        return self._post_signed("/v1/cancellations", jws, Cancelled)

    def cancel_all(self, jws: str) -> AllCancelled:
        """Send a signed cancellation of all orders."""
        return self._post_signed("/v1/cancellations", jws, AllCancelled)

    def amend(self, jws: str) -> Amended:
        """Send a signed amendment."""
        return self._post_signed("/v1/amendments", jws, Amended)

    def set_standing(self, jws: str) -> StandingSet:
        """Send a signed standing order."""
        return self._post_signed("/v1/standing-orders", jws, StandingSet)

    def withdraw(self, jws: str) -> Withdrawal:
        """Send a signed withdrawal."""
        return self._post_signed("/v1/withdrawals", jws, Withdrawal)

    def certificates(self, wallet: str = "") -> list[Certificate]:
        """Return a wallet's certificates, oldest first, or all."""
        found: list[Certificate] = []
        after = ""
        while True:
            query = f"wallet={quote(wallet, safe='')}&after={quote(after, safe='')}&limit=1000"
            page = self._get(f"/v1/certificates?{query}", Certificates)
            found += page.certificates
            after = page.next
            if not after:
                return found

    def transfer_certificate(self, jws: str) -> CertificateChange:
        """Send a signed transfer of a certificate."""
        return self._post_signed("/v1/certificates/transfers", jws, CertificateChange)

    def retire_certificate(self, jws: str) -> CertificateChange:
        """Send a signed retirement of a certificate."""
        return self._post_signed("/v1/certificates/retirements", jws, CertificateChange)

    def devices(self) -> list[Device]:
        """Return all gateways, for the operator."""
        return self._get("/v1/devices", list[Device])

    def readings(self, meter: str, limit: int = 100) -> MeterReadings:
        """Return a meter's newest readings with their verdicts, for the operator."""
        path = f"/v1/meters/{quote(meter, safe='')}/readings?limit={limit}"
        return self._get(path, MeterReadings)

    def intervals(
        self, meter: str, from_ms: int, to_ms: int, read_token: str | None = None
    ) -> MeterIntervals:
        """Return a meter's 15-minute energy: for its owner with a read token, and for
        the operator.
        """
        path = f"/v1/meters/{quote(meter, safe='')}/intervals?from_ms={from_ms}&to_ms={to_ms}"
        request = self._http.build_request("GET", path)
        if read_token is not None:
            request.headers["Authorization"] = f"Bearer {read_token}"
        return self._send(request, MeterIntervals)

    def document(self, path: str, read_token: str | None = None) -> bytes:
        """Return the content of a statement or report, such as `statements/{wallet}/2026-06.pdf`.

        A month that is still open is computed for it, which may take a while.
        """
        request = self._http.build_request("GET", f"/v1/{path}", timeout=DOCUMENT_TIMEOUT_S)
        if read_token is not None:
            request.headers["Authorization"] = f"Bearer {read_token}"
        response = self._respond(request)
        if not response.is_success:
            raise problem_of(response.status_code, response.content)
        return response.content

    def pause_oracle(self, reason: str) -> Health:
        """Stop taking readings, for the operator. The gateways keep theirs."""
        return self._switch("pause", reason)

    def resume_oracle(self, reason: str) -> Health:
        """Take readings again, for the operator."""
        return self._switch("resume", reason)

    def _get(self, path: str, kind: type[T]) -> T:
        return self._send(self._http.build_request("GET", path), kind)

    def _post_signed(self, path: str, jws: str, kind: type[T]) -> T:
        headers = {"Content-Type": "application/jose"}  # RFC 7515 §9.2.1
        request = self._http.build_request("POST", path, content=jws.encode(), headers=headers)
        return self._send(request, kind)

    def _switch(self, action: str, reason: str) -> Health:
        request = self._http.build_request("POST", f"/v1/oracle/{action}", json={"reason": reason})
        return self._send(request, Health)

    def _send(self, request: httpx.Request, kind: type[T]) -> T:
        return _answer(self._respond(request), kind)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        delay_s = _FIRST_DELAY_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.send(request)
            except httpx.RequestError as error:
                if attempt == ATTEMPTS:
                    raise self._unreachable(error) from None
            else:
                if response.status_code not in _TRY_LATER or attempt == ATTEMPTS:
                    return response
            # Clients that lost the same server do not come back all at once.
            self._sleep(delay_s * (1 + secrets.randbelow(500) / 1000))
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
        raise AssertionError("the last attempt returns or raises")

    def _unreachable(self, error: httpx.RequestError) -> ApiProblem:
        what = one_line(str(error)) or type(error).__name__
        return ApiProblem("unreachable", f"no answer from {self._url} ({what})")


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Mistake(f"expected an address such as http://127.0.0.1:8080, got {url!r}")
    return parsed


def _answer(response: httpx.Response, kind: type[T]) -> T:
    if not response.is_success:
        raise problem_of(response.status_code, response.content)
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        what = "expected the JSON of a GridTokenX API"
        raise ApiProblem("unexpected_answer", what, response.status_code) from None
