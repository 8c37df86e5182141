"""How kernels are compiled: with stated types, when their module is imported, kept on disk, and free of the GIL.

`python -m controller.routing.kernels` compiles all of them once, so that a controller only loads them.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., object])

NONE: Final = -1
"""What a search answers instead of a cost when there is no way."""
OUT_OF_STEPS: Final = -2
"""What a search answers when its budget is spent before it is settled."""
UNREACHED: Final = 2**62
"""A distance or a room without bounds; sums of two still fit 64 bits."""

INT32S: Final = numba.types.Array(numba.int32, 1, "C", readonly=True)
INT64S: Final = numba.types.Array(numba.int64, 1, "C", readonly=True)
FLOATS: Final = numba.types.Array(numba.float64, 1, "C", readonly=True)
FLAGS: Final = numba.types.Array(numba.boolean, 1, "C", readonly=True)
"""Types of arguments that a kernel only reads: arrays of one dimension, frozen or not."""


def kernel(signature: Any) -> Callable[[F], F]:
    """Compile a function at once for arguments of these types; what it computes must not depend on the machine.

    Floating point is left as written: no fast-math, no fused multiply-add that one processor has and another has not.
    Where nothing can be written beside the code nor in the user's cache, it is compiled at each start.

    Args:
        signature: As numba takes it, `result(argument, ...)`.
    """

    def compile_now(function: F) -> F:
        settings: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy", "boundscheck": False}
        try:
            compiled = numba.njit(signature, cache=True, **settings)(function)
        except RuntimeError as problem:
            if "cannot cache" not in str(problem):
                raise
            compiled = numba.njit(signature, **settings)(function)
        return cast(F, compiled)

    return compile_now


def inline(function: F) -> F:
    """Compile a helper of kernels: as a part of each kernel that calls it, with the types that it is called with."""
    return cast(F, numba.njit(inline="never", nogil=True, error_model="numpy", cache=False)(function))


def merged(function: F) -> F:
    """Compile a helper that takes many arrays, as a menu has: within its callers, for a call would copy each array."""
    return cast(F, numba.njit(forceinline=True, nogil=True, error_model="numpy", cache=False)(function))


def leaf(function: F) -> F:
    """Compile a helper that makes no array and returns none: it then counts no references, which costs more than it.

    Each count is an atomic write; a call that is handed two dozen arrays makes twice as many of them. The caller holds
    the arrays all the while.
    """
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}  # the last is not in the stubs
    return cast(F, numba.njit(inline="never", cache=False, **settings)(function))


@inline
def unsigned(number: int) -> int:
    """Return a number >= 0 as one that indexes arrays without the test whether it counts from their end.

    Arithmetic of it with a signed number, also with a constant, would be in floating point: both must be unsigned.
    """
    return np.uint64(number)  # type: ignore[return-value]
