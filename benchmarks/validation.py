"""Compare the simulator with published numbers (physics.md section 12) and say what was free and what was not fitted.

    python benchmarks/validation.py [--json] [--seeds N] [--frames N] [--only NAME]

Prints a table, or with --json a list of rows. ``--seeds`` polishes are milled without correction of drift and as many
lamellae wait, ``--frames`` sites are imaged in both beams. Takes some minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict

from anchors.bending import waiting
from anchors.imaging import noisy_images
from anchors.recipe import recipe_times, uncorrected_drift
from anchors.row import Row
from anchors.thickness import faces_lean, thickness_over_ranges, thickness_spread


def subjects(seed_count: int, frame_count: int) -> dict[str, Callable[[], Iterable[Row]]]:
    """Return the comparisons by name."""
    return {
        "times": recipe_times,
        "bending": lambda: waiting(seed_count),
        "spread": lambda: thickness_spread(seed_count),
        "ranges": lambda: [thickness_over_ranges()],
        "lean": faces_lean,
        "imaging": lambda: noisy_images(frame_count),
        "drift": lambda: [uncorrected_drift()],
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--seeds", type=int, default=40, help="polishes a drift, lamellae that wait")
    parser.add_argument("--frames", type=int, default=12, help="sites imaged at each dwell time")
    parser.add_argument("--only", choices=list(subjects(1, 1)), help="one of the comparisons")
    arguments = parser.parse_args()
    chosen = subjects(arguments.seeds, arguments.frames)
    names = [arguments.only] if arguments.only else list(chosen)
    rows = [row for name in names for row in chosen[name]()]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        print(f"{row.anchor}\n  published  {row.published}\n  simulated  {row.simulated}")
        print(f"  free       {row.free}\n  agrees     {row.agrees}")


if __name__ == "__main__":
    main()
