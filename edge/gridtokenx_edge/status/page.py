"""`/`: one small page that needs nothing but itself and is easy to read on a phone.

This module is pure. The page has no script: it renews itself, and its policy allows only its own
style sheet.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from html import escape

from gridtokenx_edge.status.state import BusState, GatewayState, MeterState

_RENEW_EVERY_S = 5
_STYLE = """
:root{color-scheme:light dark;--ground:#f4f5f2;--card:#fff;--ink:#1c211d;--soft:#667067;
--line:#dfe3dd;--good:#16794a;--warn:#a15c00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ground:#121512;--card:#1b201c;--ink:#e7ebe6;
--soft:#98a29a;--line:#2c332d;--good:#5fd39a;--warn:#f0b35a;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:64rem;background:var(--ground);color:var(--ink);
font:1rem/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem 1rem;margin-bottom:1rem}
h1{font-size:1.3rem;margin:0}h2{font-size:1rem;margin:0}
p{margin:0}small,.soft{color:var(--soft);font-size:.85rem}
.id{overflow-wrap:anywhere}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;
margin-bottom:1.2rem}
.facts>div,section{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
.facts>div{padding:.6rem .8rem}.facts b{display:block;font-size:1.15rem;font-weight:600}
section{margin-bottom:1rem;overflow:hidden}
section>header{margin:0;padding:.7rem .9rem;border-bottom:1px solid var(--line)}
.trouble,article{padding:.7rem .9rem}article+article{border-top:1px solid var(--line)}
.top{display:flex;justify-content:space-between;gap:1rem;align-items:baseline}
.power{font-size:1.15rem;font-weight:600;white-space:nowrap}
dl{display:flex;flex-wrap:wrap;gap:.1rem 1.4rem;margin:.3rem 0 0}
dl div{display:flex;gap:.4rem}dt{color:var(--soft)}dd{margin:0}
footer{color:var(--soft);font-size:.85rem}a{color:inherit}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


def page_html(state: GatewayState) -> str:
    """Return the whole page."""
    name = escape(state.site or state.community)
    buses = "".join(_bus(bus) for bus in state.buses)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="{_RENEW_EVERY_S}">'
        f"<title>{name} · gateway</title><style>{_STYLE}</style></head><body>"
        f'<header><h1>{name}</h1><small class="id">{escape(state.community)} ·'
        f" {escape(state.device)}</small></header>"
        f'<main>{_trouble(state)}<div class="facts">{_facts(state)}</div>{buses}</main>'
        f"<footer>GridTokenX {escape(state.version)} · up {_span(state.up_s)} ·"
        f" {state.memory_bytes / 2**20:.1f} MiB · renewed every {_RENEW_EVERY_S} s ·"
        ' <a href="/metrics">metrics</a> · <a href="/status.json">JSON</a></footer></body></html>'
    )


def _trouble(state: GatewayState) -> str:
    trouble = state.uplink.trouble
    if trouble is None:
        return ""
    return (
        f'<section class="trouble"><b class="bad">{escape(trouble.reason)}</b>'
        f"<p>{escape(trouble.do)}</p></section>"
    )


def _facts(state: GatewayState) -> str:
    outbox, uplink, clock = state.outbox, state.uplink, state.clock
    ack = "none yet" if uplink.last_ack_age_s is None else f"{_span(uplink.last_ack_age_s)} ago"
    refused = sum(uplink.verdicts.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in uplink.verdicts.items())
    broker_tone = "warn" if uplink.trouble else "good"
    disk = f"{outbox.frames} frames" if outbox.is_open else "not usable"
    return "".join(
        (
            _fact(
                "Broker",
                "connected" if uplink.is_connected else "not connected",
                uplink.broker,
                broker_tone if uplink.is_connected else "bad",
            ),
            _fact("Last ack", ack, f"{uplink.frames_acked} frames acked"),
            _fact("Waiting for an ack", f"{uplink.frames_unacked} frames", "sent or to be sent"),
            _fact(
                "Outbox",
                disk,
                f"{_size(outbox.bytes)}, {outbox.readings_held} readings held",
                "" if outbox.is_open else "bad",
            ),
            _fact(
                "Clock",
                "synchronised" if clock.is_synchronised else "not synchronised",
                _time(clock.time_ms),
                "good" if clock.is_synchronised else "bad",
            ),
            _fact("Refused readings", str(refused), reasons or "none", "warn" if refused else ""),
        )
    )


def _fact(name: str, value: str, more: str, tone: str = "") -> str:
    return (
        f'<div><small>{name}</small><b class="{tone}">{escape(value)}</b>'
        f'<small class="id">{escape(more)}</small></div>'
    )


def _bus(bus: BusState) -> str:
    tone, text = ("good", "open") if bus.is_up else ("bad", "down")
    meters = "".join(_meter(meter) for meter in bus.meters)
    return (
        f'<section><header><h2>{escape(bus.name)}</h2><span class="{tone}">{text}</span>'
        f'<small class="id">{escape(bus.where)}</small>'
        f"<small>{bus.utilisation:.0%} busy</small></header>{meters}</section>"
    )


def _meter(meter: MeterState) -> str:
    errors = sum(meter.errors.values())
    facts = [
        ("import", _kwh(meter.import_uwh)),
        ("export", _kwh(meter.export_uwh)),
        ("errors", str(errors)),
        ("reply", f"{meter.round_trip_ms} ms" if meter.answers else ""),
        ("clock", _ahead(meter.clock_ahead_ms)),
        ("missed", str(meter.polls_missed) if meter.polls_missed else ""),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts if text)
    tone, age = _age(meter)
    why = f'<p class="bad">{escape(meter.error)}</p>' if meter.error else ""
    # A value that is late is not shown as if it were true now.
    power = "" if meter.power_w is None or meter.is_late else f"{meter.power_w:,} W"
    return (
        f'<article><div class="top"><b class="id">{escape(meter.id)}</b>'
        f'<span class="power">{power}</span></div>'
        f'<small>{escape(meter.profile)} · address {meter.address} · <span class="{tone}">'
        f"{age}</span></small>{why}<dl>{shown}</dl></article>"
    )


def _age(meter: MeterState) -> tuple[str, str]:
    if meter.age_s is None:
        return "bad" if meter.error else "warn", "no reading yet"
    return "bad" if meter.is_late else "good", f"{_span(meter.age_s)} old"


def _ahead(clock_ahead_ms: int | None) -> str:
    return "" if clock_ahead_ms is None else f"{clock_ahead_ms / 1000:+.1f} s"


def _kwh(uwh: int | None) -> str:
    return "" if uwh is None else f"{uwh // 10**6 / 1000:,.3f} kWh"


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.0f} KiB"


def _span(seconds: float) -> str:
    """Return seconds in the two largest units that matter to a person."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
