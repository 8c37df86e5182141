"""A possible link shares interfaces with others; an established one does not."""

from dataclasses import replace

import pytest

from controller.domain.link import Establishment
from controller.domain.refusals import InvalidValue
from controller.service.topology_desk import create_link
from tests.support.networks import line


def test_a_possible_link_may_use_an_interface_that_serves_an_established_one() -> None:
    snapshot = line(2)
    twin = replace(snapshot.links["l00"], name="twin", establishment=Establishment.POSSIBLE)
    snapshot = snapshot.applying(create_link(snapshot, twin))
    assert snapshot.links["twin"].ends == snapshot.links["l00"].ends
    with pytest.raises(InvalidValue, match="already serves links/l00"):
        create_link(snapshot, replace(twin, name="again", establishment=Establishment.ESTABLISHED))
