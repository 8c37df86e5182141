"""Lines of a log that come again and again."""

from southbound.repeats import Repeats


def test_the_first_is_told_then_one_a_minute_with_the_number_of_the_others() -> None:
    repeats = Repeats()
    told = [repeats.note("refused", now_s) for now_s in range(0, 130, 10)]
    assert told[0] == "refused"
    assert told[6] == "refused (and 5 times more since the last line)"
    assert told[12] == "refused (and 5 times more since the last line)"
    assert {told[at] for at in range(13) if at % 6} == {None}


def test_another_line_is_told_at_once_and_one_that_is_rare_without_a_number() -> None:
    repeats = Repeats()
    assert repeats.note("a", 0) == "a"
    assert repeats.note("b", 1) == "b"
    assert repeats.note("a", 61) == "a"


def test_what_it_remembers_is_bounded() -> None:
    repeats = Repeats()
    assert all(repeats.note(str(number), 0) for number in range(3000))
    assert repeats.note("0", 1) == "0"
    assert repeats.note("2999", 1) is None
