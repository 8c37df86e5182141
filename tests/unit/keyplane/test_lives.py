"""A store that comes back from a copy: what was sent in a life that it forgot is never sent with again."""

import json
from dataclasses import replace

import pytest

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import AlarmKind
from southbound.agent.keyplane.messages import LinkState, Message
from tests.support.keyplane_world import Relay, World, line, world_of

WIRES = line(1)
ENDS = WIRES[0].ends
LINK = WIRES[0].link
RELAYS = [Relay("there", "n00", WIRES, high_bit=1 << 20, low_bit=1 << 19), Relay("back", "n01", WIRES)]
ALARM = AlarmKind.STORE_OLDER_THAN_PEER, f"links/{LINK}"


def running(relays: list[Relay] = RELAYS) -> World:
    world = world_of(WIRES, relays, stride_bit=512)
    for _ in range(6):
        world.distil(LINK, ENDS)
    world.connect()
    for _ in range(60):
        world.move(*world.moves()[0])
    return world


def lose_what(world: World, victim: str) -> None:
    """Let nothing that the node sends with key arrive."""
    lost = world.tamper

    def tamper(sender: str, receiver: str, message: Message) -> Message | None:
        if sender == victim and not isinstance(message, LinkState):
            return None
        return lost(sender, receiver, message)

    world.tamper = tamper


@pytest.mark.parametrize("victim", ENDS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_copy_never_sends_with_what_another_life_of_the_same_copy_sent_and_nobody_got(
    victim: str, times: int
) -> None:
    world = running()
    copy = dict(world.sites[victim].disk)
    keep = world.tamper
    for _ in range(times):
        world.crash(victim)
        world.sites[victim].disk = dict(copy)
        lose_what(world, victim)
        world.start(victim)
        world.run(0.5)
        for _ in range(3):
            world.distil(LINK, ENDS)
        world.run(0.5)
        world.tamper = keep
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []
    for _ in range(4):
        world.distil(LINK, ENDS)
    world.run(30)
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []
    assert ALARM not in world.sites[victim].alarms


@pytest.mark.parametrize("crash", ["", "before", "after"])
def test_a_store_that_is_not_a_copy_keeps_its_key_over_a_restart(crash: str) -> None:
    world = running([Relay("there", "n00", WIRES)])
    world.run(5)
    victim = ENDS[0]
    held_bit = world.sites[victim].running.figures().links[0].stored_bit
    assert held_bit > 100_000
    for _ in range(3):
        if crash:
            world.distil(LINK, ENDS)
            world.move(ENDS[1], victim, crash=crash)
        world.crash(victim)
        world.start(victim)
        world.run(1)
        assert ALARM not in world.sites[victim].alarms
    assert world.sites[victim].running.figures().links[0].stored_bit > 0.8 * held_bit


def test_nothing_is_sent_with_key_before_the_neighbour_keeps_that_a_life_began() -> None:
    world = running()
    victim, other = ENDS
    world.crash(victim)
    world.tamper = lambda sender, _to, message: None if sender == other else message
    before = len(world.sites[victim].ledger)
    world.start(victim)
    world.run(60)
    assert not [entry for entry in world.sites[victim].ledger[before:] if entry.sent]
    assert not world.sites[victim].running.figures().links[0].synchronised


def test_stores_of_0_1_0_which_knew_no_lives_go_on_with_their_key() -> None:
    world = running([Relay("there", "n00", WIRES)])
    world.run(5)
    held_bit = world.sites[ENDS[0]].running.figures().links[0].stored_bit
    for name in ENDS:
        world.crash(name)
        disk = world.sites[name].disk
        record = disk["link", LINK]
        meta = {key: value for key, value in json.loads(record.meta).items() if not key.endswith("_life")}
        disk["link", LINK] = replace(record, meta=json.dumps(meta))
    for name in ENDS:
        world.start(name)
    world.run(1)
    for name in ENDS:
        assert ALARM not in world.sites[name].alarms
        assert world.sites[name].running.figures().links[0].stored_bit > 0.8 * held_bit
