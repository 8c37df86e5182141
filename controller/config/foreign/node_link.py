"""The node-link form of networkx, as JSON: `{"directed": ..., "graph": {...}, "nodes": [...], "edges": [...]}`."""

import json
from collections.abc import Mapping
from typing import Any

from controller.config.foreign.graph import RawEdge, RawGraph, RawNode
from controller.config.mistakes import Mistake, Mistakes

_FORM = '{"nodes": [{"id": ...}, ...], "edges": [{"source": ..., "target": ...}, ...]}'


def parse_node_link(text: str, source: str, *, planar: bool = False) -> RawGraph:
    """Return the graph of a JSON text; the list of edges may be called `edges` or `links`.

    Raises:
        Mistakes: It is not JSON, or not of that form; every entry that is not is named.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise Mistakes([Mistake(file=source, line=error.lineno, field="", what=f"is not JSON: {error.msg}")]) from None
    except ValueError as error:  # a number of thousands of digits, say
        raise Mistakes(
            [Mistake(file=source, line=0, field="", what=f"is not JSON that can be read: {error}")]
        ) from None
    except RecursionError:
        raise Mistakes([Mistake(file=source, line=0, field="", what="is nested too deep for a graph")]) from None
    return _Form(document, source).graph(planar=planar)


class _Form:
    def __init__(self, document: Any, source: str) -> None:
        self._document = document
        self._source = source
        self._mistakes: list[Mistake] = []

    def graph(self, *, planar: bool) -> RawGraph:
        document = self._document
        if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
            raise self._refused("", f"is no graph in node-link form, which is {_FORM}: write it with nx.node_link_data")
        field = next((name for name in ("edges", "links") if isinstance(document.get(name), list)), None)
        if field is None:
            raise self._refused("", f"has no list `edges` (or `links`), as in {_FORM}")
        nodes = [node for number, each in enumerate(document["nodes"]) if (node := self._node(number, each))]
        edges = [edge for number, each in enumerate(document[field]) if (edge := self._edge(field, number, each))]
        about = document.get("graph")
        about = about if isinstance(about, dict) else {}
        demands = self._demands(about.get("demands"))
        if self._mistakes:
            raise Mistakes(self._mistakes)
        name = about.get("name")
        return RawGraph(
            source=self._source,
            name=name if isinstance(name, str) else "",
            directed=document.get("directed") is True,
            nodes=nodes,
            edges=edges,
            planar=planar,
            demands=demands,
        )

    def _refused(self, place: str, what: str) -> Mistakes:
        self._note(place, what)
        return Mistakes(self._mistakes)

    def _note(self, place: str, what: str) -> None:
        self._mistakes.append(Mistake(file=self._source, line=0, field=place, what=what))

    def _node(self, number: int, entry: Any) -> RawNode | None:
        place = f"nodes[{number}]"
        if not isinstance(entry, dict) or _missing(entry.get("id")):
            self._note(place, 'has no id: a node is {"id": ..., ...}')
            return None
        return RawNode(place=place, key=_key(entry["id"]), attributes=entry)

    def _edge(self, field: str, number: int, entry: Any) -> RawEdge | None:
        place = f"{field}[{number}]"
        missing = [end for end in ("source", "target") if not isinstance(entry, dict) or _missing(entry.get(end))]
        if missing:
            self._note(place, f'has no {" and no ".join(missing)}: an edge is {{"source": ..., "target": ..., ...}}')
            return None
        return RawEdge(place=place, ends=(_key(entry["source"]), _key(entry["target"])), attributes=entry)

    def _demands(self, given: Any) -> Mapping[tuple[str, str], object]:
        if given is None:
            return {}
        if not isinstance(given, dict) or not all(isinstance(row, dict) for row in given.values()):
            self._note("graph.demands", "is not of the form {source: {target: amount}}")
            return {}
        return {(str(a), str(b)): amount for a, row in given.items() for b, amount in row.items()}


def _missing(given: Any) -> bool:
    return given is None or given == ""


def _key(given: Any) -> str:
    """Return one text for one id: ids may be numbers, and lists where they were tuples."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
