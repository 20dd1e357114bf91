"""The meters' Modbus servers: pymodbus for framing and transport, our meters for the answers.

pymodbus's own data stores hold registers that were computed before the request; a meter's are
computed when it is asked. So the request handler here replaces only pymodbus's last step, from
a decoded request to a reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pymodbus.exceptions import ModbusIOException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
)
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.transaction import TransactionManager

from gridtokenx_sim.modbus.meter import Answer, SimMeter

_READ_HOLDING = 3
_READ_INPUT = 4
_ILLEGAL_FUNCTION = 1
_NO_TARGET = 0x0B  # a TCP gateway's "target device failed to respond"
_RESYNC_S = 0.05  # a silence after which a serial receiver begins a new frame


class BusMeters:
    """The meters that share a bus, and how the bus treats them.

    `speaks` is told which meter's reply is about to be sent. `unknown_answers`: a request to an
    address that no meter has is answered (TCP) or not (serial).
    """

    def __init__(
        self,
        meters: Mapping[int, SimMeter],
        *,
        unknown_answers: bool,
        speaks: Callable[[SimMeter], None] | None = None,
    ) -> None:
        self._meters = meters
        self._unknown_answers = unknown_answers
        self._speaks = speaks

    def reply(self, unit: int, function: int, address: int, count: int) -> Answer | None:
        meter = self._meters.get(unit)
        if meter is None:
            return Answer(registers=None, exception=_NO_TARGET) if self._unknown_answers else None
        return meter.answer(function, address, count)

    def speaks(self, unit: int) -> None:
        if self._speaks and (meter := self._meters.get(unit)):
            self._speaks(meter)


class _Handler(ServerRequestHandler):
    """One connection (or the one serial port)."""

    bus_meters: BusMeters
    resync: bool
    heard_at: float = 0.0

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        if self.resync and now - self.heard_at > _RESYNC_S:
            self.recv_buffer = b""
        self.heard_at = now
        super().data_received(data)

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        try:
            used = TransactionManager.callback_data(self, data, addr)
        except ModbusIOException as malformed:
            function = data[1] if self.resync else data[7]
            self._answer(malformed.dev_id, malformed.transaction_id, function, 0, 0)
            return len(data)
        if request := self.last_pdu:
            self._answer(
                request.dev_id,
                request.transaction_id,
                request.function_code,
                request.address,
                request.count,
            )
        return used

    def _answer(self, unit: int, transaction: int, function: int, address: int, count: int) -> None:
        answer = self.bus_meters.reply(unit, function, address, count)
        if answer is None:
            return
        response = _response(answer, function)
        response.dev_id = unit
        response.transaction_id = transaction
        if answer.delay_ms:
            self.loop.call_later(answer.delay_ms / 1000, self._send, response)
        else:
            self._send(response)

    def _send(self, response: ModbusPDU) -> None:
        if not self.transport:
            return  # the connection ended while a slow meter prepared its answer
        self.bus_meters.speaks(response.dev_id)
        self.pdu_send(response)


def _response(answer: Answer, function: int) -> ModbusPDU:
    if answer.registers is None:
        return ExceptionResponse(function, answer.exception)
    if function == _READ_INPUT:
        return ReadInputRegistersResponse(registers=answer.registers)
    assert function == _READ_HOLDING
    return ReadHoldingRegistersResponse(registers=answer.registers)


class SerialServer(ModbusSerialServer):
    """Serves Modbus RTU on a serial port. It does not answer foreign addresses."""

    def __init__(self, bus_meters: BusMeters, port: str, baud: int) -> None:
        super().__init__([], port=port, baudrate=baud)
        self._bus_meters = bus_meters

    def callback_new_connection(self) -> ServerRequestHandler:
        return _handler(self, self._bus_meters, resync=True)


class TcpServer(ModbusTcpServer):
    """Serves Modbus TCP. It answers foreign addresses as a TCP gateway does."""

    def __init__(self, bus_meters: BusMeters, host: str, port: int) -> None:
        super().__init__([], address=(host, port))
        self._bus_meters = bus_meters

    def callback_new_connection(self) -> ServerRequestHandler:
        return _handler(self, self._bus_meters, resync=False)

    @property
    def bound_port(self) -> int:
        """The port it listens on, also where a free one was asked for."""
        listener = self.transport
        assert isinstance(listener, asyncio.Server)
        return int(listener.sockets[0].getsockname()[1])


def _handler(owner: object, bus_meters: BusMeters, *, resync: bool) -> _Handler:
    handler = _Handler(owner, None, None, None)  # type: ignore[no-untyped-call]
    handler.bus_meters = bus_meters
    handler.resync = resync
    return handler
