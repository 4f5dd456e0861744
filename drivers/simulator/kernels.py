"""How the simulator's inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

_COMPILE: Final = njit(  # type: ignore[call-overload]  # numba does not list _nrt
    cache=True, nogil=True, error_model="numpy", forceinline=True, _nrt=False
)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that makes no arrays and runs beside others without the interpreter's lock.

    Numba counts references to every array at every call, and two threads that count the same array wait for each other.
    Without counting (``_nrt=False``) and with all kernels woven into their caller (``forceinline``) a ray costs a
    quarter. What needs memory must not be a kernel. Numba keeps compiled code until the file of the outermost kernel
    changes: after a change of another one delete ``__pycache__``.
    """
    compiled: Callable[P, R] = _COMPILE(function)
    return compiled
