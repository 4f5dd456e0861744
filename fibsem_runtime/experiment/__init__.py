"""The experiment on disk: documents in SQLite, images in files, journal, resume."""

from fibsem_runtime.core.files import write_text
from fibsem_runtime.experiment import journal
from fibsem_runtime.experiment.experiment import DATABASE_FILE, Experiment
from fibsem_runtime.experiment.journal import BeamTime

__all__ = ["DATABASE_FILE", "BeamTime", "Experiment", "journal", "write_text"]
