"""An os-ken app: lights a fibre through an optical switch only while a QKD link in service uses it.

An interface of the topology says where it is plugged in: `device`, the datapath id of an OpenFlow switch as 16 hex
digits, and `port`. Of each link whose two interfaces are plugged into one switch, both ports are joined while the link
is in service: established, enabled, and not in maintenance. Otherwise they are dark, and people may open the
connectors. A link that is merely down stays joined: without light it would never come back.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from os_ken.base.app_manager import OSKenApp
from os_ken.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.controller.ofp_event import EventOFPErrorMsg, EventOFPFlowStatsReply, EventOFPStateChange
from os_ken.ofproto import ofproto_v1_3

from controller.domain.link import Establishment, Link
from controller.domain.node import Interface
from controller.domain.snapshot import Snapshot
from controller.service.host.events import EventNetworkChanged, EventResync

log = logging.getLogger(__name__)

COOKIE: Final = 0x51494E4554  # marks our flows among those of others
_EVERY_BIT: Final = 2**64 - 1
_PRIORITY: Final = 100
_DATAPATH_ID: Final = re.compile(r"[0-9a-f]{16}")

Joins = frozenset[tuple[int, int]]
"""(port in, port out); both ways of a fibre are in it."""


def wanted_joins(snapshot: Snapshot) -> Mapping[int, Joins]:
    """Return which ports are to be joined, by datapath id; a port that two links claim serves the first by name."""
    joins: dict[int, dict[int, int]] = {}
    for name, link in sorted(snapshot.links.items()):
        plugged = [_interface(snapshot, link, end) for end in (0, 1)]
        if not _in_service(link) or any(each is None for each in plugged):
            continue
        first, second = (each for each in plugged if each is not None)
        if first.device != second.device or not _DATAPATH_ID.fullmatch(first.device):
            continue
        if not all(0 < each.port <= ofproto_v1_3.OFPP_MAX for each in (first, second)):
            continue
        taken = joins.setdefault(int(first.device, 16), {})
        if first.port == second.port or {first.port, second.port} & taken.keys():
            log.warning("ports are taken link=%s device=%s ports=%d,%d", name, first.device, first.port, second.port)
            continue
        taken |= {first.port: second.port, second.port: first.port}
    return {switch: frozenset(taken.items()) for switch, taken in joins.items()}


def _interface(snapshot: Snapshot, link: Link, end: int) -> Interface | None:
    node = snapshot.nodes.get(link.ends[end].node)
    return None if node is None else node.interface(link.ends[end].interface)


def _in_service(link: Link) -> bool:
    return (
        not link.path  # what an entanglement path makes has no fibre of its own
        and link.establishment is Establishment.ESTABLISHED
        and link.admin_enabled
        and not link.maintenance
    )


class FibreGuard(OSKenApp):  # type: ignore[misc]  # os-ken has no types
    """Asks a switch what it has, and sends the difference: right also after either of them was away."""

    OFP_VERSIONS: Final = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *arguments: Any, **contexts: Any) -> None:
        super().__init__(*arguments, **contexts)
        self._wanted: Mapping[int, Joins] = {}
        self._switches: dict[int, Any] = {}
        self._told: dict[int, set[tuple[int, int]]] = {}  # parts of an answer that has more to come

    @set_ev_cls(EventResync)  # type: ignore[untyped-decorator]
    def all_anew(self, event: EventResync) -> None:
        """Begin from the whole state."""
        self._wanted = wanted_joins(event.snapshot)
        self._switches = {switch.id: switch for switch in event.switches}
        self._told.clear()
        for switch in self._switches.values():
            self._ask(switch)

    @set_ev_cls(EventNetworkChanged)  # type: ignore[untyped-decorator]
    def network_changed(self, event: EventNetworkChanged) -> None:
        """Look at the switches for which something else is wanted now."""
        if not {"links", "nodes"} & {collection for collection, _, _ in event.changes.writes}:
            return
        before, self._wanted = self._wanted, wanted_joins(event.snapshot)
        for number, switch in self._switches.items():
            if before.get(number) != self._wanted.get(number):
                self._ask(switch)

    @set_ev_cls(EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])  # type: ignore[untyped-decorator]
    def switch_came_or_went(self, event: Any) -> None:
        """Look at a switch as soon as it is there."""
        switch, number = event.datapath, event.datapath.id
        if event.state == MAIN_DISPATCHER:
            self._switches[number] = switch
            self._ask(switch)
        elif number in self._switches and self._switches[number] is switch:
            del self._switches[number]
            self._told.pop(number, None)

    @set_ev_cls(EventOFPErrorMsg, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def refused(self, event: Any) -> None:
        """Say what a switch would not do; it is asked for again with the next change."""
        message = event.msg
        log.error("switch refuses device=%016x type=%d code=%d", message.datapath.id, message.type, message.code)

    def _ask(self, switch: Any) -> None:
        made, constants = switch.ofproto_parser, switch.ofproto
        switch.send_msg(
            made.OFPFlowStatsRequest(
                switch, 0, constants.OFPTT_ALL, constants.OFPP_ANY, constants.OFPG_ANY, COOKIE, _EVERY_BIT
            )
        )

    @set_ev_cls(EventOFPFlowStatsReply, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def make_it_so(self, event: Any) -> None:
        """Send what the switch lacks of what is wanted, and take off what is not."""
        switch = event.msg.datapath
        if switch.id not in self._switches or self._switches[switch.id] is not switch:
            return  # a connection that another one, of the same datapath id, took the place of
        told = self._told.setdefault(switch.id, set())
        told |= {join for flow in event.msg.body if flow.cookie == COOKIE for join in _joins_of(flow)}
        if event.msg.flags & switch.ofproto.OFPMPF_REPLY_MORE:
            return
        del self._told[switch.id]
        wanted = self._wanted.get(switch.id, frozenset())
        # Dark first: for a moment a port may lead nowhere, but never to two places.
        for port_in, port_out in sorted(told - wanted):
            self._send(switch, switch.ofproto.OFPFC_DELETE_STRICT, port_in, port_out)
        for port_in, port_out in sorted(wanted - told):
            self._send(switch, switch.ofproto.OFPFC_ADD, port_in, port_out)
        if told != wanted:
            log.info("ports joined device=%016x joins=%d before=%d", switch.id, len(wanted), len(told))

    def _send(self, switch: Any, command: int, port_in: int, port_out: int) -> None:
        made, constants = switch.ofproto_parser, switch.ofproto
        output = made.OFPActionOutput(port_out)
        switch.send_msg(
            made.OFPFlowMod(
                switch,
                cookie=COOKIE,
                command=command,
                priority=_PRIORITY,
                out_port=constants.OFPP_ANY,
                out_group=constants.OFPG_ANY,
                match=made.OFPMatch(in_port=port_in),
                instructions=[made.OFPInstructionActions(constants.OFPIT_APPLY_ACTIONS, [output])],
            )
        )


def _joins_of(flow: Any) -> list[tuple[int, int]]:
    port_in = flow.match.get("in_port", 0)
    return [(port_in, action.port) for step in flow.instructions for action in step.actions if hasattr(action, "port")]
