"""What is printed is the same for the same data, and nothing in it steers a terminal."""

import io
import json

import yaml
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from controller.cli.output import Format, Sheet, Table, as_text, clean, document, drawn_parts, narrowed, plain
from controller.cli.tables import link_remarks
from qinet.northbound.v1.key_relay_pb2 import KeyRelay, Route, RouteHop
from qinet.northbound.v1.link_pb2 import Link, LinkMeasurement
from qinet.northbound.v1.node_pb2 import Node
from qinet.types.v1 import types_pb2

cells = st.text(max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_a_plain_table_has_one_printable_line_for_each_row(rows: list[tuple[str, str]]) -> None:
    lines = plain([Table(columns=("one", "other"), rows=tuple(rows))]).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(line.isprintable() for line in lines)


def test_columns_stand_where_the_widest_cell_puts_them() -> None:
    text = plain([Table(columns=("a", "b"), rows=(("longer", "x"), ("y", "z")))])
    assert text == "A       B\nlonger  x\ny       z\n"


def test_facts_without_a_value_are_left_out_and_move_nothing() -> None:
    assert plain([Sheet(facts=(("state", "ACTIVE"), ("reason", "")))]) == "state:   ACTIVE\n"


def test_a_link_that_generates_is_not_said_to_run_empty() -> None:
    measured = LinkMeasurement(time_to_empty=Duration(seconds=0))
    assert link_remarks(Link(status=types_pb2.LINK_STATUS_ACTIVE, measurement=measured)) == []
    assert link_remarks(Link(status=types_pb2.LINK_STATUS_PASSIVE, measurement=measured)) == ["empty in 0ms"]


@settings(deadline=None)
@given(st.text())
def test_no_text_of_the_network_can_steer_the_terminal(text: str) -> None:
    assert clean(text).isprintable()


def test_fields_come_in_the_order_of_the_api_whatever_has_a_value() -> None:
    empty = document(KeyRelay())
    full = document(KeyRelay(name="keyRelays/a", priority=3, routes=[Route(hops=[RouteHop(link="links/a")])]))
    common = [field for field in full if field in empty]
    assert common == list(empty)
    assert list(full["routes"][0]["hops"][0]) == ["start_node", "link", "end_node"]


def test_json_and_yaml_say_the_same() -> None:
    node = document(Node(name="nodes/a", location="Tōkyō", longitude_deg=0.0, admin_enabled=False))
    assert node["longitude_deg"] == 0.0
    assert json.loads(as_text(node, Format.JSON)) == yaml.safe_load(as_text(node, Format.YAML)) == node


texts = st.text("abcdefgh-:. ", max_size=70)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(texts, texts, texts, texts), max_size=4),
    width=st.integers(20, 140),
    dispensable=st.permutations(["other", "third"]),
)
def test_no_table_is_wider_than_the_terminal(rows: list[tuple[str, ...]], width: int, dispensable: list[str]) -> None:
    table = Table(columns=("name", "other", "third", "last"), rows=tuple(rows), dispensable=tuple(dispensable))
    console = Console(width=200, file=io.StringIO(), color_system=None)
    console.print(*drawn_parts([table], width)[:1])
    assert isinstance(console.file, io.StringIO)
    assert all(len(line.rstrip()) <= width for line in console.file.getvalue().splitlines())


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(texts, texts, texts, texts), min_size=1, max_size=4), width=st.integers(20, 140))
def test_a_narrow_table_keeps_its_first_column_and_says_which_it_goes_without(
    rows: list[tuple[str, ...]], width: int
) -> None:
    table = Table(columns=("name", "other", "third", "last"), rows=tuple(rows), dispensable=("third",))
    kept, without = narrowed(table, width)
    assert kept.columns[0] == "name"
    assert sorted(kept.columns + without) == sorted(table.columns)
    assert [row[0] for row in kept.rows] == [row[0] for row in rows]
    if "other" in without and any(row[1] for row in rows):
        assert "third" in without


def test_a_table_with_room_enough_keeps_every_column() -> None:
    table = Table(columns=("a", "b"), rows=(("x", ""), ("y", "")), dispensable=("b",))
    assert narrowed(table, 20) == (Table(columns=("a", "b"), rows=table.rows), ())
