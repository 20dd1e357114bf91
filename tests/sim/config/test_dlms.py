"""DLMS buses in `sim.toml`: the one line that each mistake gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.sim.dlms.reader import CIPHERED, METER, SERIAL

from gridtokenx_sim.config.loading import ConfigError, parse_config

CLIENT = METER["client"][1]
MISTAKES = [
    ({}, {"model": "dlms_two_phase"}, "model: expected one of dlms_single_phase, dlms_three_phase"),
    ({}, {"serial": "a b"}, "serial: expected at most 13 letters and digits"),
    ({}, {"address": 0}, "meter[0].address: expected `int` >= 1"),
    ({}, {"client": [CLIENT, CLIENT]}, "client[1].address: expected a value used only once"),
    ({}, {"client": [{**CLIENT, "password": ""}]}, "client[0].password: expected the password"),
    ({}, {"client": [{"address": 3, "password": "x"}]}, "password: expected none without low"),
    ({}, {"client": [{"address": 3, "mechanism": "gmac"}]}, "client[0]: expected encryption_key"),
    ({}, {"client": [{"address": 3, "protection": CIPHERED}]}, "expected encryption_key and auth"),
    ({}, {"client": [{"address": 3, "encryption_key": "00" * 16}]}, "or neither"),
    ({}, {"client": [{"address": 3, "encryption_key": "12"}]}, "encryption_key: expected"),
    ({}, {"client": [{"address": 3, "mechanism": "md5"}]}, "mechanism: expected none, low or"),
    ({}, {"push": {"client": 9}}, "push.client: expected the address of one of its clients"),
    ({}, {"fault": [{"kind": "exception"}]}, "busy, refused, counter_reset, clock_jump"),
    ({"baud": 14400}, {}, "baud: expected one of 300, 600, 1200, 2400, 4800, 9600, 19200, 38400"),
    ({"baud": 38400, "opening": "mode_e"}, {}, "baud: expected one of 300, 600, 1200, 2400, 4800"),
    ({"kind": "dlms_tcp", "link": None, "meter": [METER, {**METER, "address": 2, "serial": "2"}]},
     None, "meter: expected one meter behind the wrapper, got 2"),
    ({"kind": "dlms_tcp", "link": None}, {"fault": [{"kind": "busy"}]}, "lets through, got 'busy'"),
    ({"kind": "dlms_tcp", "link": None}, {"push": {}}, "push.port: expected the port of a"),
]  # fmt: skip


@pytest.mark.parametrize(("bus", "meter", "line"), MISTAKES)
def test_a_mistake_is_one_line_with_its_place(
    bus: dict[str, Any], meter: dict[str, Any] | None, line: str
) -> None:
    meters = [] if meter is None else [{**METER, **meter}]
    document = {**SERIAL, "meter": meters, **bus}
    site = {"latitude": 1.0, "longitude": 1.0, "start": "2026-06-21T00:00:00Z"}
    kept = {key: value for key, value in document.items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        parse_config({"site": site, "bus": [kept]}, folder=Path())
    assert len(caught.value.lines) == 1
    assert line in caught.value.lines[0]
