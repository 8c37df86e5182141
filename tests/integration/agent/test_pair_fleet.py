"""A fleet of a topology with links that make pairs: its hardware, and its faults to order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio
import pytest

from controller.config.topology_file import load_topology
from controller.identity import lab_ca
from controller.identity.credentials import open_aio_channel
from controller.identity.peers import Identity, Kind, parse_identity
from controller.identity.tls_files import files_in, load_tls
from qinet.lab.v1 import lab_pb2 as pb
from qinet.lab.v1 import lab_pb2_grpc
from qinet.southbound.v1 import agent_pb2
from southbound.agent.plan import SimulatedNetwork
from southbound.agent.uplink import ControllerAddress
from southbound.fleet.fleet import Fleet, FleetPlan
from southbound.fleet.lab import LabServer

TEXT = """
schema: qinet-topology
version: 1
name: pairs
nodes:
  - name: a
    interfaces: [{number: 1, technology: ENTANGLEMENT}, {number: 2, technology: DV-QKD}]
    entanglement: {memories: 4, coherence_s: {value: 2, basis: assumed, source: example}, can_purify: true}
  - name: b
    interfaces: [{number: 1, technology: ENTANGLEMENT}, {number: 2, technology: DV-QKD}]
    entanglement: {memories: 6}
links:
  - name: a-b
    kind: ENTANGLEMENT
    ends: [{node: a, interface: 1}, {node: b, interface: 1}]
    entanglement:
      regime: memory
      memory_pairs: 4
      attempt_period_s: {value: 0.001, basis: assumed, source: example}
      options:
        - success_probability: {value: 0.1, basis: assumed, source: example}
          fidelity: {value: 0.95, basis: assumed, source: example}
  - name: k
    ends: [{node: a, interface: 2}, {node: b, interface: 2}]
    skr_bit_per_s: {value: 10000, basis: assumed, source: example}
    qber: {value: 0.02, basis: assumed, source: example}
sources: {example: an example}
"""


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    path = tmp_path / "pairs.yaml"
    path.write_text(TEXT)
    pki, now = tmp_path / "pki", datetime.now(UTC)
    lab_ca.init_ca(pki, now=now)
    for who in ("user/operator", *(f"node/{node.name}" for node in load_topology(path).nodes)):
        lab_ca.issue(pki, parse_identity(who), now=now)
    fleet = Fleet(
        FleetPlan(
            network=SimulatedNetwork(path),
            pki=pki,
            controllers=[ControllerAddress(name="controller", address="127.0.0.1:9")],
            state_dir=tmp_path / "state",
        )
    )
    await fleet.start()
    yield fleet
    await fleet.stop()


async def test_faults_of_pairs_are_ordered_told_and_ended(fleet: Fleet, tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    server = LabServer(fleet, load_tls(files_in(pki, parse_identity("node/a"))), ("127.0.0.1", 0))
    address = await server.bind()
    await server.serve()
    try:
        tls = load_tls(files_in(pki, parse_identity("user/operator")))
        async with open_aio_channel(tls, address, Identity(Kind.NODE, "a")) as channel:
            stub: lab_pb2_grpc.LabServiceAsyncStub = lab_pb2_grpc.LabServiceStub(channel)

            async def told(link: str) -> pb.FleetLink:
                answer = await stub.GetFleet(pb.GetFleetRequest())
                return next(one for one in answer.links if one.link == link)

            orders = [
                pb.OrderFaultRequest(cut=pb.CutFault(link="a-b")),
                pb.OrderFaultRequest(rate=pb.RateFault(link="a-b", factor=0.5)),
                pb.OrderFaultRequest(fidelity=pb.FidelityFault(link="a-b", factor=0.9)),
            ]
            assert [(await stub.OrderFault(order)).changed for order in (*orders, *orders)] == [True] * 3 + [False] * 3
            link = await told("a-b")
            assert (link.cut, link.rate_factor, link.werner_factor) == (True, 0.5, 0.9)

            await stub.OrderFault(pb.OrderFaultRequest(repair=pb.RepairFault(link="a-b")))
            link = await told("a-b")
            assert (link.cut, link.rate_factor, link.HasField("werner_factor")) == (False, 1.0, False)

            for order, said in (
                (pb.OrderFaultRequest(qber=pb.QberFault(link="a-b", qber=0.1)), "order fidelity"),
                (pb.OrderFaultRequest(fidelity=pb.FidelityFault(link="k", factor=0.9)), "order qber"),
                (pb.OrderFaultRequest(fidelity=pb.FidelityFault(link="a-b", factor=1.1)), "not in"),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await stub.OrderFault(order)
                assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert said in (refusal.value.details() or "")
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub.OrderFault(pb.OrderFaultRequest(fidelity=pb.FidelityFault(link="nope", factor=0.9)))
            assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
            assert "this fleet has k, a-b" in (refusal.value.details() or "")
    finally:
        await server.stop()


async def test_agents_claim_what_their_topology_has_for_entanglement(fleet: Fleet) -> None:
    inventory = fleet.agents["a"].hello().inventory
    assert inventory.entanglement == agent_pb2.EntanglementInventory(
        memories=4, can_swap=True, can_purify=True, coherence_s=2.0
    )
    assert {link.link for link in inventory.links} == {"a-b", "k"}
    assert not fleet.agents["b"].hello().inventory.entanglement.HasField("coherence_s")
