"""What is promised when many ask at once for the same narrow link."""

from concurrent.futures import ThreadPoolExecutor

import grpc

from controller.domain.capacity import rate_within
from tests.support.daemons import World
from tests.support.operator_calls import Refused, refusal

CLIENTS = 24
RATE_BIT_PER_S = 100.0


def test_creates_at_once_never_promise_more_than_there_is(town: World) -> None:
    stubs = [town.on(town.channel()) for _ in range(6)]
    names = [f"crowd-{each}" for each in range(CLIENTS)]

    def ask(number: int) -> Refused | None:
        # Half of them for the narrow link alone, half over two links.
        source = "bob" if number % 2 else "middle"
        try:
            stubs[number % len(stubs)].create(names[number], source, "cave", RATE_BIT_PER_S)
        except grpc.RpcError as refused:
            problem = refused

            def again() -> None:
                raise problem

            return refusal(again)
        return None

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(ask, range(CLIENTS)))
    refused = [answer for answer in answers if answer is not None]
    link = town.links()["narrow"]
    promised = [name for name in names if name in town.all_relays()]
    assert link.reserved_bit_per_s <= link.capacity_bit_per_s
    assert len(promised) == answers.count(None) == CLIENTS - len(refused)
    assert 0 < len(promised) < CLIENTS
    held = sum(each.charge_bit_per_s for name in promised for each in town.relay(name).reservations[-1:])
    assert abs(held - link.reserved_bit_per_s) < 0.001 * len(promised) or held <= link.reserved_bit_per_s
    for each in refused:
        assert (each.code, each.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_CAPACITY")
        assert "narrow" in each.facts["bottleneck_links"]
    # Nothing more fits, and what is left over is told.
    room_bit_per_s = rate_within(round(1000 * (link.capacity_bit_per_s - link.reserved_bit_per_s))) / 1000
    assert room_bit_per_s < RATE_BIT_PER_S
    town.delete(promised[0])
    town.gone(promised[0])
    town.create("crowd-late", "bob", "cave", RATE_BIT_PER_S)
    again = refusal(lambda: town.create("crowd-too-late", "bob", "cave", RATE_BIT_PER_S))
    assert again.reason == "NO_CAPACITY"
    for name in [*promised[1:], "crowd-late"]:
        town.delete(name)
    town.gone(*names, "crowd-late")
    assert town.links()["narrow"].reserved_bit_per_s == 0
