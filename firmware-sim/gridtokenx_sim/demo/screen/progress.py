"""Plain lines for where no picture can be drawn: pipes, logs, and runs that only check."""

from __future__ import annotations

from gridtokenx_sim.demo.screen.picture import kwh, local_time
from gridtokenx_sim.demo.screen.scene import Scene


def progress_line(scene: Scene) -> str:
    """Return the community in one line."""
    time = f"{local_time(scene.time_ms, scene.time_zone):%Y-%m-%d %H:%M}"
    summary = scene.summary
    if summary is None:
        return f"{time}: waiting for the backend"
    refused = summary.readings_rejected + summary.readings_quarantined
    return (
        f"{time}: {summary.readings_accepted} readings accepted, {refused} refused,"
        f" {kwh(summary.minted_uwh)} GRID minted, {summary.orders} orders,"
        f" {summary.settlements} trades settled"
    )
