"""The supervisor at the keyboard."""

from __future__ import annotations

import queue
import sys
import threading
from dataclasses import dataclass, field
from typing import TextIO

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import DecisionTimeoutError
from fibsem_runtime.events import Proposal
from fibsem_runtime.workflow.supervision import Answer, proposed_points

HELP = "Enter = accept,  NAME X Y = put a point at pixel X Y,  r REASON = reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSupervisor:
    """Ask a person on a terminal; an unanswered question ends in `DecisionTimeoutError`."""

    timeout_s: float
    name: str = "operator at the terminal"
    source: TextIO = field(default_factory=lambda: sys.stdin)
    screen: TextIO = field(default_factory=lambda: sys.stderr)

    def decide(self, proposal: Proposal, image: Image | None) -> Answer:
        """Show the proposal, read lines until one is an answer."""
        points = proposed_points(proposal)
        self._show(proposal)
        changed = False
        while True:
            words = self._read_line(proposal).split()
            if not words:
                return Answer(action="correct" if changed else "accept", points=points)
            if words[0] == "r":
                return Answer(action="reject", points=points, reason=" ".join(words[1:]) or "rejected")
            moved = _parse_point(words, proposal)
            if moved is None:
                self._write(f"  not understood. {HELP}")
                continue
            points[words[0]] = moved
            changed = True
            self._write("  noted; Enter to confirm")

    def _show(self, proposal: Proposal) -> None:
        where = f"{proposal.lamella} {proposal.step}".strip()
        self._write(f"\n[{where}] {proposal.question} (confidence {proposal.confidence:.2f})")
        if proposal.image is not None:
            self._write(f"  image: {proposal.image.path}")
        for item in proposal.features:
            place = (
                f"x {item.point.x_px:.1f}  y {item.point.y_px:.1f} px" if item.point else f"not found: {item.reason}"
            )
            self._write(f"  {item.feature}: {place} (confidence {item.confidence:.2f})")
        self._write(f"  {HELP}")

    def _write(self, line: str) -> None:
        self.screen.write(line + "\n")
        self.screen.flush()

    def _read_line(self, proposal: Proposal) -> str:
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.source.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=self.timeout_s)
        except queue.Empty:
            raise DecisionTimeoutError(
                f"nobody answered within {self.timeout_s:.0f} s: {proposal.question} The instrument is parked; "
                "continue with --resume"
            ) from None
        if line == "":
            raise DecisionTimeoutError(
                f"the terminal is closed and nobody can answer: {proposal.question} Continue with --resume from a "
                "terminal, or run with --supervise never"
            )
        return line


def _parse_point(words: list[str], proposal: Proposal) -> PixelPoint | None:
    if len(words) != 3 or words[0] not in {item.feature for item in proposal.features}:
        return None
    try:
        return PixelPoint(float(words[1]), float(words[2]))
    except ValueError:
        return None
