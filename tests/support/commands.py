"""Call the command line inside the test process."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from fibsem_runtime import cli


@dataclass(frozen=True)
class Answer:
    """What one command printed and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Return what went to stderr, line by line."""
        return self.stderr.strip().splitlines()


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    """Run one command line to its end."""
    monkeypatch.setattr(sys, "argv", ["fibsem-runtime", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    code = ended.value.code
    return Answer(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)
