"""What a person is shown of entanglement: paths, their plans and certificates.

Fidelity is F = <Phi+|rho|Phi+>, a ratio; rates are in pairs per second.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from controller.cli.names import short, shorts
from controller.cli.output import Part, Sheet, Table
from controller.cli.quantities import shown_duration, shown_fidelity, shown_hz, shown_moment, shown_number, shown_span
from controller.cli.tables import enabled, phase_word, route_table, route_text, state_word
from controller.cli.tables_of_pairs import estimate, regime_word, sampled
from qinet.northbound.v1.key_relay_pb2 import KeyRelay
from qinet.types.v1.pairs_pb2 import PairUse

if TYPE_CHECKING:
    from qinet.northbound.v1.entanglement_path_pb2 import (
        EntanglementPath,
        PairReservation,
        PathEndMeasurement,
        PathPlan,
    )
    from qinet.northbound.v1.entanglement_service_pb2 import ComputeEntanglementRouteResponse
    from qinet.northbound.v1.key_relay_pb2 import Route

_EXACT: Final = 1e-9  # a gap below it is rounding


def path_table(paths: "Iterable[EntanglementPath]") -> Table:
    """Return the entanglement paths, one a row."""
    return Table(
        columns=(
            "path", "source", "target", "asked", "min fidelity", "state", "promised pairs/s", "promised fidelity",
            "route", "version", "reason",
        ),
        dispensable=("version", "promised fidelity", "promised pairs/s", "route"),
        rows=tuple(
            (
                short(path.name),
                short(path.source),
                short(path.target),
                asked(path),
                shown_fidelity(path.minimum_fidelity),
                state_word(path.state),
                shown_number(path.plan.rate_hz) if path.HasField("plan") else "",
                shown_fidelity(path.plan.fidelity) if path.HasField("plan") else "",
                route_text(path.route),
                str(path.route_version),
                path.state_reason,
            )
            for path in paths
        ),
    )  # fmt: skip


def asked(path: "EntanglementPath") -> str:
    """Return how many pairs are asked of a path: `10 Hz`, or `2 within 1s, 0.5 Hz`."""
    if path.WhichOneof("service") == "packets":
        packets = path.packets
        return f"{packets.pairs} within {shown_duration(packets.window)}, {shown_hz(packets.rate_hz)}"
    return shown_hz(path.rate_hz)


def path_parts(path: "EntanglementPath", now: datetime | None) -> list[Part]:
    """Return all there is to know about one path; moments relative to `now` if that is given."""
    facts = (
        ("path", path.name),
        ("state", state_word(path.state)),
        ("reason", path.state_reason),
        ("phase", phase_word(path.phase)),
        ("source", path.source),
        ("target", path.target),
        ("asked", asked(path)),
        ("min fidelity", shown_fidelity(path.minimum_fidelity)),
        ("use", PairUse.Name(path.use).removeprefix("PAIR_USE_").lower() if path.use else ""),
        ("purpose", str(path.purpose_id) if path.purpose_id else ""),
        ("test share", shown_number(path.test_share) if path.HasField("test_share") else ""),
        ("key link", path.key_link),
        ("authentication", path.authentication),
        ("promised key", f"{shown_number(path.promised_skr_bit_per_s)} bit/s" if path.key_link else ""),
        ("first key after", _first_key(path)),
        ("priority", str(path.priority)),
        ("max hops", str(path.max_hops) if path.HasField("max_hops") else ""),
        ("avoid", ", ".join([*path.avoid_nodes, *path.avoid_links])),
        ("protection", "unprotected" if path.protection == KeyRelay.PROTECTION_UNPROTECTED else ""),
        ("restoration", "manual" if path.restoration_mode == KeyRelay.RESTORATION_MODE_MANUAL else ""),
        ("hold-off", shown_duration(path.hold_off) if path.hold_off.ByteSize() else ""),
        ("deadline", shown_duration(path.deadline) if path.HasField("deadline") else ""),
        ("accept blocked", "yes" if path.accept_blocked else ""),
        ("administration", "" if enabled(path) else "disabled"),
        ("route version", str(path.route_version)),
        ("unconfirmed", shorts(path.unconfirmed_nodes)),
        ("created", " by ".join(filter(None, (shown_moment(path.create_time, now), path.created_by)))),
        ("expires", shown_moment(path.expire_time, now)),
        ("etag", path.etag),
    )
    parts: list[Part] = [Sheet(facts=facts)]
    if path.HasField("plan"):
        parts += plan_parts(path.plan, path.route)
    if path.retiring_routes:
        parts.append(route_table(path.retiring_routes, "Routes that it is leaving"))
    if path.reservations:
        parts.append(_reservation_table(path.reservations))
    if path.ends:
        parts.append(_end_table(path.ends))
    return parts


def _first_key(path: "EntanglementPath") -> str:
    if not path.key_link or not path.HasField("plan"):
        return ""
    return (
        shown_span(path.time_to_first_key_s) if path.HasField("time_to_first_key_s") else "never: no block yields key"
    )


def plan_parts(plan: "PathPlan", route: "Route") -> list[Part]:
    """Return how pairs are made on a route, what that promises, and how far from the best that may be."""
    facts = (
        ("regime", regime_word(plan.regime)),
        ("promised", f"{shown_hz(plan.rate_hz)} of F {shown_fidelity(plan.fidelity)}"),
        ("lanes", str(plan.lanes) if plan.lanes > 1 else ""),
        ("buffers", f"{plan.buffer_pairs} pairs" if plan.buffer_pairs else ""),
        ("certificate", certificate(plan)),
    )
    parts: list[Part] = [Sheet(facts=facts)]
    parts.append(
        Table(
            title="Hops",
            columns=("hop", "from", "link", "to", "option", "purification rounds", "memory pairs", "made pairs/s"),
            rows=tuple(
                (
                    str(number),
                    short(step.start_node),
                    short(step.link),
                    short(step.end_node),
                    str(hop.option),
                    str(hop.purification_rounds),
                    str(hop.memory_pairs),
                    shown_number(hop.rate_millihertz / 1000) if hop.rate_millihertz else "",
                )
                for number, (step, hop) in enumerate(zip(route.hops, plan.hops, strict=False), 1)
            ),
        )
    )
    if plan.swaps:
        parts.append(
            Table(
                title="Swaps",
                columns=("step", "node", "joins", "cut-off"),
                rows=tuple(
                    (
                        str(step),
                        swap.node,
                        f"{swap.left} - {swap.right}",
                        _cutoff(swap.cutoff_ns) if swap.HasField("cutoff_ns") else "",
                    )
                    for step, swap in enumerate(plan.swaps, 1)
                ),
            )
        )
    return parts


def proven_best(plan: "PathPlan") -> bool:
    """Tell whether no route, allocation and swap tree has more."""
    return plan.gap <= _EXACT


def certificate(plan: "PathPlan") -> str:
    """Return how good a route is proven to be: `rate_hz 12.5, proven best`, or with its bound and gap."""
    if not plan.objective:
        return ""
    value = f"{plan.objective} {shown_number(plan.objective_value)} with all that is free"
    if proven_best(plan):
        return f"{value}, proven best"
    return f"{value}, none above {shown_number(plan.objective_bound)} (gap {100 * plan.gap:.3g} %)"


def _cutoff(cutoff_ns: int) -> str:
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if cutoff_ns >= size:
            return f"{cutoff_ns / size:.4g}{unit}"
    return f"{cutoff_ns}ns"


def _reservation_table(reservations: "Iterable[PairReservation]") -> Table:
    return Table(
        title="Reservations",
        columns=("resource", "amount", "remarks"),
        rows=tuple((one.resource, str(one.amount), "releasing" if one.releasing else "") for one in reservations),
    )


def _end_table(ends: "Iterable[PathEndMeasurement]") -> Table:
    return Table(
        title="Ends",
        columns=(
            "node", "pairs/s", "delivered", "estimated fidelity", "samples", "tracked fidelity", "dropped", "packets",
            "remarks",
        ),
        rows=tuple(
            (
                short(end.node),
                shown_number(end.rate_hz),
                str(end.delivered_total),
                estimate(end.fidelity) if end.HasField("fidelity") else "",
                sampled(end.fidelity) if end.HasField("fidelity") else "",
                shown_fidelity(end.tracked_fidelity) if end.HasField("tracked_fidelity") else "",
                str(end.dropped_total),
                str(end.packet_total) if end.packet_total else "",
                "starved" if end.starved else "",
            )
            for end in ends
        ),
    )  # fmt: skip


def route_parts(answer: "ComputeEntanglementRouteResponse") -> list[Part]:
    """Return the best route of a demand, its plan, and what it would take."""
    parts: list[Part] = [Sheet(facts=(("route", route_text(answer.route)),)), *plan_parts(answer.plan, answer.route)]
    if answer.reservations:
        parts.append(_reservation_table(answer.reservations))
    return parts


def path_summary(path: "EntanglementPath") -> Sequence[str]:
    """Return what a path is now, in words for one line."""
    plan = path.plan if path.HasField("plan") else None
    return (
        state_word(path.state),
        phase_word(path.phase),
        f"unconfirmed: {shorts(path.unconfirmed_nodes)}" if path.unconfirmed_nodes else "",
        f"version {path.route_version}",
        route_text(path.route),
        f"{shown_hz(plan.rate_hz)} of F {shown_fidelity(plan.fidelity)}" if plan else "",
        path.state_reason,
    )
