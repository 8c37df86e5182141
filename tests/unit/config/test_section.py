"""Reading configuration files: every mistake, with its place, at once."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config.mistakes import Mistakes
from controller.config.section import Section, load, loads
from controller.domain.names import label
from controller.domain.refusals import Refusal


def lines_of(text: str, reader: object) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        loads(text, reader, name="lab.yaml")  # type: ignore[arg-type]
    return str(caught.value).split("\n")


def test_every_mistake_of_a_file_is_told_at_once_in_the_order_of_lines() -> None:
    def reader(root: Section) -> None:
        heralding = root.section("heralding")
        heralding.number("stale_after_s", low=0.1, high=3600)
        heralding.number("min_fidelity", low=0.5, high=1.0)
        root.label("name")
        root.integer("port", high=65535)

    assert lines_of("heralding:\n  stale_after_s: soon\n  min_fidelty: 0.9\nname: Lab 1\nport: 65536\n", reader) == [
        "lab.yaml:1: heralding.min_fidelity: is missing",
        "lab.yaml:2: heralding.stale_after_s: 'soon' is not a number",
        "lab.yaml:3: heralding.min_fidelty: unknown; known here: min_fidelity, stale_after_s",
        "lab.yaml:4: name: 'Lab 1' is not a DNS label: 1-63 of a-z, 0-9 and '-', not at either end",
        "lab.yaml:5: port: 65536 is not in [0, 65535]",
    ]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (".nan", "'.nan' is not a finite number"),
        ("NaN", "'NaN' is not a finite number"),
        ("-.inf", "'-.inf' is not a finite number"),
        ("1e999", "'1e999' is not a finite number"),
        ("'5'", "'5' is not a number"),
        ("true", "'true' is not a number"),
        ("010", "'010' is not a number"),
        ("1:30", "'1:30' is not a number"),
        ("0x10", "'0x10' is not a number"),
        ("٣", "'٣' is not a number"),
        ("[1]", "must be a number"),
        ("", "is empty; it must be a number"),
        ("0", "0 is not in (0, 10]"),
        ("10.5", "10.5 is not in (0, 10]"),
    ],
)
def test_what_is_not_a_number_in_range_is_told(written: str, what: str) -> None:
    told = lines_of(f"x: {written}\n", lambda root: root.number("x", above=0, high=10))
    assert told == [f"lab.yaml:1: x: {what}"]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("-1", "-1 is not in [0, 4294967295]"),
        ("4294967296", "4294967296 is not in [0, 4294967295]"),
        ("9" * 5000, "9" * 57 + "... is not in [0, 4294967295]"),
        ("1.0", "'1.0' is not a whole number"),
        ("1e3", "'1e3' is not a whole number"),
        ("1_000", "'1_000' is not a whole number"),
        ("yes", "'yes' is not a whole number"),
    ],
)
def test_what_is_not_a_uint32_is_told(written: str, what: str) -> None:
    assert lines_of(f"x: {written}\n", lambda root: root.integer("x")) == [f"lab.yaml:1: x: {what}"]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("123", "123 is not text; in quotes it would be"),
        ("no", "no is not text; in quotes it would be"),
        ("' '", "must not be blank"),
        ("Zürich", "'Zürich' has characters that are not ASCII"),
        ('"a\\nb"', "'a\\nb' has characters that cannot be printed on one line"),
        ("aaaaaaaaa", "is longer than 8 characters"),
        ("{a: 1}", "must be text"),
    ],
)
def test_what_is_not_text_is_told(written: str, what: str) -> None:
    told = lines_of(f"x: {written}\n", lambda root: root.text("x", max_length=8, ascii_only=True))
    assert told == [f"lab.yaml:1: x: {what}"]


def test_values_are_read_as_written() -> None:
    text = """
name: koganei-2
half: .5
tiny: 1e-10
count: 4294967295
on: true
quoted: "123"
free: Zürich – 24 km
basis: derived
listen: "[::1]:0"
host: node.lab:50051
words: [a, "b c"]
names: [x, y]
certificate: pki/node.pem
parts:
  - n: 1
  - n: 2
by_name:
  a: {n: 3}
"""

    def reader(root: Section) -> list[object]:
        return [
            root.label("name"),
            root.number("half"),
            root.number("tiny"),
            root.integer("count"),
            root.boolean("on"),
            root.text("quoted"),
            root.text("free"),
            root.choice("basis", {"derived": 1, "assumed": 2}),
            root.endpoint("listen"),
            root.endpoint("host"),
            root.texts("words"),
            root.labels("names"),
            root.path("certificate"),
            [part.integer("n") for part in root.sections("parts")],
            {name: part.integer("n") for name, part in root.named_sections("by_name").items()},
        ]

    assert loads(text, reader, name="/etc/qinet/lab.yaml") == [
        "koganei-2",
        0.5,
        1e-10,
        4294967295,
        True,
        "123",
        "Zürich – 24 km",
        1,
        ("::1", 0),
        ("node.lab", 50051),
        ("a", "b c"),
        ("x", "y"),
        Path("/etc/qinet/pki/node.pem"),
        [1, 2],
        {"a": 3},
    ]


def test_what_is_absent_takes_its_default_and_an_optional_section_takes_them_all() -> None:
    def reader(root: Section) -> list[object]:
        limits = root.section("limits", required=False)
        return [
            limits.integer("sessions", default=7),
            limits.boolean("strict", default=False),
            root.sections("parts", required=False),
            root.texts("words", default=("w",)),
            root.has("words"),
        ]

    assert loads("{}", reader) == [7, False, [], ("w",), False]


def test_a_missing_section_is_one_mistake_and_not_one_for_each_of_its_fields() -> None:
    def reader(root: Section) -> None:
        part = root.section("part")
        part.text("a")
        part.section("b").number("c")
        other = root.section("other")
        other.text("a")

    assert lines_of("other: 5\n", reader) == [
        "lab.yaml:1: part: is missing",
        "lab.yaml:1: other: must be a section of fields (`name: value`)",
    ]


def test_a_rule_of_the_domain_that_refuses_is_told_with_the_place() -> None:
    def reader(root: Section) -> str | None:
        return root.build(lambda: label("links/a", "name", "Not A Label"))

    assert lines_of("name: x\n", reader)[0].startswith("lab.yaml:1: name: 'Not A Label' is not a DNS label")


def test_a_duplicate_field_is_told_with_both_lines() -> None:
    told = lines_of("a:\n  - b: 1\n    b: 2\n", lambda root: [part.integer("b") for part in root.sections("a")])
    assert told == ["lab.yaml:3: a[0].b: is given twice, first in line 2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lab.yaml:1: is empty"),
        ("# only this\n", "lab.yaml:1: is empty"),
        ("- a\n", "lab.yaml:1: must be a mapping of fields (`name: value`)"),
        ("a: 1\n---\nb: 2\n", "lab.yaml:2: holds a second document; one file is one document"),
        ("a: &x 1\nb: *x\n", "lab.yaml:2: the alias *x is not allowed; write the value out"),
        ("<<: {a: 1}\n", "lab.yaml:1: merging with << is not allowed; write the fields out"),
        ("[1, 2]: 3\n", "lab.yaml:1: a field's name must be text"),
        ("[" * 4000, "lab.yaml:1: is nested deeper than 32 levels"),
    ],
)
def test_what_is_not_one_plain_mapping_is_refused(text: str, told: str) -> None:
    assert lines_of(text, lambda root: None)[0] == told


def test_a_billion_laughs_is_refused_at_once() -> None:
    text = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}, *a]\n" for n in range(60))
    assert lines_of(text, lambda root: None) == ["lab.yaml:2: the alias *a is not allowed; write the value out"]


def test_a_tag_is_refused_and_nothing_is_constructed() -> None:
    told = lines_of("x: !!python/object/apply:os.getcwd []\n", lambda root: root.has("x"))
    assert told == [
        "lab.yaml:1: x: the tag tag:yaml.org,2002:python/object/apply:os.getcwd is not allowed; write the plain value"
    ]


def test_broken_yaml_names_its_line() -> None:
    assert lines_of("a: 1\nb: [1, 2\nc: 3\n", lambda root: None)[0].startswith("lab.yaml:3: is not YAML: ")
    assert lines_of("a: 1\nb: \x07\n", lambda root: None)[0].startswith("lab.yaml:")


def test_a_file_that_cannot_be_read_is_a_mistake_too(tmp_path: Path) -> None:
    def told(path: Path) -> str:
        with pytest.raises(Mistakes) as caught:
            load(path, lambda root: None)
        assert isinstance(caught.value, Refusal)
        return str(caught.value)

    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: Z\xfcrich\n")
    (tmp_path / "big.yaml").write_bytes(b"#" * (8 * 1024 * 1024 + 1))
    os.mkfifo(tmp_path / "fifo.yaml")
    assert told(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    assert told(tmp_path) == f"{tmp_path}: is not a regular file"
    assert told(tmp_path / "fifo.yaml") == f"{tmp_path}/fifo.yaml: is not a regular file"
    assert told(tmp_path / "latin.yaml") == f"{tmp_path}/latin.yaml:2: is not UTF-8 text"
    assert told(tmp_path / "big.yaml") == f"{tmp_path}/big.yaml: is larger than 8388608 bytes"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    def reader(root: Section) -> None:
        root.text("a")
        root.section("b").number("c", low=0)

    with contextlib.suppress(Mistakes):
        loads(text, reader)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_back(value: float) -> None:
    assert loads(f"x: {value!r}\n", lambda root: root.number("x")) == value
