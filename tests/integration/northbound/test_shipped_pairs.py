"""The shipped networks that make pairs, applied as an operator does it: they stand, carry paths, and keep key apart."""

from pathlib import Path

import grpc
import grpc.aio
import pytest

from controller.config.topology_file import TopologyFile, load_topology
from controller.wire.northbound_link import link_to_pb
from controller.wire.northbound_node import node_to_pb
from qinet.northbound.v1 import entanglement_path_pb2, key_relay_pb2, key_relay_service_pb2, link_pb2
from qinet.northbound.v1 import entanglement_service_pb2 as paths_pb
from qinet.northbound.v1 import topology_service_pb2 as pb
from qinet.types.v1 import pairs_pb2
from tests.integration.northbound.world import Client, Controller, Party, client, controller

TOPOLOGIES = Path(__file__).parents[3] / "topologies"


def request(found: TopologyFile) -> pb.ApplyTopologyRequest:
    return pb.ApplyTopologyRequest(
        nodes=map(node_to_pb, found.nodes), links=map(link_to_pb, found.links), network_name=found.name
    )


async def apply(world: Controller, operator: Client, name: str) -> TopologyFile:
    found = load_topology(TOPOLOGIES / f"{name}.yaml")
    answer = await operator.topology.ApplyTopology(request(found))
    assert answer.created == len(found.nodes) + len(found.links)
    again = await operator.topology.ApplyTopology(request(found))
    assert (again.created, again.updated, again.deleted) == (0, 0, 0)
    await world.connect(*(node.name for node in found.nodes))
    return found


@pytest.mark.parametrize(
    ("name", "fidelity", "rate_hz", "use"),
    [
        ("delft-eindhoven", 0.85, 20, pairs_pb2.PAIR_USE_KEEP),
        ("surfnet", 0.85, 20, pairs_pb2.PAIR_USE_KEEP),
        ("metro-star", 0.85, 20, pairs_pb2.PAIR_USE_MEASURE),
    ],
)
async def test_a_path_between_the_suggested_ends_is_carried(
    party: Party, name: str, fidelity: float, rate_hz: float, use: "pairs_pb2.PairUse.ValueType"
) -> None:
    async with controller(party) as world, client(party, world.port) as operator:
        found = await apply(world, operator, name)
        assert found.suggested_ends is not None
        source, target = found.suggested_ends
        made = await operator.entanglement.CreateEntanglementPath(
            paths_pb.CreateEntanglementPathRequest(
                entanglement_path_id="demo",
                entanglement_path=entanglement_path_pb2.EntanglementPath(
                    source=f"nodes/{source}",
                    target=f"nodes/{target}",
                    minimum_fidelity=fidelity,
                    rate_hz=rate_hz,
                    use=use,
                ),
            )
        )
        links = {
            link.name: link for link in (await operator.topology.ListLinks(pb.ListLinksRequest(page_size=200))).links
        }
        used = {hop.link for hop in made.entanglement_path.route.hops}
        assert used
        for link in used:
            assert 0 < links[link].reserved_pairs <= links[link].pair_capacity
            assert links[link].capacity_bit_per_s == links[link].reserved_bit_per_s == 0


async def test_key_and_pairs_of_the_mixed_network_take_links_of_their_own_kind(party: Party) -> None:
    async with controller(party) as world, client(party, world.port) as operator:
        await apply(world, operator, "mixed")
        relay = await operator.relays.CreateKeyRelay(
            key_relay_service_pb2.CreateKeyRelayRequest(
                key_relay_id="keys",
                key_relay=key_relay_pb2.KeyRelay(
                    source="nodes/access-west", target="nodes/access-east", rate_bit_per_s=1000
                ),
            )
        )
        (route,) = relay.key_relay.routes
        assert [hop.end_node for hop in route.hops][1] == "nodes/exchange"
        path = await operator.entanglement.CreateEntanglementPath(
            paths_pb.CreateEntanglementPathRequest(
                entanglement_path_id="pairs",
                entanglement_path=entanglement_path_pb2.EntanglementPath(
                    source="nodes/city-west",
                    target="nodes/city-east",
                    minimum_fidelity=0.9,
                    rate_hz=300,
                    use=pairs_pb2.PAIR_USE_MEASURE,
                ),
            )
        )
        nodes = [hop.end_node for hop in path.entanglement_path.route.hops]
        assert nodes == ["nodes/repeater-1", "nodes/repeater-2", "nodes/city-east"]
        listed = await operator.topology.ListLinks(pb.ListLinksRequest(filter="kind=ENTANGLEMENT"))
        assert len(listed.links) == 6


async def test_a_link_of_pairs_without_a_model_is_refused_by_the_name_of_the_field(party: Party) -> None:
    async with controller(party) as world, client(party, world.port) as operator:
        found = await apply(world, operator, "delft-eindhoven")
        link = link_to_pb(found.links[0])
        link.ClearField("pairs")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await operator.topology.CreateLink(pb.CreateLinkRequest(link_id="new", link=link))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "link.pairs" in (refused.value.details() or "")
        link = link_to_pb(found.links[0])
        link.establishment = link_pb2.ESTABLISHMENT_POSSIBLE
        made = await operator.topology.CreateLink(pb.CreateLinkRequest(link_id="new", link=link))
        assert made.link.kind == link_pb2.LINK_KIND_ENTANGLEMENT
        assert made.link.pair_capacity == 0
