"""Say plainly when a command needs a part that was not installed."""

from __future__ import annotations

from importlib.util import find_spec

from fibsem_runtime.core.errors import ConfigError


def require_extra(extra: str, *modules: str) -> None:
    """Raise `ConfigError` naming the extra when one of its modules is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"this command needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            f"run: pip install 'fibsem-runtime[{extra}]'"
        )
