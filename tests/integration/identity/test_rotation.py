"""Certificates and CAs that are replaced while their servers run, over loopback."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from controller.identity import lab_ca
from controller.identity.credentials import (
    RotatingTls,
    grpc_server_credentials,
    https_client_context,
    https_server_context,
    open_aio_channel,
)
from controller.identity.peers import parse_identity
from controller.identity.rotation import RotationRefused
from controller.identity.tls_files import Tls, load_tls
from tests.integration.identity.conftest import Party
from tests.integration.identity.test_https import fetch, serving

HERE = parse_identity("controller/here")


def other_ca(directory: Path) -> Party:
    """A CA that takes the place of the first one."""
    lab_ca.init_ca(directory, now=datetime.now(UTC))
    return lambda text: load_tls(lab_ca.issue(directory, parse_identity(text), now=datetime.now(UTC)))


async def ask(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)


async def let_in(client: Tls, port: int) -> bool:
    async with open_aio_channel(client, f"127.0.0.1:{port}", HERE) as channel:
        try:
            await ask(channel)
        except grpc.aio.AioRpcError as refused:
            if refused.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True


async def test_a_grpc_server_takes_new_connections_under_the_new_ca_and_keeps_those_that_stand(
    party: Party, tmp_path: Path
) -> None:
    old, new = party, other_ca(tmp_path / "new")
    tls = RotatingTls(old("controller/here"))
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc_server_credentials(tls))
    await server.start()
    try:
        before, after = old("user/ann"), new("user/ann")
        assert (await let_in(before, port), await let_in(after, port)) == (True, False)
        async with open_aio_channel(before, f"127.0.0.1:{port}", HERE) as standing:
            await ask(standing)

            assert tls.rotate(new("controller/here"))

            assert (await let_in(before, port), await let_in(after, port)) == (False, True)
            await ask(standing)
    finally:
        await server.stop(None)


@pytest.mark.parametrize("allow_tls_1_2", [False, True])
async def test_an_https_server_takes_new_connections_under_the_new_ca_only(
    party: Party, tmp_path: Path, allow_tls_1_2: bool
) -> None:
    old, new = party, other_ca(tmp_path / "new")
    tls = RotatingTls(old("controller/here"))
    before = https_client_context(old("user/ann"), allow_tls_1_2=allow_tls_1_2)
    after = https_client_context(new("user/ann"), allow_tls_1_2=allow_tls_1_2)
    if allow_tls_1_2:
        before.maximum_version = after.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(https_server_context(tls, allow_tls_1_2=allow_tls_1_2)) as port:
        url = f"https://127.0.0.1:{port}/"
        assert (await fetch(url, before))["peer"] == "user/ann"
        with pytest.raises(aiohttp.ClientError):
            await fetch(url, after)

        tls.rotate(new("controller/here"))

        assert (await fetch(url, after))["peer"] == "user/ann"
        with pytest.raises(aiohttp.ClientError):
            await fetch(url, before)


async def test_a_client_whose_ca_went_is_not_let_in_by_a_session_of_before(party: Party, tmp_path: Path) -> None:
    old, new = party, other_ca(tmp_path / "new")
    tls = RotatingTls(old("controller/here"))
    client = https_client_context(old("user/ann"))
    client.load_verify_locations(cadata=new("user/ann").ca_pem.decode())  # so that only the server can object
    async with serving(https_server_context(tls)) as port:
        url = f"https://127.0.0.1:{port}/"
        assert (await fetch(url, client))["peer"] == "user/ann"
        tls.rotate(new("controller/here"))
        with pytest.raises(aiohttp.ClientError):
            await fetch(url, client)


def test_the_files_of_another_are_refused_and_the_same_are_no_news(party: Party) -> None:
    here = party("controller/here")
    tls = RotatingTls(here)
    with pytest.raises(RotationRefused):
        tls.rotate(party("controller/there"))
    assert tls.current is here
    assert not tls.rotate(load_tls(here.files))


def test_a_private_key_shows_in_no_text(party: Party) -> None:
    here = party("node/here")
    key = here.key_pem.decode().splitlines()[1]
    assert key not in repr(RotatingTls(here))
