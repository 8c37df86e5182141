"""qinetctl topology import: sources of every kind, what is written, and what is said of what is not."""

import builtins
import json
import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import networkx
import pytest

from controller.cli.topology_sources import read_source
from controller.config.foreign.graph import understand
from controller.config.foreign.plan import plan
from controller.config.foreign.text import topology_text
from controller.config.section import loads
from controller.config.topology_file import load_topology, read_topology
from tests.support.command_line import Run
from tests.unit.config.foreign.networks import PROFILES, building

SNDLIB, ZOO = (
    sorted(f"{group}/{entry.name.removesuffix('.json')}" for entry in (files("topohub") / "data" / group).iterdir())
    for group in ("sndlib", "topozoo")
)
SAMPLE = ["sndlib/abilene", "sndlib/germany50", "sndlib/nobel-eu", "sndlib/polska", "sndlib/janos-us-ca"]
SAMPLE += ["topozoo/Abilene", "topozoo/Surfnet", "topozoo/Cernet", "topozoo/Garr200404", "topozoo/Uninett2010"]
SAMPLE += ["gabriel/25/0", "caida/2024-08/2852"]


def test_every_network_of_sndlib_and_of_the_topology_zoo_becomes_a_topology() -> None:
    assert (len(SNDLIB), len(ZOO)) == (26, 203)
    for key in [*SNDLIB, *ZOO]:
        graph = understand(read_source(key, None))
        planned = plan(graph, building(150.0))
        assert len(planned.nodes) - len(planned.links) == len(graph.nodes) - len(graph.edges)
        assert all(link.length_km <= 150 for link in planned.links)
        if len(planned.links) < 500:
            text = topology_text(planned, building(150.0), name="n", title="n", source="topohub", profiles="p.yaml")
            assert text.count("\n    ends: ") == len(planned.links)
        if key in SNDLIB:
            assert graph.demands


@pytest.mark.parametrize("key", SAMPLE)
def test_an_imported_network_is_a_file_that_holds(run: Run, key: str) -> None:
    assert read_source(key, None).nodes
    made = run("topology", "import", key, "--max-span-km", 120, "-o", "made.yaml", "--profiles", PROFILES)
    assert made.code == 0, made.err
    data = json.loads((files("topohub") / "data" / f"{key}.json").read_text())
    topology = load_topology("made.yaml")
    inserted = sum(node.name.rpartition("-")[0].endswith("-relay") for node in topology.nodes)
    assert len(topology.nodes) - inserted == len(data["nodes"])
    assert len(topology.links) - inserted == len(data["edges"])
    assert sum(link.length_km or 0 for link in topology.links) == pytest.approx(
        sum(edge["dist"] for edge in data["edges"]), abs=0.01
    )
    assert f"{len(data['nodes'])} nodes and {len(data['edges'])} links" in made.err
    checked = run("topology", "check", "made.yaml")
    assert checked.code == 0


def test_what_goes_to_standard_output_is_the_file_alone(run: Run) -> None:
    made = run("topology", "import", "sndlib/polska", "--profiles", PROFILES, "--name", "Polen!")
    topology = loads(made.out, read_topology)
    assert topology.name == "polen"
    assert topology.suggested_ends is not None
    assert run("topology", "import", "sndlib/polska", "--profiles", PROFILES, "--name", "Polen!").out == made.out


def test_demands_become_a_script_that_a_shell_reads_and_that_names_nodes_of_the_file(run: Run) -> None:
    made = run(
        *("topology", "import", "sndlib/polska", "-o", "p.yaml", "--profiles", PROFILES),
        *("--demands", "p.sh", "--demand-scale", 0.5),
    )
    assert made.code == 0, made.err
    assert "66 demands are in p.sh" in made.err
    assert subprocess.run(["/bin/sh", "-n", "p.sh"], check=False).returncode == 0
    lines = [shlex.split(line) for line in Path("p.sh").read_text().splitlines() if line.startswith("create ")]
    assert len(lines) == 66
    known = {node.name for node in load_topology("p.yaml").nodes}
    assert all({line[1], line[2]} <= known for line in lines)
    rates = [float(line[line.index("--rate") + 1]) for line in lines]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 198 * 0.5
    requests = [line[line.index("--request-id") + 1] for line in lines]
    assert len(set(requests)) == 66


def test_the_script_of_demands_tells_how_many_were_refused(run: Run, tmp_path: Path) -> None:
    run("topology", "import", "sndlib/polska", "-o", "p.yaml", "--profiles", PROFILES, "--demands", "p.sh")
    fake = tmp_path / "qinetctl"
    fake.write_text('#!/bin/sh\ncase "$*" in *"--name demand-00003 "*--accept-blocked) exit 3;; esac\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "p.sh", "--accept-blocked"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (3, "1 of 66 demands were refused\n")


def test_graphml_and_node_link_files_give_the_same_network(run: Run) -> None:
    graph: Any = networkx.MultiGraph(name="Bench")
    graph.add_node("x", label="Aarau", Longitude=8.04, Latitude=47.39)
    graph.add_node("y", label="Bern", Longitude=7.44, Latitude=46.95)
    graph.add_edge("x", "y", length_km=90.5)
    graph.add_edge("x", "y")
    networkx.write_graphml(graph, "g.graphml")
    Path("g.json").write_text(json.dumps(networkx.node_link_data(graph, edges="edges")))
    Path("old.json").write_text(json.dumps(networkx.node_link_data(graph, edges="links")))
    made = []
    for source in ("g.graphml", "g.json", "old.json"):
        said = run("topology", "import", source, "--profiles", PROFILES, "--name", "bench")
        assert said.code == 0, said.err
        assert "lengths: 1 from the data, 1 from great-circle distances" in said.err
        made.append(loads(said.out, read_topology))
    assert made[0].links[0].length_km == 45.25
    assert [node.name for node in made[0].nodes] == ["aarau", "bern", "aarau-bern-relay-1"]
    assert [(link.name, link.length_km) for link in made[0].links] == [
        (link.name, link.length_km) for link in made[1].links
    ]
    assert made[1].nodes == made[2].nodes


GRAPHML = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="d" for="edge" attr.name="length" attr.type="double"/>
<graph edgedefault="undirected">
{body}
</graph></graphml>
"""


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("g.graphml", "<graphml><graph>", "g.graphml:1: is not XML: no element found"),
        ("g.graphml", GRAPHML.format(body=""), "g.graphml: has no nodes: there is nothing to import"),
        (
            "g.graphml",
            GRAPHML.format(body='<node id="a"/><node id="a"/><node/><edge source="a"/><edge source="a" target="q"/>'),
            "g.graphml: node a: is given twice: ids are unique\n"
            "g.graphml: node number 3: has no id\n"
            "g.graphml: edge number 1: has no target: an edge joins two nodes\n"
            "g.graphml: edge number 2: its target 'q' is no node of the file: add the node, or remove the edge",
        ),
        (
            "g.graphml",
            GRAPHML.format(
                body='<node id="a"/><node id="b"/><edge source="a" target="b"><data key="d">NaN</data></edge>'
            ),
            "g.graphml: edge a - b: its length nan is not a number of km in [0, 100000]",
        ),
        (
            "g.graphml",
            GRAPHML.format(
                body='<node id="a"/><node id="b"/><edge source="a" target="b"><data key="d">far</data></edge>'
            ),
            "g.graphml: networkx cannot read it as GraphML: could not convert string to float: 'far'",
        ),
        ("g.graphml", '<!DOCTYPE x [<!ENTITY a "b">]><graphml/>', "g.graphml: declares entities"),
        ("g.json", "{", "g.json:1: is not JSON: Expecting property name"),
        ("g.json", '{"nodes": [{"id": ' + "1" * 5000 + "}]}", "g.json: is not JSON that can be read: "),
        (
            "g.graphml",
            GRAPHML.format(body="".join(f'<node id="{number}"/>' for number in range(20_001))),
            "g.graphml: has 20001 nodes, and 20000 are the most",
        ),
        ("g.json", "[" * 100_000, "g.json: is nested too deep for a graph"),
        ("g.json", "[]", "g.json: is no graph in node-link form, which is "),
        ("g.json", '{"nodes": []}', "g.json: has no list `edges` (or `links`)"),
        ("g.json", '{"nodes": [], "links": []}', "g.json: has no nodes: there is nothing to import"),
        (
            "g.json",
            '{"nodes": [{"id": 1}, {"name": "x"}, 7, {"id": 1}], "edges": [{"source": 1}, {"source": 1, "target": 2}]}',
            "g.json: nodes[1]: has no id: ",
        ),
        (
            "g.json",
            '{"nodes": [{"id": 1}], "edges": [{"source": 1, "target": "1"}]}',
            None,
        ),
        ("g.json", '{"graph": {"demands": 5}, "nodes": [{"id": 1}], "edges": []}', "g.json: graph.demands: is not of"),
        ("g.bin", b"\xff\xfe\x00", "g.bin: is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_place_and_remedy(
    run: Run, file: str, content: str | bytes, told: str | None
) -> None:
    Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())
    said = run("topology", "import", file, "--profiles", PROFILES)
    if told is None:  # ids 1 and "1" are one node's
        assert "joins 1 to itself: dropped" in said.err
    else:
        assert (said.code, said.out) == (5, "")
        assert said.err.startswith(told), said.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["topozoo/Abilen"], "there is no such network; near it are topozoo/Abilene"),
        (["sndlib/germany50", "--format", "graphml"], "there is no such file, and it is no key of topohub"),
        (["zoo/Abilene"], "its groups are backbone, caida, gabriel, sndlib, topozoo"),
        (["../../etc/passwd", "--format", "topohub"], "there is no such network"),
        (["absent.json"], "there is no such file"),
        (["a" * 5000], "cannot be read: File name too long"),
        (["."], "is not a regular file"),
        (["sndlib/polska", "--profile", "best"], "there is no profile 'best'; known: bbm92-pdc-100mhz, "),
        (["topozoo/Abilene", "--demands", "d.sh"], "has no demands: leave out --demands"),
        (["sndlib/polska", "--max-span-km", "5000"], "make no key; they reach 150"),
        (["sndlib/pioro40", "--max-span-km", "1"], "20000 are the most"),
        (["sndlib/polska", "-o", "no/such/place"], "cannot be written"),
    ],
)
def test_what_cannot_be_imported_is_told_with_the_remedy(run: Run, arguments: list[str], told: str) -> None:
    said = run("topology", "import", *arguments, "--profiles", PROFILES)
    assert (said.code, said.out) == (5, "")
    assert told in said.err
    assert not Path("d.sh").exists()


def test_with_repeater_hardware_the_links_of_an_imported_network_make_pairs(run: Run) -> None:
    options = ("--profile", "trapped-ion-cavity", "--profiles", PROFILES)
    made = run("topology", "import", "topozoo/Surfnet", *options, "-o", "made.yaml")
    assert made.code == 0, made.err
    topology = load_topology("made.yaml")
    shipped = load_topology(PROFILES.parent / "surfnet.yaml")
    assert [link.pairs for link in topology.links] == [link.pairs for link in shipped.links]
    assert all(link.pairs is not None for link in topology.links)
    assert [node.pairs for node in topology.nodes] == [node.pairs for node in shipped.nodes]
    dim = run("topology", "import", "sndlib/polska", "--profile", "nv-centre-cavity", *options[2:], "-o", "dim.yaml")
    assert dim.code == 0, dim.err
    assert {len(link.pairs.options) for link in load_topology("dim.yaml").links if link.pairs} == {3}
    refused = run("topology", "import", "sndlib/polska", *options, "--demands", "p.sh")
    assert "demands are for key, and trapped-ion-cavity makes pairs" in refused.err


@pytest.mark.parametrize(("package", "source"), [("topohub", "sndlib/polska"), ("networkx", "g.graphml")])
def test_without_the_controller_extra_the_pip_command_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, package: str, source: str
) -> None:
    Path("g.graphml").write_text(GRAPHML.format(body='<node id="a"/>'))
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest, **more)

    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setitem(sys.modules, package, None)
    said = run("topology", "import", source, "--profiles", PROFILES)
    assert said.code == 5
    assert f"needs the package {package}, which is not installed" in said.err
    assert "pip install 'qinet-controller[controller]'" in said.err


def test_node_link_json_needs_nothing_that_the_base_install_lacks_and_qinetctl_starts_without_the_rest() -> None:
    code = (
        "import sys; from controller.cli.main import main; "
        "main(['topology', 'import', '--help']); "
        "assert not {'networkx', 'topohub', 'xml.etree', 'controller.cli.topology_sources'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
