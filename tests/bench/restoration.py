"""Restoration time per affected relay, beside bare gRPC: python -m tests.bench.restoration.

A link is cut under many relays that all have a detour. Measured is the time from the order of the cut until each is
ACTIVE on its new route: the module's word, every decision, both rounds to the nodes, and a first key on the new way.
The peer is what the bare transport would need for the same entries: three of them a relay, pushed over one stream
and answered, without TLS, disk or decision.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from controller.identity.credentials import open_aio_channel
from controller.identity.tls_files import files_in, load_tls
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1 import key_relay_service_pb2_grpc
from tests.bench.agent_throughput import Network
from tests.bench.line import tell, time_line
from tests.bench.peers import peer, stream_per_s
from tests.chaos.interrupt import closes_on_signals
from tests.support.daemons import World
from tests.support.operator_calls import CONTROLLER, OPERATOR, Relay, State
from tests.support.topology_text import topology_yaml

_LINKS: Final = [("direct", "a", "z"), ("detour-1", "a", "m"), ("detour-2", "m", "z")]
_SKR_BIT_PER_S: Final = 1_000_000.0
_ENTRIES_PER_RELAY: Final = 3
_ENTRY: Final = b"x" * 192
_IN_FLIGHT: Final = 64
_WITHIN_S: Final = 120.0
_STREAM_S: Final = 2.0
_REPORTED_S: Final = 2.5
_FILL_S: Final = 10.0


class _Watched:
    """The relays as a watch tells them; the stream stays open over all steps."""

    def __init__(self, names: list[str]) -> None:
        self.names = {f"keyRelays/{name}" for name in names}
        self.now: dict[str, Relay] = {}
        self.changed = asyncio.Event()

    async def follow(self, relays: "key_relay_service_pb2_grpc.KeyRelayServiceAsyncStub") -> None:
        """Take in every change."""
        async for step in relays.WatchKeyRelays(pb.WatchKeyRelaysRequest()):
            if step.key_relay.name in self.names:
                self.now[step.key_relay.name] = step.key_relay
                self.changed.set()

    async def active(self, *, off: str = "") -> None:
        """Wait until all are ACTIVE, and none on that link."""
        async with asyncio.timeout(_WITHIN_S):
            while not all(self._is_active(name, off) for name in self.names):
                self.changed.clear()
                await self.changed.wait()

    def _is_active(self, name: str, off: str) -> bool:
        relay = self.now.get(name)
        return (
            relay is not None
            and relay.state == State.STATE_ACTIVE
            and all(hop.link != f"links/{off}" for route in relay.routes for hop in route.hops)
        )


async def _fill(relays: "key_relay_service_pb2_grpc.KeyRelayServiceAsyncStub") -> None:
    """Give the relays' stocks time to fill, since a network that has run for a while has them full."""
    before, end = -1, time.monotonic() + _FILL_S
    while time.monotonic() < end:
        answer = await relays.ListKeyRelays(pb.ListKeyRelaysRequest(page_size=1000))
        stock_bit = sum(each.stock_bit for relay in answer.key_relays for each in relay.ends)
        if stock_bit == before:
            return
        before = stock_bit
        await asyncio.sleep(_REPORTED_S)


async def _restore(world: World, names: list[str]) -> float:
    """Return how long it took from the order of the cut until all were ACTIVE on the detour."""
    tls = load_tls(files_in(world.pki, OPERATOR))
    async with open_aio_channel(tls, world.addresses["northbound"], CONTROLLER) as channel:
        relays = key_relay_service_pb2_grpc.KeyRelayServiceStub(channel)
        watched = _Watched(names)
        following = asyncio.ensure_future(watched.follow(relays))
        try:
            waiting = list(names)

            async def worker() -> None:
                while waiting:
                    name = waiting.pop()
                    relay = Relay(source="nodes/a", target="nodes/z", rate_bit_per_s=1.0)
                    await relays.CreateKeyRelay(
                        pb.CreateKeyRelayRequest(key_relay_id=name, key_relay=relay), timeout=_WITHIN_S
                    )

            await asyncio.gather(*(worker() for _ in range(_IN_FLIGHT)))
            await watched.active()
            await _fill(relays)
            began = time.monotonic()
            await asyncio.to_thread(world.cut, "direct")
            await watched.active(off="direct")
            return time.monotonic() - began
        finally:
            following.cancel()


def measure(relays: int) -> dict[str, object]:
    """Cut a link under so many relays, and return the line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "topology.yaml"
        path.write_text(topology_yaml("detour", _LINKS, skr_bit_per_s=_SKR_BIT_PER_S))
        world = Network(directory=Path(folder), topology=path)
        try:
            world.start_controller()
            world.start_fleet(history_s=60.0)
            world.all_connected()
            took_s = asyncio.run(_restore(world, [f"relay-{number}" for number in range(relays)]))
        finally:
            world.close()
    with peer() as address:
        pushed_per_s = stream_per_s(address, in_flight=_IN_FLIGHT, message=_ENTRY, for_s=_STREAM_S)
    return time_line(
        "restoration after a cut, per affected relay",
        1000 * took_s / relays,
        "ms",
        f"{_ENTRIES_PER_RELAY} entries pushed and answered on a bare gRPC stream, no TLS, {_IN_FLIGHT} in flight",
        1000 * _ENTRIES_PER_RELAY / pushed_per_s,
        relays=relays,
        all_restored_s=round(took_s, 2),
    )


def main() -> int:
    """Measure with few and with many relays, or with as many as are named."""
    closes_on_signals()
    for relays in map(int, sys.argv[1:] or ("20", "100")):
        tell(measure(relays))
    return 0


if __name__ == "__main__":
    sys.exit(main())
