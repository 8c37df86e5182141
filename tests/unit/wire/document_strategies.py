"""Any document that the domain allows, for property tests."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from controller.domain.alarm import Alarm, Severity
from controller.domain.application import Application, Qos, Sae
from controller.domain.entanglement_path import EntanglementPath, Packets, PairDemand, PairUse
from controller.domain.history import RelayChange, RelayHistory
from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection, RelayState, Releasing, RouteSet
from controller.domain.link import (
    MAX_RATE_MILLIBIT_PER_S,
    Basis,
    Establishment,
    Link,
    LinkCondition,
    LinkEnd,
    LinkKind,
    Provenance,
)
from controller.domain.node import UINT32_MAX, Capability, Interface, Node, Role, Technology
from controller.domain.pair_link import (
    MAX_MEMORIES,
    MAX_PAIR_RATE_MILLIHERTZ,
    EndNodeKind,
    PairHardware,
    PairModel,
    PairOption,
    Regime,
)
from controller.domain.path_plan import Certificate, HopPlan, PathPlan, SwapStep
from controller.domain.placement import (
    Placement,
    PlacementFigures,
    PlacementState,
    PlannedMove,
    PlannedMoveState,
)
from controller.domain.route import Route
from controller.domain.snapshot import AgentRecord, Freeze, RequestRecord, document_key

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
sae_ids = st.from_regex(r"[A-Za-z0-9._~-]{1,12}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
uint32 = st.integers(0, UINT32_MAX)
times_ms = st.integers(0, 2**62)
names = st.frozensets(labels, max_size=3)
rates = st.integers(0, MAX_RATE_MILLIBIT_PER_S)


def figures(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


fidelities = st.floats(0.25, 1, exclude_min=True)
pair_hardware = st.builds(
    PairHardware,
    memories=st.integers(0, MAX_MEMORIES),
    coherence_s=st.none() | figures(1e-9, 1e12),
    swap_success=figures(0, 1),
    gate_quality=figures(0, 1),
    one_qubit_gate_quality=figures(0, 1),
    readout_quality=figures(0.5, 1),
    swap_duration_s=figures(0, 1e6),
    can_purify=st.booleans(),
    end_node=st.none() | st.sampled_from(EndNodeKind),
)
pair_options = st.builds(
    PairOption, success_probability=st.floats(0, 1, exclude_min=True), fidelity=fidelities, label=texts
)
pair_models = st.builds(
    PairModel,
    regime=st.sampled_from(Regime),
    attempt_period_s=figures(1e-9, 1e6),
    memory_pairs=st.integers(1, MAX_MEMORIES),
    options=st.lists(pair_options, min_size=1, max_size=3).map(tuple),
)
interfaces = st.builds(
    Interface,
    number=uint32,
    technology=st.sampled_from(Technology),
    role=st.sampled_from(Role),
    model=texts,
    max_absorption_db=st.none() | figures(0, 999),
    wavelength_range=texts,
    device=texts,
    port=uint32,
)
nodes = st.builds(
    Node,
    name=labels,
    location=texts,
    trust_domain=texts,
    capabilities=st.frozensets(st.sampled_from(Capability)),
    interfaces=st.lists(interfaces, max_size=3, unique_by=lambda interface: interface.number).map(tuple),
    longitude_deg=st.none() | figures(-180, 180),
    latitude_deg=st.none() | figures(-90, 90),
    admin_enabled=st.booleans(),
    maintenance=st.booleans(),
    pairs=st.none() | pair_hardware,
)


@st.composite
def links(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Link:
    first, second = sorted(draw(st.lists(labels, min_size=2, max_size=2, unique=True)))
    provenance = st.builds(Provenance, basis=st.sampled_from(Basis), source=texts)
    kind = draw(st.sampled_from(LinkKind))
    makes_key = kind is LinkKind.QKD
    return Link(
        name=draw(labels),
        kind=kind,
        establishment=draw(st.sampled_from(Establishment)),
        ends=(LinkEnd(node=first, interface=draw(uint32)), LinkEnd(node=second, interface=draw(uint32))),
        ducts=draw(st.frozensets(labels, max_size=3)),
        length_km=draw(st.none() | figures(0, 1e4)),
        loss_db=draw(st.none() | figures(0, 1e3)),
        model_skr_millibit_per_s=draw(rates),
        authentication_rate_millibit_per_s=draw(rates),
        authentication_floor_bit=draw(st.integers(0, 2**63)),
        expected_qber=draw(st.none() | figures(0, 0.5)),
        qber_limit=draw(st.floats(0, 0.5, exclude_min=True)),
        key_ttl_s=draw(st.integers(1, 2**40)),
        provenance=MappingProxyType(draw(st.dictionaries(texts, provenance, max_size=3))),
        admin_enabled=draw(st.booleans()),
        maintenance=draw(st.booleans()),
        pairs=None if makes_key else draw(pair_models),
        path=draw(st.just("") | labels) if makes_key else "",
    )


conditions = st.builds(
    LinkCondition,
    down_at=names,
    down_reason=texts,
    exhausted=st.booleans(),
    promised_skr_millibit_per_s=st.none() | rates,
    unreachable_from=names,
    flap_penalty=uint32,
    flap_at_ms=times_ms,
    damped=st.booleans(),
    pair_rate_permille=st.none() | uint32,
    pair_fidelity_loss_permille=st.none() | uint32,
)
saes = st.builds(Sae, id=sae_ids, node=labels)


@st.composite
def applications(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Application:
    low, high = sorted((draw(uint32), draw(uint32)))
    server, *clients = draw(st.lists(sae_ids, min_size=2, max_size=4, unique=True))
    qos = Qos(
        max_bandwidth_bit_per_s=draw(st.sampled_from([0, high])),
        min_bandwidth_bit_per_s=low,
        jitter_ms=draw(uint32),
        ttl_s=draw(st.integers(1, UINT32_MAX)),
        priority=draw(uint32),
    )
    size_bit = 8 * draw(st.integers(8, 1024))
    return Application(name=draw(labels), server_sae=server, client_saes=tuple(clients), qos=qos, key_size_bit=size_bit)


@st.composite
def routes(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Route:
    passed = draw(st.lists(labels, min_size=2, max_size=5, unique=True))
    used = draw(st.lists(labels, min_size=len(passed) - 1, max_size=len(passed) - 1))
    return Route(nodes=tuple(passed), links=tuple(used))


@st.composite
def demands(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Demand:
    source, target = draw(st.lists(labels, min_size=2, max_size=2, unique=True))
    avoided = draw(names) - {source, target}
    avoided_links = draw(names)
    return Demand(
        source=source,
        target=target,
        rate_millibit_per_s=draw(st.integers(1, MAX_RATE_MILLIBIT_PER_S)),
        priority=draw(uint32),
        max_hops=draw(st.none() | st.integers(1, 100)),
        avoid_nodes=avoided,
        avoid_links=avoided_links,
        pass_nodes=draw(names) - avoided,
        pass_links=draw(names) - avoided_links,
        trust_domains=draw(st.frozensets(texts, max_size=3)),
        shares=draw(st.integers(1, 16)),
        protection=draw(st.sampled_from(Protection)),
        hold_off_ms=draw(uint32),
        lifetime_s=draw(st.none() | st.integers(1, 2**40)),
        forward_share=draw(figures(0, 1)),
        manual=draw(st.booleans()),
        revertive=draw(st.booleans()),
        wait_to_restore_ms=draw(uint32),
        may_preempt=draw(st.booleans()),
        no_trusted_transit=draw(st.booleans()),
    )


releasing = st.builds(
    Releasing,
    link=labels,
    share=st.integers(0, 31),
    charge_millibit_per_s=st.integers(0, 2**50),
    nodes=st.tuples(labels, labels),
)
route_sets = st.builds(
    RouteSet,
    version=st.integers(0, 2**40),
    routes=st.lists(routes(), max_size=1).map(tuple),
    in_use=st.booleans(),
    charge_millibit_per_s=st.integers(0, 2**50),
    forward_share=figures(0, 1),
)
relays = st.builds(
    KeyRelay,
    name=labels,
    demand=demands(),
    applications=names.map(lambda chosen: tuple(sorted(chosen))),
    admin_enabled=st.booleans(),
    accept_blocked=st.booleans(),
    state=st.sampled_from(RelayState),
    state_reason=texts,
    phase=st.sampled_from(Phase),
    routes=st.lists(routes(), max_size=2).map(tuple),
    route_version=st.integers(0, 2**40),
    releasing=st.lists(releasing, max_size=2).map(tuple),
    confirmed_by=names,
    riding=st.booleans(),
    ever_active=st.booleans(),
    created_by=texts,
    created_ms=times_ms,
    expires_at_ms=st.none() | times_ms,
    move_at_ms=st.none() | times_ms,
    install_by_ms=st.none() | times_ms,
    starved_at=names,
    retiring=st.lists(route_sets, max_size=1).map(tuple),
    backup=st.none() | route_sets,
    backup_installed=st.booleans(),
    drained_at=names,
    revert_at_ms=st.none() | times_ms,
)


pair_rates = st.integers(1, MAX_PAIR_RATE_MILLIHERTZ)
packets = st.builds(
    Packets, pairs=st.integers(1, 1024), window_ms=st.integers(1, UINT32_MAX), rate_millihertz=pair_rates
)


@st.composite
def pair_demands(draw: Callable[[st.SearchStrategy[Any]], Any]) -> PairDemand:
    source, target = draw(st.lists(labels, min_size=2, max_size=2, unique=True))
    in_packets = draw(st.none() | packets)
    use = draw(st.sampled_from(PairUse))
    makes_key = use is PairUse.MEASURE and in_packets is None and draw(st.booleans())
    return PairDemand(
        source=source,
        target=target,
        minimum_fidelity=draw(fidelities),
        rate_millihertz=draw(pair_rates) if in_packets is None else None,
        packets=in_packets,
        use=use,
        purpose=draw(st.integers(0, 0xFFFF)),
        priority=draw(uint32),
        deadline_s=draw(st.none() | st.integers(1, 2**40)),
        lifetime_s=draw(st.none() | st.integers(1, 2**40)),
        max_hops=draw(st.none() | st.integers(1, 100)),
        avoid_nodes=draw(names) - {source, target},
        avoid_links=draw(names),
        test_share=draw(figures(0, 0.5)),
        protection=draw(st.sampled_from([Protection.UNPROTECTED, Protection.RESTORE])),
        hold_off_ms=draw(uint32),
        manual=draw(st.booleans()),
        key_link=draw(labels) if makes_key else "",
        authentication=draw(st.sampled_from(["", "pre-shared", "r1"])) if makes_key else "",
        distillation_block_bit=draw(st.integers(1024, 2**24)) if makes_key else 8192,
    )


resources = labels | labels.map("nodes/{}/memories".format) | labels.map("nodes/{}/swap-time".format)
plans = st.builds(
    PathPlan,
    regime=st.sampled_from(Regime),
    hops=st.lists(
        st.builds(
            HopPlan,
            link=labels,
            option=st.integers(0, 15),
            purification_rounds=st.integers(0, 8),
            memory_pairs=uint32,
            rate_millihertz=st.integers(0, MAX_PAIR_RATE_MILLIHERTZ),
        ),
        max_size=2,
    ).map(tuple),
    swaps=st.lists(
        st.builds(SwapStep, node=labels, left=labels, right=labels, cutoff_ns=st.none() | st.integers(0, 2**62)),
        max_size=2,
    ).map(tuple),
    lanes=st.integers(1, UINT32_MAX),
    buffer_pairs=uint32,
    test_share=figures(0, 0.5),
    rate_millihertz=st.integers(0, MAX_PAIR_RATE_MILLIHERTZ),
    fidelity=figures(0, 1),
    charges=st.dictionaries(resources, st.integers(0, 2**50), max_size=3).map(MappingProxyType),
    certificate=st.builds(Certificate, objective=texts, value=figures(0, 1e15), upper_bound=figures(0, 1e15)),
)
path_sets = st.builds(
    RouteSet,
    version=st.integers(0, 2**40),
    routes=st.lists(routes(), max_size=1).map(tuple),
    in_use=st.booleans(),
    plan=st.none() | plans,
)
paths = st.builds(
    EntanglementPath,
    name=labels,
    demand=pair_demands(),
    admin_enabled=st.booleans(),
    accept_blocked=st.booleans(),
    state=st.sampled_from(RelayState),
    state_reason=texts,
    phase=st.sampled_from(Phase),
    routes=st.lists(routes(), max_size=1).map(tuple),
    route_version=st.integers(0, 2**40),
    plan=st.none() | plans,
    releasing=st.lists(
        st.builds(
            Releasing,
            link=resources,
            share=st.just(0),
            charge_millibit_per_s=st.integers(0, 2**50),
            nodes=st.tuples(labels, labels),
        ),
        max_size=2,
    ).map(tuple),
    confirmed_by=names,
    starved_at=names,
    ever_active=st.booleans(),
    created_by=texts,
    created_ms=times_ms,
    expires_at_ms=st.none() | times_ms,
    move_at_ms=st.none() | times_ms,
    install_by_ms=st.none() | times_ms,
    retiring=st.lists(path_sets, max_size=1).map(tuple),
    drained_at=names,
)
changes = st.builds(
    RelayChange,
    revision=st.integers(0, 2**40),
    at_ms=times_ms,
    state=st.sampled_from(RelayState),
    phase=st.sampled_from(Phase),
    reason=texts,
    by=texts,
    routes=st.lists(routes(), max_size=2).map(tuple),
    route_version=st.integers(0, 2**40),
)
histories = st.builds(
    RelayHistory,
    relay=labels | labels.map("entanglementPaths/{}".format),
    changes=st.lists(changes, max_size=3).map(tuple),
    gone_ms=st.none() | times_ms,
)
freezes = st.builds(Freeze, reason=texts, by=texts, since_ms=times_ms)
move_routes = st.lists(routes(), max_size=2).map(tuple)
moves = st.builds(
    PlannedMove,
    service=labels,
    from_version=uint32,
    from_routes=move_routes,
    to_routes=move_routes,
    state=st.sampled_from(PlannedMoveState),
    reason=texts,
    version=uint32,
)
figures_of_placements = st.builds(
    PlacementFigures, carried_millibit_per_s=rates, key_use_millibit_per_s=rates, fullest_ppm=uint32, blocked=uint32
)
placements = st.builds(
    Placement,
    name=labels,
    state=st.sampled_from(PlacementState),
    state_reason=texts,
    moves=st.lists(moves, max_size=2, unique_by=lambda move: move.service).map(tuple),
    before=figures_of_placements,
    after=figures_of_placements,
    key_use_bound_millibit_per_s=rates,
    at_once=st.integers(0, 64),
    created_ms=times_ms,
    created_by=texts,
    searched_revision=uint32,
)
agents = st.builds(AgentRecord, node=labels, store_id=texts, peer_address=texts, delivery_address=texts, version=texts)
requests = st.builds(RequestRecord, caller=texts, request_id=texts, body_sha256=texts, resource=texts, used_ms=times_ms)
alarms = st.builds(
    Alarm,
    node=labels | st.just(""),
    object=texts,
    kind=texts,
    severity=st.sampled_from(Severity),
    message=texts,
    raised_ms=st.integers(0, 2**64 - 1),
)


def _keyed(collection: str, documents: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any, Any]]:
    return documents.map(lambda document: (collection, document_key(document), document))


BY_COLLECTION: dict[str, st.SearchStrategy[tuple[str, Any, Any]]] = {
    "nodes": _keyed("nodes", nodes),
    "links": _keyed("links", links()),
    "conditions": st.tuples(st.just("conditions"), labels, conditions),
    "applications": _keyed("applications", applications()),
    "saes": _keyed("saes", saes),
    "relays": _keyed("relays", relays),
    "paths": _keyed("paths", paths),
    "agents": _keyed("agents", agents),
    "requests": _keyed("requests", requests),
    "alarms": _keyed("alarms", alarms),
    "histories": _keyed("histories", histories),
    "freezes": _keyed("freezes", freezes),
    "placements": _keyed("placements", placements),
}
writes = st.one_of(*BY_COLLECTION.values())
deletes = writes.map(lambda write: (write[0], write[1], None))
