"""HTTPS over loopback with aiohttp: GS QKD 014 and metrics ports."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from controller.identity.credentials import https_client_context, https_server_context
from controller.identity.peers import transport_identity
from controller.identity.tls_files import Tls
from tests.integration.identity.conftest import Party


async def who(request: web.Request) -> web.Response:
    assert request.transport is not None
    tls = request.transport.get_extra_info("ssl_object")
    return web.json_response({"peer": str(transport_identity(request.transport)), "tls": tls.version()})


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/", who)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def fetch(url: str, context: ssl.SSLContext) -> dict[str, str]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(url) as response,
    ):
        assert response.status == 200
        answer: dict[str, str] = await response.json()
        return answer


def bare(tls: Tls, *, with_certificate: bool, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context as a foreign program makes it, with the strictest checks that Python knows."""
    context = ssl.create_default_context(cadata=tls.ca_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN  # the default from Python 3.13
    if with_certificate:
        context.load_cert_chain(tls.files.certificate, tls.files.key)
    if newest is not None:
        context.maximum_version = newest
    return context


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", ["sae/Alice.app_1~x", "user/operator", "node/b"])
async def test_a_server_knows_who_asks_and_is_verified_by_address_and_by_name(
    party: Party, host: str, name: str
) -> None:
    async with serving(https_server_context(party("node/a"))) as port:
        answer = await fetch(f"https://{host}:{port}/", https_client_context(party(name)))
    assert answer == {"peer": name, "tls": "TLSv1.3"}


async def test_a_client_with_strict_checks_accepts_what_the_lab_ca_issues(party: Party) -> None:
    server = https_server_context(party("node/a"))
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    async with serving(server) as port:
        answer = await fetch(f"https://127.0.0.1:{port}/", bare(party("sae/alice"), with_certificate=True))
    assert answer["peer"] == "sae/alice"


async def test_nobody_gets_in_without_a_certificate_of_the_ca(party: Party, stranger: Party) -> None:
    ours = party("sae/alice")
    foreign = stranger("sae/alice")
    forged = bare(ours, with_certificate=False)
    forged.load_cert_chain(foreign.files.certificate, foreign.files.key)
    async with serving(https_server_context(party("node/a"))) as port:
        for context in (bare(ours, with_certificate=False), forged):
            with pytest.raises(aiohttp.ClientError):
                await fetch(f"https://127.0.0.1:{port}/", context)
        with pytest.raises(aiohttp.ClientError):
            await fetch(f"http://127.0.0.1:{port}/", bare(ours, with_certificate=True))


async def test_an_expired_certificate_gets_neither_a_client_nor_a_server_through(party: Party, expired: Party) -> None:
    async with serving(https_server_context(party("node/a"))) as port:
        with pytest.raises(aiohttp.ClientError):
            await fetch(f"https://127.0.0.1:{port}/", https_client_context(expired("sae/late")))
    async with serving(https_server_context(expired("node/late"))) as port:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await fetch(f"https://127.0.0.1:{port}/", https_client_context(party("sae/alice")))


async def test_a_server_of_another_ca_is_refused_by_the_client(party: Party, stranger: Party) -> None:
    async with serving(https_server_context(stranger("node/a"))) as port:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await fetch(f"https://127.0.0.1:{port}/", https_client_context(party("sae/alice")))


async def test_tls_1_2_is_refused_unless_asked_for(party: Party) -> None:
    old = bare(party("sae/alice"), with_certificate=True, newest=ssl.TLSVersion.TLSv1_2)
    async with serving(https_server_context(party("node/a"))) as port:
        with pytest.raises(aiohttp.ClientConnectorError):  # an alert, or a reset that overtook it
            await fetch(f"https://127.0.0.1:{port}/", old)
    async with serving(https_server_context(party("node/b"), allow_tls_1_2=True)) as port:
        assert await fetch(f"https://127.0.0.1:{port}/", old) == {"peer": "sae/alice", "tls": "TLSv1.2"}


async def test_a_second_connection_that_resumes_the_first_still_knows_who_asks(party: Party) -> None:
    async with serving(https_server_context(party("node/a"))) as port:
        context = https_client_context(party("sae/alice"))
        for _ in range(2):
            assert (await fetch(f"https://127.0.0.1:{port}/", context))["peer"] == "sae/alice"
