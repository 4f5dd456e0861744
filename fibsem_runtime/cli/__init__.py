"""The command line: arguments in, answer and exit code out."""

from fibsem_runtime.cli.commands import app, main

__all__ = ["app", "main"]
