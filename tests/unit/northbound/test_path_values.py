"""What clients write of entanglement paths and the domain reads, both ways."""

import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.entanglement_path import EntanglementPath, Packets, PairDemand, PairUse
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.pair_link import Regime
from controller.domain.path_plan import Certificate, HopPlan, PathPlan, SwapStep
from controller.domain.refusals import InvalidValue
from controller.domain.route import Route
from controller.domain.service import Protection
from controller.wire.northbound_entanglement_path import pair_reservations_to_pb, path_to_pb
from controller.wire.northbound_key_relay import relay_to_pb
from controller.wire.northbound_path_wishes import UPDATABLE, path_change_from_pb, path_from_pb
from controller.wire.northbound_relay_wishes import change_from_pb, relay_from_pb
from controller.wire.northbound_values import Mistakes
from qinet.northbound.v1 import entanglement_path_pb2 as pb
from qinet.northbound.v1 import key_relay_pb2
from qinet.types.v1 import pairs_pb2

names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
rates = st.integers(1, (2**32 - 1) * 1000)
FIELD = "entanglement_path"


@st.composite
def demands(draw: st.DrawFn) -> PairDemand:
    ends = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    by_packets = draw(st.booleans())
    feeds = draw(st.booleans()) and not by_packets
    return PairDemand(
        source=ends[0],
        target=ends[1],
        minimum_fidelity=draw(st.floats(0.25, 1, exclude_min=True)),
        rate_millihertz=None if by_packets else draw(rates),
        packets=Packets(
            pairs=draw(st.integers(1, 1024)),
            window_ms=draw(st.integers(1, 2**32 - 1)),
            rate_millihertz=draw(rates),
        )
        if by_packets
        else None,
        use=PairUse.MEASURE if feeds else draw(st.sampled_from(PairUse)),
        purpose=draw(st.integers(0, 0xFFFF)),
        priority=draw(st.integers(0, 2**32 - 1)),
        deadline_s=draw(st.none() | st.integers(1, 10**9)),
        lifetime_s=draw(st.none() | st.integers(1, 10**9)),
        max_hops=draw(st.none() | st.integers(1, 2**32 - 1)),
        avoid_nodes=frozenset(draw(st.lists(names.filter(lambda name: name not in ends), max_size=3))),
        avoid_links=frozenset(draw(st.lists(names, max_size=3))),
        test_share=draw(st.floats(0, 0.5)),
        protection=draw(st.sampled_from([Protection.UNPROTECTED, Protection.RESTORE])),
        hold_off_ms=draw(st.integers(0, 2**32 - 1)),
        manual=draw(st.booleans()),
        key_link=draw(names) if feeds else "",
        authentication=draw(names | st.sampled_from(["", "pre-shared"])) if feeds else "",
        distillation_block_bit=draw(st.integers(1024, 2**24)) if feeds else 8192,
    )


@given(demands(), st.booleans(), st.booleans())
def test_a_path_comes_back_as_it_was_set(demand: PairDemand, enabled: bool, blocked: bool) -> None:
    path = EntanglementPath(name="p", demand=demand, admin_enabled=enabled, accept_blocked=blocked)
    assert path_from_pb("p", path_to_pb(path, charges={})) == path


@settings(max_examples=40)
@given(demands())
def test_an_update_that_names_everything_takes_everything_that_clients_may_change(demand: PairDemand) -> None:
    told = path_to_pb(EntanglementPath(name="p", demand=demand, accept_blocked=True), charges={})
    change = path_change_from_pb(told, UPDATABLE, Mistakes())
    assert {name: getattr(demand, name) for name in change.demand} == change.demand
    assert (change.admin_enabled, change.accept_blocked) == (True, True)
    assert not change.demand.keys() & {"source", "target", "key_link", "authentication", "distillation_block_bit"}


def asked(**more: Any) -> pb.EntanglementPath:
    told = {"source": "nodes/a", "target": "nodes/b", "minimum_fidelity": 0.8, "rate_hz": 10.0, **more}
    return pb.EntanglementPath(**told)


def test_what_is_not_said_has_its_default() -> None:
    demand = path_from_pb("p", asked()).demand
    assert demand == PairDemand(source="a", target="b", minimum_fidelity=0.8, rate_millihertz=10_000)
    assert (demand.test_share, demand.use, demand.protection) == (0.05, PairUse.KEEP, Protection.RESTORE)


@given(st.floats(0.001, 2**32 - 1))
def test_a_rate_is_rounded_up(rate_hz: float) -> None:
    rate = path_from_pb("p", asked(rate_hz=rate_hz)).demand.rate_millihertz
    assert rate is not None
    assert math.isclose(rate / 1000, rate_hz, abs_tol=0.001)
    assert rate / 1000 >= rate_hz * (1 - 1e-15)


def packets(**more: Any) -> pb.Packets:
    return pb.Packets(**{"pairs": 2, "window": Duration(seconds=1), "rate_hz": 1.0, **more})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"minimum_fidelity": 0.25}, "minimum_fidelity"),
    ({"minimum_fidelity": 0.0}, "minimum_fidelity"),
    ({"minimum_fidelity": 1.0000001}, "minimum_fidelity"),
    ({"minimum_fidelity": math.nan}, "minimum_fidelity"),
    ({"minimum_fidelity": -math.inf}, "minimum_fidelity"),
    ({"rate_hz": 0.0}, "rate_hz"),
    ({"rate_hz": -1.0}, "rate_hz"),
    ({"rate_hz": 0.0009}, "rate_hz"),
    ({"rate_hz": math.nan}, "rate_hz"),
    ({"rate_hz": math.inf}, "rate_hz"),
    ({"rate_hz": None}, "rate_hz"),
    ({"rate_hz": None, "packets": packets(pairs=0)}, "packets.pairs"),
    ({"rate_hz": None, "packets": packets(pairs=1025)}, "packets.pairs"),
    ({"rate_hz": None, "packets": packets(window=Duration())}, "packets.window"),
    ({"rate_hz": None, "packets": packets(window=Duration(seconds=-1))}, "packets.window"),
    ({"rate_hz": None, "packets": packets(window=Duration(seconds=2**33))}, "packets.window"),
    ({"rate_hz": None, "packets": packets(rate_hz=math.nan)}, "packets.rate_hz"),
    ({"use": 7}, "use"),
    ({"purpose_id": 65536}, "purpose_id"),
    ({"deadline": Duration()}, "deadline"),
    ({"lifetime": Duration(seconds=-5)}, "lifetime"),
    ({"hold_off": Duration(seconds=-5)}, "hold_off"),
    ({"max_hops": 0}, "max_hops"),
    ({"avoid_nodes": ["nodes/b"]}, "avoid_nodes"),
    ({"avoid_nodes": ["b"]}, "avoid_nodes[0]"),
    ({"avoid_links": ["nodes/b"]}, "avoid_links[0]"),
    ({"test_share": 0.51}, "test_share"),
    ({"test_share": math.nan}, "test_share"),
    ({"protection": key_relay_pb2.KeyRelay.PROTECTION_ONE_PLUS_ONE}, "protection"),
    ({"restoration_mode": 9}, "restoration_mode"),
    ({"source": ""}, "source"),
    ({"target": "nodes/a"}, "target"),
    ({"target": "b"}, "target"),
    ({"key_link": "links/k"}, "key_link"),
    ({"key_link": "k", "use": pairs_pb2.PAIR_USE_MEASURE}, "key_link"),
    ({"authentication": "pre-shared"}, "authentication"),
    ({"authentication": "keyRelays/pre-shared"}, "authentication"),
    ({"authentication": "r"}, "authentication"),
    ({"distillation_block_bit": 4096}, "distillation_block_bit"),
    (
        {"distillation_block_bit": 1023, "key_link": "links/k", "use": pairs_pb2.PAIR_USE_MEASURE},
        "distillation_block_bit",
    ),
]


@pytest.mark.parametrize(("change", "field"), WRONG)
def test_each_field_that_is_out_of_range_is_named_once(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        path_from_pb("p", asked(**change))
    assert [name for name, _ in refused.value.fields] == [f"{FIELD}.{field}"]


anything = st.floats(width=64)
uint32 = st.integers(0, 2**32 - 1)
durations = st.builds(Duration, seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1))
texts = st.text(max_size=5) | st.builds("{}/{}".format, st.sampled_from(["nodes", "links", "keyRelays"]), names)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "source": texts,
            "target": texts,
            "minimum_fidelity": anything,
            "rate_hz": anything,
            "packets": st.builds(pb.Packets, pairs=uint32, window=durations, rate_hz=anything),
            "use": st.integers(0, 5),
            "purpose_id": uint32,
            "priority": uint32,
            "deadline": durations,
            "lifetime": durations,
            "max_hops": uint32,
            "avoid_nodes": st.lists(texts, max_size=2),
            "test_share": anything,
            "protection": st.integers(0, 6),
            "hold_off": durations,
            "key_link": texts,
            "authentication": texts,
            "distillation_block_bit": uint32,
        },
    )
)
def test_whatever_is_asked_is_either_taken_or_refused_by_the_names_of_fields(told: dict[str, Any]) -> None:
    if "packets" in told:
        told.pop("rate_hz", None)
    try:
        path = path_from_pb("p", pb.EntanglementPath(**told))
    except InvalidValue as refused:
        known = {field.name for field in pb.EntanglementPath.DESCRIPTOR.fields}
        for name, _ in refused.fields:
            parent, _, rest = name.partition(".")
            assert parent == FIELD
            assert rest.partition(".")[0].partition("[")[0] in known, name
    else:
        assert path_from_pb("p", path_to_pb(path, charges={})) == path


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidValue) as refused:
        path_from_pb("p", asked(minimum_fidelity=2.0, rate_hz=-1.0, purpose_id=70_000, max_hops=0))
    told = {name for name, _ in refused.value.fields}
    assert told == {f"{FIELD}.{name}" for name in ("minimum_fidelity", "rate_hz", "purpose_id", "max_hops")}


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ("source", "create another path"),
        ("key_link", "create another path"),
        ("state", "is not for clients to set"),
        ("colour", "is no field"),
        ("packets.pairs", "part of a field"),
    ],
)
def test_a_mask_that_names_what_cannot_change_says_why(mask: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        path_change_from_pb(asked(), [mask], Mistakes())


def test_a_change_of_packets_takes_the_place_of_a_rate() -> None:
    change = path_change_from_pb(asked(rate_hz=None, packets=packets()), ["service"], Mistakes())
    assert change.demand == {
        "rate_millihertz": None,
        "packets": Packets(pairs=2, window_ms=1000, rate_millihertz=1000),
    }
    assert path_change_from_pb(asked(), ["rate_hz"], Mistakes()).demand["rate_millihertz"] == 10_000


def plan(**more: Any) -> PathPlan:
    told: dict[str, Any] = {
        "regime": Regime.MEMORY,
        "hops": (HopPlan(link="a-m", option=1, memory_pairs=2), HopPlan(link="m-b", option=0, memory_pairs=2)),
        "swaps": (SwapStep(node="m", left="a", right="b", cutoff_ns=1_000_000),),
        "lanes": 2,
        "test_share": 0.05,
        "rate_millihertz": 12_345,
        "fidelity": 0.97,
        "charges": {"a-m": 2, "m-b": 2, "nodes/m/memories": 4},
        "certificate": Certificate(objective="rate_millihertz", value=12_345.0, upper_bound=15_000.0),
        **more,
    }
    return PathPlan(**told)


def path(**more: Any) -> EntanglementPath:
    demand = PairDemand(
        source="a", target="b", minimum_fidelity=0.8, rate_millihertz=10_000, use=PairUse.MEASURE,
        key_link="k", authentication="r",
    )  # fmt: skip
    return EntanglementPath(
        name="p", demand=demand, routes=(Route(nodes=("a", "m", "b"), links=("a-m", "m-b")),), plan=plan(), **more
    )


def test_a_plan_is_told_in_hertz_with_its_certificate() -> None:
    told = path_to_pb(path(), charges={}).plan
    assert (told.regime, told.lanes, told.rate_hz, told.fidelity) == (pairs_pb2.REGIME_MEMORY, 2, 12.345, 0.97)
    assert (told.objective, told.objective_value, told.objective_bound) == ("rate_hz", 12.345, 15.0)
    assert told.gap == pytest.approx(15 / 12.345 - 1)
    assert [(hop.link, hop.option, hop.memory_pairs) for hop in told.hops] == [("a-m", 1, 2), ("m-b", 0, 2)]
    assert told.swaps[0].cutoff_ns == 1_000_000


def test_a_swap_without_a_cut_off_has_none() -> None:
    waits = SwapStep(node="m", left="a", right="b")
    told = path_to_pb(EntanglementPath(name="p", demand=path().demand, plan=plan(swaps=(waits,))), charges={})
    assert not told.plan.swaps[0].HasField("cutoff_ns")


def test_what_the_plan_does_not_use_is_being_released() -> None:
    held = pair_reservations_to_pb({"a-m": 2, "x-y": 1, "nodes/m/memories": 4}, in_use={"a-m", "nodes/m/memories"})
    assert [(one.resource, one.amount, one.releasing) for one in held] == [
        ("links/a-m", 2, False),
        ("links/x-y", 1, True),
        ("nodes/m/memories", 4, False),
    ]


def test_a_path_that_makes_key_announces_its_rate_and_its_first_key() -> None:
    told = path_to_pb(path(), charges={})
    assert (told.key_link, told.authentication, told.distillation_block_bit) == ("links/k", "keyRelays/r", 8192)
    assert told.time_to_first_key_s == pytest.approx(8192 / (12.345 * 0.5))
    assert 0 < told.promised_skr_bit_per_s < 12.345


def test_a_path_whose_pairs_are_too_bad_for_key_announces_no_first_key() -> None:
    told = path_to_pb(EntanglementPath(name="p", demand=path().demand, plan=plan(fidelity=0.8)), charges={})
    assert not told.HasField("time_to_first_key_s")
    assert told.HasField("promised_skr_bit_per_s")
    assert told.promised_skr_bit_per_s == 0


def test_a_path_that_makes_no_key_says_nothing_of_it() -> None:
    kept = EntanglementPath(
        name="p",
        demand=PairDemand(source="a", target="b", minimum_fidelity=0.8, rate_millihertz=1),
        plan=plan(),
    )
    told = path_to_pb(kept, charges={})
    assert not told.HasField("promised_skr_bit_per_s")
    assert (told.authentication, told.distillation_block_bit) == ("", 0)


def test_a_relay_that_trusts_no_node_between_comes_back_as_it_was_set() -> None:
    relay = KeyRelay(name="r", demand=Demand(source="a", target="b", rate_millibit_per_s=1000, no_trusted_transit=True))
    told = relay_to_pb(relay)
    assert relay_from_pb("r", told) == relay
    assert change_from_pb(told, ["no_trusted_transit"], Mistakes()).demand == {"no_trusted_transit": True}
