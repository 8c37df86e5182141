"""Two ends of a link over a GS QKD 014 source, killed and cut off at any step: no bit is used by one end only."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from southbound.agent.drivers.gs014.steps import AskById, AskKeys, AskStatus, Tell, Trouble
from southbound.agent.drivers.module import ModuleBlock
from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.ledger import LedgerKind
from tests.support.upstream_014_world import ENDS, SourceWorld

ends = st.sampled_from(ENDS)
stories = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(1, 60)),
        st.tuples(st.just("wait"), st.sampled_from([0.3, 1.0, 5.0, 30.0])),
        st.tuples(st.just("produce"), st.integers(1, 60)),
        st.tuples(st.just("kill"), ends, st.sampled_from([AskStatus, AskKeys, AskById, ModuleBlock, Tell]),
                  st.sampled_from(["before", "after"])),
        st.tuples(st.just("crash"), ends),
        st.tuples(st.just("start"), ends),
        st.tuples(st.just("cut"),),
        st.tuples(st.just("expire"),),
        st.tuples(st.just("fault"), ends, st.sampled_from([None, *Trouble])),
        st.tuples(st.just("ask"),),
    ),
    min_size=5,
    max_size=30,
)  # fmt: skip


def tell(world: SourceWorld, story: list[tuple[object, ...]]) -> None:
    """Play a story; what does not suit the moment is left out."""
    for what, *how in story:
        match what, how:
            case "run", [int(steps)]:
                for _ in range(steps):
                    one_step(world)
            case "wait", [float(seconds)]:
                world.now_s += seconds
                for name, site in world.sites.items():
                    if site.plane is not None and site.wake_s <= world.now_s:
                        world.tick(name)
            case "produce", [int(number)]:
                world.produce(number)
            case "kill", [str(node), type() as step, str(when)]:
                for _ in range(200):
                    end = world.modules[node]
                    if end.steps is None:
                        break
                    if isinstance(end.step, step) and node in world.ready():
                        world.advance(node, crash=when)
                        break
                    one_step(world)
            case "crash", [str(node)]:
                world.crash(node)
            case "start", [str(node)]:
                if world.sites[node].plane is None:
                    world.start(node)
            case "cut", []:
                world.drop_stream(*ENDS)
            case "expire", []:
                world.expire()
            case "fault", [str(node), (Trouble() | None) as trouble]:
                world.modules[node].fault = trouble
            case "ask", []:
                world.ask("a", "sae.r.a", "sae.r.b")


def one_step(world: SourceWorld) -> None:
    world.connect()
    doings = [*world.moves(), *((node,) for node in world.ready())]
    if doings:
        one = world.chance.choice(doings)
        if len(one) == 1:
            world.advance(one[0])
        else:
            world.move(*one)


@settings(max_examples=40, deadline=None)
@given(story=stories, seed=st.integers(0, 1000))
@example(story=[("run", 1)] * 4 + [("crash", "a")], seed=257)  # answers to lives given up since
def test_no_bit_is_used_twice_or_by_one_end_only_and_the_link_comes_back(
    story: list[tuple[object, ...]], seed: int
) -> None:
    world = SourceWorld(seed, at_once=7)
    tell(world, story)
    # then all is well again
    for node in ENDS:
        world.modules[node].fault = None
        if world.sites[node].plane is None:
            world.start(node)
    for _ in range(15):
        world.produce(40)
        world.elapse(10.0)

    assert audit({name: site.ledger for name, site in world.sites.items()}) == []
    assert not world.begun_again
    # no key of the source is in two blocks
    named = [key_id for key_ids in world.named.values() for key_id in key_ids]
    assert len(set(named)) == len(named)
    # what one end's blocks hold, the other's hold too, and what was not named was never used
    for node in ENDS:
        uses = [entry for entry in world.sites[node].ledger if entry.kind is LedgerKind.USE]
        assert {entry.block for entry in uses if entry.purpose != "COMPARE"} <= set(world.named)
        assert not any(not block.compared for block in world.sites[node].running._pools["a-b"].blocks.values())
    assert world.stored_bit("a") == world.stored_bit("b") > 0
