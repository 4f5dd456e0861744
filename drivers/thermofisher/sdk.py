"""AutoScript itself, which is sold with the microscope and imported only when an instrument is opened."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from fibsem_runtime.core.errors import ConfigError

CLIENT: Final = "autoscript_sdb_microscope_client"
PACKAGES: Final = (CLIENT, "autoscript_core", "thermoscientific_logging")
"""What AutoScript consists of as far as the driver needs it (vendor-thermofisher.md section 1)."""

HOW_TO_INSTALL: Final = (
    "run fibsem-runtime in AutoScript's own Python environment, or copy the folders autoscript_core*, "
    "autoscript_sdb_microscope_client*, autoscript_toolkit* and thermoscientific_logging* (with their .dist-info) from "
    "its site-packages into this environment; client and server need the same version"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """The parts of AutoScript that are used, and the errors that its server raises."""

    client_type: Any
    structures: Any
    enumerations: Any
    error_types: tuple[type[Exception], ...]


def load_sdk() -> Sdk:
    """Import AutoScript; raise `ConfigError` saying how to install it."""
    try:
        client, structures, enumerations, common = (
            import_module(name)
            for name in (CLIENT, f"{CLIENT}.structures", f"{CLIENT}.enumerations", "autoscript_core.common")
        )
        # The second class exists in some versions only (vendor-thermofisher.md section 1, evidence L).
        errors = (common.ApplicationServerException, getattr(common, "ApiException", common.ApplicationServerException))
        return Sdk(
            client_type=client.SdbMicroscopeClient,
            structures=structures,
            enumerations=enumerations,
            error_types=tuple(dict.fromkeys(errors)),
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"AutoScript cannot be imported here ({error}); {HOW_TO_INSTALL}") from error


def missing_packages() -> list[str]:
    """Return one line for each part of AutoScript that this computer lacks."""
    return [f"the package {name} is missing: {HOW_TO_INSTALL}" for name in PACKAGES if find_spec(name) is None]
