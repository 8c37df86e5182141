"""Entries for an agent that is tested: harmless ones, made from the inventory that it claims."""

from typing import Final

from controller.domain.entanglement_path import PairUse
from controller.domain.entries import HopRole, LinkEntry, PathEntry, RelayHopEntry
from controller.domain.pair_link import Regime
from controller.domain.path_plan import HopPlan
from controller.domain.route import Hop
from controller.wire.entries import entry_to_bytes
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2
from southbound.conformance.line import Line
from southbound.conformance.verdict import Skipped

RELAY: Final = "conformance"
PATH_ID: Final = "entanglementPaths/conformance/routes/1"
FOREIGN_LINK: Final = "conformance-foreign"
"""A link that no agent has: one that takes its setting has something to raise an alarm about."""

UNKNOWN_KIND: Final = b"\x82\x7d\x02\x08\x01"
"""A serialised Entry whose only field has number 2000: a kind of entry that no agent of today knows."""


def link(line: Line) -> dict[str, bytes]:
    """Return the setting of the first link that the agent claims.

    Raises:
        Skipped: It claims none.
    """
    return {f"links/{_first(line.hello).link}": entry_to_bytes(_setting(_first(line.hello), key_ttl_s=3600))}


def other_link(line: Line) -> dict[str, bytes]:
    """Return another setting of the same link."""
    return {f"links/{_first(line.hello).link}": entry_to_bytes(_setting(_first(line.hello), key_ttl_s=7200))}


def foreign_link(line: Line) -> dict[str, bytes]:
    """Return the setting of a link that the agent does not claim."""
    foreign = pb.InventoryLink(link=FOREIGN_LINK, local_interface=4_000_000, neighbour=_first(line.hello).neighbour)
    return {f"links/{FOREIGN_LINK}": entry_to_bytes(_setting(foreign, key_ttl_s=3600))}


def hops(line: Line, number: int = 1) -> dict[str, bytes]:
    """Return the node's part in so many route versions of one key relay over its first link; `link` must be set too.

    They are passive: no key is asked for.

    Raises:
        Skipped: The agent claims no link, or does not relay.
    """
    if types_pb2.CAPABILITY_KEY_RELAY not in line.hello.inventory.capabilities:
        raise Skipped("the agent does not claim the capability to relay keys, so that it takes no RelayHop")
    first = _first(line.hello)
    entries = (
        RelayHopEntry(
            relay=RELAY,
            share=0,
            shares=1,
            route_version=version,
            role=HopRole.HEAD,
            previous=None,
            next=Hop(link=first.link, start=line.certificate_node, end=first.neighbour),
            head=line.certificate_node,
            far=first.neighbour,
            rate_millibit_per_s=1000,
            forward_share=0.5,
            chunk_bit=1024,
            stock_low_bit=1024,
            stock_high_bit=4096,
            passive=True,
        )
        for version in range(1, number + 1)
    )
    return {entry.id: entry_to_bytes(entry) for entry in entries}


def pair_link(line: Line) -> dict[str, bytes]:
    """Return the setting of the first link of pairs that the agent claims.

    Raises:
        Skipped: It claims none.
    """
    found = _first_of_pairs(line.hello)
    if found is None:
        raise Skipped("the agent claims entanglement, and no link at an interface of it: give its node one")
    return {f"links/{found.link}": entry_to_bytes(_setting(found, key_ttl_s=3600, pairs=True))}


def path(line: Line, regime: Regime, *, beyond: bool = False) -> dict[str, bytes]:
    """Return the node's part in a path of one hop over its first link of pairs; `pair_link` must be set too.

    It is passive: no pair is asked for. With `beyond` it takes more memories than there are.
    """
    hello, found = line.hello, _first_of_pairs(line.hello)
    link, neighbour = (found.link, found.neighbour) if found else (FOREIGN_LINK, "conformance-neighbour")
    memories = hello.inventory.entanglement.memories
    streams = regime in (Regime.BUFFERED, Regime.AT_ONCE)
    entry = PathEntry(
        path=RELAY,
        route_version=1,
        nodes=(line.certificate_node, neighbour),
        hops=(
            HopPlan(
                link=link,
                option=0,
                memory_pairs=memories + 1 if beyond else 1,
                rate_millihertz=1 if streams else 0,
            ),
        ),
        hop_lengths_m=(),
        swaps=(),
        regime=regime,
        lanes=1,
        buffer_pairs=1 if regime is Regime.BUFFERED else 0,
        use=PairUse.KEEP if memories or beyond else PairUse.MEASURE,
        rate_millihertz=1,
        fidelity=0.5,
        minimum_fidelity=0.3,
        passive=True,
    )
    return {entry.id: entry_to_bytes(entry)}


def _first_of_pairs(hello: pb.Hello) -> pb.InventoryLink | None:
    numbers = {one.number for one in hello.inventory.interfaces if one.technology == types_pb2.TECHNOLOGY_ENTANGLEMENT}
    links = [one for one in hello.inventory.links if one.local_interface in numbers]
    return min(links, key=lambda one: one.link, default=None)


def _first(hello: pb.Hello) -> pb.InventoryLink:
    if not hello.inventory.links:
        raise Skipped("the agent claims no link, so that there is nothing to configure: give its node one")
    return min(hello.inventory.links, key=lambda one: one.link)


def _setting(claimed: pb.InventoryLink, *, key_ttl_s: int, pairs: bool = False) -> LinkEntry:
    return LinkEntry(
        link=claimed.link,
        local_interface=claimed.local_interface,
        remote_interface=1,
        neighbour=claimed.neighbour,
        neighbour_address="",
        enabled=True,
        authentication_floor_bit=0,
        authentication_rate_millibit_per_s=0,
        qber_limit=0.11,
        key_ttl_s=key_ttl_s,
        entanglement=pairs,
    )
