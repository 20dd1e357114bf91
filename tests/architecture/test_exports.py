"""The names that each package promises to keep (docs/stability.md). A change must be seen here."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from tests.architecture.source import ROOTS

# What an integrator, an auditor or a meter reader of their own imports.
PUBLIC: dict[str, str] = {
    "gridtokenx_wire": """
        Ack Amend Cancel CancelAll ClockStatus ConfigError Frame Gap GatewayState Instruction
        KeyFileError Order ReadToken Reading ReadingFlag Reason RecRetire RecTransfer
        Standing StateNotice Verdict WireError Withdraw acks_topic build_frame create_private_key
        device_id device_text escaped feed_topic format_grx format_kwh frame_hash frames_topic
        load_private_key open_ack open_answer open_frame open_instruction parse_device parse_grx
        parse_kwh parse_public_key public_key_text read_frames seal_ack seal_frame seal_notice
        sign_instruction sign_read_token status_topic
    """,
    "gridtokenx_dlms": """
        AccessRefusedError AccessResult AssociationRefusedError Attribute Authentication
        ByteLine CaptureObject Ciphering ClientAssociation ClientLink CosemDateTime Data
        DataNotification DataType DlmsError HdlcAddress HdlcTransport Identification Keys
        LinkError LinkParameters MalformedError Mechanism Obis OpeningTiming Protection
        RefusedError ReplayGuard SecurityError Selection SequenceError SerialLine
        ServiceRefusedError StreamLine Timing Transport TruncatedError UdpTransport
        UnsupportedError WrapperTransport by_entry by_range by_time open_in_mode_e
        parse_data_notification run_service
    """,
    "gridtokenx_client": """
        AllCancelled Amended Api ApiProblem Balance Book BookOrder Cancelled Certificate
        CertificateChange Clearing ClearingLink ClearingSummary ClearingTrade Clearings
        Comparison Device Health Interval Level MeterIntervals MeterReading MeterReadings
        Mistake OpenOrder Orders Placed RefusedFrame StandingOrder StandingSet Step Summary
        Trade Trades Wallet Withdrawal check_auction check_coupling new_id read_clearings
    """,
    # Applications: their commands, formats and config are public, and none of their names.
    "gridtokenx_edge": "",
    "gridtokenx_terminal": "",
    "gridtokenx_backend": "",
    "gridtokenx_sim": "",
}


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_exports_these_names_and_no_others(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(getattr(module, "__all__", [])) == sorted(PUBLIC[package].split())


@pytest.mark.parametrize("package", PUBLIC)
def test_every_exported_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in PUBLIC[package].split():
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PUBLIC)
def test_every_exported_name_has_a_docstring(package: str) -> None:
    module = importlib.import_module(package)
    without = [
        name
        for name in PUBLIC[package].split()
        if callable(getattr(module, name)) and not getattr(module, name).__doc__
    ]
    assert without == []


@pytest.mark.parametrize("package", [name for name, names in PUBLIC.items() if names])
def test_what_is_not_exported_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"{package}.*has no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing


@pytest.mark.parametrize("package", [name for name, names in PUBLIC.items() if names])
def test_importing_a_package_loads_no_module_of_it_before_a_name_is_used(package: str) -> None:
    code = f"import sys, {package}; print([m for m in sys.modules if m.startswith('{package}.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_package_says_what_is_public() -> None:
    assert PUBLIC.keys() == ROOTS.keys()
