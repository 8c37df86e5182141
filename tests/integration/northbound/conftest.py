"""Certificates once for all, and a controller per test."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio

from controller.identity import lab_ca
from controller.identity.peers import parse_identity
from controller.identity.tls_files import Tls, load_tls
from tests.integration.northbound.pair_square import square
from tests.integration.northbound.world import Client, Controller, Party, client, controller, topology
from tests.support.networks import ring


@pytest.fixture(scope="session")
def party(tmp_path_factory: pytest.TempPathFactory) -> Party:
    """The TLS files of `kind/name`."""
    directory: Path = tmp_path_factory.mktemp("pki")
    lab_ca.init_ca(directory, now=datetime.now(UTC))

    @cache
    def issued(text: str) -> Tls:
        return load_tls(lab_ca.issue(directory, parse_identity(text), now=datetime.now(UTC)))

    return issued


@pytest_asyncio.fixture
async def world(party: Party) -> AsyncIterator[Controller]:
    """A controller of a ring of four nodes, every agent there."""
    async with controller(party, heartbeat_s=0.2) as running, client(party, running.port) as operator:
        await operator.topology.ApplyTopology(topology(ring(4)))
        await running.connect("n00", "n01", "n02", "n03")
        yield running


@pytest_asyncio.fixture
async def pair_world(party: Party) -> AsyncIterator[Controller]:
    """A controller of a network of pairs, every agent there."""
    snapshot = square()
    async with controller(party, heartbeat_s=0.2) as running, client(party, running.port) as operator:
        await operator.topology.ApplyTopology(topology(snapshot))
        await running.connect(*snapshot.nodes)
        yield running


@pytest_asyncio.fixture
async def operator(world: Controller, party: Party) -> AsyncIterator[Client]:
    """An operator of that controller."""
    async with client(party, world.port) as stubs:
        yield stubs
