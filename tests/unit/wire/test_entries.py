"""Entries travel as the same bytes for the same value, and nothing that is no entry gets through."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.entries import ApplicationEntry, ApplicationRemote, Entry, HopRole, LinkEntry, RelayHopEntry
from controller.domain.refusals import InvalidValue, NotServed
from controller.domain.route import Hop
from controller.wire.entries import entry_from_bytes, entry_to_bytes

labels = st.sampled_from(["a", "b-1", "koganei", "otemachi-2", "x" * 63])
addresses = st.sampled_from(["", "127.0.0.1:7000", "node.example:1"])
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)

TRANSIT = RelayHopEntry(
    relay="r1",
    share=0,
    shares=1,
    route_version=3,
    role=HopRole.TRANSIT,
    previous=Hop(link="l1", start="a", end="b"),
    next=Hop(link="l2", start="b", end="c"),
    head="a",
    far="c",
    rate_millibit_per_s=854,
    forward_share=0.5,
    chunk_bit=8192,
    stock_low_bit=8192,
    stock_high_bit=65536,
)
APPLICATION = ApplicationEntry(
    application="r1",
    local_saes=("alice",),
    remotes=(ApplicationRemote(node="c", address="127.0.0.1:7000", relay="r1", saes=("bob",)),),
    key_size_bit=256,
    ttl_s=3600,
)
LINK = LinkEntry(
    link="l1",
    local_interface=0,
    remote_interface=1,
    neighbour="b",
    neighbour_address="",
    enabled=True,
    authentication_floor_bit=0,
    authentication_rate_millibit_per_s=0,
    qber_limit=0.11,
    key_ttl_s=60,
)


@st.composite
def relay_hops(draw: st.DrawFn) -> RelayHopEntry:
    role = draw(st.sampled_from(HopRole))
    low = draw(uint64)
    shares = draw(st.integers(1, 8))
    return RelayHopEntry(
        relay=draw(labels),
        share=draw(st.integers(0, shares - 1)),
        shares=shares,
        route_version=draw(uint64),
        role=role,
        previous=None
        if role is HopRole.HEAD
        else Hop(link=draw(labels), start="n-p", end="far" * (role is HopRole.FAR) or "n"),
        next=None
        if role is HopRole.FAR
        else Hop(link=draw(labels), start="head" * (role is HopRole.HEAD) or "n", end="n-n"),
        head="head",
        far="far",
        far_address=draw(addresses),
        rate_millibit_per_s=draw(st.integers(1, (2**32 - 1) * 1000)),
        forward_share=draw(st.floats(0, 1)),
        chunk_bit=8 * draw(st.integers(1, 1 << 20)),
        stock_low_bit=low,
        stock_high_bit=draw(st.integers(low, 2**64 - 1)),
    )


remotes = st.builds(
    ApplicationRemote,
    node=labels,
    address=addresses,
    relay=labels,
    saes=st.sampled_from([("bob",), ("carol",), ("dora",)]),
)
applications = st.builds(
    ApplicationEntry,
    application=labels,
    local_saes=st.sampled_from([(), ("alice",), ("alice", "A~b._-1")]),
    remotes=st.lists(remotes, min_size=1, max_size=3, unique_by=lambda one: (one.node, one.saes))
    .filter(
        lambda found: len({one.node for one in found}) == len({sae for one in found for sae in one.saes}) == len(found)
    )
    .map(tuple),
    key_size_bit=st.integers(8, 1024).map(lambda n: 8 * n),
    ttl_s=st.integers(1, 2**32 - 1),
    priority=uint32,
    max_bandwidth_bit_per_s=uint32,
)
links = st.builds(
    LinkEntry,
    link=labels,
    local_interface=uint32,
    remote_interface=uint32,
    neighbour=labels,
    neighbour_address=addresses,
    enabled=st.booleans(),
    authentication_floor_bit=uint64,
    authentication_rate_millibit_per_s=uint64,
    qber_limit=st.floats(0, 0.5, exclude_min=True),
    key_ttl_s=st.integers(1, 2**32 - 1),
    path=st.sampled_from(["", "p1"]),
)


@given(relay_hops() | applications | links)
def test_an_entry_comes_back_as_it_went(entry: Entry) -> None:
    assert entry_from_bytes(entry.id, entry_to_bytes(entry)) == entry


def test_the_bytes_of_an_entry_are_the_same_in_another_process() -> None:
    # given the bytes of an entry here
    ours = [entry_to_bytes(entry).hex() for entry in (TRANSIT, APPLICATION, LINK)]

    # when another process, with another hash seed, makes them from the same value
    program = (
        "from tests.unit.wire.test_entries import *;"
        "print(*(entry_to_bytes(entry).hex() for entry in (TRANSIT, APPLICATION, LINK)))"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )

    # then both hash the very same
    assert theirs.stdout.split() == ours


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (replace(TRANSIT, previous=None), "previous"),
        (replace(TRANSIT, role=HopRole.HEAD), "previous"),
        (replace(TRANSIT, role=HopRole.FAR), "next"),
        (replace(TRANSIT, next=Hop(link="l2", start="x", end="c")), "next"),
        (replace(TRANSIT, role=HopRole.HEAD, previous=None), "next"),
        (replace(TRANSIT, role=HopRole.FAR, next=None), "previous"),
        (replace(TRANSIT, far="a"), "far_node"),
        (replace(TRANSIT, share=1), "share"),
        (replace(TRANSIT, shares=0), "share"),
        (replace(TRANSIT, rate_millibit_per_s=0), "rate_millibit_per_s"),
        (replace(TRANSIT, rate_millibit_per_s=2**63), "rate_millibit_per_s"),
        (replace(TRANSIT, forward_share=1.5), "forward_share"),
        (replace(TRANSIT, forward_share=math.nan), "forward_share"),
        (replace(TRANSIT, chunk_bit=7), "chunk_bit"),
        (replace(TRANSIT, chunk_bit=0), "chunk_bit"),
        (replace(TRANSIT, stock_low_bit=70000), "stock_low_bit"),
        (replace(TRANSIT, head="Not A Label"), "head_node"),
        (replace(TRANSIT, next=Hop(link="", start="b", end="c")), "next.link"),
        (replace(APPLICATION, local_saes=("a/b",)), "local_saes"),
        (replace(APPLICATION, remotes=(replace(APPLICATION.remotes[0], saes=("alice",)),)), "remotes.saes"),
        (replace(APPLICATION, remotes=2 * APPLICATION.remotes), "remotes.node"),
        (replace(TRANSIT, passive=True), "passive"),
        (replace(APPLICATION, key_size_bit=100), "key_size_bit"),
        (replace(APPLICATION, ttl_s=0), "ttl_s"),
        (replace(LINK, qber_limit=0.0), "qber_limit"),
        (replace(LINK, qber_limit=math.nan), "qber_limit"),
        (replace(LINK, key_ttl_s=0), "key_ttl_s"),
        (replace(LINK, neighbour=""), "neighbour"),
    ],
)
def test_an_entry_out_of_range_is_refused_by_its_field(entry: Entry, field: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        entry_from_bytes(entry.id, entry_to_bytes(entry))
    assert field in dict(refusal.value.fields)
    assert entry.id in str(refusal.value)


def test_bytes_that_are_no_entry_are_refused() -> None:
    with pytest.raises(InvalidValue, match="links/l1: content: is no Entry"):
        entry_from_bytes("links/l1", b"\xff\xff")


def test_an_entry_under_another_id_is_refused() -> None:
    with pytest.raises(InvalidValue, match="the content is that of links/l1"):
        entry_from_bytes("links/l2", entry_to_bytes(LINK))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xfa\x01\x00",  # field 31: a kind that a later version made
    ],
)
def test_a_kind_of_entry_that_is_not_served_says_so(content: bytes) -> None:
    with pytest.raises(NotServed, match="entry paths/p"):
        entry_from_bytes("paths/p", content)


@pytest.mark.parametrize("entry", [replace(TRANSIT, chunk_bit=-8), replace(LINK, key_ttl_s=2**32)])
def test_a_number_that_does_not_fit_cannot_be_sent(entry: Entry) -> None:
    with pytest.raises(InvalidValue, match="cannot be sent"):
        entry_to_bytes(entry)


@given(st.binary(max_size=60))
def test_no_bytes_get_through_as_anything_but_an_entry_or_a_refusal(content: bytes) -> None:
    try:
        entry = entry_from_bytes("links/l1", content)
    except (InvalidValue, NotServed):
        return
    assert entry.id == "links/l1"
