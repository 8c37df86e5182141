"""The map is an SVG document that shows every node and link once, each link in the colour of its status."""

from xml.etree import ElementTree as Xml

from controller.cli.network_map import MapLink, MapNode, svg

SVG = "{http://www.w3.org/2000/svg}"
NODES = [MapNode(name="a", position=(10.0, 50.0)), MapNode(name="b", position=(11.0, 50.0), state="connected")]


def groups(document: str, kind: str) -> dict[str, Xml.Element]:
    root = Xml.fromstring(document)
    found = [one for one in root.iter(f"{SVG}g") if one.get("class") == kind]
    by_id = {one.get("id", ""): one for one in found}
    assert len(by_id) == len(found)
    return by_id


def stroke(group: Xml.Element) -> str:
    path = group.find(f"{SVG}path")
    assert path is not None
    return path.get("stroke", "")


def test_every_node_and_link_is_drawn_once() -> None:
    drawing = svg(NODES, [MapLink(name="a-b", ends=("b", "a"), status="ACTIVE")], title="Lab")
    assert set(groups(drawing, "node")) == {"node-a", "node-b"}
    assert set(groups(drawing, "link")) == {"link-a-b"}


def test_parallel_links_are_drawn_apart() -> None:
    links = [MapLink(name=f"l{number}", ends=("a", "b"), status="ACTIVE") for number in range(3)]
    paths = [group.find(f"{SVG}path") for group in groups(svg(NODES, links, title=""), "link").values()]
    assert len({path.get("d") for path in paths if path is not None}) == 3


def test_each_status_has_a_colour_of_its_own_and_stands_in_the_legend() -> None:
    statuses = ["ACTIVE", "PASSIVE", "PENDING", "OFF", "PLANNED", "POSSIBLE"]
    links = [MapLink(name=f"l{number}", ends=("a", "b"), status=status) for number, status in enumerate(statuses)]
    drawing = svg(NODES, links, title="")
    assert len({stroke(group) for group in groups(drawing, "link").values()}) == len(statuses)
    texts = [text.text or "" for text in Xml.fromstring(drawing).iter(f"{SVG}text")]
    assert all(any(text.startswith(f"{status}:") for text in texts) for status in statuses)


def test_text_of_the_network_cannot_become_markup() -> None:
    drawing = svg(
        NODES, [MapLink(name="a-b", ends=("a", "b"), status="OFF", note='<b> & "\x00')], title="</svg> & \x07"
    )
    root = Xml.fromstring(drawing)
    assert root.findtext(f"{SVG}title") == "</svg> & \N{REPLACEMENT CHARACTER}"


def test_the_same_network_gives_the_same_map_whatever_its_order() -> None:
    links = [MapLink(name=name, ends=("a", "b"), status="ACTIVE") for name in ("x", "y")]
    assert svg(NODES, links, title="t") == svg(NODES[::-1], links[::-1], title="t")
