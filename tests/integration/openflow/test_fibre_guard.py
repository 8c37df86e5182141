"""The example os-ken app on a real Open vSwitch, fed by a real writer: ports are joined while a link needs them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.domain.events import LinkReport
from controller.domain.link import LinkKind
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.snapshot import Snapshot, put
from controller.service.host.host import HostSettings
from controller.service.requests import UpdateAdministration
from tests.support.networks import line
from tests.support.open_vswitch import DATAPATH_ID, Switch, switch
from tests.support.os_ken_world import Hosting, eventually, hosting

from southbound.openflow.fibre_guard import COOKIE, wanted_joins  # isort: skip (os_ken_world chooses the hub)
from southbound.openflow.listener import OpenFlowListener  # isort: skip

FIRST = {(1, 2), (2, 1)}
SECOND = {(3, 4), (4, 3)}
SWITCH = int(DATAPATH_ID, 16)


def plugged(network: Snapshot, plugs: dict[tuple[str, int], tuple[str, int]]) -> Snapshot:
    """Return the network with interfaces (node, number) plugged into (device, port)."""
    nodes = [
        replace(
            node,
            interfaces=tuple(
                replace(each, device=plugs[name, each.number][0], port=plugs[name, each.number][1])
                if (name, each.number) in plugs
                else each
                for each in node.interfaces
            ),
        )
        for name, node in network.nodes.items()
    ]
    return network.applying(put(*nodes))


def two_links() -> Snapshot:
    """Return n00 - n01 - n02, link l00 over ports 1 and 2, link l01 over ports 3 and 4."""
    ports = {("n00", 1): 1, ("n01", 1): 2, ("n01", 2): 3, ("n02", 1): 4}
    return plugged(line(2), {interface: (DATAPATH_ID, port) for interface, port in ports.items()})


def test_both_ways_of_every_fibre_in_service_are_wanted() -> None:
    assert wanted_joins(two_links()) == {SWITCH: FIRST | SECOND}


@pytest.mark.parametrize("change", [{"admin_enabled": False}, {"maintenance": True}, {"path": "p"}], ids=str)
def test_a_link_that_is_not_in_service_wants_none(change: dict[str, object]) -> None:
    network = two_links()
    off = replace(network.links["l01"], **change)  # type: ignore[arg-type]
    assert wanted_joins(network.applying(put(off))) == {SWITCH: FIRST}


def test_a_link_that_makes_pairs_wants_its_fibre_as_one_that_makes_key() -> None:
    network = two_links()
    model = PairModel(
        regime=Regime.SLOT,
        attempt_period_s=0.001,
        memory_pairs=1,
        options=(PairOption(success_probability=0.1, fidelity=0.9),),
    )
    entangling = replace(network.links["l01"], kind=LinkKind.ENTANGLEMENT, pairs=model)
    assert wanted_joins(network.applying(put(entangling))) == {SWITCH: FIRST | SECOND}


def test_ends_that_are_plugged_in_elsewhere_or_nowhere_want_none() -> None:
    other = "00000000000000b2"
    plugs = {("n00", 1): (DATAPATH_ID, 1), ("n01", 1): (other, 2), ("n01", 2): (DATAPATH_ID, 3)}
    assert wanted_joins(plugged(line(2), plugs)) == {}
    named = {interface: ("patch panel 7", port) for interface, port in {("n00", 1): 1, ("n01", 1): 2}.items()}
    assert wanted_joins(plugged(line(2), named)) == {}
    for port in (0, 2**32 - 1):  # none given; one that OpenFlow keeps for itself
        odd = {("n00", 1): (DATAPATH_ID, 1), ("n01", 1): (DATAPATH_ID, port)}
        assert wanted_joins(plugged(line(2), odd)) == {}


def test_a_port_that_two_links_claim_serves_one_only() -> None:
    plugs = {("n00", 1): 1, ("n01", 1): 2, ("n01", 2): 2, ("n02", 1): 4}
    network = plugged(line(2), {interface: (DATAPATH_ID, port) for interface, port in plugs.items()})
    assert wanted_joins(network) == {SWITCH: FIRST}


@pytest.fixture
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Hosting, Switch]]:
    """Yield a controller of two links and the switch that both are plugged into, as far as they are: not joined yet."""
    with switch(Path(tmp_path_factory.mktemp("ovs")), ports=4) as real:
        settings = HostSettings(openflow=("127.0.0.1", 0))
        guard = "southbound.openflow.fibre_guard"
        async with hosting(modules=[guard], listener=OpenFlowListener, settings=settings) as here:
            await here.apply(two_links())
            assert here.openflow is not None
            yield here, real


async def joins_are(real: Switch, wanted: set[tuple[int, int]]) -> None:
    await eventually(lambda: real.joins(COOKIE) == wanted, f"{wanted} to be joined")


async def set_link(here: Hosting, link: str, *, enabled: bool) -> None:
    asked = UpdateAdministration(collection="links", key=link, admin_enabled=enabled)
    await here.writer.desk.submit(asked)


@pytest.mark.needs("ovs-vswitchd")
async def test_a_fibre_is_lit_while_its_link_is_in_service(guarded: tuple[Hosting, Switch]) -> None:
    here, real = guarded
    assert here.openflow is not None
    real.obey(here.openflow)
    await joins_are(real, FIRST | SECOND)
    assert real.leads_to(1) != "drop"

    # What should not be there goes with the next change; what is somebody else's stays.
    real.add_flow(f"cookie={COOKIE},priority=100,in_port=3,actions=output:1")
    real.add_flow("cookie=7,priority=5,in_port=4,actions=output:1")
    await set_link(here, "l00", enabled=False)
    await joins_are(real, SECOND)
    assert real.leads_to(1) == "drop"
    assert real.joins(7) == {(4, 1)}
    await set_link(here, "l00", enabled=True)
    await joins_are(real, FIRST | SECOND)

    # A cut says nothing against the light that its repair will need.
    await here.tell(LinkReport(node="n00", link="l00", down_reason="fibre cut"))
    await set_link(here, "l01", enabled=False)
    await joins_are(real, FIRST)
    await here.writer.desk.submit(UpdateAdministration(collection="nodes", key="n00", maintenance=True))
    assert real.joins(COOKIE) == FIRST


@pytest.mark.needs("ovs-vswitchd")
async def test_a_switch_that_lost_its_power_is_told_anew_and_was_noticed_to_be_gone(
    guarded: tuple[Hosting, Switch],
) -> None:
    here, real = guarded
    assert here.openflow is not None
    listener = here.app("ofp_event")
    real.obey(here.openflow)
    await joins_are(real, FIRST | SECOND)
    assert [each.id for each in listener.switches()] == [SWITCH]

    real.pull_the_plug()
    await eventually(lambda: listener.switches() == (), "the switch to be gone")
    await eventually(lambda: not here.app("FibreGuard")._switches, "the app to be told")
    await set_link(here, "l01", enabled=False)
    real.plug_in()
    await eventually(lambda: len(listener.switches()) == 1, "the switch to come back")
    await joins_are(real, FIRST)


@pytest.mark.needs("ovs-vswitchd")
async def test_a_switch_that_talks_nonsense_disturbs_no_other(guarded: tuple[Hosting, Switch]) -> None:
    here, real = guarded
    assert here.openflow is not None
    host, port = here.openflow
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", bytes(8), b"\x04\x00\x00\x04\0\0\0\1", b"\x04\x06\xff\xff\0\0\0\1" * 9):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(nonsense)
        await writer.drain()
        writer.close()
    _, writer = await asyncio.open_connection(host, port)  # and one that says nothing
    real.obey(here.openflow)
    await joins_are(real, FIRST | SECOND)
    writer.close()
