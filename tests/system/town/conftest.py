"""One network for all tests that leave it as it was: a town of five nodes."""

from collections.abc import Iterator

import pytest

from tests.support.daemons import World, network
from tests.support.topology_text import topology_yaml

LINKS = [("alice-middle", "alice", "middle"), ("bob-middle", "bob", "middle"), ("narrow", "bob", "cave")]
NARROW_BIT_PER_S = 1000


@pytest.fixture(scope="package")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """alice - middle - bob - cave, the last link narrow, and isle, to which no link leads.

    Bob's agent is a process of its own. The applications of alice and bob have a relay that is ACTIVE.
    """
    text = topology_yaml("town", LINKS, alone=["isle"], narrow_bit_per_s={"narrow": NARROW_BIT_PER_S})
    with network(tmp_path_factory.mktemp("town"), text, apart="bob") as running:
        running.application("mail", ("sae-alice", "alice"), ("sae-bob", "bob"))
        running.create("mail", "alice", "bob", 1000.0, application="applications/mail")
        running.active("mail")
        yield running
