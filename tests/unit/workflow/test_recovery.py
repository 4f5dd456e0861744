"""The recovery policy decides by family and by the number of attempts."""

import pytest

from fibsem_runtime.core import errors
from fibsem_runtime.workflow.recovery import Recovery, RecoverySettings


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (errors.AlignmentError("rival peak"), 1, Recovery.RETRY),
        (errors.AlignmentError("rival peak"), 2, Recovery.SKIP_LAMELLA),
        (errors.VerificationError("no lamella"), 1, Recovery.SKIP_LAMELLA),
        (errors.BeamError("tripped"), 1, Recovery.STOP_RUN),
        (errors.StorageError("disk full"), 1, Recovery.STOP_RUN),
        (errors.ConfigError("no model"), 1, Recovery.STOP_RUN),
    ],
)
def test_the_family_of_an_error_decides(error: errors.FibsemError, attempt: int, expected: Recovery) -> None:
    assert RecoverySettings().choose(error, attempt) is expected


def test_a_retry_always_ends() -> None:
    policy = RecoverySettings(after_retries=Recovery.RETRY, max_attempts=3)
    answers = [policy.choose(errors.AlignmentError("refused"), attempt) for attempt in (1, 2, 3)]
    assert answers == [Recovery.RETRY, Recovery.RETRY, Recovery.SKIP_LAMELLA]
