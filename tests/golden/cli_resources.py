"""One resource of each kind as the API tells it, with every field that a table shows."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from controller.cli import top_view
from qinet.northbound.v1 import (
    application_pb2,
    key_relay_pb2,
    key_relay_service_pb2,
    link_pb2,
    node_pb2,
    operations_service_pb2,
    topology_service_pb2,
)
from qinet.types.v1 import types_pb2

_MOMENT = Timestamp(seconds=1_700_000_000)
_HOPS = (("alice", "alice-middle", "middle"), ("middle", "bob-middle", "bob"))
_ROUTE = key_relay_pb2.Route(
    hops=[
        key_relay_pb2.RouteHop(start_node=f"nodes/{start}", link=f"links/{link}", end_node=f"nodes/{end}")
        for start, link, end in _HOPS
    ]
)

NODES = [
    node_pb2.Node(
        name="nodes/alice",
        location="alice-site",
        trust_domain="north",
        interfaces=[types_pb2.Interface(number=1), types_pb2.Interface(number=2)],
        connected=True,
    ),
    node_pb2.Node(name="nodes/middle", interfaces=[types_pb2.Interface(number=1)], maintenance=True),
    node_pb2.Node(name="nodes/bob", admin_enabled=False, connected=True),
]
LINKS = [
    link_pb2.Link(
        name="links/alice-middle",
        ends=[link_pb2.LinkEnd(node="nodes/alice", interface=1), link_pb2.LinkEnd(node="nodes/middle", interface=1)],
        status=types_pb2.LINK_STATUS_ACTIVE,
        length_km=20,
        loss_db=5,
        model_skr_bit_per_s=10_000,
        promised_skr_bit_per_s=9_876.5,
        capacity_bit_per_s=9_866.5,
        reserved_bit_per_s=1_062.5,
        expected_qber=0.02,
        measurement=link_pb2.LinkMeasurement(
            stored_key_bit=8_347_104,
            performance_kind=types_pb2.PERFORMANCE_KIND_QBER,
            performance=0.0181,
        ),
    ),
    link_pb2.Link(
        name="links/bob-middle",
        ends=[link_pb2.LinkEnd(node="nodes/bob", interface=1), link_pb2.LinkEnd(node="nodes/middle", interface=2)],
        status=types_pb2.LINK_STATUS_PASSIVE,
        model_skr_bit_per_s=0.854,
        promised_skr_bit_per_s=0.854,
        capacity_bit_per_s=0.854,
        down_at=["nodes/bob"],
        down_reason="no light",
        stale=True,
        exhausted=True,
        measurement=link_pb2.LinkMeasurement(time_to_empty=Duration(seconds=7_560)),
    ),
    link_pb2.Link(
        name="links/spare",
        ends=[link_pb2.LinkEnd(node="nodes/alice", interface=2), link_pb2.LinkEnd(node="nodes/bob", interface=2)],
        establishment=link_pb2.ESTABLISHMENT_POSSIBLE,
        status=types_pb2.LINK_STATUS_PENDING,
        admin_enabled=False,
    ),
]
RELAY = key_relay_pb2.KeyRelay(
    name="keyRelays/first",
    application="applications/mail",
    source="nodes/alice",
    target="nodes/bob",
    rate_bit_per_s=1000,
    priority=3,
    max_hops=4,
    avoid_nodes=["nodes/eve"],
    pass_links=["links/bob-middle"],
    trust_domains=["north"],
    protection=key_relay_pb2.KeyRelay.PROTECTION_RESTORE,
    hold_off=Duration(seconds=5),
    forward_share=0.25,
    state=key_relay_pb2.KeyRelay.STATE_DEGRADED,
    state_reason="no session with nodes/middle",
    phase=key_relay_pb2.KeyRelay.PHASE_SETTLED,
    routes=[_ROUTE],
    route_version=9,
    reservations=[
        key_relay_pb2.Reservation(link="links/alice-middle", charge_bit_per_s=1062.5),
        key_relay_pb2.Reservation(link="links/old", charge_bit_per_s=1062.5, releasing=True),
    ],
    unconfirmed_nodes=["nodes/middle"],
    link_status=types_pb2.LINK_STATUS_ACTIVE,
    ends=[
        key_relay_pb2.RelayEndMeasurement(
            node="nodes/alice", confirmed=True, stock_bit=131_072, confirmed_bit_total=139_264, delivered_bit_total=256
        ),
        key_relay_pb2.RelayEndMeasurement(node="nodes/bob", starved=True, voided_chunk_total=2),
    ],
    riding_on_store=True,
    etag="0123456789abcdef",
    create_time=_MOMENT,
    created_by="user/operator",
    expire_time=_MOMENT,
)
_DETOUR = key_relay_pb2.Route(
    hops=[key_relay_pb2.RouteHop(start_node="nodes/alice", link="links/spare", end_node="nodes/bob")]
)
PROTECTED = key_relay_pb2.KeyRelay(
    name="keyRelays/third",
    applications=["applications/mail", "applications/news"],
    source="nodes/alice",
    target="nodes/bob",
    rate_bit_per_s=1000,
    shares=1,
    protection=key_relay_pb2.KeyRelay.PROTECTION_ONE_FOR_ONE,
    restoration_mode=key_relay_pb2.KeyRelay.RESTORATION_MODE_MANUAL,
    revertive=True,
    wait_to_restore=Duration(seconds=300),
    may_preempt=True,
    state=key_relay_pb2.KeyRelay.STATE_ACTIVE,
    phase=key_relay_pb2.KeyRelay.PHASE_DRAINING,
    routes=[_ROUTE],
    route_version=12,
    backup_routes=[_DETOUR],
    backup_route_version=13,
    backup_ready=True,
    retiring_routes=[_DETOUR],
    etag="fedcba9876543210",
)
MOVES = [
    key_relay_service_pb2.PredictedMove(
        key_relay="keyRelays/first",
        outcome=key_relay_service_pb2.PredictedMove.OUTCOME_MOVES,
        routes=[_DETOUR],
        reason="drain of nodes/middle",
    ),
    key_relay_service_pb2.PredictedMove(
        key_relay="keyRelays/second",
        outcome=key_relay_service_pb2.PredictedMove.OUTCOME_BLOCKED,
        reason="no route from nodes/alice to nodes/bob",
    ),
]
HISTORY = [
    key_relay_service_pb2.KeyRelayHistoryEntry(
        revision=15,
        time=_MOMENT,
        state=key_relay_pb2.KeyRelay.STATE_ACTIVE,
        phase=key_relay_pb2.KeyRelay.PHASE_INSTALLING,
        state_reason="drain of nodes/middle",
        routes=[_DETOUR],
        by="user/alice",
        route_version=13,
    ),
    key_relay_service_pb2.KeyRelayHistoryEntry(
        revision=12,
        time=_MOMENT,
        state=key_relay_pb2.KeyRelay.STATE_PENDING,
        state_reason="created",
        routes=[_ROUTE],
        by="controller",
        route_version=12,
    ),
]
STATUS = operations_service_pb2.GetClusterStatusResponse(
    controller="c1",
    leader=True,
    election_id=types_pb2.ElectionId(epoch=1, term=4),
    revision=81,
    service_time=Duration(seconds=7_200),
    config_hash="0123456789abcdef",
    version="0.1.0",
    start_time=_MOMENT,
    network="5b554f75-791c-5e42-a099-fce1329a3f73",
    agents_connected=2,
    nodes=3,
    frozen=operations_service_pb2.Frozen(reason="splicing", by="user/alice", since=_MOMENT),
)
BLOCKED = key_relay_pb2.KeyRelay(
    name="keyRelays/second",
    source="nodes/alice",
    target="nodes/bob",
    rate_bit_per_s=0.854,
    state=key_relay_pb2.KeyRelay.STATE_BLOCKED,
    state_reason="no route from nodes/alice to nodes/bob",
)
TOP = [
    top_view.Row(
        link=top_view.LinkView(
            name="alice-middle",
            status="ACTIVE",
            skr_bit_per_s=9_876.5,
            consumed_bit_total=5_000,
            stored_bit=8_347_104,
            empty_in_s=None,
            reserved_bit_per_s=1_062.5,
            capacity_bit_per_s=9_866.5,
            alarms=0,
        ),
        used_bit_per_s=1_020.0,
    ),
    top_view.Row(
        link=top_view.LinkView(
            name="a-link-with-a-name-that-is-far-too-long-for-any-screen",
            status="PASSIVE",
            skr_bit_per_s=0.0,
            consumed_bit_total=None,
            stored_bit=264_816,
            empty_in_s=754.0,
            reserved_bit_per_s=0.854,
            capacity_bit_per_s=0.854,
            alarms=2,
        ),
        used_bit_per_s=None,
    ),
]
APPLICATIONS = [
    application_pb2.Application(
        name="applications/mail",
        server_sae="saes/app-a",
        client_saes=["saes/app-c"],
        key_size_bit=256,
        key_relay="keyRelays/first",
    ),
    application_pb2.Application(
        name="applications/news",
        server_sae="saes/app-a",
        client_saes=["saes/app-c", "saes/app-d"],
        key_relays=["keyRelays/first", "keyRelays/third"],
    ),
]
SAES = [application_pb2.Sae(name="saes/app-a", node="nodes/alice", applications=["applications/mail"])]
AGENTS = [
    operations_service_pb2.Agent(
        node="nodes/alice",
        connected=True,
        agent_version="0.1.0",
        peer_address="127.0.0.1:7500",
        delivery_address="127.0.0.1:7501",
        up_to_date=True,
        entries_in_force=3,
    ),
    operations_service_pb2.Agent(
        node="nodes/bob",
        unconfirmed_relays=["keyRelays/first"],
        refused_entries=[
            operations_service_pb2.RefusedEntry(
                entry="keyRelays/first/shares/0", code="UNIMPLEMENTED", message="not served"
            )
        ],
        ended_because="three heartbeats missed",
    ),
]
ALARMS = [
    operations_service_pb2.Alarm(
        name="alarms/1",
        object="links/bob-middle",
        kind="LINK_DOWN",
        severity=types_pb2.SEVERITY_MAJOR,
        message="no light",
        raise_time=_MOMENT,
    ),
    operations_service_pb2.Alarm(
        name="alarms/2",
        node="nodes/alice",
        object="links/alice-middle",
        kind="QBER_HIGH",
        severity=types_pb2.SEVERITY_MINOR,
        raise_time=_MOMENT,
    ),
]
ROUTES = key_relay_service_pb2.ComputeRoutesResponse(
    candidates=[
        key_relay_service_pb2.RouteCandidate(
            routes=[_ROUTE],
            bottleneck_bit_per_s=8_804,
            reservations=[key_relay_pb2.Reservation(link="links/alice-middle", charge_bit_per_s=1062.5)],
        )
    ]
)
ACTIONS = [
    topology_service_pb2.TopologyAction(
        kind=topology_service_pb2.TopologyAction.KIND_UPDATE, resource="links/alice-middle", fields=["length_km"]
    ),
    topology_service_pb2.TopologyAction(kind=topology_service_pb2.TopologyAction.KIND_DELETE, resource="nodes/eve"),
]
