"""Tables of the experiment store; the same on SQLite and PostgreSQL.

The JSON of a document is the truth; the other columns exist to be searched. Every row names its experiment, so that a
facility can keep several instruments in one database.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Float, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 1
"""Version of these tables and of the documents in them; raised when an older program could not read them."""


class Base(DeclarativeBase):
    """Root of the tables."""


class ExperimentRow(Base):
    """One experiment."""

    __tablename__ = "experiments"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    schema_version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class DocumentRow(Base):
    """One document of a run, append only."""

    __tablename__ = "documents"
    __table_args__ = (
        ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        Index("documents_by_kind", "experiment_id", "kind", "sequence"),
        Index("documents_by_lamella", "experiment_id", "lamella", "step", "sequence"),
    )

    experiment_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    run_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(40))
    lamella: Mapped[str] = mapped_column(Text)
    step: Mapped[str] = mapped_column(Text)
    monotonic_s: Mapped[float] = mapped_column(Float(53))
    wall_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    json: Mapped[str] = mapped_column(Text)


class ImageRow(Base):
    """One image file below the experiment's directory."""

    __tablename__ = "images"
    __table_args__ = (ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),)

    experiment_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    path: Mapped[str] = mapped_column(String(400), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    frame_id: Mapped[str] = mapped_column(Text)
    beam_type: Mapped[str | None] = mapped_column(String(16))
    pixel_size_m: Mapped[float | None] = mapped_column(Float(53))
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)


class CorrectionRow(Base):
    """One correction with its points in columns, written together with its document."""

    __tablename__ = "corrections"
    __table_args__ = (
        ForeignKeyConstraint(["experiment_id", "sequence"], ["documents.experiment_id", "documents.sequence"]),
        Index("corrections_by_feature", "experiment_id", "feature", "classification"),
    )

    experiment_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    run_id: Mapped[str] = mapped_column(String(64))
    lamella: Mapped[str] = mapped_column(Text)
    step: Mapped[str] = mapped_column(Text)
    proposal_id: Mapped[str] = mapped_column(String(64))
    feature: Mapped[str] = mapped_column(String(80))
    classification: Mapped[str] = mapped_column(String(20))
    model: Mapped[str] = mapped_column(Text)
    model_sha256: Mapped[str] = mapped_column(String(64))
    image_path: Mapped[str] = mapped_column(Text)
    image_sha256: Mapped[str] = mapped_column(String(64))
    pixel_size_m: Mapped[float | None] = mapped_column(Float(53))
    confidence: Mapped[float] = mapped_column(Float(53))
    predicted_x_px: Mapped[float | None] = mapped_column(Float(53))
    predicted_y_px: Mapped[float | None] = mapped_column(Float(53))
    decided_x_px: Mapped[float | None] = mapped_column(Float(53))
    decided_y_px: Mapped[float | None] = mapped_column(Float(53))
    delta_x_m: Mapped[float | None] = mapped_column(Float(53))
    delta_y_m: Mapped[float | None] = mapped_column(Float(53))
    decided_by: Mapped[str] = mapped_column(Text)
    duration_s: Mapped[float] = mapped_column(Float(53))
