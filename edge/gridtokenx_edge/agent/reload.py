"""What a new config changes in a running agent. Pure: both configs are arguments, a plan is
returned.
"""

from __future__ import annotations

import msgspec

from gridtokenx_edge.agent.drivers import DRIVERS
from gridtokenx_edge.config.edge_config import EdgeConfig

# What each part of the agent is made from: if one of these sections changes, so does the part.
_UPLINK = ("backend", "broker", "uplink")
_REPLACEABLE = {*_UPLINK, *DRIVERS, "status", "home_assistant"}


class ReloadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that have to be restarted, or the reasons why the whole process has to.

    `refused` are lines for a person. `sections` are the sections that differ.
    """

    refused: tuple[str, ...]
    sections: tuple[str, ...]
    uplink: bool
    status: bool
    home_assistant: bool


def plan_reload(
    old: EdgeConfig, new: EdgeConfig, *, tls_files: bool = False, home_assistant_files: bool = False
) -> ReloadPlan:
    """Return which parts have to be restarted for a new config, or why the process has to be.

    `tls_files` and `home_assistant_files` say that the files which [broker] and [home_assistant]
    name have new content. A key and a chain belong to a device and a community: those sections
    need a restart, and so does every section that this module does not know how to replace.
    """
    differ = [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    if old.site.community == new.site.community and "site" in differ:
        differ.remove("site")  # the name is for people
    refused = tuple(
        f"[{name}] cannot change while the agent runs; restart it: its old config stays until then"
        for name in differ
        if name not in _REPLACEABLE
    )
    return ReloadPlan(
        refused=refused,
        sections=tuple(differ),
        uplink=tls_files or any(name in differ for name in _UPLINK),
        status="status" in differ,
        home_assistant=home_assistant_files or "home_assistant" in differ,
    )
