"""The field, the hashes, the pad."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.keyplane.comparison import COMPARE_BIT, block_tags
from southbound.agent.keyplane.gf128 import PolynomialHash, bind, exclusive_or, multiply

sixteen = st.binary(min_size=16, max_size=16)


@given(sixteen, st.binary(max_size=200))
def test_the_fast_hash_is_the_polynomial_of_the_message_and_its_length(key: bytes, message: bytes) -> None:
    point = int.from_bytes(key, "big")
    padded = message + bytes(-len(message) % 16)
    words = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]
    slow = 0
    for word in [*words, len(message)]:
        slow = multiply(slow ^ word, point)

    assert PolynomialHash(key).digest(message) == slow


@given(sixteen, sixteen, sixteen)
def test_the_field_multiplies_commutatively_and_distributes(a: bytes, b: bytes, c: bytes) -> None:
    x, y, z = (int.from_bytes(each, "big") for each in (a, b, c))

    assert multiply(x, y) == multiply(y, x) < 1 << 128
    assert multiply(x, y ^ z) == multiply(x, y) ^ multiply(x, z)


@given(st.binary(min_size=1, max_size=100), st.integers(0, 799))
def test_a_changed_bit_changes_all_kinds_of_tag(message: bytes, bit: int) -> None:
    key, mask = os.urandom(16), os.urandom(16)
    at = bit % (8 * len(message))
    changed = bytearray(message)
    changed[at // 8] ^= 1 << at % 8

    hashed = PolynomialHash(key)
    assert hashed.tag(message, mask) != hashed.tag(bytes(changed), mask)
    start = os.urandom(COMPARE_BIT // 8)
    ours, theirs = block_tags("l", 1, start + message, is_smaller=True)
    assert not {ours, theirs} & set(block_tags("l", 1, start + bytes(changed), is_smaller=True))


def test_trailing_zeros_change_a_tag() -> None:
    key = os.urandom(16)
    assert PolynomialHash(key).digest(b"a") != PolynomialHash(key).digest(b"a\0")
    start = os.urandom(COMPARE_BIT // 8)
    assert block_tags("l", 1, start + b"a", is_smaller=True) != block_tags("l", 1, start + b"a\0", is_smaller=True)


def test_the_tags_of_a_block_are_its_polynomial_at_the_clamped_point_masked_for_each_end() -> None:
    block = os.urandom(COMPARE_BIT // 8 + 1000)
    point = int.from_bytes(block[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    message = bind("ab", 7) + block[COMPARE_BIT // 8 :]
    state = 0
    for at in range(0, len(message), 16):
        state = (state + int.from_bytes(message[at : at + 16] + b"\1", "little")) * point % ((1 << 130) - 5)
    masks = (int.from_bytes(block[at : at + 16], "little") for at in (16, 32))
    smaller, larger = (((state + mask) % (1 << 128)).to_bytes(16, "little") for mask in masks)

    assert block_tags("ab", 7, block, is_smaller=True) == (smaller, larger)
    assert block_tags("ab", 7, block, is_smaller=False) == (larger, smaller)


@given(
    st.binary(max_size=64).flatmap(
        lambda text: st.tuples(st.just(text), st.binary(min_size=len(text), max_size=len(text)))
    )
)
def test_a_pad_comes_off_as_it_went_on(pair: tuple[bytes, bytes]) -> None:
    text, pad = pair
    assert exclusive_or(exclusive_or(text, pad), pad) == text


def test_a_pad_or_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="pad of 2 bytes"):
        exclusive_or(b"abc", b"ab")
    with pytest.raises(ValueError, match="16 bytes"):
        PolynomialHash(b"short")


def test_what_a_tag_covers_can_be_read_in_one_way_only() -> None:
    assert len({bind("a", "bc"), bind("ab", "c"), bind("abc"), bind(b"a", 1), bind("a", 1, 0)}) == 5
