"""Every policy of admission over real gRPC, on the real writer."""

import asyncio

import grpc
import grpc.aio
import pytest

from controller.domain.admission import Admission, Policy
from qinet.northbound.v1 import key_relay_pb2
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from tests.integration.northbound.world import Party, client, controller, reason_of, topology
from tests.support.networks import network

DIRECT, DETOUR = ("links/ab",), ("links/ac", "links/bc")


@pytest.mark.parametrize(
    ("policy", "ways", "refused"),
    [
        (Policy.SHORTEST, [DIRECT, DIRECT], "NO_CAPACITY"),
        (Policy.WIDEST_SHORTEST, [DIRECT, DIRECT, DETOUR, DETOUR], "NO_CAPACITY"),
        (Policy.LEAST_LOADED, [DIRECT, DIRECT, DETOUR, DETOUR], "NO_CAPACITY"),
        (Policy.BALANCED, [DIRECT, DETOUR, DIRECT, DETOUR], "NO_CAPACITY"),
        (Policy.EXPONENTIAL, [DIRECT, DETOUR, DIRECT], "PRICED_OUT"),
    ],
)
async def test_clients_get_the_routes_of_the_policy_until_it_refuses(
    party: Party, policy: Policy, ways: list[tuple[str, ...]], refused: str
) -> None:
    joined = network((name, *name, 10_000) for name in ("ab", "ac", "bc"))
    async with (
        controller(party, admission=Admission(policy=policy)) as world,
        client(party, world.port) as operator,
    ):
        await operator.topology.ApplyTopology(topology(joined))
        await world.connect("a", "b", "c")
        relay = key_relay_pb2.KeyRelay(source="nodes/a", target="nodes/b", rate_bit_per_s=4_000)
        for way in ways:
            made = (await operator.relays.CreateKeyRelay(pb.CreateKeyRelayRequest(key_relay=relay))).key_relay
            assert tuple(hop.link for hop in made.routes[0].hops) == way
        # when many ask at once, none gets what is not there
        late = await asyncio.gather(
            *(operator.relays.CreateKeyRelay(pb.CreateKeyRelayRequest(key_relay=relay)) for _ in range(5)),
            return_exceptions=True,
        )
        for answer in late:
            assert isinstance(answer, grpc.aio.AioRpcError)
            assert (answer.code(), reason_of(answer).reason) == (grpc.StatusCode.FAILED_PRECONDITION, refused)
        if refused == "PRICED_OUT":
            facts = reason_of(answer).metadata  # type: ignore[arg-type]  # an error, as was just seen
            assert (facts["worth"], facts["dearest_links"]) == ("2", "ac,bc")
