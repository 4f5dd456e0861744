"""Fuzz the decoders of foreign bytes with atheris: ``python tests/fuzz/fuzz.py --seconds 600`` (see README.md).

Every target runs in a process of its own, because libFuzzer ends its process. What it finds interesting is merged into
``tests/fuzz/corpus``; an input that crashes or hangs stays in ``--findings``, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"
PYTHON_PATH = os.pathsep.join(str(ROOT / part) for part in ("", "tests/support", "tests/fakes"))
COMMAND = "FIBSEM_FUZZ_COMMAND"
"""Names the program that libFuzzer starts again to merge a corpus; a Python file is none."""

HANG_S = 10
MEMORY_MB = 3000
LARGEST_CORPUS = 36
"""Inputs that are kept of a target: eight targets stay below 300 files."""

READERS = "reader origin pixels stated texts tescan zeiss thermofisher fibsemos description"
FOUND = re.compile(r"[0-9a-f]{16}")
"""Names of corpus files: the beginning of libFuzzer's hash."""

INSTRUMENTED = (
    *("drivers.sharksem.wire", "drivers.sharksem.frame", "tifffile", "tifffile.tifffile", "tifffile._imagecodecs"),
    *(f"fibsem_runtime.imaging.{module}" for module in READERS.split()),
)


def fuzz_one(name: str, libfuzzer_arguments: list[str]) -> None:
    """Run one target in this process; never returns.

    Everything is imported first and then what is under test once more, because atheris chooses by top-level package
    and would take a minute over the rest.
    """
    import atheris

    importlib.import_module("fuzz_targets")
    for module in (*INSTRUMENTED, "fuzz_targets"):
        del sys.modules[module]
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from fuzz_targets import TARGETS

    logging.disable(logging.CRITICAL)
    atheris.Setup([os.environ.get(COMMAND, sys.argv[0]), *libfuzzer_arguments], TARGETS[name].run)
    atheris.Fuzz()


def run_all(names: list[str], seconds: int, findings: Path) -> int:
    """Fuzz the targets one after the other and return how many of them found something."""
    findings.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in names:
        failed += run_target(name, seconds // len(names), findings) != 0
    sys.stdout.write(
        f"{failed} of {len(names)} targets found something; see {findings}\n" if failed else "no findings\n"
    )
    return failed


def run_target(name: str, seconds: int, findings: Path) -> int:
    """Fuzz one target from its seeds and its corpus, then keep some of the inputs that reach everything it reached."""
    from fuzz_targets import TARGETS

    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as scratch:
        seeds, grown, merged = (Path(scratch, part) for part in ("seeds", "grown", "merged"))
        for folder in (seeds, grown, merged, CORPUS / name):
            folder.mkdir(parents=True, exist_ok=True)
        for index, seed in enumerate(target.seeds):
            (seeds / f"seed{index}").write_bytes(seed)
        limits = [f"-timeout={HANG_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={target.max_bytes}"]
        artifacts = f"-artifact_prefix={findings}/{name}-"
        code = _child(
            name,
            Path(scratch),
            [str(grown), str(seeds), str(CORPUS / name), f"-max_total_time={seconds}", artifacts, *limits],
        )
        _child(name, Path(scratch), ["-merge=1", str(merged), str(seeds), str(CORPUS / name), str(grown), *limits])
        _keep(merged, CORPUS / name)
    return code


def _child(name: str, scratch: Path, arguments: list[str]) -> int:
    program = scratch / "target"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{__file__}' --target {name} \"$@\"\n")
    program.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": PYTHON_PATH, COMMAND: str(program)}
    return subprocess.run([program, *arguments], env=environment, check=False).returncode


def _keep(source: Path, destination: Path) -> None:
    """Replace what earlier runs found by inputs of every size; files with telling names were put there by people."""
    found = sorted(source.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    kept = found[:: max(1, math.ceil(len(found) / LARGEST_CORPUS))]
    for old in destination.iterdir():
        if kept and FOUND.fullmatch(old.name):
            old.unlink()
    for file in kept:
        (destination / file.name[:16]).write_bytes(file.read_bytes())


def main() -> int:
    """Read the arguments; with ``--target`` this process becomes libFuzzer's."""
    if sys.argv[1:2] == ["--target"]:
        fuzz_one(sys.argv[2], sys.argv[3:])
    sys.path[:0] = PYTHON_PATH.split(os.pathsep)
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir(), "fibsem-fuzz-findings"))
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="target", help=", ".join(TARGETS))
    chosen = parser.parse_args()
    return 1 if run_all(chosen.targets or list(TARGETS), chosen.seconds, chosen.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
