"""qinetctl topology import: a network of topohub, a GraphML or a node-link file as a topology file of ours."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from controller.cli.exits import Exit, Stop
from controller.cli.output import tell
from controller.cli.source_format import SourceFormat
from controller.config.mistakes import Mistake, Mistakes

if TYPE_CHECKING:
    from controller.config.foreign.graph import ForeignGraph
    from controller.config.foreign.plan import Plan
    from controller.config.pair_profiles import PairProfile
    from controller.config.profiles import Profile

DEFAULT_PROFILE: Final = "decoy-bb84-sspd-1ghz"


def import_(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A key of topohub, as sndlib/germany50 or topozoo/Abilene; or a file."),
    ],
    *,
    form: Annotated[
        SourceFormat | None, typer.Option("--format", help="What SOURCE is; found out from SOURCE if not given.")
    ] = None,
    max_span_km: Annotated[
        float,
        typer.Option("--max-span-km", metavar="KM", min=0.1, max=100_000, help="Split longer links by relays."),
    ] = 80.0,
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="Modules or repeater hardware, out of the profiles file.")
    ] = DEFAULT_PROFILE,
    profiles_file: Annotated[
        Path | None, typer.Option("--profiles", metavar="FILE", help="Profiles file; topologies/profiles.yaml.")
    ] = None,
    attenuation_db_per_km: Annotated[
        float, typer.Option("--attenuation", metavar="DB/KM", min=0.01, max=10, help="Of every fibre.")
    ] = 0.25,
    length_attribute: Annotated[
        str | None,
        typer.Option(
            "--length-attribute", metavar="NAME", help="Where lengths in km stand; length_km, dist, length, ..."
        ),
    ] = None,
    default_length_km: Annotated[
        float | None,
        typer.Option("--default-length-km", metavar="KM", min=0, max=100_000, help="For links without any length."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the network; SOURCE says one.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write there; standard output if not given.")
    ] = None,
    demands: Annotated[
        Path | None,
        typer.Option("--demands", metavar="FILE", help="Also write SOURCE's demands, as a script that creates relays."),
    ] = None,
    demand_scale: Annotated[
        float,
        typer.Option("--demand-scale", metavar="BIT/S", min=1e-9, max=1e12, help="Key rate of one unit of demand."),
    ] = 1.0,
) -> None:
    """Make a topology file of a network of topohub, of a GraphML file, or of networkx node-link JSON.

    Nodes keep their names, made DNS labels, and their positions; links get lengths from the data, or great-circle
    distances; longer ones are split evenly by relays. Rates are derived from the profile: of QKD modules, or of
    repeater hardware, and then links make pairs.

    Example: qinetctl topology import sndlib/germany50 -o germany50.yaml --demands germany50.sh
    """
    from controller.cli.topology_sources import read_source
    from controller.config.foreign.demands import demands_script
    from controller.config.foreign.graph import understand
    from controller.config.foreign.labels import label_of
    from controller.config.foreign.plan import Building, plan
    from controller.config.foreign.text import topology_text
    from controller.config.pair_profiles import PairProfile

    profiles_path = _profiles_path(profiles_file)
    building = Building(
        max_span_km=max_span_km,
        profile=_profile(profiles_path, profile),
        attenuation_db_per_km=attenuation_db_per_km,
    )
    raw = read_source(source, form)
    graph = understand(raw, length_attribute=length_attribute, default_length_km=default_length_km)
    stem = source.rpartition("/")[2].removesuffix(".graphml").removesuffix(".json").removesuffix(".xml")
    network = label_of(name or stem, otherwise="network")
    if demands is not None and not graph.demands:
        raise Mistakes([Mistake(file=graph.source, line=0, field="", what="has no demands: leave out --demands")])
    if demands is not None and isinstance(building.profile, PairProfile):
        what = f"demands are for key, and {profile} makes pairs: leave out --demands"
        raise Mistakes([Mistake(file=graph.source, line=0, field="", what=what)])
    planned = plan(graph, building)
    text = topology_text(
        planned,
        building,
        name=network,
        title=graph.name or network,
        source=graph.source,
        profiles=_as_seen_from(profiles_path, out),
        warnings=graph.warnings,
    )
    script = demands_script(graph, planned.names, network=network, bit_per_s=demand_scale) if demands else ""
    if out is None:
        sys.stdout.write(text)
    else:
        _write(out, text)
    if demands is not None:
        _write(demands, script)
    tell(*_summary(graph, planned, out, demands))


def _summary(graph: "ForeignGraph", planned: "Plan", out: Path | None, demands: Path | None) -> list[str]:
    relays = len(planned.nodes) - len(graph.nodes)
    km = sum(link.length_km for link in planned.links)
    first = (
        f"{graph.source}: {len(graph.nodes)} nodes and {len(graph.edges)} links of {km:.0f} km; "
        f"{relays} relays inserted, {len(planned.links)} spans"
    )
    measures = {"the data": 0, "great-circle distances": 0, "the default": 0}
    for edge in graph.edges:
        measures[
            "the default" if edge.measure is None else "the data" if edge.measure else "great-circle distances"
        ] += 1
    lines = [first, "lengths: " + ", ".join(f"{count} from {where}" for where, count in measures.items() if count)]
    lines += [f"warning: {warning}" for warning in graph.warnings]
    if out is not None:
        lines.append(f"the topology is in {out}: qinetctl topology apply {out}")
    if demands is not None:
        lines.append(f"{len(graph.demands)} demands are in {demands}: sh {demands}")
    return lines


def _profiles_path(given: Path | None) -> Path:
    if given is not None:
        return given
    for folder in (Path("topologies"), Path(__file__).resolve().parents[2] / "topologies"):
        if (folder / "profiles.yaml").is_file():
            return folder / "profiles.yaml"
    raise Stop(Exit.FILE, "there is no topologies/profiles.yaml here: name the profiles file with --profiles FILE")


def _profile(path: Path, name: str) -> "Profile | PairProfile":
    from controller.config.profiles import profiles_file
    from controller.config.section import load

    read = load(path, profiles_file)
    known: dict[str, Profile | PairProfile] = dict(sorted(read.modules.items()))
    known |= {other: kind for other, kind in sorted(read.hardware.items()) if other not in known}
    if name not in known:
        what = f"there is no profile {name!r}; known: {', '.join(known)}"
        raise Mistakes([Mistake(file=str(path), line=0, field="profiles", what=what)])
    return known[name]


def _as_seen_from(profiles: Path, out: Path | None) -> str:
    """Return the path as the topology file shall have it: relative to the file if there is one, else whole."""
    if out is None:
        return str(profiles.resolve())
    return os.path.relpath(profiles.resolve(), out.resolve().parent)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise Stop(Exit.FILE, f"{path}: cannot be written ({problem.strerror}): choose another place") from None
