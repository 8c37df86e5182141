"""The section `admission` of the controller's configuration, and the place of every mistake in it."""

from pathlib import Path

import pytest

from controller.config.controller_file import load_controller_config
from controller.config.mistakes import Mistakes
from controller.domain.admission import DEFAULT_ADMISSION, Admission, Policy


def read(tmp_path: Path, section: str = "") -> Admission:
    file = tmp_path / "controller.yaml"
    file.write_text(f"schema: qinet-controller\nversion: 1\n{section and f'admission: {section}'}\n")
    return load_controller_config(file).admission


def test_without_the_section_relays_get_the_widest_of_the_shortest_routes(tmp_path: Path) -> None:
    assert read(tmp_path) == read(tmp_path, "{}") == DEFAULT_ADMISSION == Admission(policy=Policy.WIDEST_SHORTEST)


@pytest.mark.parametrize("policy", Policy)
def test_every_policy_is_known_by_its_name(tmp_path: Path, policy: Policy) -> None:
    assert read(tmp_path, f"{{policy: {policy.value}}}").policy is policy


def test_the_longest_route_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "{policy: exponential, longest_route: 8}").longest_route == 8


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (
            "{policy: cheapest}",
            "admission.policy: 'cheapest' is not one of shortest, widest_shortest, least_loaded, balanced, exponential",
        ),
        ("{policy: exponential, longest_route: 0}", "admission.longest_route"),
        ("{policy: exponential, longest_route: many}", "admission.longest_route"),
        ("{longest_route: 8}", "admission.longest_route: only policy exponential looks at it, not widest_shortest"),
        ("{mu: 7}", "admission.mu: unknown"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(tmp_path: Path, section: str, says: str) -> None:
    with pytest.raises(Mistakes) as refused:
        read(tmp_path, section)
    assert ":3: " in str(refused.value)
    assert says in str(refused.value)
