"""One settings tree, composed from the packages' own models, in the units people speak.

Everything has a default, so that a file needs to say only what differs. Unknown keys are refused, because a misspelt
limit that is ignored is worse than none.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.units import UM
from fibsem_runtime.detection import EngineSettings
from fibsem_runtime.hal import GuardSettings
from fibsem_runtime.hal.registry import DriverPlugin, find_driver
from fibsem_runtime.workflow import (
    ScriptedSupervisor,
    SupervisionMode,
    Supervisor,
    TerminalSupervisor,
    parse_settings,
    validate_settings,
)

DEFAULT_CONFIG = "config.yaml"


class Section(BaseModel):
    """Part of the tree; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DriverConfig(Section):
    """Which driver runs the instrument, and the driver's own section."""

    name: str = "simulator"
    settings: dict[str, Any] = Field(default_factory=dict)

    def plugin(self) -> DriverPlugin:
        """Load the driver; raise `ConfigError` naming the installed ones when it is unknown."""
        return find_driver(self.name)

    def validated_settings(self) -> BaseModel:
        """Return the driver's section as its own model; raise `ConfigError` with the place of each problem."""
        return validate_settings(self.plugin().settings_model, self.settings, origin="driver.settings.")


class ModelConfig(Section):
    """Which model finds features: its name below ``folder`` (the shipped models when null)."""

    name: str = "lamella-lite0"
    folder: Path | None = None
    engine: EngineSettings = EngineSettings()


class TerminalOperator(Section):
    """A person at the keyboard answers."""

    kind: Literal["terminal"] = "terminal"

    def supervisor(self, timeout_s: float) -> Supervisor:
        """Return who answers; unanswered after ``timeout_s`` parks the instrument."""
        return TerminalSupervisor(timeout_s=timeout_s)


class ScriptedOperator(Section):
    """A repeatable operator for tests and demonstrations: corrects every n-th proposal by a fixed offset."""

    kind: Literal["scripted"] = "scripted"
    correct_every: int = Field(ge=1)
    offset_x_um: float = 0.0
    offset_y_um: float = 0.0

    def supervisor(self, timeout_s: float) -> Supervisor:
        """Return who answers; a script is never late."""
        return ScriptedSupervisor(
            correct_every=self.correct_every, offset=ImagePoint(self.offset_x_um * UM, self.offset_y_um * UM)
        )


Operator: TypeAlias = Annotated[TerminalOperator | ScriptedOperator, Field(discriminator="kind")]


class SupervisionConfig(Section):
    """When a person is asked, who that is and how long a question waits; ``gate_fraction`` is the least confidence."""

    mode: SupervisionMode = SupervisionMode.NEVER
    gate_fraction: float = Field(default=0.5, ge=0, le=1)
    timeout_min: float = Field(default=30, gt=0, le=1440)
    operator: Operator = TerminalOperator()

    def supervisor(self) -> Supervisor | None:
        """Return who answers, or None when nobody is asked."""
        return None if self.mode is SupervisionMode.NEVER else self.operator.supervisor(self.timeout_min * 60)


class RuntimeConfig(Section):
    """The whole of ``config.yaml``."""

    driver: DriverConfig = DriverConfig()
    guards: GuardSettings = GuardSettings()
    model: ModelConfig = ModelConfig()
    method: str = "on-grid"
    lamellae: int = Field(default=3, ge=1, le=200)
    seed: int = Field(default=7, ge=0, le=2**32 - 1)
    supervision: SupervisionConfig = SupervisionConfig()
    experiments_folder: Path = Path("experiments")

    def to_yaml(self) -> str:
        """Write the tree as it is in force, every default included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def data_folder() -> Path:
    """Return the folder that holds ``config.yaml`` and ``models``: inside an installed package, else the checkout."""
    packaged = Path(str(resources.files("fibsem_runtime"))) / "data"
    return packaged if packaged.is_dir() else Path(str(resources.files("fibsem_runtime"))).parent


def models_folder(config: RuntimeConfig) -> Path:
    """Return the folder in which models are looked up."""
    return config.model.folder or data_folder() / "models"


def load_config(path: Path | None) -> RuntimeConfig:
    """Load ``path``, or the default configuration when None; raise `ConfigError` with one line a problem.

    The driver's own section is validated as well, so that a finished load has nothing left to refuse.
    """
    origin = path or data_folder() / DEFAULT_CONFIG
    try:
        text = origin.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise ConfigError(f"cannot read the configuration {origin}: {reason}") from error
    config = parse_settings(RuntimeConfig, text, origin=str(origin))
    config.driver.validated_settings()
    return config


def with_model(config: RuntimeConfig, name: str | None) -> RuntimeConfig:
    """Return the configuration with another model; None and ``default`` keep the configured one."""
    if name in (None, "default"):
        return config
    return config.model_copy(update={"model": config.model.model_copy(update={"name": name})})


def with_engine(config: RuntimeConfig, *, provider: str | None, precision: str | None) -> RuntimeConfig:
    """Return the configuration with one provider and one precision; None keeps what is configured.

    Raises `ConfigError` for one that does not exist.
    """
    stated: dict[str, object] = {"providers": [provider]} if provider else {}
    if precision:
        stated["precision"] = precision
    engine = validate_settings(EngineSettings, config.model.engine.model_dump() | stated, origin="model.engine.")
    return config.model_copy(update={"model": config.model.model_copy(update={"engine": engine})})


def with_method(config: RuntimeConfig, name: str | None) -> RuntimeConfig:
    """Return the configuration with another method; None keeps the configured one."""
    return config if name is None else config.model_copy(update={"method": name})
