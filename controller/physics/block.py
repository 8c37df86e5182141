"""What a module delivers: key comes in finished blocks, not as a flow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One distillation run.

    Attributes:
        sifted_bit: Sifted bits that went in.
        secret_bit: Secret key bits that come out, rounded down; 0 when the bounds leave none.
        seconds: Time to gather it; infinite when nothing is ever detected.
        qber: Error ratio of the sifted bits, in [0, 0.5].
    """

    sifted_bit: int
    secret_bit: int
    seconds: float
    qber: float

    @property
    def skr_bit_per_s(self) -> float:
        """Return the secret key rate, averaged over the block."""
        return self.secret_bit / self.seconds
