"""What a person types of entanglement paths, and what of them is shown."""

from typing import Any

import pytest
import typer

from controller.cli.demand import Restoration
from controller.cli.entangle_change import CLEARED
from controller.cli.exits import Exit
from controller.cli.happenings import of_history, summary
from controller.cli.network_map import MapLink, MapNode, svg
from controller.cli.output import plain
from controller.cli.pair_demand import PairWish, Protection, path_change_pb, path_pb
from controller.cli.tables import link_table, node_table, planned_link_table
from controller.cli.tables_of_moves import move_table
from controller.cli.tables_of_pairs import planned_pairs
from controller.cli.tables_of_paths import asked, certificate, path_parts, path_table, route_parts
from controller.cli.top_view import LinkView, Order, frame, ordered, rows_of
from controller.wire.northbound_path_wishes import UPDATABLE
from qinet.northbound.v1 import entanglement_path_pb2 as pb
from qinet.northbound.v1 import key_relay_pb2
from qinet.northbound.v1.key_relay_service_pb2 import PredictedMove
from qinet.types.v1 import pairs_pb2
from tests.golden.cli_paths import ANSWER, HISTORY, NODES, PAIRS, PATH, QKD
from tests.support.command_line import Run

KeyRelay = key_relay_pb2.KeyRelay


def test_every_option_that_can_be_set_back_is_a_field_that_the_controller_updates() -> None:
    assert set(CLEARED.values()) < set(UPDATABLE)


def test_a_wish_names_each_field_that_it_sets() -> None:
    path, named = path_change_pb(
        PairWish(
            fidelity=0.9,
            rate="2kHz",
            purpose=0,
            priority=0,
            max_hops=3,
            avoid_nodes=["a", "nodes/b"],
            avoid_links=["l"],
            deadline="10s",
            lifetime="1h",
            test_share=0.1,
            protection=Protection.UNPROTECTED,
            restoration=Restoration.MANUAL,
            hold_off="250ms",
            accept_blocked=False,
            enabled=False,
        )
    )
    assert set(named) == set(UPDATABLE)
    assert path.rate_hz == 2000.0
    assert [*path.avoid_nodes, *path.avoid_links] == ["nodes/a", "nodes/b", "links/l"]
    assert path.protection == KeyRelay.PROTECTION_UNPROTECTED
    assert path.restoration_mode == KeyRelay.RESTORATION_MODE_MANUAL
    assert (path.deadline.seconds, path.hold_off.nanos, path.admin_enabled) == (10, 250_000_000, False)


def test_nothing_given_names_nothing() -> None:
    assert path_change_pb(PairWish()) == (pb.EntanglementPath(), [])


def test_packets_take_the_place_of_a_rate() -> None:
    path, named = path_change_pb(PairWish(packet_pairs=2, packet_window="100ms", packet_rate="0.5"))
    assert named == ["service"]
    assert (path.packets.pairs, path.packets.window.nanos, path.packets.rate_hz) == (2, 100_000_000, 0.5)


def test_who_asks_for_key_need_not_say_measure() -> None:
    wish = PairWish(fidelity=0.9, rate="1", key_link="k", authentication="first", block_bit=4096)
    path = path_pb(wish)
    assert path.use == pairs_pb2.PAIR_USE_MEASURE
    assert (path.key_link, path.authentication) == ("links/k", "keyRelays/first")
    shared = path_pb(PairWish(fidelity=0.9, rate="1", key_link="k", authentication="pre-shared"))
    assert shared.authentication == "pre-shared"


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"rate": "1"}, "--fidelity"),
        ({"fidelity": 0.9}, "--rate"),
        ({"fidelity": 0.9, "rate": "1", "packet_pairs": 2}, "either --rate"),
        ({"fidelity": 0.9, "packet_pairs": 2, "packet_window": "1s"}, "go together"),
        ({"fidelity": 0.9, "rate": "fast"}, "not a rate"),
        ({"fidelity": 0.9, "rate": "1", "hold_off": "soon"}, "not a duration"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(wish: dict[str, Any], told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        path_pb(PairWish(**wish))


def test_a_path_is_shown_with_plan_certificate_and_ends() -> None:
    text = " ".join(plain(path_parts(PATH, None)).split())
    for told in (
        "asked: 10 Hz",
        "first key after: never: no block yields key",
        "regime: memory",
        "promised: 12.5 Hz of F 0.9123",
        "rate_hz 40 with all that is free, none above 44 (gap 10 %)",
        "1 b a - c 2.5ms",
        "links/old 2 releasing",
        "0.9120 [0.8930, 0.9310] 400 in 12s",
        "starved",
    ):
        assert told in text


def test_a_list_says_what_is_asked_and_promised() -> None:
    text = plain([path_table([PATH])])
    assert "lab   a       c       10 Hz  0.9000" in text
    assert "a -[ab]- b -[bc]- c" in text


def test_packets_are_shown_in_words() -> None:
    packets = pb.Packets(pairs=2, rate_hz=0.5)
    packets.window.FromMilliseconds(100)
    assert asked(pb.EntanglementPath(packets=packets)) == "2 within 100ms, 0.5 Hz"


def test_a_certificate_without_a_gap_is_proven_best() -> None:
    exact = pb.PathPlan(objective="rate_hz", objective_value=40.0, objective_bound=40.0)
    assert certificate(exact) == "rate_hz 40 with all that is free, proven best"


def test_a_route_is_shown_with_what_it_would_take() -> None:
    text = plain(route_parts(ANSWER))
    assert "a -[ab]- b -[bc]- c" in text
    assert "nodes/b/memories  8" in text


def test_a_change_of_a_path_is_one_line() -> None:
    assert summary(PATH) == (
        "DEGRADED  version 7  a -[ab]- b -[bc]- c  12.5 Hz of F 0.9123  less is delivered than promised"
    )
    line = of_history(PATH.name, HISTORY[0])
    assert (line.kind, line.text, line.by) == ("paths", "ACTIVE  a -[ab]- b -[bc]- c  created", "user/alice")


def test_a_path_that_moves_is_told_by_its_full_name() -> None:
    moves = [
        PredictedMove(key_relay="keyRelays/lab", outcome=PredictedMove.OUTCOME_STAYS),
        PredictedMove(entanglement_path="entanglementPaths/lab", outcome=PredictedMove.OUTCOME_BLOCKED),
    ]
    assert [row[0] for row in move_table(moves).rows] == ["lab", "entanglementPaths/lab"]
    assert move_table(moves).columns[0] == "service"
    assert move_table(moves[:1]).columns[0] == "relay"


def test_columns_of_pairs_are_there_where_some_links_make_them() -> None:
    assert "regime" not in link_table([QKD]).columns
    mixed = link_table([QKD, PAIRS])
    cells = dict(zip(mixed.columns, mixed.rows[1], strict=True))
    assert cells["regime"] == "memory"
    assert cells["capacity bit/s"] == ""
    assert cells["reserved pairs"] == "4 of 16"
    assert cells["memory pairs"] == "3 of 16"
    assert cells["fidelity (samples, age)"] == "0.9120 [0.8930, 0.9310] (400 in 12s)"
    assert cells["remarks"] == "80 % of the model's pairs; fidelity 0.020 below the model's"
    assert dict(zip(mixed.columns, mixed.rows[0], strict=True))["regime"] == ""


def test_a_planned_link_tells_what_its_options_make() -> None:
    assert planned_pairs(PAIRS.pairs) == "memory, 16 pairs: 16 Hz of F 0.9500 (bright state 0.05)"
    assert "pairs" in planned_link_table([PAIRS]).columns
    assert "pairs" not in planned_link_table([QKD]).columns


def test_a_node_is_shown_with_its_memories() -> None:
    table = node_table(NODES)
    assert table.rows[0][-3:] == ("8 for 1.5 s, can purify", "no", "measuring")
    assert table.rows[1][-3:] == ("", "", "")


def view(name: str, pair_rate_hz: float | None) -> LinkView:
    return LinkView(
        name=name, status="ACTIVE", skr_bit_per_s=None, consumed_bit_total=None, stored_bit=None, empty_in_s=None,
        reserved_bit_per_s=4, capacity_bit_per_s=16, alarms=0, pair_rate_hz=pair_rate_hz,
    )  # fmt: skip


def test_top_shows_pairs_where_there_are_some_and_sorts_by_them() -> None:
    rows = ordered(rows_of([view("slow", 1.0), view("fast", 20.0), view("key", None)], {}, 0.0), Order(key="p"))
    lines = frame("now", rows, order=Order(key="p"), width=100, height=None, colour=False)
    assert "PAIRS/S" in lines[1] or "PAIRS/v" in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["fast", "slow", "key"]
    without = frame("now", rows[2:], order=Order(), width=100, height=None, colour=False)
    assert "PAIRS" not in without[1]


def test_a_map_draws_a_link_of_pairs_as_a_double_line() -> None:
    nodes = [MapNode(name="a"), MapNode(name="b")]
    single = svg(nodes, [MapLink(name="q", ends=("a", "b"), status="ACTIVE")], title="x")
    double = svg(nodes, [MapLink(name="e", ends=("a", "b"), status="ACTIVE", entangled=True)], title="x")
    assert "makes entangled pairs" in double
    assert "makes entangled pairs" not in single
    assert double.count('stroke-width="6"') == 2


def test_wait_alone_means_active_for_paths_too(run: Run) -> None:
    wrong = run("entangle", "create", "a", "b", "--fidelity", 0.9, "--rate", 1, "--wait=happy")
    assert (wrong.code, "not a state" in wrong.err) == (Exit.USAGE, True)
    both = run("entangle", "create", "--wait", "a", "b", "--fidelity", 0.9, "--rate", 1, "--validate-only")
    assert (both.code, "--wait has nothing to wait for" in " ".join(both.err.split())) == (Exit.USAGE, True)
