"""What clients write and the domain reads, both ways."""

import math
from fractions import Fraction

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.application import Application, Qos, Sae
from controller.domain.key_relay import Demand, KeyRelay, Protection
from controller.domain.link import Basis, Link, LinkEnd, LinkStatus, Provenance
from controller.domain.node import Capability, Interface, Node, Role, Technology
from controller.domain.refusals import InvalidValue
from controller.wire.northbound_application import application_from_pb, application_to_pb, sae_from_pb, sae_to_pb
from controller.wire.northbound_key_relay import relay_to_pb, virtual_status
from controller.wire.northbound_link import link_from_pb, link_to_pb
from controller.wire.northbound_node import node_from_pb, node_to_pb
from controller.wire.northbound_relay_wishes import relay_from_pb
from controller.wire.northbound_values import body_sha256, key_rate_millibit, millibit
from qinet.northbound.v1 import application_pb2, key_relay_pb2, key_relay_service_pb2, link_pb2, node_pb2

names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
name_sets = st.frozensets(names, max_size=3)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    ends = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    used = draw(st.lists(st.lists(names.filter(lambda name: name not in ends), max_size=3), min_size=2, max_size=2))
    links = draw(st.lists(st.lists(names, max_size=3), min_size=2, max_size=2))
    return Demand(
        source=ends[0],
        target=ends[1],
        rate_millibit_per_s=draw(st.integers(1, (2**32 - 1) * 1000)),
        priority=draw(st.integers(0, 2**32 - 1)),
        max_hops=draw(st.none() | st.integers(1, 2**32 - 1)),
        avoid_nodes=frozenset(used[0]),
        pass_nodes=frozenset(used[1]) - frozenset(used[0]),
        avoid_links=frozenset(links[0]),
        pass_links=frozenset(links[1]) - frozenset(links[0]),
        trust_domains=draw(name_sets),
        shares=draw(st.integers(1, 16)),
        protection=draw(st.sampled_from(Protection)),
        hold_off_ms=draw(st.integers(0, 2**32 - 1)),
        lifetime_s=draw(st.none() | st.integers(1, 10**9)),
        forward_share=draw(st.floats(0, 1)),
    )


@given(demands(), st.booleans(), st.booleans(), names | st.just(""))
def test_a_relay_comes_back_as_it_was_set(demand: Demand, enabled: bool, blocked: bool, application: str) -> None:
    relay = KeyRelay(
        name="r",
        demand=demand,
        admin_enabled=enabled,
        accept_blocked=blocked,
        applications=(application,) * bool(application),
    )
    assert relay_from_pb("r", relay_to_pb(relay)) == relay


@given(st.integers(0, (2**32 - 1) * 1000), st.integers(0, (2**32 - 1) * 1000), st.floats(0, 0.5))
def test_a_link_comes_back_as_it_was_set(model: int, authentication: int, qber: float) -> None:
    link = Link(
        name="a-b",
        ends=(LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=2**32 - 1)),
        length_km=12.5,
        model_skr_millibit_per_s=model,
        authentication_rate_millibit_per_s=authentication,
        authentication_floor_bit=2**64 - 1,
        expected_qber=qber,
        provenance={"length_km": Provenance(basis=Basis.MEASURED, source="Sasaki et al. 2011")},
        maintenance=True,
    )
    assert link_from_pb("a-b", link_to_pb(link)) == link


def test_a_node_an_application_and_an_sae_come_back_as_they_were_set() -> None:
    node = Node(
        name="a",
        location="site 1",
        trust_domain="x",
        capabilities=frozenset({Capability.KEY_RELAY}),
        interfaces=(Interface(number=3, technology=Technology.CV_QKD, role=Role.RECEIVER, max_absorption_db=10.0),),
        longitude_deg=139.5,
        latitude_deg=-35.0,
        admin_enabled=False,
    )
    assert node_from_pb("a", node_to_pb(node)) == node
    application = Application(
        name="x", server_sae="alice", client_saes=("bob.1",), qos=Qos(ttl_s=5, priority=3), key_size_bit=512
    )
    assert application_from_pb("x", application_to_pb(application)) == application
    assert sae_from_pb("alice", sae_to_pb(Sae(id="alice", node="a"))) == Sae(id="alice", node="a")


@given(st.floats(0.0001, 2**32 - 1))
def test_what_is_asked_is_rounded_up_and_what_is_promised_down(rate: float) -> None:
    up, down = millibit(rate, up=True), millibit(rate, up=False)
    assert down <= up <= down + 1
    assert math.isclose(up / 1000, rate, abs_tol=0.001)


@given(st.integers(1, 2**32 - 1), st.integers(1, 1000), st.integers(1, 10**15))
def test_a_key_rate_is_never_rounded_below_what_it_asks(size: int, keys: int, interval_ns: int) -> None:
    exact = Fraction(size * keys * 10**12, interval_ns)
    assert exact <= key_rate_millibit(size, keys, interval_ns) < exact + 1


def test_a_key_of_256_bit_every_five_minutes_is_854_millibit_per_s() -> None:
    asked = key_relay_pb2.KeyRelay(
        source="nodes/a",
        target="nodes/b",
        key_rate=key_relay_pb2.KeyRate(key_size_bit=256, keys=1, interval=Duration(seconds=300)),
    )
    assert relay_from_pb("r", asked).demand.rate_millibit_per_s == 854


@pytest.mark.parametrize("rate", [math.nan, 0.0, -0.0, 1e-9, 0.0009, -1.0, math.inf, -math.inf, 2.0**32])
def test_a_rate_that_is_none_is_refused_by_field(rate: float) -> None:
    asked = key_relay_pb2.KeyRelay(source="nodes/a", target="nodes/b", rate_bit_per_s=rate)
    with pytest.raises(InvalidValue) as refusal:
        relay_from_pb("r", asked)
    assert [field for field, _ in refusal.value.fields] == ["key_relay.rate_bit_per_s"]


@pytest.mark.parametrize(
    "rate",
    [
        key_relay_pb2.KeyRate(),
        key_relay_pb2.KeyRate(key_size_bit=256, keys=1),
        key_relay_pb2.KeyRate(key_size_bit=256, keys=1, interval=Duration(seconds=-1)),
        key_relay_pb2.KeyRate(key_size_bit=2**32 - 1, keys=2, interval=Duration(seconds=1)),
        key_relay_pb2.KeyRate(key_size_bit=1, keys=1, interval=Duration(seconds=1, nanos=-1)),
        key_relay_pb2.KeyRate(key_size_bit=1, keys=1, interval=Duration(seconds=1001)),
    ],
)
def test_a_key_rate_that_is_none_is_refused_by_field(rate: key_relay_pb2.KeyRate) -> None:
    asked = key_relay_pb2.KeyRelay(source="nodes/a", target="nodes/b", key_rate=rate)
    with pytest.raises(InvalidValue) as refusal:
        relay_from_pb("r", asked)
    assert all(field.startswith("key_relay.key_rate") for field, _ in refusal.value.fields)


def test_all_mistakes_of_a_relay_are_told_at_once() -> None:
    asked = key_relay_pb2.KeyRelay(
        source="nodes/a",
        target="nodes/a",
        rate_bit_per_s=-1,
        max_hops=0,
        shares=0,
        avoid_nodes=["b"],
        forward_share=math.nan,
        lifetime=Duration(seconds=0),
        application="x",
    )
    with pytest.raises(InvalidValue) as refusal:
        relay_from_pb("r", asked)
    assert sorted(field for field, _ in refusal.value.fields) == [
        "key_relay.application",
        "key_relay.avoid_nodes[0]",
        "key_relay.forward_share",
        "key_relay.lifetime",
        "key_relay.max_hops",
        "key_relay.rate_bit_per_s",
        "key_relay.shares",
        "key_relay.target",
    ]


def test_a_relay_without_ends_and_rate_names_all_three() -> None:
    with pytest.raises(InvalidValue) as refusal:
        relay_from_pb("r", key_relay_pb2.KeyRelay())
    fields = [field for field, _ in refusal.value.fields]
    assert fields == ["key_relay.source", "key_relay.target", "key_relay.rate_bit_per_s"]


@pytest.mark.parametrize(
    ("link", "field"),
    [
        (link_pb2.Link(), "link.ends"),
        (link_pb2.Link(ends=[link_pb2.LinkEnd(node="nodes/a")] * 2), "link.ends"),
        (link_pb2.Link(ends=[link_pb2.LinkEnd(node="a"), link_pb2.LinkEnd(node="nodes/b")]), "link.ends[0].node"),
        (link_pb2.Link(model_skr_bit_per_s=math.nan), "link.model_skr_bit_per_s"),
        (link_pb2.Link(length_km=math.inf), "link.length_km"),
        (link_pb2.Link(key_ttl=Duration(seconds=0)), "link.key_ttl"),
        (
            link_pb2.Link(provenance=[link_pb2.Provenance(field="colour", basis=link_pb2.BASIS_ASSUMED)]),
            "link.provenance[0].field",
        ),
        (link_pb2.Link(provenance=[link_pb2.Provenance(field="loss_db")]), "link.provenance[0].basis"),
    ],
)
def test_a_mistake_in_a_link_is_named(link: link_pb2.Link, field: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        link_from_pb("l", link)
    assert field in [found for found, _ in refusal.value.fields]


def test_a_mistake_in_a_node_or_application_is_named() -> None:
    node = node_pb2.Node(longitude_deg=math.nan, location="x" * 300, capabilities=[99], trust_domain="a\x1b[0m")  # type: ignore[list-item]
    with pytest.raises(InvalidValue) as refusal:
        node_from_pb("n", node)
    assert sorted(field for field, _ in refusal.value.fields) == [
        "node.capabilities[0]",
        "node.location",
        "node.longitude_deg",
        "node.trust_domain",
    ]
    application = application_pb2.Application(server_sae="saes/a", client_saes=["saes/a"], key_size_bit=9)
    with pytest.raises(InvalidValue, match="client_saes"):
        application_from_pb("x", application)


def test_only_the_request_id_does_not_count_in_the_hash_of_a_body() -> None:
    first = key_relay_service_pb2.CreateKeyRelayRequest(request_id="1", key_relay_id="r")
    again = key_relay_service_pb2.CreateKeyRelayRequest(request_id="2", key_relay_id="r")
    other = key_relay_service_pb2.CreateKeyRelayRequest(request_id="1", key_relay_id="s")
    assert body_sha256(first) == body_sha256(again) != body_sha256(other)
    assert first.request_id == "1"


def test_the_status_of_a_relay_as_a_015_link_is_the_first_that_fits() -> None:
    fresh = KeyRelay(name="r", demand=Demand(source="a", target="b", rate_millibit_per_s=1))
    used = KeyRelay(name="r", demand=fresh.demand, ever_active=True)
    assert virtual_status(used, flowing=True, stored=False) is LinkStatus.ACTIVE
    assert virtual_status(used, flowing=False, stored=True) is LinkStatus.PASSIVE
    assert virtual_status(fresh, flowing=False, stored=False) is LinkStatus.PENDING
    assert virtual_status(used, flowing=False, stored=False) is LinkStatus.OFF


def test_eskr_is_what_is_left_rounded_down() -> None:
    link = Link(
        name="l",
        ends=(LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=1)),
        model_skr_millibit_per_s=10_999,
        authentication_rate_millibit_per_s=1_000,
    )
    told = link_to_pb(link, reserved_millibit_per_s=2_500)
    assert (told.capacity_bit_per_s, told.reserved_bit_per_s, told.eskr_bit_per_s) == (9.999, 2.5, 7)
    assert link_to_pb(link, reserved_millibit_per_s=99_000).eskr_bit_per_s == 0
