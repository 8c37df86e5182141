"""GS QKD 014 clients that others wrote, against our server over TLS, with real key planes behind it."""

from asyncio import to_thread

import pytest

from tests.support.delivery_clients import (
    assert_conformant,
    doctor,
    multicast_with_etsi_client,
    multicast_with_qkdsec,
    round_trip_with_etsi_client,
    round_trip_with_qkdsec,
)
from tests.support.delivery_world import DeliveryNetwork, Party, multicast_network


async def test_two_applications_get_the_same_keys_with_the_etsi_client(network: DeliveryNetwork) -> None:
    one = await to_thread(round_trip_with_etsi_client, network.alice, network.bob)
    several = await to_thread(round_trip_with_etsi_client, network.alice, network.bob, number=3, size_bit=512)
    back = await to_thread(round_trip_with_etsi_client, network.bob, network.alice)
    assert len({*one, *several, *back}) == 5
    assert len({*one.values(), *several.values(), *back.values()}) == 5


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_two_applications_get_the_same_keys_with_qkdsec(network: DeliveryNetwork, verb: str) -> None:
    there = await to_thread(round_trip_with_qkdsec, network.alice, network.bob, number=4, size_bit=128, verb=verb)
    back = await to_thread(round_trip_with_qkdsec, network.bob, network.alice, verb=verb)
    assert len({*there, *back}) == 5


async def test_the_doctor_of_qkdsec_finds_only_where_it_contradicts_the_standard(network: DeliveryNetwork) -> None:
    assert_conformant(await to_thread(doctor, network.alice, network.bob.sae))


async def test_slaves_at_several_nodes_get_the_same_keys_with_either_client(party: Party) -> None:
    async with multicast_network(party) as (_, saes):
        slaves = [saes["bob"], saes["carol"], saes["bert"]]
        one = await to_thread(multicast_with_etsi_client, saes["alice"], slaves, number=2)
        other = await to_thread(multicast_with_qkdsec, saes["alice"], slaves, number=3)
        back = await to_thread(multicast_with_qkdsec, saes["carol"], [saes["alice"], saes["bert"]], number=1)
    assert len({*one, *other, *back}) == len({*one.values(), *other.values(), *back.values()}) == 6
