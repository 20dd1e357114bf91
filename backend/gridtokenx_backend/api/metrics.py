"""Prometheus metrics; they are read from the parts of the backend whenever they are scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gridtokenx_backend.api.authorisation import metrics_reader_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.held_energy import held_meters
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.views import standing_of
from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.engine.ticks import overdue
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.verdict import Reason

PROMETHEUS_TEXT = "text/plain; version=0.0.4"
"""The media type of the text format; Litestar adds the charset."""


class _Parts(Collector):
    """Reads the metrics of a backend from its parts, so that nothing is counted twice."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterator[Metric]:
        writer = self._backend.writer
        counters = writer.community.counters
        readings = CounterMetricFamily(
            "gridtokenx_readings", "Readings by the oracle's verdict.", labels=["verdict"]
        )
        readings.add_metric([Reason.ACCEPTED.label], counters.accepted)
        for why, count in counters.refused.items():
            readings.add_metric([Reason(why).label], count)
        yield readings
        dropped = CounterMetricFamily(
            "gridtokenx_frames_dropped",
            "Frames that were not taken since the start, by reason.",
            labels=["reason"],
        )
        for reason, count in self._backend.mqtt_intake.dropped.items():
            dropped.add_metric([reason.value], count)
        yield dropped
        yield from self._devices()
        yield self._closed_connections()
        for name, text, total in (
            ("frames", "Frames stored.", counters.frames),
            ("readings_thinned", "Readings that gateways left out.", counters.thinned),
            ("minted_uwh", "GRID minted, in µWh.", counters.minted_uwh),
            ("readings_improbable", "Accepted, with a sign of being wrong.", counters.improbable),
            ("orders", "Orders accepted.", counters.orders),
            ("trades", "Trades settled.", counters.trades),
            ("journal_entries", "Entries of the journal.", writer.durable_seq),
        ):
            yield CounterMetricFamily(f"gridtokenx_{name}", text, value=total)
        degraded = GaugeMetricFamily(
            "gridtokenx_degraded", "1 while this part is out of order.", labels=["part"]
        )
        for part in DegradedPart:
            degraded.add_metric([part.value], int(part in writer.degradation.parts))
        yield degraded
        held = held_meters(writer.community)
        journal_failed = bool(writer.degradation[DegradedPart.JOURNAL])
        for name, text, value in (
            ("quality_permille", "Accepted readings of a thousand.", counters.quality_permille),
            ("oracle_paused", "1 while the oracle is paused.", int(writer.community.paused)),
            ("journal_degraded", "1 while nothing can be stored.", int(journal_failed)),
            ("broker_connected", "1 while connected.", int(self._backend.source.connected)),
            (
                "overdue_clearings",
                "Intervals due to be cleared.",
                overdue(writer.community, self._backend.clock.now_ms()),
            ),
            (
                "verified_entries",
                "Entries verified in the background since the start.",
                self._backend.check.checked,
            ),
            ("http_connections", "Open connections.", self._backend.connections.count),
            ("open_orders", "Orders resting in the book.", len(writer.community.book.orders)),
            ("held_meters", "Meters whose energy is held.", len(held)),
            ("held_uwh", "Surplus that is held, in µWh.", sum(each.total_uwh for _, each in held)),
        ):
            yield GaugeMetricFamily(f"gridtokenx_{name}", text, value=value)

    def _closed_connections(self) -> Metric:
        closed = CounterMetricFamily(
            "gridtokenx_http_connections_closed",
            "Connections that the API closed, or had no room for, since the start.",
            labels=["reason"],
        )
        for reason, count in self._backend.connections.closed_by_reason().items():
            closed.add_metric([reason], count)
        return closed

    def _devices(self) -> Iterator[Metric]:
        devices = self._backend.writer.community.devices.values()
        counts = Counter(map(standing_of, devices))
        standing = GaugeMetricFamily(
            "gridtokenx_devices", "Gateways by their status.", labels=["status"]
        )
        for status in ("active", "pending", "revoked", "held"):
            standing.add_metric([status], counts[status])
        yield standing
        heard = GaugeMetricFamily(
            "gridtokenx_device_last_heard_seconds",
            "Unix time at which the newest good frame of a gateway came; 0: not known.",
            labels=["device"],
        )
        for device in devices:
            if device.status == "active":
                at_ms = self._backend.mqtt_intake.last_heard_ms(device)
                heard.add_metric([device_text(device.id)], at_ms / 1000)
        yield heard


@get(
    "/metrics",
    guards=[metrics_reader_only],
    **operation("get_metrics", "Show metrics for Prometheus", Tag.STATE, Access.MONITORING),
)
async def metrics(backend: NamedDependency[Backend]) -> Response[bytes]:
    """Return all metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Parts(backend))
    return Response(generate_latest(registry), media_type=PROMETHEUS_TEXT)
