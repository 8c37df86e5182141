"""From the first request that nobody serves to one key at several nodes: controller, agents and key planes together."""

from apps.restoration import Restoration
from controller.domain.application import Sae
from controller.domain.auto_relay import AutoRelay
from controller.domain.key_relay import RelayState
from controller.service.core import Core
from controller.service.requests import Create, UpdateApplication
from controller.service.writer import check_storable
from controller.wire.entries import entry_to_bytes
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.keyplane.events import Answer
from tests.support.networks import network
from tests.support.whole_world import WholeWorld

HOMES = {"alice": "n0", "bob": "n1", "carol": "n2"}


def world_with_policy() -> WholeWorld:
    world = WholeWorld(network([("l0", "n0", "n1", 6000), ("l1", "n1", "n2", 6000)]), seed=7)
    policy = AutoRelay(rate_millibit_per_s=500_000)
    world.controller.core = Core(world.snapshot, [Restoration()], entry_to_bytes, check_storable, policy)
    for sae, node in HOMES.items():
        world.ask(Create(document=Sae(id=sae, node=node)))
    world.run(10)
    return world


def enc_keys(world: WholeWorld, *slaves: str, number: int = 1) -> Answer:
    """Ask as alice at n0, and tell the controller where nobody serves her, as the agent's shell does."""
    request = world.planes.ask("n0", "alice", slaves[0], number, None, slaves[1:])
    world.settle()
    answer = world.planes.answers[request]
    if answer.status == 503 and "no application" in answer.message:
        asked = pb.ApplicationNew(server_sae="alice", client_saes=slaves)
        world.nodes["n0"]._notices.add(("application_new", *slaves), pb.Notification(application_new=asked))
    return answer


def test_a_request_for_several_nodes_is_refused_then_provided_for_then_served() -> None:
    world = world_with_policy()
    assert enc_keys(world, "bob", "carol").status == 503
    world.run(60)
    assert {(relay.state, relay.demand.source, relay.demand.target) for relay in world.snapshot.relays.values()} == {
        (RelayState.ACTIVE, "n0", "n1"),
        (RelayState.ACTIVE, "n0", "n2"),
    }
    (key,) = enc_keys(world, "bob", "carol").keys
    for slave in ("bob", "carol"):
        fetched = world.planes.answers[world.planes.fetch(HOMES[slave], slave, "alice", [key.key_id])]
        assert fetched.keys == (key,)
    world.check_ledgers()


def test_a_bandwidth_that_an_operator_sets_reaches_the_agents() -> None:
    world = world_with_policy()
    enc_keys(world, "bob")
    world.run(60)
    (application,) = world.snapshot.applications
    assert enc_keys(world, "bob", number=60).status == 200
    world.ask(UpdateApplication(application=application, qos={"max_bandwidth_bit_per_s": 100}))
    world.run(60)
    refused = enc_keys(world, "bob", number=60)
    assert refused.status == 400
    assert "bound to max_bandwidth 100 bit/s" in refused.message
    assert enc_keys(world, "bob", number=16).status == 200
    assert enc_keys(world, "bob").status == 503
