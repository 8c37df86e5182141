"""What an update names: what was given, what is set back, never both and never nothing."""

import pytest
import typer

from controller.cli.demand import Demand, Protection, Restoration, change_pb
from controller.cli.relay_change import CLEARED, with_cleared
from controller.wire.northbound_relay_wishes import UPDATABLE
from qinet.northbound.v1.key_relay_pb2 import KeyRelay


def test_every_option_that_can_be_set_back_is_a_field_that_the_controller_updates() -> None:
    assert set(CLEARED.values()) < set(UPDATABLE)


def test_a_demand_names_each_field_that_it_sets() -> None:
    relay, named = change_pb(
        Demand(
            rate="2k",
            priority=0,
            max_hops=3,
            avoid_nodes=["a", "nodes/b"],
            applications=["mail"],
            protection=Protection.ONE_PLUS_ONE,
            restoration=Restoration.MANUAL,
            revertive=False,
            wait_to_restore="5m",
            preempt=True,
            lifetime="1h",
            forward_share=0.25,
            enabled=False,
        )
    )
    assert set(named) == {
        "rate", "priority", "max_hops", "avoid_nodes", "applications", "protection", "restoration_mode", "revertive",
        "wait_to_restore", "may_preempt", "lifetime", "forward_share", "admin_enabled",
    }  # fmt: skip
    assert set(named) <= set(UPDATABLE)
    assert relay.rate_bit_per_s == 2000.0
    assert [*relay.avoid_nodes, *relay.applications] == ["nodes/a", "nodes/b", "applications/mail"]
    assert relay.protection == KeyRelay.PROTECTION_ONE_PLUS_ONE
    assert relay.restoration_mode == KeyRelay.RESTORATION_MODE_MANUAL
    assert (relay.wait_to_restore.seconds, relay.may_preempt, relay.admin_enabled) == (300, True, False)


def test_nothing_given_names_nothing() -> None:
    assert change_pb(Demand()) == (KeyRelay(), [])


def test_a_mask_has_what_was_given_and_what_is_set_back_once_each() -> None:
    assert with_cleared(["rate"], ["max-hops", "--lifetime", "max-hops"], CLEARED) == ["rate", "max_hops", "lifetime"]


@pytest.mark.parametrize(
    ("named", "clear", "told"),
    [([], [], "name what to change"), (["max_hops"], ["max-hops"], "exclude"), ([], ["rate"], "cannot be set back")],
)
def test_a_mask_that_makes_no_sense_is_refused(named: list[str], clear: list[str], told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        with_cleared(named, clear, CLEARED)
