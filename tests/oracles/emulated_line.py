"""The same line in our own pair engines, in virtual time."""

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.path_plan import HopPlan, SwapStep
from southbound.agent.pairs import effects
from tests.oracles.sequence_line import Delivered, Line
from tests.support.virtual_pairs import Fibre, VirtualNetwork


def emulate(line: Line, seconds: float, swap_success: float = 1.0) -> Delivered:
    """Run a lane for every memory of a link, without cut-off; at most one swap."""
    nodes = tuple(f"r{index}" for index in range(line.routers))
    model = PairModel(
        regime=Regime.MEMORY,
        attempt_period_s=line.attempt_s,
        memory_pairs=line.memories,
        options=(PairOption(success_probability=line.success_probability, fidelity=line.fidelity),),
    )
    fibres = [
        Fibre(name=f"l{index}", ends=(nodes[index], nodes[index + 1]), model=model, length_m=1000 * line.link_km)
        for index in range(line.routers - 1)
    ]
    hardware = PairHardware(memories=2 * line.memories, swap_success=swap_success)
    network = VirtualNetwork(dict.fromkeys(nodes, hardware), fibres, seed=line.seed)
    network.install(
        PathEntry(
            path="line",
            route_version=1,
            nodes=nodes,
            hops=tuple(HopPlan(link=fibre.name, option=0, memory_pairs=line.memories) for fibre in fibres),
            hop_lengths_m=tuple(round(fibre.length_m) for fibre in fibres),
            swaps=tuple(SwapStep(node=node, left=nodes[0], right=nodes[-1]) for node in nodes[1:-1]),
            regime=Regime.MEMORY,
            lanes=line.memories,
            rate_millihertz=1000,
            fidelity=0.5,
            minimum_fidelity=0.5,
        )
    )
    network.run(seconds)
    pairs = [effect for effect in network.sites[nodes[0]].effects if isinstance(effect, effects.Delivered)]
    return Delivered(at_s=[pair.goodness_s for pair in pairs], fidelities=[pair.state.fidelity for pair in pairs])
