"""The errors of the runtime, drawn as a tree.

FibsemError
├── ConfigError              100  exit 3   what a person wrote in config.yaml, a method or on the command line
├── DataError                200  exit 4   a file that cannot be used
│   ├── ImageFileError       210
│   ├── ModelError           220
│   └── ExperimentError      230
├── StorageError             300  exit 5   the disk refused
├── DetectionError           400  exit 6   an image did not give a trustworthy measurement
│   ├── FeatureNotFoundError 410
│   ├── LowConfidenceError   420
│   └── AlignmentError       430
├── StepError                500  exit 7   a step ended without its promised result
│   ├── VerificationError    510
│   └── DecisionTimeoutError 520
├── HardwareError            600  exit 8   the instrument refused, failed or is gone
│   ├── ConnectionLostError  610
│   ├── RefusedSettingError  620
│   ├── StageLimitError      630
│   ├── MotionError          640
│   ├── InterlockError       650
│   ├── BeamError            660
│   ├── MillingError         670
│   ├── VacuumError          680
│   └── NotSupportedError    690
└── Cancelled                900  exit 130 a person or a lost client asked to stop

A message says what was asked, what was found, the limit with units, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class FibsemError(Exception):
    """Be the root of every error that the runtime raises on purpose."""

    number: ClassVar[int] = 1
    exit_code: ClassVar[int] = 1


class ConfigError(FibsemError):
    """Report a setting that a person must correct."""

    number = 100
    exit_code = 3


class DataError(FibsemError):
    """Report a file that cannot be used."""

    number = 200
    exit_code = 4


class ImageFileError(DataError):
    """Report an image that cannot be read."""

    number = 210


class ModelError(DataError):
    """Report a model or manifest that is missing, altered or malformed."""

    number = 220


class ExperimentError(DataError):
    """Report an experiment directory that cannot be opened or continued."""

    number = 230


class StorageError(FibsemError):
    """Report that nothing was written because the disk refused."""

    number = 300
    exit_code = 5


class DetectionError(FibsemError):
    """Report an image that did not give a trustworthy measurement."""

    number = 400
    exit_code = 6


class FeatureNotFoundError(DetectionError):
    """Report a feature that is not in the image; nothing may move on it."""

    number = 410


class LowConfidenceError(DetectionError):
    """Report a feature whose confidence is below the gate; nothing may move on it."""

    number = 420


class AlignmentError(DetectionError):
    """Report a registration or coincidence measurement that was refused."""

    number = 430


class StepError(FibsemError):
    """Report a step that ended without its promised result."""

    number = 500
    exit_code = 7


class VerificationError(StepError):
    """Report that the image taken afterwards does not show what the step should have made."""

    number = 510


class DecisionTimeoutError(StepError):
    """Report a proposal that nobody answered; silence is never a yes."""

    number = 520


class HardwareError(FibsemError):
    """Report that the instrument refused, failed or is gone."""

    number = 600
    exit_code = 8


class ConnectionLostError(HardwareError):
    """Report that the instrument does not answer."""

    number = 610


class RefusedSettingError(HardwareError):
    """Report a setting whose read-back differs from what was asked."""

    number = 620


class StageLimitError(HardwareError):
    """Report a stage target outside the limits; the stage has not moved."""

    number = 630


class MotionError(HardwareError):
    """Report a move that did not end where it was asked to, or that the geometry cannot solve."""

    number = 640


class InterlockError(HardwareError):
    """Report an action that the state of another device forbids."""

    number = 650


class BeamError(HardwareError):
    """Report a beam that is off, tripped or blanked when it is needed."""

    number = 660


class MillingError(HardwareError):
    """Report milling that could not start or did not finish."""

    number = 670


class VacuumError(HardwareError):
    """Report a chamber state in which the action is not allowed."""

    number = 680


class NotSupportedError(HardwareError):
    """Report a capability or an option that this instrument does not have."""

    number = 690


class Cancelled(FibsemError):  # noqa: N818 - a stop is no error of its own
    """End blocking calls after a stop was asked for; never caught by a recovery policy."""

    number = 900
    exit_code = 130
