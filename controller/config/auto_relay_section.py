"""The section `auto_relay` of the controller's configuration: what an SAE gets that asks for keys unannounced."""

import math

from controller.config.section import Section
from controller.domain.auto_relay import AutoRelay
from controller.domain.key_relay import MAX_SHARES, Protection
from controller.domain.link import MAX_RATE_MILLIBIT_PER_S


def auto_relay_section(section: Section) -> AutoRelay:
    """Read the section."""
    rate = section.number("rate_bit_per_s", above=0, high=MAX_RATE_MILLIBIT_PER_S / 1000)
    key_size = section.integer("key_size_bit", low=64, high=8192, default=256)
    if key_size % 8:
        section.mistake("key_size_bit", f"{key_size} is not a multiple of 8")
    return AutoRelay(
        rate_millibit_per_s=max(1, math.ceil(rate * 1000)) if math.isfinite(rate) else 1,
        priority=section.integer("priority", default=0),
        shares=section.integer("shares", low=1, high=MAX_SHARES, default=1),
        protection=section.choice("protection", {kind.value: kind for kind in Protection}, default=Protection.RESTORE),
        lifetime_s=section.integer("lifetime_s", low=1) if section.has("lifetime_s") else None,
        key_size_bit=key_size,
        max_relays=section.integer("max_relays", low=1, high=100_000, default=100),
    )
