"""The step from one configuration to another is right, minimal, and honest about its digests."""

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.entries import digest_of
from controller.planning.diff import difference, hashes_of

configurations = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=2), max_size=6)


@given(configurations, configurations, st.sets(st.sampled_from("abcdef"), max_size=2))
def test_a_step_leads_to_what_is_wanted_but_for_what_is_held(
    wanted: dict[str, bytes], before: dict[str, bytes], held: set[str]
) -> None:
    step = difference(wanted, hashes_of(before), held=held)

    after = {name: content for name, content in before.items() if name not in step.deletes} | dict(step.upserts)
    assert after == {name: content for name, content in wanted.items() if name not in held} | {
        name: content for name, content in before.items() if name in held
    }
    assert step.after == hashes_of(after)
    assert step.base_digest == digest_of(hashes_of(before))
    assert step.target_digest == digest_of(hashes_of(after))
    # and nothing is sent that is there already
    assert all(before.get(name) != content for name, content in step.upserts.items())
    assert bool(step) is (after != before)
