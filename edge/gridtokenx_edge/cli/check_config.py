"""`gridtokenx-edge check-config`: says what is wrong with a config."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from gridtokenx_edge.cli.options import ConfigOption, JsonOption
from gridtokenx_edge.cli.terminal import USER_ERROR, load, print_json, say
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import EdgeConfig, meter_ids, resolve_paths
from gridtokenx_edge.config.risks import risks
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.plain_text import escaped_lines


def check_config(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Check a config without touching a meter or the network."""
    loaded = _load_for_json(config) if as_json else load(config)
    paths = resolve_paths(loaded, config)
    meters = meter_ids(loaded)
    buses = len(loaded.bus) + len(loaded.dlms)
    key = "present" if paths.key.is_file() else "missing"
    if paths.is_key_credential:
        key = "credential"
    warnings = risks(loaded, config)
    if as_json:
        answer = {"ok": True, "buses": buses, "meters": meters, "key": key}
        print_json(answer | ({"warnings": warnings} if warnings else {}))
        return
    say(f"{config}: ok, {_count(buses, 'bus', 'buses')}, {_count(len(meters), 'meter', 'meters')}")
    if key == "missing":
        say(f"{paths.key}: no device key yet; make it: gridtokenx-edge key --config {config}")
    for line in warnings:
        sys.stderr.write(escaped_lines(f"warning: {line}") + "\n")


def _load_for_json(config: Path) -> EdgeConfig:
    """Return the config. Its mistakes are an object for programs, too."""
    try:
        return load_config(config)
    except ConfigError as error:
        print_json({"ok": False, "errors": error.lines})
        raise typer.Exit(USER_ERROR) from None


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
