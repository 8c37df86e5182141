"""Filters and pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.link import LinkStatus
from controller.domain.refusals import InvalidValue
from controller.northbound.listing import Fields, either, one_of, page_of, parse_filter, truth

FIELDS: Fields[str] = {"name": lambda item: either("nodes", item), "size": lambda item: (str(len(item)),)}


def test_equalities_are_joined_by_and() -> None:
    assert parse_filter('name = "a b" AND size=3', FIELDS) == (("name", "a b"), ("size", "3"))
    assert parse_filter(r'name = "say \"x\""', FIELDS) == (("name", 'say "x"'),)
    assert parse_filter("  ", FIELDS) == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name", "character 1: expected FIELD = VALUE"),
        ("name = ", "character 1: expected FIELD = VALUE"),
        ("name = a size = 1", "character 10: expected AND"),
        ("name = a OR size = 1", "character 10: expected AND"),
        ("name = a AND ", "expected FIELD = VALUE"),
        ("name = a AND", "expected AND"),
        ("name != a", "expected FIELD = VALUE"),
        ("colour = red", "these can: name, size"),
        ("name = " + "x" * 2000, "at most 1024"),
    ],
)
def test_another_form_is_refused_by_its_place(text: str, told: str) -> None:
    with pytest.raises(InvalidValue, match="filter") as refusal:
        parse_filter(text, FIELDS)
    assert told in refusal.value.message


def test_a_filter_takes_an_id_and_a_resource_name() -> None:
    items = {name: name for name in ("a", "b")}
    for text in ("name = a", "name = nodes/a"):
        page = page_of(items, FIELDS, page_size=0, page_token="", filter_text=text)
        assert page.items == ("a",)


def test_a_value_that_a_field_never_has_is_refused_with_those_that_it_has() -> None:
    fields: Fields[str] = {
        "status": one_of(LinkStatus, lambda item: LinkStatus[item]),
        "short": truth(lambda item: len(item) < 5),
    }
    items = {status.name: status.name for status in LinkStatus}
    for name in items:
        assert page_of(items, fields, page_size=0, page_token="", filter_text=f"status = {name}").items == (name,)
    assert page_of(items, fields, page_size=0, page_token="", filter_text="short = false").items
    for text, told in (("status = BOGUS", ", ".join(LinkStatus.__members__)), ("short = yes", "true, false")):
        with pytest.raises(InvalidValue, match="is never") as refusal:
            page_of(items, fields, page_size=0, page_token="", filter_text=text)
        assert told in refusal.value.message


@given(st.sets(st.text("abc", min_size=1, max_size=4), max_size=30), st.integers(1, 7), st.integers(1, 3))
def test_the_pages_of_a_list_are_the_list(names: set[str], size: int, length: int) -> None:
    items = {name: name for name in names}
    text, token, seen = f"size = {length}", "", list[str]()
    while True:
        page = page_of(items, FIELDS, page_size=size, page_token=token, filter_text=text)
        assert len(page.items) <= size
        seen += page.items
        token = page.next_token
        if not token:
            break
    assert seen == sorted(name for name in names if len(name) == length)


def test_a_page_goes_on_where_the_one_before_ended_whatever_came_and_went() -> None:
    items = {name: name for name in "abcdef"}
    first = page_of(items, FIELDS, page_size=3, page_token="", filter_text="")
    changed = {name: name for name in "adefg"}
    second = page_of(changed, FIELDS, page_size=9, page_token=first.next_token, filter_text="")
    assert (first.items, second.items) == (("a", "b", "c"), ("d", "e", "f", "g"))


def test_a_token_of_another_filter_or_none_of_ours_is_refused() -> None:
    items = {name: name for name in "abc"}
    token = page_of(items, FIELDS, page_size=1, page_token="", filter_text="").next_token
    with pytest.raises(InvalidValue, match="another filter"):
        page_of(items, FIELDS, page_size=1, page_token=token, filter_text="size = 1")
    for wrong in ("x", "ä", "A" * 999):
        with pytest.raises(InvalidValue, match="page_token"):
            page_of(items, FIELDS, page_size=1, page_token=wrong, filter_text="")


def test_a_negative_page_size_is_refused_and_a_huge_one_is_cut() -> None:
    items = {f"n{number:04}": "x" for number in range(1200)}
    with pytest.raises(InvalidValue, match="page_size"):
        page_of(items, FIELDS, page_size=-1, page_token="", filter_text="")
    assert len(page_of(items, FIELDS, page_size=10**9, page_token="", filter_text="").items) == 1000
    assert len(page_of(items, FIELDS, page_size=0, page_token="", filter_text="").items) == 100
