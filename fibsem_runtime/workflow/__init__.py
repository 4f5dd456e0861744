"""Run methods on a microscope: engine, context, supervision, recovery, steps and presets."""

from fibsem_runtime.workflow.context import Context, RunOptions
from fibsem_runtime.workflow.engine import Progress, RunIdentity, run_method
from fibsem_runtime.workflow.methods import load_method, method_text, parse_settings, shipped_methods, validate_settings
from fibsem_runtime.workflow.recovery import Recovery, RecoverySettings
from fibsem_runtime.workflow.settings import MethodSettings
from fibsem_runtime.workflow.supervision import (
    Answer,
    PolicySupervisor,
    ScriptedSupervisor,
    SupervisionMode,
    Supervisor,
    proposed_points,
)
from fibsem_runtime.workflow.terminal import TerminalSupervisor

__all__ = [
    "Answer",
    "Context",
    "MethodSettings",
    "PolicySupervisor",
    "Progress",
    "Recovery",
    "RecoverySettings",
    "RunIdentity",
    "RunOptions",
    "ScriptedSupervisor",
    "SupervisionMode",
    "Supervisor",
    "TerminalSupervisor",
    "load_method",
    "method_text",
    "parse_settings",
    "proposed_points",
    "run_method",
    "shipped_methods",
    "validate_settings",
]
