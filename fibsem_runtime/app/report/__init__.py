"""The report of an experiment: one HTML file for the person who comes in the morning."""

from fibsem_runtime.app.report.rendering import render_report, write_report

__all__ = ["render_report", "write_report"]
