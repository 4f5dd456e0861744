"""Documents and images as rows of the store."""

from __future__ import annotations

from datetime import UTC

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import DataError
from fibsem_runtime.events import AnyDocument, Correction, Document, ImageReference, parse_document
from fibsem_runtime.experiment.schema import CorrectionRow, DocumentRow, ImageRow


def document_row(experiment_id: str, document: Document) -> tuple[DocumentRow, AnyDocument]:
    """Return the row of a document and the document as it will be read back.

    Raises `DataError` when the two would differ: a NaN for example, or a kind that is not a document.
    """
    text = document.model_dump_json()
    kind = str(getattr(document, "kind", type(document).__name__))
    stored = _parsed(text)
    if stored is None or stored != document:
        raise DataError(
            f"a {kind} document of {document.lamella or 'the run'} cannot be kept: it does not survive being written "
            "and read (an infinite number, or a kind that is not a document); nothing was recorded"
        )
    row = DocumentRow(
        experiment_id=experiment_id,
        sequence=document.sequence,
        run_id=document.run_id,
        kind=kind,
        lamella=document.lamella,
        step=document.step,
        monotonic_s=document.monotonic_s,
        wall_time=document.wall_time.astimezone(UTC),
        json=text,
    )
    return row, stored


def _parsed(text: str) -> AnyDocument | None:
    try:
        return parse_document(text)
    except ValueError:
        return None


def correction_row(experiment_id: str, correction: Correction) -> CorrectionRow:
    """Return the searchable columns of a correction."""
    predicted, decided, delta = correction.predicted, correction.decided, correction.delta
    return CorrectionRow(
        experiment_id=experiment_id,
        sequence=correction.sequence,
        run_id=correction.run_id,
        lamella=correction.lamella,
        step=correction.step,
        proposal_id=correction.proposal_id,
        feature=correction.feature,
        classification=correction.classification,
        model=correction.model,
        model_sha256=correction.model_sha256,
        image_path=correction.image.path,
        image_sha256=correction.image.sha256,
        pixel_size_m=correction.pixel_size_m,
        confidence=correction.confidence,
        predicted_x_px=predicted.x_px if predicted else None,
        predicted_y_px=predicted.y_px if predicted else None,
        decided_x_px=decided.x_px if decided else None,
        decided_y_px=decided.y_px if decided else None,
        delta_x_m=delta.x_m if delta else None,
        delta_y_m=delta.y_m if delta else None,
        decided_by=correction.decided_by,
        duration_s=correction.duration_s,
    )


def image_row(experiment_id: str, reference: ImageReference, image: Image) -> ImageRow:
    """Return the row of an image that is on disk."""
    height_px, width_px = image.shape
    beam_type = image.metadata.beam_type
    return ImageRow(
        experiment_id=experiment_id,
        path=reference.path,
        sha256=reference.sha256,
        frame_id=reference.frame_id,
        beam_type=beam_type.value if beam_type else None,
        pixel_size_m=image.metadata.pixel_size_m,
        width_px=width_px,
        height_px=height_px,
    )
