"""OBIS codes as text and bytes."""

from __future__ import annotations

import pytest

from gridtokenx_dlms.obis import Obis


@pytest.mark.parametrize("text", ["1-0:1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0", "1.0.1.8.0.255"])
def test_an_obis_code_has_several_spellings(text: str) -> None:
    code = Obis.parse(text)
    assert code.to_bytes() == bytes([1, 0, 1, 8, 0, 255])
    assert str(code) == "1-0:1.8.0.255"
    assert Obis.from_bytes(code.to_bytes()) == code


@pytest.mark.parametrize(
    "text", ["", "1.8.0", "1-0:1.8.256", "1-0:1.8.0.255.1", "1-0:1.8.x", "\u0661-0:1.8.0"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="OBIS"):
        Obis.parse(text)


def test_a_logical_name_has_six_bytes() -> None:
    with pytest.raises(ValueError, match="6 bytes"):
        Obis.from_bytes(b"12345")
