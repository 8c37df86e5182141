"""Interleavings and inputs that once broke what the core promises."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.application import Application, Sae
from controller.domain.commands import BlockService, Command, HoldOff, MoveService, RideOnStore
from controller.domain.events import AlarmRaised, AppEvent, ConfigRefused, LinkReport, LinkWentDown
from controller.domain.key_relay import Demand, KeyRelay, Phase, RelayState
from controller.domain.refusals import AlreadyExists, Precondition
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.service.requests import ApplyTopology, Create, Delete, UpdateAdministration
from tests.support.networks import line, network, ring
from tests.support.virtual_agents import VirtualNetwork


def up(snapshot: Snapshot, **more: object) -> VirtualNetwork:
    world = VirtualNetwork(snapshot, **more)  # type: ignore[arg-type]
    world.connect_all()
    return world


def kinds(world: VirtualNetwork) -> set[tuple[str, str]]:
    return {(alarm.kind, alarm.object) for alarm in world.snapshot.alarms.values()}


# Waiting for agents


def test_a_slow_node_that_must_be_passed_is_waited_for() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02", pass_nodes=frozenset({"n01"}))
    world.lose("n01")
    world.pass_time(31_000)
    assert world.snapshot.relays["r"].phase is Phase.INSTALLING
    world.connect_all()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE


def test_a_move_waits_for_the_end_whose_agent_is_away_and_goes_on_when_it_is_back() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    world.quiet()
    world.cut(world.snapshot.relays["r"].routes[0].links[0])
    world.lose("n02", applied=True)
    world.pass_time(40_000)
    world.quiet()
    assert world.snapshot.relays["r"].phase is Phase.INSTALLING
    world.connect_all()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE


def test_an_agent_replaced_by_an_empty_one_is_told_all_again() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    world.quiet()
    world.replace_agent("n01")
    world.connect("n01")
    assert world.core.unconfirmed() == {"r": frozenset({"n01"})}
    world.quiet()
    assert world.core.unconfirmed() == {}
    world.check_quiet()


# Refused entries


def test_an_entry_refused_of_a_route_that_was_left_blocks_nothing() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    old = world.snapshot.relays["r"].routes[0]
    first = world.snapshot.relays["r"].route_version
    version = world.snapshot.revision
    world.cut(old.links[0])
    assert world.snapshot.relays["r"].routes[0] != old
    world.take(
        ConfigRefused(
            node=old.nodes[1], version=version, refused={f"keyRelays/r/routes/{first}/shares/0": ("UNAVAILABLE", "no")}
        )
    )
    assert world.snapshot.relays["r"].routes
    world.quiet()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE


def test_a_refused_service_is_taken_out_tried_again_after_a_while_and_its_alarm_ends() -> None:
    world = up(line(2))
    world.agents["n01"].refuses = {"keyRelays/r/"}
    world.create("r", "n00", "n02")
    world.quiet()
    relay = world.snapshot.relays["r"]
    assert relay.state is RelayState.BLOCKED
    assert "nodes/n01 refused it" in relay.state_reason
    assert relay.releasing == ()
    world.agents["n01"].refuses = set()
    world.pass_time(60_001)
    world.quiet()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE
    assert not world.snapshot.alarms


def test_a_refused_link_setting_stays_an_alarm_until_it_is_in_force() -> None:
    world = VirtualNetwork(line(2))
    world.agents["n01"].refuses = {"links/l00"}
    world.connect_all()
    assert ("CONFIG_REFUSED", "links/l00") in kinds(world)
    world.create("r", "n01", "n02")  # what else is confirmed does not end it
    world.quiet()
    assert ("CONFIG_REFUSED", "links/l00") in kinds(world)
    world.lose("n01")
    world.connect("n01")
    assert ("CONFIG_REFUSED", "links/l00") in kinds(world)
    world.agents["n01"].refuses = set()
    world.quiet()
    assert not world.snapshot.alarms


def test_an_update_refused_as_a_whole_is_an_alarm_until_all_is_in_force() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    world.take(ConfigRefused(node="n01", version=world.snapshot.revision, refused={}, whole=("INTERNAL", "disk full")))
    (alarm,) = world.snapshot.alarms.values()
    assert (alarm.node, alarm.object, alarm.kind) == ("n01", "", "CONFIG_REFUSED")
    assert "disk full" in alarm.message
    world.quiet()
    assert not world.snapshot.alarms


# Alarms


def test_no_alarm_outlives_what_it_is_about() -> None:
    world = up(line(2))
    world.cut("l01")
    world.lose("n02")
    world.take(AlarmRaised(alarm=Alarm(node="n02", object="", kind="HOT")))
    assert {kind for kind, _ in kinds(world)} == {"LINK_DOWN", "AGENT_LOST", "HOT"}
    world.ask(Delete(collection="links", key="l01"))
    assert {kind for kind, _ in kinds(world)} == {"AGENT_LOST", "HOT"}
    world.ask(Delete(collection="nodes", key="n02"))
    assert not world.snapshot.alarms
    world.take(AlarmRaised(alarm=Alarm(node="n02", object="", kind="HOT")))
    assert not world.snapshot.alarms


def test_an_alarm_of_the_controllers_own_tells_since_when_it_stands() -> None:
    world = up(line(1))
    alarm = Alarm(node=CONTROLLER, object="nodes/n00", kind="DUPLICATE_AGENT", message="one")
    world.take(AlarmRaised(alarm=alarm))
    (since_ms,) = (kept.raised_ms for kept in world.snapshot.alarms.values())
    assert since_ms > 0
    world.pass_time(5000)
    world.take(AlarmRaised(alarm=replace(alarm, message="two")))
    assert list(world.snapshot.alarms.values()) == [replace(alarm, message="two", raised_ms=since_ms)]


def test_over_promising_ends_when_the_relays_go() -> None:
    world = up(line(1, bit_per_s=10_000))
    world.create("r", "n00", "n01", bit_per_s=5000)
    world.quiet()
    world.weaken("l00", 3000)
    assert kinds(world) == {("LINK_OVERPROMISED", "links/l00")}
    assert all(alarm.raised_ms for alarm in world.snapshot.alarms.values())
    world.delete("r")
    world.quiet()
    assert not world.snapshot.alarms


def test_the_alarm_of_a_blocked_relay_ends_with_the_relay() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01")
    world.quiet()
    world.cut("l00")
    world.exhaust("l00")
    world.quiet()
    assert ("RELAY_BLOCKED", "keyRelays/r") in kinds(world)
    world.delete("r")
    world.quiet()
    assert ("RELAY_BLOCKED", "keyRelays/r") not in kinds(world)


# Topology


def test_a_node_taken_out_with_its_links_is_told_nothing_any_more() -> None:
    world = up(line(2))
    nodes = {name: node for name, node in world.snapshot.nodes.items() if name != "n02"}
    links = {name: link for name, link in world.snapshot.links.items() if name != "l01"}
    world.ask(ApplyTopology(nodes=nodes, links=links))
    assert world.agents["n02"].let_in is False
    assert "n02" not in world.snapshot.connected


def test_a_node_deleted_and_made_again_at_once_begins_anew() -> None:
    world = up(network([("ab", "a", "b", 10_000)]))
    node, link = world.snapshot.nodes["b"], world.snapshot.links["ab"]
    # given all of it in one turn of the writer
    for request in (
        Delete(collection="links", key="ab"),
        Delete(collection="nodes", key="b"),
        Create(document=node),
        Create(document=link),
    ):
        world.core.decide(request, world.now)
    world.commit()
    # then the old session has ended, and what a new one says of its address is told to the neighbour
    assert not world.agents["b"].connected
    world.connect_all()
    assert world.link_entry("a", "ab").neighbour_address == "b:1"


def test_a_topology_may_be_applied_while_an_older_link_is_weak() -> None:
    world = up(line(2, bit_per_s=10_000))
    world.create("r", "n00", "n01", bit_per_s=5000)
    world.quiet()
    world.weaken("l00", 3000)
    world.ask(ApplyTopology(nodes=world.snapshot.nodes, links=world.snapshot.links, network_name="again"))
    weaker = {**world.snapshot.links, "l00": replace(world.snapshot.links["l00"], authentication_rate_millibit_per_s=1)}
    with pytest.raises(Precondition) as refusal:
        world.ask(ApplyTopology(nodes=world.snapshot.nodes, links=weaker, network_name="again"))
    assert refusal.value.reason == "OVER_RESERVED"


def test_a_link_that_gets_other_ends_is_another_link() -> None:
    world = up(network([("l", "a", "b", 10_000), ("m", "b", "c", 10_000), ("k", "a", "c", 10_000)]))
    world.cut("l")
    moved = replace(world.snapshot.links["l"], ends=world.snapshot.links["m"].ends)
    links = {"l": moved, "k": world.snapshot.links["k"]}
    world.ask(ApplyTopology(nodes=world.snapshot.nodes, links=links))
    assert world.snapshot.condition("l").generating
    assert not kinds(world)


def test_a_node_that_a_relay_ends_at_is_in_use() -> None:
    world = up(network([("ab", "a", "b", 10_000)]))
    world.ask(UpdateAdministration(collection="links", key="ab", admin_enabled=False))
    world.create_blocked("r", "a", "b")
    world.ask(Delete(collection="links", key="ab"))
    with pytest.raises(Precondition, match="keyRelays/r"):
        world.ask(Delete(collection="nodes", key="b"))
    with pytest.raises(Precondition, match="keyRelays/r"):
        world.ask(ApplyTopology(nodes={"a": world.snapshot.nodes["a"]}, links={}))


def test_a_blocked_relay_is_tried_when_the_operator_makes_room() -> None:
    world = up(network([("ab", "a", "b", 10_000)]))
    world.ask(UpdateAdministration(collection="links", key="ab", admin_enabled=False))
    world.create_blocked("r", "a", "b")
    world.ask(UpdateAdministration(collection="links", key="ab", admin_enabled=True))
    world.quiet()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE


# Hold-off


def test_a_hold_off_begins_anew_after_a_repair() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02", hold_off_ms=1000)
    world.quiet()
    first = world.snapshot.relays["r"].routes
    world.cut(first[0].links[0])
    world.pass_time(500)
    world.repair(first[0].links[0])
    assert world.snapshot.relays["r"].move_at_ms is None
    world.pass_time(100)
    world.cut(first[0].links[0])
    assert world.snapshot.relays["r"].riding
    world.pass_time(999)
    assert world.snapshot.relays["r"].routes == first
    world.pass_time(1)
    assert world.snapshot.relays["r"].routes != first


def test_a_hold_off_ends_though_the_controller_starts_anew() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02", hold_off_ms=1000)
    world.quiet()
    first = world.snapshot.relays["r"].routes
    world.cut(first[0].links[0])
    world.restart()
    world.connect_all()
    assert world.snapshot.relays["r"].routes == first
    world.pass_time(1000)
    world.quiet()
    assert world.snapshot.relays["r"].routes != first
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE


# A new start


def test_a_new_start_leaves_states_as_they_were_until_agents_had_time_to_come_back() -> None:
    world = up(line(3))
    world.create("r", "n00", "n03")
    world.quiet()
    world.restart()
    world.pass_time(100)
    for node in ("n00", "n01", "n03"):
        world.connect(node)
        assert world.snapshot.relays["r"].state is RelayState.ACTIVE
    world.pass_time(60_000)
    relay = world.snapshot.relays["r"]
    assert (relay.state, relay.state_reason) == (RelayState.DEGRADED, "no session with nodes/n02")
    assert kinds(world) == {("AGENT_LOST", "nodes/n02")}
    world.connect("n02")
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE
    assert not kinds(world)


@pytest.mark.parametrize("steps", range(14))
def test_from_the_store_alone_a_change_of_route_goes_on_where_it_was(steps: int) -> None:
    world = up(ring(5))
    world.create("r", "n00", "n02")
    world.quiet()
    world.cut(world.snapshot.relays["r"].routes[0].links[0])
    order = [node for node in world.agents for _ in range(2)] * 3
    for node in order[:steps]:
        world.step(node)
    world.restart()
    world.connect_all()
    world.quiet()
    relay = world.snapshot.relays["r"]
    assert (relay.state, relay.phase, relay.releasing) == (RelayState.ACTIVE, Phase.SETTLED, ())
    world.check_promises()
    world.check_quiet()


# Request ids


def test_a_request_id_does_not_answer_with_what_somebody_made_later_under_the_name() -> None:
    world = up(line(1))
    document = KeyRelay(name="r", demand=Demand(source="n00", target="n01", rate_millibit_per_s=1000))
    request = Create(caller="u", request_id="1", body_sha256="x", document=document)
    world.ask(request)
    world.quiet()
    world.delete("r")
    world.quiet()
    world.create("r", "n00", "n01")
    with pytest.raises(Precondition) as refusal:
        world.ask(request)
    assert refusal.value.reason == "ALREADY_DELETED"


def test_a_request_id_used_for_another_kind_of_resource_is_refused() -> None:
    world = up(line(1))
    world.ask(Create(caller="u", request_id="1", body_sha256="x", document=Sae(id="n", node="n00")))
    other = Application(name="n", server_sae="n", client_saes=("m",))
    with pytest.raises(AlreadyExists):
        world.ask(Create(caller="u", request_id="1", body_sha256="x", document=other))


def test_validate_only_keeps_no_request_id() -> None:
    world = up(line(1))
    document = KeyRelay(name="r", demand=Demand(source="n00", target="n01", rate_millibit_per_s=1000))
    trial = Create(caller="u", request_id="1", body_sha256="x", document=document, validate_only=True)
    world.ask(trial)
    assert not world.snapshot.requests
    world.ask(replace(trial, validate_only=False))
    again = world.ask(trial)
    assert again.document == world.snapshot.relays["r"]


# Faulty apps


class Faulty:
    """Asks for what it is given, at every link that goes down."""

    listens_to = (LinkWentDown,)

    def __init__(self, *commands: object) -> None:
        self.commands = commands

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        for command in self.commands:
            if command is ZeroDivisionError:
                raise ZeroDivisionError
            yield command  # type: ignore[misc]


LOOP = Route(nodes=("n00", "n01"), links=("l00",))


@pytest.mark.parametrize(
    "command",
    [
        None,
        "block r",
        ZeroDivisionError,
        MoveService(service="r", routes=None, because="x"),  # type: ignore[arg-type]
        MoveService(service="r", routes=(None,), because="x"),  # type: ignore[arg-type]
        MoveService(service="r", routes=(LOOP,), because="x"),
        MoveService(service="r", routes=(), because="x"),
        MoveService(service="r", routes=(Route(nodes=("n00", "n02"), links=("?",)),), because="x"),
        MoveService(service=["r"], routes=(LOOP,), because="x"),  # type: ignore[arg-type]
        BlockService(service="unknown", because="x"),
        BlockService(service="r", because=7),  # type: ignore[arg-type]
        BlockService(service="r", because="\ud800"),
        RideOnStore(service="r", because=None),  # type: ignore[arg-type]
        HoldOff(service="r", until_ms="soon", because="x"),  # type: ignore[arg-type]
        HoldOff(service="r", until_ms=2**80, because="x"),
    ],
    ids=repr,
)
def test_a_faulty_app_changes_nothing_and_stops_nobody(command: object) -> None:
    world = up(ring(4), apps=[Faulty(command)])
    world.create("r", "n00", "n02")
    world.quiet()
    before = world.snapshot.relays["r"]
    world.cut(before.routes[0].links[0])
    assert world.snapshot.relays["r"] == before
    world.create("s", "n00", "n01")


def test_an_app_without_end_is_cut_off() -> None:
    class Endless:
        listens_to = (LinkWentDown,)

        def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
            while True:
                yield BlockService(service="unknown", because="x")

    world = up(ring(4), apps=[Endless()])
    world.create("r", "n00", "n02")
    world.quiet()
    world.cut("l00")


# Words of those who may not say it


def test_only_an_end_may_speak_of_a_link() -> None:
    world = up(line(2))
    world.take(LinkReport(node="n00", link="l01", down_reason="cut"))
    world.take(LinkReport(node="n00", link="unknown", down_reason="cut"))
    assert not world.snapshot.conditions


def test_a_promise_beyond_all_measure_is_cut_to_what_can_be_told() -> None:
    world = up(line(1))
    world.take(LinkReport(node="n00", link="l00", promised_skr_millibit_per_s=2**64 - 1))
    assert (world.snapshot.condition("l00").promised_skr_millibit_per_s or 0) < 2**43
    world.restart()
