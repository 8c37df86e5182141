"""Key relays created per second end to end, beside bare unary gRPC: python -m tests.bench.creation.

End to end: decided, durable, pushed to every node on the path, and acknowledged by each. Controller, agents (a fleet
in one process) and this client run on this machine, over mutual TLS; the peer is a bare echo without TLS.
"""

import asyncio
import signal
import sys
import tempfile
import time
from itertools import permutations
from pathlib import Path
from typing import Final

from controller.identity.credentials import open_aio_channel
from controller.identity.tls_files import files_in, load_tls
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1 import key_relay_service_pb2_grpc, operations_service_pb2, operations_service_pb2_grpc
from tests.bench.agent_throughput import Network, cpu_s, named
from tests.bench.line import rate_line, tell
from tests.bench.peers import peer, unary_per_s
from tests.chaos.interrupt import closes_on_signals
from tests.support.daemons import Daemon, World
from tests.support.operator_calls import CONTROLLER, OPERATOR, Relay

IN_FLIGHT: Final = 64
_TOPOLOGY: Final = Path(__file__).parents[2] / "topologies" / "tokyo-2010.yaml"
_WARM_UP: Final = 40
_LOOK_EVERY_S: Final = 0.05
_WITHIN_S: Final = 120.0
_ECHO_S: Final = 3.0


class Sampled(Network):
    """A world whose programs tell where their time went, in SAMPLES-*.txt below its folder."""

    def spawn(self, name: str, module: str, *arguments: str | Path) -> Daemon:
        """Start a program of ours under the sampler."""
        out = self.directory / f"samples-{name}.txt"
        return super().spawn(name, "tests.bench.sampled", out, module, *arguments)


async def _create(world: World, names: list[str]) -> tuple[float, float]:
    """Create relays; return how long it took until all were answered, and until all nodes have acknowledged."""
    nodes = [node.name for node in world.network.nodes]
    ends = list(permutations(nodes, 2))
    tls = load_tls(files_in(world.pki, OPERATOR))
    async with open_aio_channel(tls, world.addresses["northbound"], CONTROLLER) as channel:
        relays = key_relay_service_pb2_grpc.KeyRelayServiceStub(channel)
        waiting = list(enumerate(names))[::-1]
        began = time.monotonic()

        async def worker() -> None:
            while waiting:
                number, name = waiting.pop()
                source, target = ends[number % len(ends)]
                relay = Relay(source=f"nodes/{source}", target=f"nodes/{target}", rate_bit_per_s=1.0)
                await relays.CreateKeyRelay(
                    pb.CreateKeyRelayRequest(key_relay_id=name, key_relay=relay, request_id=f"bench-{name}"),
                    timeout=_WITHIN_S,
                )

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        answered_s = time.monotonic() - began
        operations = operations_service_pb2_grpc.OperationsServiceStub(channel)
        while True:
            # Of the agents, since a list of all relays would cost more than what is measured.
            agents = await operations.ListAgents(operations_service_pb2.ListAgentsRequest(), timeout=_WITHIN_S)
            told_s = time.monotonic() - began
            if all(agent.up_to_date for agent in agents.agents) and not await _untold(relays, names):
                return answered_s, told_s
            if told_s > _WITHIN_S:
                raise TimeoutError(f"not acknowledged by their nodes: {await _untold(relays, names)}")
            await asyncio.sleep(_LOOK_EVERY_S)


async def _untold(relays: "key_relay_service_pb2_grpc.KeyRelayServiceAsyncStub", names: list[str]) -> set[str]:
    """Return the relays that some node has yet to acknowledge."""
    answer = await relays.ListKeyRelays(pb.ListKeyRelaysRequest(page_size=1000), timeout=_WITHIN_S)
    told = {
        relay.name for relay in answer.key_relays if relay.phase == Relay.PHASE_SETTLED and not relay.unconfirmed_nodes
    }
    return {f"keyRelays/{name}" for name in names} - told


def measure(relays: int, *, history_s: float = 0.0, keep: Path | None = None) -> dict[str, object]:
    """Create so many relays, and return the line; with a folder to keep, sample the programs.

    With `history_s` the links have key, and the agents go on at once to make the relays' first keys, on the same
    processors: the figure then is of both. Without, it is of control alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        kind = Network if keep is None else Sampled
        world = kind(directory=keep or Path(folder), topology=_TOPOLOGY)
        try:
            world.start_controller()
            world.start_fleet(history_s=history_s)
            world.all_connected()
            asyncio.run(_create(world, [f"warm-{number}" for number in range(_WARM_UP)]))
            daemons = [named(world, "controller"), named(world, "fleet")]
            if keep is not None:
                for daemon in daemons:
                    daemon.process.send_signal(signal.SIGUSR1)
            before_s = [cpu_s(daemon) for daemon in daemons]
            answered_s, told_s = asyncio.run(_create(world, [f"relay-{number}" for number in range(relays)]))
            took_s = [cpu_s(daemon) - before for daemon, before in zip(daemons, before_s, strict=True)]
        finally:
            world.close()
    with peer() as address:
        echo = unary_per_s(address, in_flight=IN_FLIGHT, message=b"x" * 128, for_s=_ECHO_S)
    return rate_line(
        "key relays created, durable, pushed and acknowledged by every node on the path",
        relays / told_s,
        "1/s",
        f"unary gRPC echo, no TLS, {IN_FLIGHT} in flight",
        echo,
        relays=relays,
        in_flight=IN_FLIGHT,
        answered_per_s=round(relays / answered_s, 1),
        controller_cpu_ms_per_relay=round(1000 * took_s[0] / relays, 2),
        agents_cpu_ms_per_relay=round(1000 * took_s[1] / relays, 2),
    )


def main() -> int:
    """Measure once, or with `--samples FOLDER [RELAYS]` also where the time goes."""
    closes_on_signals()
    keep = Path(sys.argv[2]) if sys.argv[1:2] == ["--samples"] else None
    tell(measure(int(sys.argv[3]) if len(sys.argv) > 3 else 400, keep=keep))
    return 0


if __name__ == "__main__":
    sys.exit(main())
