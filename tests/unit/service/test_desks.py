"""Decisions on requests: what each desk refuses, and what it writes."""

from dataclasses import replace

import pytest

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.application import Application, Sae
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.etag import etag
from controller.domain.key_relay import Demand, KeyRelay, RelayState
from controller.domain.link import Link, LinkCondition, LinkEnd, LinkKind
from controller.domain.node import Interface, Node, Technology
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, Precondition, Refusal
from controller.domain.route import Route
from controller.domain.snapshot import Changes, RequestRecord, Snapshot, put, put_condition
from controller.service.application_desk import add_sae, create_application, delete_application, delete_sae
from controller.service.request_desk import Decision, decide
from controller.service.requests import ApplyTopology, Create, Delete, Request, UpdateAdministration
from controller.service.topology_desk import apply_topology, create_link, delete_link, delete_node
from tests.support.networks import line, network

APPLICATION = Application(name="app", server_sae="alice", client_saes=("bob",))
DEMAND = Demand(source="n00", target="n02", rate_millibit_per_s=1000)


def directory(*more: object) -> Snapshot:
    """Return a line of three nodes with an SAE at each end."""
    return line(2).applying(put(Sae(id="alice", node="n00"), Sae(id="bob", node="n02"), *more))  # type: ignore[arg-type]


def asked(snapshot: Snapshot, request: Request) -> Decision:
    return decide(snapshot, request, now_ms=1000, wall_ms=2000, version=7)


# Applications and SAEs


@pytest.mark.parametrize(
    ("application", "reason"),
    [
        (replace(APPLICATION, client_saes=("carol",)), "UNKNOWN_SAE"),
        (replace(APPLICATION, client_saes=("near",)), "SAME_NODE"),
        (replace(APPLICATION, client_saes=("bob", "near")), "SAME_NODE"),
        (replace(APPLICATION, client_saes=tuple(f"c{number}" for number in range(33))), "INVALID_VALUE"),
    ],
)
def test_an_application_that_cannot_be_served_is_refused(application: Application, reason: str) -> None:
    with pytest.raises(Refusal) as refusal:
        create_application(directory(Sae(id="near", node="n00")), application)
    assert refusal.value.reason == reason


def test_an_application_and_its_pair_of_saes_are_taken_once() -> None:
    snapshot = directory(APPLICATION)
    with pytest.raises(AlreadyExists):
        create_application(snapshot, APPLICATION)
    with pytest.raises(AlreadyExists, match="applications/app already joins"):
        create_application(snapshot, Application(name="other", server_sae="bob", client_saes=("alice",)))


def test_an_sae_has_one_node_and_that_exists() -> None:
    assert add_sae(directory(), Sae(id="carol", node="n01")) == put(Sae(id="carol", node="n01"))
    with pytest.raises(NotFound):
        add_sae(directory(), Sae(id="carol", node="nowhere"))
    with pytest.raises(AlreadyExists, match="served by nodes/n00"):
        add_sae(directory(), Sae(id="alice", node="n01"))


def test_what_is_used_is_not_deleted_and_what_does_not_exist_is_not_found() -> None:
    relay = KeyRelay(name="r", demand=DEMAND, applications=("app",))
    snapshot = directory(APPLICATION, relay)
    with pytest.raises(Precondition, match="applications/app"):
        delete_sae(snapshot, "alice")
    with pytest.raises(Precondition, match="keyRelays/r"):
        delete_application(snapshot, "app")
    with pytest.raises(NotFound):
        delete_sae(snapshot, "carol")
    with pytest.raises(NotFound):
        delete_application(snapshot, "other")


# Topology


def test_a_link_needs_free_interfaces_of_nodes_that_exist() -> None:
    snapshot = line(2)
    first = snapshot.links["l00"]
    with pytest.raises(AlreadyExists):
        create_link(snapshot, first)
    with pytest.raises(InvalidValue, match="already serves links/l00"):
        create_link(snapshot, replace(first, name="again"))
    with pytest.raises(InvalidValue, match="has no interface 9"):
        create_link(snapshot, replace(first, name="new", ends=(replace(first.ends[0], interface=9), first.ends[1])))
    with pytest.raises(InvalidValue, match="nodes/a00 does not exist"):
        create_link(snapshot, replace(first, name="new", ends=(replace(first.ends[0], node="a00"), first.ends[1])))


def test_a_link_of_pairs_needs_interfaces_for_them_and_nodes_that_have_something_for_entanglement() -> None:
    model = PairModel(
        regime=Regime.MEMORY,
        attempt_period_s=0.001,
        memory_pairs=4,
        options=(PairOption(success_probability=0.1, fidelity=0.9),),
    )
    port = Interface(number=1, technology=Technology.ENTANGLEMENT)
    able = Node(name="a", interfaces=(port,), pairs=PairHardware(memories=4))
    ends = (LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=1))
    link = Link(name="l", kind=LinkKind.ENTANGLEMENT, ends=ends, model_skr_millibit_per_s=0, pairs=model)

    def among(*nodes: Node) -> Snapshot:
        return Snapshot().applying(put(*nodes))

    snapshot = among(able, replace(able, name="b"))
    assert snapshot.applying(create_link(snapshot, link)).links["l"] == link
    with pytest.raises(InvalidValue, match="nodes/b has nothing for entanglement"):
        create_link(among(able, replace(able, name="b", pairs=None)), link)
    qkd = replace(port, technology=Technology.DV_QKD)
    with pytest.raises(InvalidValue, match="nodes/b/interfaces/1 is of technology DV-QKD"):
        create_link(among(able, replace(able, name="b", interfaces=(qkd,))), link)


def test_a_topology_leaves_links_that_paths_make_to_their_paths() -> None:
    before = line(2)
    made = replace(
        before.links["l00"], name="made", path="p", ends=(LinkEnd(node="n00", interface=0), before.links["l01"].ends[1])
    )
    before = before.applying(put(made))
    wanted = line(2)
    assert apply_topology(before, ApplyTopology(nodes=wanted.nodes, links=wanted.links))[1] == ()
    with pytest.raises(Precondition, match="links/made is used by entanglementPaths/p"):
        delete_link(before, "made")


def test_a_deleted_link_takes_its_condition_and_alarms_with_it() -> None:
    alarm = Alarm(node=CONTROLLER, object="links/l00", kind="LINK_DOWN")
    other = Alarm(node=CONTROLLER, object="links/l01", kind="LINK_DOWN")
    changes = put_condition("l00", LinkCondition(down_at=frozenset({"n00"}))) + put(alarm, other)
    snapshot = line(2).applying(changes)
    after = snapshot.applying(delete_link(snapshot, "l00"))
    assert (set(after.links), dict(after.conditions), set(after.alarms)) == ({"l01"}, {}, {other.key})
    with pytest.raises(NotFound):
        delete_link(after, "l00")


def test_a_node_with_links_or_saes_is_in_use() -> None:
    with pytest.raises(Precondition, match="links/l00"):
        delete_node(line(1), "n00")
    alone = Snapshot().applying(put(Node(name="a"), Sae(id="alice", node="a")))
    with pytest.raises(Precondition, match="saes/alice"):
        delete_node(alone, "a")


def test_a_topology_keeps_what_plans_of_paths_name_of_a_link() -> None:
    port = Interface(number=1, technology=Technology.ENTANGLEMENT)
    nodes = [Node(name=name, interfaces=(port,), pairs=PairHardware(memories=4)) for name in "ab"]
    ends = (LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=1))
    model = PairModel(
        regime=Regime.MEMORY,
        attempt_period_s=0.001,
        memory_pairs=4,
        options=(
            PairOption(success_probability=0.1, fidelity=0.9),
            PairOption(success_probability=0.01, fidelity=0.95),
        ),
    )
    link = Link(name="l", kind=LinkKind.ENTANGLEMENT, ends=ends, model_skr_millibit_per_s=0, pairs=model)
    path = EntanglementPath(
        name="p",
        demand=PairDemand(source="a", target="b", minimum_fidelity=0.8, rate_millihertz=1000),
        routes=(Route(nodes=("a", "b"), links=("l",)),),
        route_version=1,
    )
    snapshot = Snapshot().applying(put(*nodes, link, path))

    def applied(pairs: PairModel) -> tuple[tuple[str, str], ...]:
        wanted = ApplyTopology(nodes=snapshot.nodes, links={"l": replace(link, pairs=pairs)})
        return apply_topology(snapshot, wanted)[1]

    weaker = tuple(replace(option, fidelity=0.85) for option in model.options)
    assert applied(replace(model, options=weaker)) == (("links/l", "update"),)
    for other in (replace(model, regime=Regime.SLOT), replace(model, options=model.options[:1])):
        with pytest.raises(Precondition, match="links/l is used by entanglementPaths/p"):
            applied(other)


def test_a_topology_is_applied_as_a_difference_and_leaves_administration_alone() -> None:
    before = line(2)
    before = before.applying(put(replace(before.links["l00"], maintenance=True)))
    wanted = line(3)
    changes, actions = apply_topology(before, ApplyTopology(nodes=wanted.nodes, links=wanted.links, network_name="net"))
    after = before.applying(changes)
    assert actions == (("links/l02", "create"), ("nodes/n02", "update"), ("nodes/n03", "create"))
    assert after.links["l00"].maintenance
    assert after.network != before.network
    again = ApplyTopology(nodes=wanted.nodes, links=wanted.links, network_name="net")
    assert apply_topology(after, again) == (Changes(), ())


def test_an_applied_topology_ends_what_old_request_ids_answer_with() -> None:
    old = RequestRecord(caller="u", request_id="1", body_sha256="x", resource="nodes/n03", used_ms=0)
    other = replace(old, request_id="2", resource="nodes/n00")
    before = line(2).applying(put(old, other))
    wanted = line(3)
    after = before.applying(asked(before, ApplyTopology(nodes=wanted.nodes, links=wanted.links)).changes)
    assert {key[1]: record.deleted for key, record in after.requests.items()} == {"1": True, "2": False}


def test_a_topology_that_takes_away_what_is_used_changes_nothing() -> None:
    decision = asked(line(2), Create(document=KeyRelay(name="r", demand=DEMAND)))
    snapshot = line(2).applying(decision.changes)
    ends = {name: node for name, node in snapshot.nodes.items() if name != "n01"}
    with pytest.raises(Precondition, match="keyRelays/r"):
        apply_topology(snapshot, ApplyTopology(nodes=ends, links={}))


# Requests


def test_a_relay_is_made_with_what_clients_set_and_nothing_else() -> None:
    pushed_in = KeyRelay(name="r", demand=DEMAND, state=RelayState.ACTIVE, ever_active=True, route_version=99)
    decision = asked(line(2), Create(caller="u", document=pushed_in))
    relay = decision.result.document
    assert isinstance(relay, KeyRelay)
    assert (relay.state, relay.ever_active, relay.route_version) == (RelayState.PENDING, False, 7)
    assert (relay.created_by, relay.created_ms, relay.install_by_ms) == ("u", 2000, 31_000)


def test_a_disabled_relay_waits_without_a_route() -> None:
    decision = asked(line(2), Create(document=KeyRelay(name="r", demand=DEMAND, admin_enabled=False)))
    relay = decision.result.document
    assert isinstance(relay, KeyRelay)
    assert (relay.state, relay.routes) == (RelayState.BLOCKED, ())


@pytest.mark.parametrize(
    ("demand", "refusal"),
    [
        (replace(DEMAND, target="nowhere"), NotFound),
        (replace(DEMAND, avoid_links=frozenset({"none"})), NotFound),
        (replace(DEMAND, avoid_nodes=frozenset({"n01"})), Precondition),
        (replace(DEMAND, max_hops=1), Precondition),
        (replace(DEMAND, rate_millibit_per_s=10**9), Precondition),
    ],
)
def test_a_demand_that_cannot_be_met_is_refused(demand: Demand, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        asked(line(2), Create(document=KeyRelay(name="r", demand=demand)))


def test_all_names_that_a_demand_gets_wrong_are_told_at_once() -> None:
    demand = replace(DEMAND, target="nowhere", pass_nodes=frozenset({"zork"}), avoid_links=frozenset({"nope"}))
    with pytest.raises(NotFound) as refusal:
        asked(line(2), Create(document=KeyRelay(name="r", demand=demand)))
    assert refusal.value.message == "nodes/nowhere, nodes/zork, links/nope do not exist"
    assert refusal.value.facts()["resources"] == "nodes/nowhere,nodes/zork,links/nope"


def test_a_relay_serves_an_application_whose_saes_are_at_its_ends_and_alone() -> None:
    snapshot = directory(APPLICATION)
    wanted = KeyRelay(name="r", demand=DEMAND, applications=("app",))
    after = snapshot.applying(asked(snapshot, Create(document=wanted)).changes)
    with pytest.raises(Precondition, match="keyRelays/r between these nodes already"):
        asked(after, Create(document=replace(wanted, name="s")))
    elsewhere = replace(wanted, demand=replace(DEMAND, target="n01"))
    with pytest.raises(InvalidValue, match=r"keyRelays/r: .* no SAE of applications/app is at nodes/n01"):
        asked(snapshot, Create(document=elsewhere))
    with pytest.raises(InvalidValue) as refusal:
        asked(snapshot, Create(document=elsewhere, named=False))
    assert "keyRelays" not in refusal.value.message
    with pytest.raises(NotFound):
        asked(snapshot, Create(document=replace(wanted, applications=("none",))))


@pytest.mark.parametrize("collection", ["nodes", "links"])
def test_an_etag_guards_updates_and_deletions(collection: str) -> None:
    snapshot = network([("l", "l", "m", 1000)])
    current = etag(getattr(snapshot, collection)["l"])
    update = UpdateAdministration(collection=collection, key="l", maintenance=True, etag=current)
    decision = asked(snapshot, update)
    after = snapshot.applying(decision.changes)
    assert getattr(after, collection)["l"].maintenance
    for stale in (update, Delete(collection=collection, key="l", etag=current)):
        with pytest.raises(Precondition) as refusal:
            asked(after, stale)
        assert refusal.value.reason == "STALE_ETAG"
        assert refusal.value.facts()["etag"] == etag(getattr(after, collection)["l"])
    with pytest.raises(NotFound):
        asked(after, replace(update, key="none", etag=""))


def test_deleting_twice_is_no_mistake_while_the_removal_lasts() -> None:
    snapshot = line(2).applying(asked(line(2), Create(document=KeyRelay(name="r", demand=DEMAND))).changes)
    going = snapshot.applying(asked(snapshot, Delete(collection="relays", key="r")).changes)
    assert going.relays["r"].removed
    assert going.relays["r"].releasing
    assert not asked(going, Delete(collection="relays", key="r")).changes
    with pytest.raises(AlreadyExists, match="still being removed"):
        asked(going, Create(document=KeyRelay(name="r", demand=DEMAND)))
    with pytest.raises(Precondition, match="keyRelays/r"):
        delete_link(going, "l00")


def test_a_repeat_is_answered_from_the_record_and_renews_it() -> None:
    request = Create(caller="u", request_id="1", body_sha256="x", document=Node(name="new"))
    after = line(1).applying(asked(line(1), request).changes)
    repeat = decide(after, request, now_ms=5000, wall_ms=0, version=8)
    assert repeat.result.document == Node(name="new")
    record = RequestRecord(caller="u", request_id="1", body_sha256="x", resource="nodes/new", used_ms=5000)
    assert repeat.changes == put(record)
    other_caller = replace(request, caller="v")
    with pytest.raises(AlreadyExists, match="nodes/new exists"):
        asked(after, other_caller)
