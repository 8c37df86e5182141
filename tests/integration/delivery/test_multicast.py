"""Keys for several slaves, and the bandwidth of an application, over TLS on loopback."""

import json
from asyncio import to_thread
from typing import Any

from tests.support.delivery_clients import Application, bare_request
from tests.support.delivery_world import Party, multicast_network

JSON = {"Content-Type": "application/json"}


async def post(caller: Application, path: str, body: object) -> tuple[int, Any, dict[str, str]]:
    raw = json.dumps(body).encode()
    status, headers, content = await to_thread(
        bare_request, caller, "POST", f"/api/v1/keys/{path}", body=raw, headers=JSON
    )
    return status, json.loads(content) if content else None, headers


async def test_what_may_be_asked_for_several_slaves_is_told_and_kept(party: Party) -> None:
    async with multicast_network(party) as (world, saes):
        alice = saes["alice"]
        _, _, content = await to_thread(bare_request, alice, "GET", "/api/v1/keys/bob/status")
        assert json.loads(content)["max_SAE_ID_count"] == 2
        before = world.sites["a"].running.figures()
        for more, words in (
            (["bert", "carol", "dave"], "more than max_SAE_ID_count, 2"),
            (["dave"], "no application connects master alice with all of bob and dave"),
            (["alice"], "is the caller itself"),
            (["bob"], "is named before"),
        ):
            status, error, _ = await post(alice, "bob/enc_keys", {"additional_slave_SAE_IDs": more})
            assert status == 400
            assert words in error["message"]
        assert world.sites["a"].running.figures() == before

        status, container, _ = await post(alice, "bob/enc_keys", {"additional_slave_SAE_IDs": ["carol"]})
        assert status == 200
        key_ids = {"key_IDs": [{"key_ID": container["keys"][0]["key_ID"]}]}
        assert (await post(saes["bert"], "alice/dec_keys", key_ids))[:2] == (401, None)
        assert (await post(saes["carol"], "alice/dec_keys", key_ids))[:2] == (200, container)
        assert (await post(saes["carol"], "alice/dec_keys", key_ids))[0] == 400
        assert (await post(saes["bob"], "alice/dec_keys", key_ids))[:2] == (200, container)


async def test_who_is_over_its_bandwidth_gets_503_with_the_time_to_wait(party: Party) -> None:
    async with multicast_network(party, max_bandwidth_bit_per_s=512) as (world, saes):
        assert (await post(saes["alice"], "bob/enc_keys", {"number": 16}))[0] == 200
        status, error, headers = await post(saes["alice"], "bob/enc_keys", {"number": 16})
        assert status == 503
        assert "application app is bound to max_bandwidth 512 bit/s here" in error["message"]
        assert headers["retry-after"] == "6"
        world.now_s += 6
        assert (await post(saes["alice"], "bob/enc_keys", {"number": 16}))[0] == 200
