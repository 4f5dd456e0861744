"""What happens after an error, decided in one place by the error's family."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core.errors import DetectionError, FibsemError, HardwareError, StepError


class Recovery(StrEnum):
    """Name what the engine does after a failed attempt."""

    RETRY = "retry"
    SKIP_LAMELLA = "skip_lamella"
    ASK_OPERATOR = "ask_operator"
    STOP_RUN = "stop_run"


class RecoverySettings(BaseModel):
    """Policy by error family; a retry that is used up becomes ``after_retries``.

    Errors of configuration, data and storage always stop the run: repeating them cannot help.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detection: Recovery = Recovery.RETRY
    step: Recovery = Recovery.SKIP_LAMELLA
    hardware: Recovery = Recovery.STOP_RUN
    max_attempts: int = Field(default=2, ge=1, le=10)
    after_retries: Recovery = Recovery.SKIP_LAMELLA

    def choose(self, error: FibsemError, attempt: int) -> Recovery:
        """Return what to do after ``error`` ended attempt number ``attempt`` (from 1)."""
        wanted = self._by_family(error)
        if wanted is Recovery.RETRY and attempt >= self.max_attempts:
            return self.after_retries if self.after_retries is not Recovery.RETRY else Recovery.SKIP_LAMELLA
        return wanted

    def _by_family(self, error: FibsemError) -> Recovery:
        if isinstance(error, DetectionError):
            return self.detection
        if isinstance(error, StepError):
            return self.step
        if isinstance(error, HardwareError):
            return self.hardware
        return Recovery.STOP_RUN
