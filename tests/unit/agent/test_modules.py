"""How much key the agent takes from a module."""

import pytest

from southbound.agent.modules import STORE_MAX_BIT, has_room


def test_a_full_store_takes_no_more_blocks() -> None:
    assert has_room(STORE_MAX_BIT - 8, 8)
    assert not has_room(STORE_MAX_BIT, 8)


@pytest.mark.parametrize("block_bit", [STORE_MAX_BIT // 2, STORE_MAX_BIT - 8, 10 * STORE_MAX_BIT])
def test_both_directions_of_a_link_get_blocks_however_large_these_are(block_bit: int) -> None:
    assert has_room(3 * block_bit, block_bit)
    assert not has_room(4 * block_bit, block_bit)
