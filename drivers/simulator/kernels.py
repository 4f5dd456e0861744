"""How the simulator's inner loops are compiled, and where the compiled code is kept.

Numba keeps compiled code until the file of the outermost function changes; one that calls changed code in another file
runs on with the old one (seen: frames that never ended). The code is therefore kept in a folder named after the content
of all files of this package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import numba
from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def _cache_folder(package: Path) -> Path:
    """Return a folder that another content of the package's files would not have."""
    digest = hashlib.sha256()
    for file in sorted(package.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return package / "__pycache__" / f"kernels-{digest.hexdigest()[:16]}"


# Read by numba when a function is decorated; a folder that cannot be written makes numba look for another one.
numba.config.CACHE_DIR = str(_cache_folder(Path(__file__).parent))  # type: ignore[attr-defined]  # set at run time

_COMPILE: Final = njit(  # type: ignore[call-overload]  # numba does not list _nrt
    cache=True, nogil=True, error_model="numpy", forceinline=True, _nrt=False, fastmath={"contract"}
)
_COMPILE_WITH_MEMORY: Final = njit(cache=True, nogil=True)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that makes no arrays and runs beside others without the interpreter's lock.

    Numba counts references to every array at every call, and two threads that count the same array wait for each other.
    Without counting (``_nrt=False``) and with all kernels woven into their caller (``forceinline``) a ray costs a
    quarter. What needs memory is compiled `with_memory`. A product and a sum may become one instruction: a
    twentieth faster and no less exact.
    """
    compiled: Callable[P, R] = _COMPILE(function)
    return compiled


def with_memory(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that makes arrays, or is called by one that does."""
    compiled: Callable[P, R] = _COMPILE_WITH_MEMORY(function)
    return compiled
