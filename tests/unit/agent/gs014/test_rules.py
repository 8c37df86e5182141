"""What the two ends of a link over a GS QKD 014 source do: fetching, telling, failing, coming back."""

from dataclasses import replace
from itertools import pairwise

import pytest

from southbound.agent.drivers.gs014.health import Health
from southbound.agent.drivers.gs014.master import Master, next_block
from southbound.agent.drivers.gs014.steps import (
    AskById,
    AskKeys,
    AskStatus,
    Failed,
    Key,
    Listen,
    Tell,
    Trouble,
    Upstream,
    joined,
)
from southbound.agent.drivers.module import ChannelDown, ChannelUp, Fault, ModuleFault, ModuleSound
from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.comparison import COMPARE_BIT
from southbound.agent.keyplane.messages import ModuleKeys
from tests.support.upstream_014_world import ENDS, WALL_MS, SourceWorld

SETTINGS = Upstream(sae="x", peer_sae="y")


def kinds(world: SourceWorld, node: str) -> list[type | Fault]:
    return [event.kind if isinstance(event, ModuleFault) else type(event) for event in world.modules[node].said]


def until_step(world: SourceWorld, node: str, kind: type) -> None:
    """Let everything happen in order until a module is about to take a step of that kind."""
    world.connect()
    for _ in range(1000):
        if isinstance(world.modules[node].step, kind):
            return
        if moves := world.moves():
            world.move(*moves[0])
        elif ready := world.ready():
            world.advance(ready[0])
        else:
            world.elapse(1.0)
    raise AssertionError(f"{node} never came to {kind.__name__}")


def test_what_the_source_has_is_stored_alike_at_both_ends_and_in_both_directions() -> None:
    world = SourceWorld(relay=False)
    world.produce(100)
    world.elapse(1)
    assert world.stored == []
    blocks = world.modules["a"].blocks
    assert len(blocks) >= 2
    assert {block.block % 2 for block in blocks} == {0, 1}
    assert [(one.block, one.key) for one in world.modules["b"].blocks] == [(one.block, one.key) for one in blocks]
    for node in ENDS:
        left = sum(8 * len(block.key) - COMPARE_BIT for block in blocks)
        assert 0 < left - world.stored_bit(node) <= 4 * 128  # but the hash keys of the session
        assert kinds(world, node) == []


def test_keys_go_through_a_relay_over_such_a_link() -> None:
    world = SourceWorld()
    for _ in range(20):
        world.produce(40)
        world.elapse(1)
    request = world.ask("a", "sae.r.a", "sae.r.b", number=3)
    world.elapse(1)
    ours = world.answers[request]
    assert ours.status == 200
    request = world.fetch("b", "sae.r.b", "sae.r.a", [key.key_id for key in ours.keys])
    world.elapse(1)
    assert world.answers[request].keys == ours.keys
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


def test_no_request_asks_for_more_keys_than_the_source_allows_at_once() -> None:
    world = SourceWorld(at_once=1, relay=False)  # the world's source checks every request
    world.produce(40)
    world.elapse(1)
    assert world.stored == []


def test_a_source_that_stores_little_at_once_is_emptied_in_blocks_as_small() -> None:
    world = SourceWorld(most=5, relay=False)
    world.produce(5)
    world.elapse(1)
    assert [len(block.key) for block in world.modules["a"].blocks] == [5 * 32]


def test_a_backlog_is_no_measurement_and_what_follows_is_measured_alike_at_both_ends() -> None:
    world = SourceWorld(settings=replace(SETTINGS, poll_s=1.0), relay=False)
    world.produce(500)
    world.elapse(0.5)
    for _ in range(40):
        world.produce(40)
        world.elapse(1.0)
    for node in ENDS:
        blocks = world.modules[node].blocks
        first = next(number for number, block in enumerate(blocks) if not block.history)
        assert sum(len(block.key) for block in blocks[:first]) >= 500 * 32
        measured = blocks[first:]
        assert not any(block.history for block in measured)
        rate = sum(8 * len(block.key) for block in measured) / sum(block.duration_ms / 1000 for block in measured)
        assert rate == pytest.approx(40 * 256, rel=0.1)
    ends = [{one.block: one.end_time_ms for one in world.modules[node].blocks if not one.history} for node in ENDS]
    assert all(ends[0][block] == end_ms for block, end_ms in ends[1].items())


def test_nothing_is_fetched_while_the_pool_is_full_or_the_other_end_is_away() -> None:
    world = SourceWorld(settings=replace(SETTINGS, store_bit=40_000), relay=False)
    world.produce(1000)
    world.elapse(20)
    assert 40_000 - 4096 <= world.stored_bit("a") <= 40_000 + 128 * 256
    left = len(world.stored)
    assert left > 500
    world.elapse(20)
    assert len(world.stored) == left
    other = SourceWorld(relay=False)
    other.cut_off.add(frozenset(ENDS))
    other.produce(100)
    other.elapse(20)
    assert len(other.stored) == 100


@pytest.mark.parametrize(
    ("trouble", "alarm"),
    [(Trouble.UNREACHABLE, Fault.MODULE_UNREACHABLE), (Trouble.REFUSES, Fault.MODULE_REFUSES), (Trouble.NO_KEY, None)],
)
@pytest.mark.parametrize("step", [AskStatus, AskKeys])
def test_a_master_whose_source_fails_takes_the_link_down_and_up_again_by_itself(
    trouble: Trouble, alarm: Fault | None, step: type
) -> None:
    world = SourceWorld(settings=replace(SETTINGS, down_after=3), relay=False)
    end = world.modules["a"]
    end.fault, end.faulty = trouble, frozenset({step})
    world.produce(100)
    world.elapse(1.0)
    assert kinds(world, "a") == []
    world.elapse(20)
    assert kinds(world, "a") == [*([alarm] if alarm else []), ChannelDown]
    world.elapse(600)
    assert len(world.modules["a"].said) == 1 + bool(alarm)
    end.fault = None
    world.elapse(60)
    assert kinds(world, "a")[1 + bool(alarm) :] == [*([ModuleSound] if alarm else []), ChannelUp]
    assert world.stored_bit("a") == world.stored_bit("b") > 0


def test_an_alarm_tells_what_is_wrong_now_and_not_what_was_first() -> None:
    health = Health(replace(SETTINGS, down_after=1), chance=lambda: 0.5)
    told = [
        event
        for reason in ("no answer", "no answer", "an expired certificate")
        for event in health.failed(Failed(trouble=Trouble.UNREACHABLE, reason=reason))
    ]
    assert [one.reason for one in told if isinstance(one, ModuleFault)] == ["no answer", "an expired certificate"]
    assert sum(isinstance(one, ChannelDown) for one in told) == 1
    assert health.serves() == [ModuleSound()]


def test_retries_become_rarer_and_are_not_in_step() -> None:
    world = SourceWorld(relay=False)
    end = world.modules["a"]
    end.fault = Trouble.UNREACHABLE
    asked: list[float] = []
    for _ in range(6000):
        if isinstance(end.step, AskStatus):
            asked.append(world.now_s)
        for node in world.ready():
            world.advance(node)
        world.connect()
        while moves := world.moves():
            world.move(*moves[0])
        world.now_s += 0.1
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert len(asked) < 30
    assert max(pauses) <= 61
    assert min(pauses[6:]) > 10
    assert len({round(pause, 1) for pause in pauses[6:]}) > 3


@pytest.mark.parametrize("trouble", [Trouble.UNREACHABLE, Trouble.REFUSES, Trouble.NO_KEY])
def test_a_slave_whose_source_fails_voids_the_block_at_both_ends_and_little_is_lost(trouble: Trouble) -> None:
    world = SourceWorld(settings=replace(SETTINGS, quiet_s=1e6), relay=False)
    end = world.modules["b"]
    end.fault, end.faulty = trouble, frozenset({AskById})
    world.produce(4000)
    world.elapse(120)
    assert kinds(world, "b")[-1] is ChannelDown
    assert kinds(world, "a") == [ChannelDown]
    assert world.stored_bit("a") == world.stored_bit("b") == 0
    assert not any(site.running._pools["a-b"].blocks for site in world.sites.values())
    # one batch at first, then only the smallest blocks, ever more rarely
    assert len(world.stored) > 4000 - 128 - 30 * 16
    end.fault = None
    world.elapse(120)
    assert kinds(world, "a")[-1] is kinds(world, "b")[-1] is ChannelUp
    assert world.stored == []
    assert world.stored_bit("a") == world.stored_bit("b") > 0
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


def test_a_slave_that_meets_a_short_hiccup_asks_again_and_loses_nothing() -> None:
    world = SourceWorld(relay=False)
    world.produce(64)
    until_step(world, "b", AskById)
    world.modules["b"].fault = Trouble.UNREACHABLE
    world.advance("b")
    world.modules["b"].fault = None
    world.elapse(10)
    assert world.stored == []
    assert len(world.modules["b"].blocks) == 2
    assert all(block.key for block in world.modules["b"].blocks)


def test_keys_that_expired_before_the_slave_asked_are_void_and_the_next_ones_are_not() -> None:
    world = SourceWorld(relay=False)
    world.produce(64)
    until_step(world, "b", AskById)
    world.expire()
    world.elapse(30)
    assert world.modules["b"].blocks[0].key == b""
    assert world.stored_bit("a") == world.stored_bit("b") > 0


def test_a_stream_that_ends_under_the_word_loses_no_block() -> None:
    world = SourceWorld(relay=False)
    world.produce(64)
    until_step(world, "a", Tell)
    world.advance("a")
    world.drop_stream(*ENDS)
    world.elapse(10)
    assert [bool(block.key) for block in world.modules["b"].blocks] == [True, True]
    assert world.stored_bit("a") == world.stored_bit("b") > 0


def test_a_stream_that_ends_under_the_answer_loses_no_block_and_is_no_failure() -> None:
    world = SourceWorld(settings=replace(SETTINGS, down_after=1), relay=False)
    world.produce(64)
    until_step(world, "b", Tell)
    world.advance("b")
    world.drop_stream(*ENDS)
    world.elapse(10)
    assert kinds(world, "a") == kinds(world, "b") == []
    assert [bool(block.key) for block in world.modules["b"].blocks] == [True, True]
    assert world.stored_bit("a") == world.stored_bit("b") > 0


def test_a_block_of_which_the_slave_got_a_part_is_void_as_a_whole() -> None:
    world = SourceWorld(at_once=5, relay=False)
    world.produce(16)
    until_step(world, "b", AskById)
    world.advance("b")
    assert isinstance(world.modules["b"].step, AskById)
    world.expire()
    world.elapse(5)
    (block,) = world.modules["b"].blocks
    assert block.key == b""
    assert world.stored_bit("a") == world.stored_bit("b") == 0
    assert not world.sites["b"].alarms


def test_a_master_that_dies_before_it_tells_burns_the_keys_and_never_gives_the_number_again() -> None:
    world = SourceWorld(relay=False)
    world.produce(64)
    until_step(world, "a", Tell)
    lost = world.modules["a"].blocks[-1].block
    world.crash("a")
    world.start("a")
    world.produce(64)
    world.elapse(10)
    assert lost not in world.named
    assert min(world.named) > lost
    # the other end says that it will never have that block, and nobody keeps it
    assert lost not in world.sites["a"].running._pools["a-b"].blocks
    assert world.stored_bit("a") == world.stored_bit("b") > 0


def test_an_old_copy_of_the_masters_store_does_not_repeat_a_number() -> None:
    world = SourceWorld(relay=False)
    world.produce(32)
    world.elapse(5)
    disk, ledger = dict(world.sites["a"].disk), list(world.sites["a"].ledger)
    after = world.modules["a"].after_block
    for _ in range(20):
        world.produce(32)
        world.elapse(1)
    world.crash("a")
    world.sites["a"].disk, world.sites["a"].ledger, world.modules["a"].after_block = disk, ledger, after
    world.start("a")
    world.produce(100)
    world.elapse(30)
    assert not world.begun_again
    assert world.stored_bit("a") == world.stored_bit("b") > 0


@pytest.mark.parametrize("what", ["id", "key"])
def test_a_source_that_gives_the_same_key_or_id_twice_is_refused(what: str) -> None:
    world = SourceWorld(settings=replace(SETTINGS, down_after=1), relay=False)
    world.produce(64)
    world.elapse(5)
    count = len(world.modules["a"].blocks)
    world.produce(16)
    key_id, key = world.stored[0]
    if what == "id":
        key_id = world.named[world.modules["a"].blocks[0].block][0]
    else:
        key = world.stored[1][1]
    world.stored[0] = key_id, key
    world.elapse(3)
    assert len(world.modules["a"].blocks) == count
    assert kinds(world, "a") == [Fault.MODULE_REFUSES, ChannelDown]


def test_a_source_without_new_key_for_long_is_down_until_it_has_some() -> None:
    world = SourceWorld(settings=replace(SETTINGS, quiet_s=30), relay=False)
    world.produce(64)
    world.elapse(25)
    assert kinds(world, "a") == []
    world.elapse(10)
    assert kinds(world, "a") == [ChannelDown]
    world.produce(64)
    world.elapse(5)
    assert kinds(world, "a") == [ChannelDown, ChannelUp]
    # slow, and yet alive: the count rises
    for _ in range(15):
        world.produce(1)
        world.elapse(10)
    assert kinds(world, "a") == [ChannelDown, ChannelUp]


def test_two_slaves_and_two_masters_are_found_out() -> None:
    idle = SourceWorld(settings=replace(SETTINGS, quiet_s=30), relay=False)
    idle.modules["a"].steps = None
    idle.elapse(40)
    idle.elapse(40)
    (said,) = idle.modules["b"].said
    assert isinstance(said, ChannelDown)
    assert "master" in said.reason

    world = SourceWorld(settings=replace(SETTINGS, down_after=1), relay=False)
    end = world.modules["b"]
    end.steps = Master(world.settings, link="a-b", last_block=None, chance=world.chance.random).run()
    end.step = next(end.steps)
    world.produce(1000)
    world.elapse(60)
    assert Fault.MODULE_REFUSES in kinds(world, "a") + kinds(world, "b")
    assert world.stored_bit("a") == 0


def test_a_far_end_that_makes_up_numbers_is_not_believed_and_leaves_numbers_to_go_on_with() -> None:
    world = SourceWorld(settings=replace(SETTINGS, down_after=1), relay=False)
    world.produce(64)
    until_step(world, "a", Tell)
    world.advance("a")
    world.modules["b"].steps = None  # in its place answers a liar
    end = world.modules["a"]
    told = end.blocks[-1].block
    end.words.append(ModuleKeys(link="a-b", block=2**64 - 1, key_ids=(), key_size_bit=0, end_time_ms=0))
    world.elapse(1)
    assert kinds(world, "a") == [ChannelDown]
    world.produce(64)
    world.elapse(60)
    assert told < end.blocks[-1].block < 2 * WALL_MS

    other = SourceWorld(settings=replace(SETTINGS, down_after=1), relay=False)
    other.quieten()
    slave = other.modules["b"]
    for block, end_ms in ((2**64 - 1, 0), (WALL_MS, 2**64 - 1)):
        name = "67b6c1d1-5a04-4f0c-8b4a-1f6f8a0c2f11"
        slave.words.append(ModuleKeys(link="a-b", block=block, key_ids=(name,), key_size_bit=256, end_time_ms=end_ms))
    other.quieten()
    assert slave.blocks == []
    assert kinds(other, "b") == [ChannelDown]
    other.produce(64)
    other.elapse(30)
    assert kinds(other, "b")[-1] is ChannelUp


def test_a_slave_is_not_kept_busy_by_a_source_that_allows_no_keys_or_by_blocks_that_nobody_makes() -> None:
    world = SourceWorld(settings=replace(SETTINGS, down_after=1), at_once=0, relay=False)
    world.quieten()
    slave = world.modules["b"]
    names = tuple(f"67b6c1d1-5a04-4f0c-8b4a-{number:012}" for number in range(8))
    slave.words.append(ModuleKeys(link="a-b", block=WALL_MS, key_ids=names, key_size_bit=256, end_time_ms=0))
    world.quieten()
    assert [block.key for block in slave.blocks] == [b""]
    (fault, _) = slave.said
    assert isinstance(fault, ModuleFault)
    assert "max_key_per_request" in fault.reason
    slave.words.append(ModuleKeys(link="a-b", block=WALL_MS + 1, key_ids=names, key_size_bit=1 << 20, end_time_ms=0))
    world.quieten()
    assert [block.key for block in slave.blocks] == [b"", b""]
    assert slave.step == Listen(SETTINGS.quiet_s)


def test_numbers_rise_by_the_clock_and_change_parity() -> None:
    last = None
    for wall_ms in (WALL_MS, WALL_MS, WALL_MS - 5000, WALL_MS + 10_000):
        number = next_block(last, wall_ms)
        assert number >= wall_ms
        if last is not None:
            assert number > last
            assert number % 2 != last % 2
        last = number


def test_keys_are_blanked_once_they_are_joined_and_never_shown() -> None:
    key = Key(key_id="67b6c1d1-5a04-4f0c-8b4a-1f6f8a0c2f11", data=bytearray(b"\x07" * 32))
    assert joined([key]) == b"\x07" * 32
    assert key.data == bytes(32)
    assert repr(key) == "Key()"
