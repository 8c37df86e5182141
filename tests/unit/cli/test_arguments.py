"""Global options may stand anywhere, and nothing else moves."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.arguments import GLOBAL_OPTIONS, command_of, normalised

words = st.lists(st.sampled_from(["get", "nodes", "-o", "json", "--filter", "node = a", "x"]), max_size=8)


@settings(deadline=None)
@given(before=words, after=words, option=st.sampled_from(sorted(GLOBAL_OPTIONS)), glued=st.booleans())
def test_a_global_option_counts_wherever_it_stands(
    before: list[str], after: list[str], option: str, glued: bool
) -> None:
    given_as = [f"{option}=v"] if glued else [option, "v"]
    assert normalised([*before, *given_as, *after]) == [*given_as, *before, *after]


def test_what_follows_two_dashes_is_left_alone() -> None:
    assert normalised(["pki", "issue", "--", "--pki", "x", "--wait"]) == ["pki", "issue", "--", "--pki", "x", "--wait"]


def test_a_global_option_without_its_value_is_left_for_the_parser_to_refuse() -> None:
    assert normalised(["get", "nodes", "--pki"]) == ["--pki", "get", "nodes"]


def test_to_wait_is_a_flag_where_there_is_no_state_to_wait_for() -> None:
    assert normalised(["node", "drain", "--wait", "a"]) == ["node", "drain", "--wait", "a"]
    assert normalised(["relay", "create", "a", "b", "--wait"]) == ["relay", "create", "a", "b", "--wait=ACTIVE"]


@settings(deadline=None)
@given(words=words, option=st.sampled_from(sorted(GLOBAL_OPTIONS)), glued=st.booleans())
def test_the_value_of_a_global_option_is_never_taken_for_the_command(
    words: list[str], option: str, glued: bool
) -> None:
    line = normalised([*words, *([f"{option}=relay"] if glued else [option, "relay"])])
    assert command_of(line) == command_of(words)
