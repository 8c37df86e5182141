"""What an agent tells of links and paths of pairs: what is tracked and what is estimated never mix."""

from dataclasses import replace

import pytest

from controller.domain.pair_link import PairHardware
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2
from southbound.agent.pair_reports import PairTotals, inventory_to_pb, pair_link_report, path_report
from southbound.agent.pairs.estimate import Estimate
from southbound.agent.pairs.figures import LinkFigures, PathFigures
from tests.unit.agent.test_pair_entries import link

PATH = PathFigures(
    path="p",
    route_version=4,
    confirmed_versions=(3, 4),
    undrained_versions=(3,),
    delivered_total=100,
    rate_hz=12.3456,
    starved=False,
    estimate=Estimate(0.9, 0.85, 0.94, 300, 12.5),
    tracked_fidelity=0.93,
    dropped_total=7,
    packet_total=2,
    reset_total=1,
)
LINK = LinkFigures(
    link="l0",
    draws=True,
    rate_hz=80.5,
    pair_total=1000,
    memory_pairs_in_use=3,
    success_factor=0.97,
    certain_success_factor=0.98,
    estimate=None,
    fidelity_loss=None,
)


def test_an_estimate_and_what_is_tracked_are_told_apart() -> None:
    report = path_report(PATH, totals=PairTotals(None), sifted_bit=55)
    assert report.fidelity.fidelity == 0.9
    assert (report.fidelity.low, report.fidelity.high) == (0.85, 0.94)
    assert (report.fidelity.samples, report.fidelity.age_ms) == (300, 12_500)
    assert report.tracked_fidelity == 0.93
    assert report.rate_millihertz == 12_346
    assert report.confirmed
    assert report.sifted_bit == 55

    nothing = path_report(replace(PATH, estimate=None, tracked_fidelity=None), totals=PairTotals(None), sifted_bit=0)
    assert not nothing.HasField("fidelity")
    assert not nothing.HasField("tracked_fidelity")


def test_counters_go_on_over_a_restart_and_what_is_gone_is_dropped() -> None:
    kept = PairTotals(PairTotals(None).kept([LINK], [PATH]))
    report = path_report(replace(PATH, delivered_total=5, packet_total=0), totals=kept, sifted_bit=0)
    assert (report.delivered_total, report.dropped_total, report.packet_total) == (105, 14, 2)
    assert kept.of("links/l0", "pair_total", 1) == 1001
    assert PairTotals(kept.kept([], [])).of("links/l0", "pair_total", 1) == 1


@pytest.mark.parametrize(
    ("enabled", "down", "status"),
    [
        (None, "", types_pb2.LINK_STATUS_PENDING),
        (True, "", types_pb2.LINK_STATUS_ACTIVE),
        (True, "cut", types_pb2.LINK_STATUS_OFF),
        (False, "", types_pb2.LINK_STATUS_OFF),
    ],
)
def test_a_link_is_active_while_it_could_make_pairs(enabled: bool | None, down: str, status: int) -> None:
    entry = None if enabled is None else replace(link("l0", "b"), enabled=enabled)
    report = pair_link_report(
        "l0", entry=entry, figures=LINK, down_reason=down, totals=PairTotals(None), unreachable=False
    )
    assert report.status == status
    assert report.down_reason == down
    assert (report.pairs.rate_millihertz, report.pairs.pair_total, report.pairs.memory_pairs_in_use) == (
        80_500,
        1000,
        3,
    )
    assert report.pairs.success_factor == 0.98
    assert not report.pairs.HasField("fidelity")
    assert not report.pairs.HasField("fidelity_loss")


def test_only_the_end_that_draws_tells_how_many_attempts_succeed() -> None:
    figures = replace(LINK, draws=False)
    report = pair_link_report(
        "l0", entry=None, figures=figures, down_reason="", totals=PairTotals(None), unreachable=True
    )
    assert not report.pairs.HasField("success_factor")
    assert report.neighbour_unreachable


def test_the_inventory_says_what_the_hardware_can() -> None:
    assert inventory_to_pb(PairHardware(memories=3)) == pb.EntanglementInventory(memories=3, can_swap=True)
    assert not inventory_to_pb(PairHardware(memories=0)).can_swap
    assert not inventory_to_pb(PairHardware(memories=3, swap_success=0.0)).can_swap
