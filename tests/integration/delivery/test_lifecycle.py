"""How the GS QKD 014 server starts, keeps its limits, and stops without leaving anything behind."""

import asyncio
import json
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from controller.identity.credentials import https_client_context, https_server_context
from southbound.agent.delivery.server import DeliveryLimits, DeliveryServer
from tests.support.delivery_clients import Application
from tests.support.delivery_world import DeliveryNetwork, Party, WorldDesk, delivery_network

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(party: Party, caller: Application) -> AsyncIterator[Streams]:
    """Open a bare TLS connection as the caller."""
    context = https_client_context(party(f"sae/{caller.sae}"))
    address = urlsplit(caller.kme_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one response."""
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, body


def head(verb: str, path: str, *more: str) -> bytes:
    return "\r\n".join([f"{verb} /api/v1/keys/{path} HTTP/1.1", "Host: kme", *more, "", ""]).encode()


async def until_waiting(desk: WorldDesk, count: int) -> None:
    async with asyncio.timeout(10):
        while desk.waiting < count:
            await asyncio.sleep(0.005)


# ---------------------------------------------------------------- stop and start


async def test_stop_answers_what_is_in_flight_and_leaves_no_socket_and_no_task(party: Party) -> None:
    before = asyncio.all_tasks()
    async with delivery_network(party) as network:
        alice, desk, server = network.alice, network.desks[0], network.servers[0]
        address = urlsplit(alice.kme_url)
        plain = await asyncio.open_connection(address.hostname, address.port)  # never begins its handshake
        async with connection(party, alice) as idle, connection(party, alice) as busy:
            idle[1].write(head("GET", f"{network.bob.sae}/status"))
            assert (await answer(idle[0]))[0] == 200
            desk.flowing.clear()
            busy[1].write(head("GET", f"{network.bob.sae}/enc_keys"))
            await until_waiting(desk, 1)
            stopping = asyncio.create_task(server.stop())
            assert await idle[0].read() == b""  # closed at once: nothing is under way on it
            with pytest.raises(OSError, match=r"[Cc]onnect"):
                await asyncio.open_connection(address.hostname, address.port)
            desk.flowing.set()
            assert (await answer(busy[0]))[0] == 200
            plain[1].close()
            await asyncio.wait_for(stopping, 5)
            assert await busy[0].read() == b""
        await server.stop()  # twice does no harm
        again = DeliveryServer(desk, https_server_context(party("node/n00")))
        assert await again.start("127.0.0.1", address.port or 0) == ("127.0.0.1", address.port)
        await again.stop()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_stop_does_not_wait_longer_than_the_grace_for_a_node_that_is_stuck(party: Party) -> None:
    async with delivery_network(party, DeliveryLimits(grace_s=0.1)) as network:
        network.desks[0].flowing.clear()
        async with connection(party, network.alice) as (reader, writer):
            writer.write(head("GET", f"{network.bob.sae}/enc_keys"))
            await until_waiting(network.desks[0], 1)
            began = time.monotonic()
            await network.servers[0].stop()
            assert time.monotonic() - began < 3
            assert await reader.read() == b""
        assert network.desks[0].waiting == 0


async def test_stop_ends_a_connection_whose_client_never_says_goodbye(party: Party) -> None:
    async with delivery_network(party) as network:
        address = urlsplit(network.alice.kme_url)
        context = https_client_context(party(f"sae/{network.alice.sae}"))

        def connect() -> ssl.SSLSocket:
            plain = socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
            secured = context.wrap_socket(plain, server_hostname=address.hostname)
            secured.sendall(head("GET", "bob/nothing"))
            assert secured.recv(1) == b"H"
            return secured

        secured = await asyncio.to_thread(connect)
        with socket.socket(fileno=secured.detach()) as below:  # from here on nobody answers in TLS
            below.setblocking(False)
            await asyncio.wait_for(network.servers[0].stop(), 5)
            while below.recv(1 << 16):  # raises while the server's end is open
                pass


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(network: DeliveryNetwork, party: Party) -> None:
    before = asyncio.all_tasks()
    other = DeliveryServer(network.desks[0], https_server_context(party("node/n00")))
    with pytest.raises(OSError, match="address already in use"):
        await other.start("127.0.0.1", urlsplit(network.alice.kme_url).port or 0)
    await other.stop()
    assert asyncio.all_tasks() == before


# ---------------------------------------------------------------- limits


async def test_a_node_that_does_not_answer_in_time_is_a_503(party: Party) -> None:
    async with delivery_network(party, DeliveryLimits(deadline_s=0.1)) as network:
        network.desks[0].flowing.clear()
        async with connection(party, network.alice) as (reader, writer):
            writer.write(head("GET", f"{network.bob.sae}/enc_keys"))
            status, headers, body = await answer(reader)
            assert (status, headers["retry-after"]) == (503, "5")
            assert "in time" in json.loads(body)["message"]
            network.desks[0].flowing.set()
            writer.write(head("GET", f"{network.bob.sae}/enc_keys"))  # the connection is as good as before
            assert (await answer(reader))[0] == 200


async def test_a_body_that_does_not_arrive_in_time_is_a_408_and_ends_the_connection(party: Party) -> None:
    async with (
        delivery_network(party, DeliveryLimits(deadline_s=0.1)) as network,
        connection(party, network.alice) as (reader, writer),
    ):
        writer.write(head("POST", "bob/enc_keys", "Content-Type: application/json", "Content-Length: 9") + b"{")
        status, _, body = await answer(reader)
        assert status == 408
        assert json.loads(body)["message"]
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_more_requests_at_once_than_allowed_are_told_to_come_back(party: Party) -> None:
    async with delivery_network(party, DeliveryLimits(in_flight=1)) as network:
        desk = network.desks[0]
        desk.flowing.clear()
        async with connection(party, network.alice) as first, connection(party, network.alice) as second:
            first[1].write(head("GET", f"{network.bob.sae}/enc_keys"))
            await until_waiting(desk, 1)
            second[1].write(head("GET", f"{network.bob.sae}/status"))
            status, headers, body = await answer(second[0])
            assert (status, headers["retry-after"]) == (503, "5")
            assert "too many" in json.loads(body)["message"]
            desk.flowing.set()
            assert (await answer(first[0]))[0] == 200
        async with connection(party, network.alice) as third:
            third[1].write(head("GET", f"{network.bob.sae}/status"))
            assert (await answer(third[0]))[0] == 200


@pytest.mark.parametrize("framing", ["Content-Length: 300000", "Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_long_is_refused_before_it_is_kept(
    network: DeliveryNetwork, party: Party, framing: str
) -> None:
    chunked = framing.startswith("T")
    async with connection(party, network.alice) as (reader, writer):
        writer.write(head("POST", "bob/enc_keys", "Content-Type: application/json", framing))
        body = b" " * 270_000
        writer.write(b"%x\r\n%s\r\n" % (len(body), body) if chunked else body)
        status, _, error = await answer(reader)
        assert (status, json.loads(error)["details"]) == (413, [{"max_body_bytes": 262144}])
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_expect_100_continue_is_honoured_only_where_the_body_is_wanted(
    network: DeliveryNetwork, party: Party
) -> None:
    async with connection(party, network.alice) as (reader, writer):
        more = ("Content-Type: application/json", "Content-Length: 13", "Expect: 100-continue")
        writer.write(head("POST", f"{network.bob.sae}/enc_keys", *more))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"number": 2}')
        status, _, body = await answer(reader)
        assert (status, len(json.loads(body)["keys"])) == (200, 2)
        writer.write(head("POST", "bob/nothing", *more))
        assert (await answer(reader))[0] == 404


# ---------------------------------------------------------------- what is no request


async def test_the_body_of_a_refused_request_is_not_taken_for_the_next_request(
    network: DeliveryNetwork, party: Party
) -> None:
    smuggled = head("GET", f"{network.bob.sae}/enc_keys")
    async with connection(party, network.alice) as (reader, writer):
        writer.write(head("POST", "bob/nothing", f"Content-Length: {len(smuggled)}") + smuggled)
        assert (await answer(reader))[0] == 404
        assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /api/v1/keys/x/dec_keys?key_ID=secret-id\r\n\r\n",
        b"secret-id\x00 / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nsecret-id\r\n\r\n",
        b"GET /" + b"secret-id" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: secret-id\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_an_error_and_is_not_quoted(
    network: DeliveryNetwork, party: Party, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="aiohttp.server")
    async with connection(party, network.alice) as (reader, writer):
        writer.write(request_bytes)
        status, headers, body = await answer(reader)
    assert (status, headers["content-type"]) == (400, "application/json; charset=utf-8")
    assert "secret-id" not in caplog.text + body.decode()


async def test_the_star_and_the_absolute_form_are_read_as_http_says(network: DeliveryNetwork, party: Party) -> None:
    async with connection(party, network.alice) as (reader, writer):
        writer.write(b"OPTIONS * HTTP/1.1\r\nHost: kme\r\n\r\n")
        assert (await answer(reader))[0] == 404
        url = f"{network.alice.kme_url}/api/v1/keys/{network.bob.sae}/enc_keys"
        writer.write(f"GET {url} HTTP/1.1\r\nHost: kme\r\n\r\n".encode())
        assert (await answer(reader))[0] == 200


async def test_an_answer_that_its_asker_no_longer_waits_for_harms_nobody(
    network: DeliveryNetwork, party: Party, caplog: pytest.LogCaptureFixture
) -> None:
    desk = network.desks[0]
    desk.flowing.clear()
    async with connection(party, network.alice) as (_, writer):
        writer.write(head("GET", f"{network.bob.sae}/enc_keys"))
        await until_waiting(desk, 1)
    desk.flowing.set()
    async with connection(party, network.alice) as (reader, writer):
        writer.write(head("GET", f"{network.bob.sae}/enc_keys"))
        assert (await answer(reader))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
