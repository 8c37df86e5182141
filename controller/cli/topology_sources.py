"""Where networks are imported from: topohub, GraphML files, node-link JSON files."""

import difflib
import re
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as Xml

from controller.cli.exits import Exit, Stop
from controller.cli.source_format import SourceFormat
from controller.config.foreign.node_link import parse_node_link
from controller.config.foreign.plan import MOST_NODES
from controller.config.mistakes import Mistake, Mistakes

if TYPE_CHECKING:
    from controller.config.foreign.graph import RawGraph

MAX_BYTES: Final = 64 * 1024 * 1024
MOST_EDGES: Final = 4 * MOST_NODES
"""Of a GraphML file; more would take long to read, and fit into no topology file."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+")
# Networks that were generated on a plane: their positions are kilometres.
_PLANAR: Final = ("gabriel/",)


def read_source(source: str, form: SourceFormat | None) -> "RawGraph":
    """Return the graph of a source; None for the format finds it out from what the source is.

    Raises:
        Mistakes: The source cannot be read, or is not what it should be.
        Stop: There is no such source, or a package is missing that only the controller extra installs.
    """
    path = Path(source)
    if (
        form is None
        and _KEY.fullmatch(source)
        and not path.is_file()
        and path.suffix not in {".graphml", ".json", ".xml"}
    ):
        form = SourceFormat.TOPOHUB
    if form is SourceFormat.TOPOHUB:
        return _topohub(source)
    text = _text(path)
    if form is None:
        form = SourceFormat.GRAPHML if text.lstrip("\ufeff \t\r\n").startswith("<") else SourceFormat.NODE_LINK
    return _graphml(path, text) if form is SourceFormat.GRAPHML else parse_node_link(text, source)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "there is no such file, and it is no key of topohub"
            raise _mistake(path, f"{what}: give a file, or a key as sndlib/germany50")
        if path.stat().st_size > MAX_BYTES:
            raise _mistake(path, f"is larger than {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _mistake(path, f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _mistake(path, "is not UTF-8 text") from None


def _mistake(path: Path | str, what: str, *, line: int = 0, field: str = "") -> Mistakes:
    return Mistakes([Mistake(file=str(path), line=line, field=field, what=what)])


def _needs(package: str, what: str) -> Stop:
    return Stop(
        Exit.FILE,
        f"{what} needs the package {package}, which is not installed",
        "it comes with the controller: pip install 'qinet-controller[controller]'",
    )


# -- topohub


def _topohub(key: str) -> "RawGraph":
    try:
        data = files("topohub") / "data"
    except ModuleNotFoundError:
        raise _needs("topohub", f"importing {key}") from None
    entry = data / f"{key}.json"
    if not _KEY.fullmatch(key) or not entry.is_file():
        raise _mistake(f"topohub {key}", f"there is no such network; {_similar(data, key)}")
    text = entry.read_text(encoding="utf-8")
    return parse_node_link(text, f"topohub {version('topohub')} {key}", planar=key.startswith(_PLANAR))


def _similar(data: Any, key: str) -> str:
    """Return which keys there are like this one."""
    group = key.partition("/")[0]
    groups = sorted(entry.name for entry in data.iterdir() if entry.is_dir())
    if group not in groups:
        return f"its groups are {', '.join(groups)}"
    known = {name.lower(): name for name in _keys(data / group, group)}
    near = difflib.get_close_matches(key.lower(), known, n=3, cutoff=0.5)
    return f"near it are {', '.join(known[name] for name in near)}" if near else f"{group} has {len(known)} others"


def _keys(folder: Any, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _keys(entry, f"{prefix}/{entry.name}")
        elif entry.name.endswith(".json"):
            yield f"{prefix}/{entry.name.removesuffix('.json')}"


# -- GraphML


def _graphml(path: Path, text: str) -> "RawGraph":
    from controller.config.foreign.graph import RawEdge, RawGraph, RawNode

    _look_over(path, text)
    try:
        import networkx
    except ModuleNotFoundError:
        raise _needs("networkx", f"reading the GraphML file {path}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of attributes whose type it guesses, with places in its own source
            graph: Any = networkx.parse_graphml(text, force_multigraph=True)
    except Exception as error:
        # What networkx meets it neither places nor foresees: we say whose words these are.
        raise _mistake(path, f"networkx cannot read it as GraphML: {error}") from None
    name = graph.graph.get("label") or graph.graph.get("name") or graph.graph.get("Network")
    return RawGraph(
        source=str(path),
        name=name if isinstance(name, str) else "",
        directed=graph.is_directed(),
        nodes=[RawNode(place=f"node {key}", key=str(key), attributes=found) for key, found in graph.nodes(data=True)],
        edges=[
            RawEdge(place=f"edge {a} - {b}", ends=(str(a), str(b)), attributes=found)
            for a, b, found in graph.edges(data=True)
        ],
    )


def _look_over(path: Path, text: str) -> None:
    """Refuse what networkx would take silently: nodes given twice, edges to nowhere.

    Raises:
        Mistakes: All that is wrong; or it is not XML, with the line.
    """
    if "<!ENTITY" in text:
        raise _mistake(path, "declares entities, which GraphML does not need: remove the DOCTYPE")
    try:
        root = Xml.fromstring(text)  # noqa: S314 (no entities; expat bounds the rest)
    except Xml.ParseError as error:
        raise _mistake(path, f"is not XML: {error.msg}", line=error.position[0]) from None
    except ValueError as error:  # an encoding is declared that the text no longer has
        raise _mistake(path, f"is not XML: {error}") from None
    for kind, most in (("node", MOST_NODES), ("edge", MOST_EDGES)):
        if (count := sum(_tag(each) == kind for each in root.iter())) > most:
            raise _mistake(path, f"has {count} {kind}s, and {most} are the most: import a part of it")
    found: list[Mistake] = []
    nodes: set[str] = set()
    for number, element in enumerate(each for each in root.iter() if _tag(each) == "node"):
        key = element.get("id")
        if not key:
            found.append(Mistake(file=str(path), line=0, field=f"node number {number + 1}", what="has no id"))
        elif key in nodes:
            found.append(Mistake(file=str(path), line=0, field=f"node {key}", what="is given twice: ids are unique"))
        nodes.add(key or "")
    for number, element in enumerate(each for each in root.iter() if _tag(each) == "edge"):
        for end in ("source", "target"):
            place, key = f"edge number {number + 1}", element.get(end)
            if not key:
                found.append(
                    Mistake(file=str(path), line=0, field=place, what=f"has no {end}: an edge joins two nodes")
                )
            elif key not in nodes:
                what = f"its {end} {key!r} is no node of the file: add the node, or remove the edge"
                found.append(Mistake(file=str(path), line=0, field=place, what=what))
    if found:
        raise Mistakes(found)


def _tag(element: Xml.Element) -> str:
    return element.tag.rpartition("}")[2]
