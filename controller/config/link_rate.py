"""The secret key rate of a link of a topology file: a figure, or what its modules make over its loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.config.figure import FORM, Figure, figure
from controller.config.profiles import Module, Profile, expected_block
from controller.config.section import UINT32_MAX, Section
from controller.domain.link import Basis, Provenance

_RATE_FORM: Final = f"{FORM} or {{derive: MODEL, profile: NAME}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a link promises, with the blocks it comes in."""

    skr_bit_per_s: float
    qber: float | None
    block_s: float | None
    block_secret_bit: int | None
    module: Module | None
    provenance: Provenance


def read_rate(
    section: Section, loss: Figure | None, known: Mapping[str, str], profiles: Mapping[str, Profile] | None
) -> Rate | None:
    """Read `skr_bit_per_s` of a link; None where it cannot be told.

    Args:
        section: The link's.
        loss: Of its channel, dB; None when unknown.
        known: The file's sources.
        profiles: Kinds of modules; None when their file has mistakes, which are told already.
    """
    inner = section.section("skr_bit_per_s", form=_RATE_FORM)
    if not inner.has("derive"):
        given = figure(section, "skr_bit_per_s", known, above=0, high=UINT32_MAX)
        return Rate(
            skr_bit_per_s=given.value,
            qber=None,
            block_s=None,
            block_secret_bit=None,
            module=None,
            provenance=given.provenance,
        )
    model = inner.text("derive")
    name = inner.label("profile")
    if profiles is None:
        return None
    profile = profiles.get(name)
    if profile is None:
        if inner.has("profile"):
            names = ", ".join(sorted(profiles)) or "none; the file names no profiles"
            inner.mistake("profile", f"there is no profile {name!r}; known: {names}")
        return None
    if model != profile.model:
        inner.mistake("derive", f"{model!r} is not the model of profile {name}, which is {profile.model}")
    if loss is None:
        if not section.has("loss_db"):
            inner.mistake("derive", "a derived rate needs the link's loss_db")
        return None
    block = expected_block(profile.module, loss.value)
    if block.secret_bit == 0:
        inner.mistake("derive", f"over {loss.value:g} dB the modules of profile {name} make no key")
        return None
    return Rate(
        skr_bit_per_s=min(block.skr_bit_per_s, float(UINT32_MAX)),
        qber=block.qber,
        block_s=block.seconds,
        block_secret_bit=block.secret_bit,
        module=profile.module,
        provenance=Provenance(basis=Basis.DERIVED, source=profile.method),
    )
