"""The section `admission` of the controller's configuration: who gets which route."""

from controller.config.section import Section
from controller.domain.admission import DEFAULT_ADMISSION, Admission, Policy

MOST_LINKS = 1_000_000
"""Of a route, in any network that the controller takes."""


def admission_section(section: Section) -> Admission:
    """Read the section."""
    policy = section.choice("policy", {one.value: one for one in Policy}, default=DEFAULT_ADMISSION.policy)
    longest = section.integer("longest_route", low=1, high=MOST_LINKS) if section.has("longest_route") else None
    if longest is not None and policy is not Policy.EXPONENTIAL:
        section.mistake("longest_route", f"only policy {Policy.EXPONENTIAL.value} looks at it, not {policy.value}")
    return Admission(policy=policy, longest_route=longest)
