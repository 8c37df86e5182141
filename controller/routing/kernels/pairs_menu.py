"""What each link of an entanglement network can do, as kernels read it: rows of choices, link after link."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import numba

from controller.routing.kernels.compiled import FLOATS, INT32S, INT64S
from controller.routing.kernels.heap import pop, push
from controller.routing.kernels.net import Floats, Int32s, Int64s


class Menu(NamedTuple):
    """The choices of all links while all of them is free, and what nodes do; all arrays are frozen.

    Those of a link stand by option, then by rounds.

    Attributes:
        first: Where each link's choices begin; shape (n_links + 1,).
        options: Of each choice the index of the option; shape (n_choices,), as all of choices.
        rounds: Nested rounds of purification.
        successes: Success probability of one attempt, in (0, 1].
        raw_werners: w of a raw pair.
        costs: Raw pairs per purified pair.
        werners: w of a purified pair that never waited.
        losses: -ln of that, >= 0.
        rates_hz: BUFFERED, AT_ONCE: purified pairs per second with all that is free; else raw pairs of a memory pair.
        paces_hz: Of an exponential time that a purified pair is never there before, by chance.
        option_mhz: Elementary pairs per 1,000 s that its option makes by the link's model.
        ordered: The rows of each link once more, fastest first, then purest, then by rounds and option; for a SLOT link
            by success in the place of rates.
        regimes: Of each link, as an index of Regime; shape (n_links,), as all of links.
        periods_s: Of an attempt.
        lengths_km: 0 where unknown.
        capacities: In the unit of the regime.
        fastest_mhz: Elementary pairs per 1,000 s of the fastest option of the model; > 0.
        swap_successes: Of each node, 0 where it cannot swap; shape (n_nodes,), as all of nodes.
        swap_qualities: Factor on w by a swap.
        swap_losses: -ln of that; infinite where it cannot swap.
        decays_per_s: 1/T of a stored qubit.
        durations_s: Of a swap.
    """

    first: Int64s
    options: Int32s
    rounds: Int32s
    successes: Floats
    raw_werners: Floats
    costs: Floats
    werners: Floats
    losses: Floats
    rates_hz: Floats
    paces_hz: Floats
    option_mhz: Int64s
    ordered: Int64s
    regimes: Int32s
    periods_s: Floats
    lengths_km: Floats
    capacities: Int64s
    fastest_mhz: Int64s
    swap_successes: Floats
    swap_qualities: Floats
    swap_losses: Floats
    decays_per_s: Floats
    durations_s: Floats


MENU: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    [INT64S, INT32S, INT32S] + [FLOATS] * 7 + [INT64S, INT64S, INT32S, FLOATS, FLOATS, INT64S, INT64S] + [FLOATS] * 5,
    Menu,
)
"""The type of a menu in the signature of a kernel."""

put_float = cast(Callable[[Floats, Int32s, int, float, int], int], push)
take_float = cast(Callable[[Floats, Int32s, int], int], pop)
"""A heap whose keys are floats."""


def tuple_of(kinds: Sequence[Any]) -> Any:
    """Return the type of several values, as a kernel returns them."""
    return numba.types.Tuple(list(kinds))  # type: ignore[no-untyped-call]
