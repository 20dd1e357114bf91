"""What the running agent says of its acks, on its own status page."""

from __future__ import annotations

import asyncio
from http.client import HTTPConnection, HTTPException

import msgspec

from gridtokenx_edge.commissioning.check.finding import NAMES, Finding, error, note, ok
from gridtokenx_edge.uplink.troubles import FORKED, Trouble
from gridtokenx_wire.state_notice import GatewayState

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 20
_STATES = {state.label for state in GatewayState}


class _Uplink(msgspec.Struct, kw_only=True):
    is_connected: bool
    frames_unacked: int
    last_ack_age_s: float | None
    trouble: Trouble | None = None


class _Status(msgspec.Struct):
    uplink: _Uplink


async def ask_agent(port: int, longest_s: float) -> Finding:
    """Return findings on whether acks reach the agent.

    `longest_s` is how old the last ack may be. A broker that knows its clients by their
    certificates lets a gateway in once: a connection of this command would end the agent's.
    """
    if not port:
        do = "set [status] port and ask again, or stop the agent for the check"
        return note("ack_untried", "", "not tried: the agent has the broker's one connection", do)
    try:
        body = await asyncio.to_thread(fetch, port)
        uplink = msgspec.json.decode(body, type=_Status).uplink
    except (OSError, HTTPException, msgspec.MsgspecError) as fault:
        do = "look at the agent's log, or stop it for the check"
        return note("ack_untried", "", f"the agent's status page does not tell: {fault}", do)
    waiting = f"{uplink.frames_unacked} frames wait for an ack"
    if trouble := uplink.trouble:
        name = finding_of(trouble)
        return error(name, "", f"the agent says: {trouble.reason}; {waiting}", trouble.do)
    if not uplink.is_connected:
        return error("ack", "", f"the agent is not connected; {waiting}", "see its log")
    if uplink.last_ack_age_s is None or uplink.last_ack_age_s > longest_s:
        do = "is this gateway enrolled and active? ask the operator; see the agent's log"
        return error("ack", "", f"no ack to the agent in the last {longest_s:.0f} s; {waiting}", do)
    return ok("ack", "", f"the agent's last ack came {uplink.last_ack_age_s:.0f} s ago; {waiting}")


def finding_of(trouble: Trouble) -> str:
    """Return the name of the finding on a trouble of the agent."""
    if trouble.name in _STATES:
        return "not_taken"
    if trouble.name == FORKED:
        return "chain"
    return trouble.name if trouble.name in NAMES else "broker_mqtt"


def fetch(port: int) -> bytes:
    """Return the running agent's status. Raises OSError, HTTPException."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/status.json")
        return connection.getresponse().read(_MOST_BYTES)
    finally:
        connection.close()
