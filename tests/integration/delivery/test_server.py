"""The GS QKD 014 server over TLS on loopback: what it answers, and what it consumes."""

import base64
import json
import logging
import socket
import ssl
from asyncio import to_thread
from dataclasses import replace
from typing import Any

import pytest

from tests.support.delivery_clients import Application, bare_request
from tests.support.delivery_world import DeliveryNetwork, Party

NOBODY = "00000000-0000-4000-8000-000000000000"
JSON = {"Content-Type": "application/json"}


async def ask(
    caller: Application, verb: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Return status, decoded body (None if empty) and headers; see to what holds for every answer."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    status, got, content = await to_thread(
        bare_request, caller, verb, f"/api/v1/keys/{path}", body=raw, headers=JSON if headers is None else headers
    )
    assert got["cache-control"] == "no-store"
    if status == 401:
        assert (content, "content-type" in got) == (b"", False)
        return status, None, got
    assert got["content-type"] == "application/json; charset=utf-8"
    if verb == "HEAD":
        return status, None, got
    value = json.loads(content.decode("utf-8"))
    assert status == 200 or (isinstance(value["message"], str) and value["message"])
    return status, value, got


async def take(network: DeliveryNetwork, number: int = 1) -> dict[str, bytes]:
    status, container, _ = await ask(network.alice, "GET", f"{network.bob.sae}/enc_keys?number={number}")
    assert status == 200
    return {each["key_ID"]: base64.b64decode(each["key"]) for each in container["keys"]}


def ids(*key_ids: str) -> dict[str, object]:
    return {"key_IDs": [{"key_ID": key_id} for key_id in key_ids]}


async def stored(caller: Application, slave: Application) -> int:
    _, status, _ = await ask(caller, "GET", f"{slave.sae}/status")
    return int(status["stored_key_count"])


# ---------------------------------------------------------------- keys and figures


async def test_get_and_post_give_the_same_key_at_both_ends_and_status_counts_it(network: DeliveryNetwork) -> None:
    alice, bob = network.alice, network.bob
    before, other_way = await stored(alice, bob), await stored(bob, alice)
    _, container, _ = await ask(alice, "POST", f"{bob.sae}/enc_keys", {"number": 2, "size": 512})
    first, second = container["keys"]
    assert before - await stored(alice, bob) == 4  # two keys of twice the default size
    assert await stored(bob, alice) == other_way
    status, fetched, _ = await ask(bob, "GET", f"{alice.sae}/dec_keys?key_ID={first['key_ID'].upper()}")
    assert (status, fetched) == (200, {"keys": [first]})
    status, fetched, _ = await ask(bob, "POST", f"{alice.sae}/dec_keys", ids(second["key_ID"]))
    assert (status, fetched) == (200, {"keys": [second]})


async def test_the_status_figure_is_what_a_request_gets(network: DeliveryNetwork) -> None:
    alice, bob = network.alice, network.bob
    _, figures, _ = await ask(alice, "GET", f"{bob.sae}/status")
    assert (figures["source_KME_ID"], figures["target_KME_ID"]) == ("n00", "n02")
    assert (figures["master_SAE_ID"], figures["slave_SAE_ID"]) == (alice.sae, bob.sae)
    left, most = figures["stored_key_count"], figures["max_key_per_request"]
    network.world.cut_off = {frozenset(("n00", "n01"))}  # nothing may refill the stock meanwhile
    network.world.drop_stream("n00", "n01")
    while left:
        number = min(left, most)
        await take(network, number)
        left -= number
    status, error, headers = await ask(alice, "GET", f"{bob.sae}/enc_keys")
    assert (status, error["details"]) == (503, [{"stored_key_count": 0}])
    assert "not enough key" in error["message"]
    assert int(headers["retry-after"]) > 0


async def test_a_key_id_that_is_unknown_or_taken_refuses_the_whole_request_and_consumes_nothing(
    network: DeliveryNetwork,
) -> None:
    alice, bob = network.alice, network.bob
    one, two = await take(network, 2)
    unknown = {"message": "one or more keys specified are not found on KME"}
    assert (await ask(bob, "POST", f"{alice.sae}/dec_keys", ids(one, NOBODY)))[:2] == (400, unknown)
    assert (await ask(bob, "POST", f"{alice.sae}/dec_keys", ids(one)))[0] == 200
    assert (await ask(bob, "POST", f"{alice.sae}/dec_keys", ids(one, two)))[:2] == (400, unknown)
    assert (await ask(bob, "GET", f"{alice.sae}/dec_keys?key_ID={one}"))[:2] == (400, unknown)
    assert (await ask(bob, "GET", f"{alice.sae}/dec_keys?key_ID={two}"))[0] == 200


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"number": 17}, {"max_key_per_request": 16}),
        ({"size": 4104}, {"max_key_size": 4096}),
        ({"size": 56}, {"min_key_size": 64}),
        ({"additional_slave_SAE_IDs": ["eve"]}, {"max_SAE_ID_count": 0}),
    ],
)
async def test_a_request_beyond_a_limit_is_refused_naming_it_and_consumes_nothing(
    network: DeliveryNetwork, body: object, limit: object
) -> None:
    before = await stored(network.alice, network.bob)
    status, error, _ = await ask(network.alice, "POST", f"{network.bob.sae}/enc_keys", body)
    assert (status, error["details"]) == (400, [limit])
    assert await stored(network.alice, network.bob) == before


async def test_without_an_association_enc_keys_names_the_pair_and_the_controller_is_told(
    network: DeliveryNetwork,
) -> None:
    desk = network.desks[0]
    for path, told in (("dave/status", []), ("dave/enc_keys", [(network.alice.sae, "dave")])):
        status, error, headers = await ask(network.alice, "GET", path)
        assert status == 503
        assert f"no application connects master SAE {network.alice.sae} with slave SAE dave" in error["message"]
        assert int(headers["retry-after"]) > 0
        assert desk.missing == told
    assert desk.seen == {network.alice.sae}


# ---------------------------------------------------------------- who asks


async def test_who_is_no_sae_gets_an_empty_401_whatever_it_asks(network: DeliveryNetwork, party: Party) -> None:
    for name in ("node/n02", "user/operator", "controller/c1"):
        caller = replace(network.alice, files=party(name).files)
        for verb, path in (("GET", f"{network.bob.sae}/status"), ("POST", "x/y/z"), ("DELETE", "bob/enc_keys")):
            assert (await ask(caller, verb, path))[:2] == (401, None)
    assert network.desks[0].seen == set()


async def test_who_is_not_among_the_slaves_gets_an_empty_401_and_consumes_nothing(
    network: DeliveryNetwork, party: Party
) -> None:
    alice, bob = network.alice, network.bob
    (key_id,) = await take(network)
    eve = replace(bob, sae="eve", files=party("sae/eve").files)
    assert (await ask(eve, "GET", f"{alice.sae}/dec_keys?key_ID={key_id}"))[:2] == (401, None)
    assert (await ask(eve, "GET", f"{alice.sae}/dec_keys?key_ID={NOBODY}"))[0] == 400
    assert (await ask(alice, "GET", f"{bob.sae}/dec_keys?key_ID={key_id}"))[:2] == (401, None)
    assert (await ask(bob, "GET", f"{alice.sae}/dec_keys?key_ID={key_id}"))[0] == 200


async def test_without_a_certificate_there_is_no_connection(network: DeliveryNetwork) -> None:
    context = ssl.create_default_context(cafile=str(network.alice.files.ca))
    host, _, port = network.alice.kme_url.removeprefix("https://").partition(":")

    def answer() -> bytes:
        try:
            with (
                socket.create_connection((host, int(port)), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                # In TLS 1.3 the client is done before the server has seen that there is no certificate.
                secured.sendall(b"GET /api/v1/keys/bob/status HTTP/1.1\r\nHost: kme\r\n\r\n")
                return secured.recv(1)
        except (ssl.SSLError, ConnectionError):
            return b""  # the alert, or a reset that overtook it

    assert await to_thread(answer) == b""
    assert network.desks[0].seen == set()


# ---------------------------------------------------------------- how it is asked


@pytest.mark.parametrize(
    ("verb", "path", "body", "headers", "expected"),
    [
        ("GET", "bob", None, {}, 404),
        ("HEAD", "bob/enc_keys", None, {}, 405),
        ("OPTIONS", "bob/enc_keys", None, {}, 405),
        ("POST", "bob/status", None, {}, 405),
        ("POST", "bob/enc_keys", {"number": 1}, {"Content-Type": "text/plain"}, 415),
        ("POST", "bob/enc_keys", b" " * (1 << 18) + b"{}", JSON, 413),
        ("POST", "bob/enc_keys", b"{", JSON, 400),
        ("POST", "bob/enc_keys", b"[" * 100_000, JSON, 400),
        ("POST", "bob/enc_keys", {"extension_mandatory": [{"\ud800": 1}]}, JSON, 400),
        ("GET", "bob/enc_keys", {"number": 1}, JSON, 400),
        ("GET", "b%2Fb/enc_keys", None, {}, 400),
        ("GET", "bob/enc_keys?size=257", None, {}, 400),
        ("POST", "bob/enc_keys", None, {"Expect": "100-continue"}, 503),
        ("POST", "bob/enc_keys", None, {"Expect": "the unexpected"}, 503),
    ],
)
async def test_what_the_standard_does_not_foresee_is_answered_with_an_error_too(
    network: DeliveryNetwork, verb: str, path: str, body: object, headers: dict[str, str], expected: int
) -> None:
    status, _, got = await ask(network.alice, verb, path, body, headers)
    assert status == expected
    assert ("allow" in got) == (status == 405)


async def test_what_goes_wrong_behind_it_is_logged_and_not_told(
    network: DeliveryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    network.desks[0].failure = RuntimeError("a fault on order")
    status, error, _ = await ask(network.alice, "GET", f"{network.bob.sae}/enc_keys")
    assert status == 500
    assert "fault" not in error["message"]
    assert "a fault on order" in caplog.text


async def test_no_log_carries_keys_or_key_ids(network: DeliveryNetwork, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for logger in ("aiohttp.server", "aiohttp.access", "aiohttp.web", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=logger)
    keys = await take(network, 3)
    for key_id in keys:
        for _ in range(2):
            await ask(network.bob, "GET", f"{network.alice.sae}/dec_keys?key_ID={key_id}")
        await ask(network.bob, "GET", f"{network.alice.sae}/dec_keys?key_ID={key_id}&x=1")
        await ask(network.bob, "GET", f"{network.alice.sae}/elsewhere?key_ID={key_id}")
    for key_id, key in keys.items():
        for secret in (key_id, key.hex(), base64.b64encode(key).decode()):
            assert secret not in caplog.text
