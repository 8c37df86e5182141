"""Parties of one lab CA, and a network whose ends deliver keys."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache

import pytest

from controller.identity import lab_ca
from controller.identity.peers import parse_identity
from controller.identity.tls_files import Tls, load_tls
from tests.support.delivery_world import DeliveryNetwork, Party, delivery_network


@pytest.fixture(scope="session")
def party(tmp_path_factory: pytest.TempPathFactory) -> Party:
    """Make the TLS files of `kind/name`, once each, from the CA that the servers believe."""
    directory = tmp_path_factory.mktemp("pki")
    lab_ca.init_ca(directory, now=datetime.now(UTC))

    @cache
    def make(text: str) -> Tls:
        return load_tls(lab_ca.issue(directory, parse_identity(text), now=datetime.now(UTC)))

    return make


@pytest.fixture
async def network(party: Party) -> AsyncIterator[DeliveryNetwork]:
    """Two applications at the ends of a relay, with stock on both sides."""
    async with delivery_network(party) as running:
        yield running
