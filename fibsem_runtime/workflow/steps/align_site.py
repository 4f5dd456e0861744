"""Bring the cell to coincidence, tilt to the milling angle and choose the place of the lamella."""

from __future__ import annotations

from fibsem_runtime.core import BeamType, ImagePoint, PixelPoint
from fibsem_runtime.core.errors import AlignmentError, FeatureNotFoundError
from fibsem_runtime.core.units import UM, format_quantity
from fibsem_runtime.events import FeatureProposal, TargetSet
from fibsem_runtime.imaging import Blob, find_cell_near, find_cells, measure_coincidence
from fibsem_runtime.workflow.context import Context, Frame
from fibsem_runtime.workflow.decisions import decide_points
from fibsem_runtime.workflow.settings import AlignSiteSettings
from fibsem_runtime.workflow.site import find_site

TARGET = "LamellaTarget"
CELL_FINDER = "cell silhouette"


def run(context: Context, settings: AlignSiteSettings) -> dict[str, float]:
    """Align the site in both beams and set the target; return what was measured."""
    site = find_site(context)
    context.use_imaging_current()
    context.microscope.ion_beam.set_shift(ImagePoint(0.0, 0.0))
    context.move_stage(context.kinematics.electron_pose(site.stage_position), purpose="site")
    measurements: dict[str, float] = {}
    if context.options.use_detection:
        _contrast(context)
        _centre_in_electron_image(context, settings)
        measurements["coincidence_error_m"] = _restore_coincidence(context, settings)
    pose = context.kinematics.milling_pose(context.microscope.stage.position(), context.method.milling_angle_rad)
    context.move_stage(pose, purpose="milling angle")
    if context.options.use_detection:
        _contrast(context)
        _centre_in_electron_image(context, settings)
        _centre_in_ion_image(context, settings)
    target = _choose_target(context, settings)
    measurements["target_x_m"], measurements["target_y_m"] = target.x_m, target.y_m
    return measurements


def _contrast(context: Context) -> None:
    for beam in (context.microscope.electron_beam, context.microscope.ion_beam):
        beam.auto_contrast(cancel=context.cancel)


def _acquire(context: Context, beam_type: BeamType, settings: AlignSiteSettings, purpose: str) -> Frame:
    return context.acquire(beam_type, settings.frame.to_image_settings(), purpose=purpose)


def _image_centre(frame: Frame) -> PixelPoint:
    height_px, width_px = frame.image.shape
    return PixelPoint(width_px / 2, height_px / 2)


def _cap(context: Context, offset: ImagePoint, limit_m: float, what: str) -> None:
    """Refuse a move that is longer than anything expected here (check C4)."""
    passed = context.check(
        "C4", measured=offset.length_m, threshold=limit_m, unit="m", passed=offset.length_m <= limit_m, message=what
    )
    if not passed:
        raise AlignmentError(
            f"{what} asks for a move of {format_quantity(offset.length_m, 'm')}, allowed are "
            f"{format_quantity(limit_m, 'm')}; the wrong object may have been found"
        )


def _nearest_cell(frame: Frame, settings: AlignSiteSettings) -> Blob:
    """Return the cell nearest to the centre of an electron image."""
    diameter_m = settings.cell_diameter_um * UM
    cells = find_cells(frame.image, min_diameter_m=0.4 * diameter_m, max_diameter_m=2.0 * diameter_m)
    if not cells:
        raise FeatureNotFoundError("no cell in the electron image of the site; check focus, contrast and position")
    centre = _image_centre(frame)
    return min(cells, key=lambda c: (c.centre.x_px - centre.x_px) ** 2 + (c.centre.y_px - centre.y_px) ** 2)


def _centre_in_electron_image(context: Context, settings: AlignSiteSettings) -> None:
    """Move the stage along the sample until the cell is in the middle of the electron image."""
    for _ in range(settings.max_passes):
        frame = _acquire(context, BeamType.ELECTRON, settings, "centre")
        offset = frame.image.to_metres(_nearest_cell(frame, settings).centre)
        _cap(context, offset, settings.max_move_um * UM, "centring the cell in the electron image")
        if offset.length_m <= settings.centre_tolerance_um * UM / 2:
            return
        _stable_move(context, BeamType.ELECTRON, offset, "centre the cell")
    raise AlignmentError(f"the cell was not centred in the electron image after {settings.max_passes} moves")


def _stable_move(context: Context, beam_type: BeamType, offset: ImagePoint, purpose: str) -> None:
    scan_rotation_rad = context.microscope.beam(beam_type).settings().scan_rotation_rad
    here = context.microscope.stage.position()
    context.move_stage(
        context.kinematics.stable_move(here, beam_type, offset, scan_rotation_rad=scan_rotation_rad), purpose=purpose
    )


def _vertical_move(context: Context, offset_y_m: float, purpose: str) -> None:
    scan_rotation_rad = context.microscope.ion_beam.settings().scan_rotation_rad
    here = context.microscope.stage.position()
    context.move_stage(
        context.kinematics.vertical_move(here, offset_y_m, scan_rotation_rad=scan_rotation_rad), purpose=purpose
    )


def _restore_coincidence(context: Context, settings: AlignSiteSettings) -> float:
    """Raise or lower the stage until both beams look at one point; judged on a fresh pair of images (check C7)."""
    tolerance_m = settings.coincidence_tolerance_um * UM
    for _ in range(settings.max_passes):
        electron = _acquire(context, BeamType.ELECTRON, settings, "coincidence")
        ion = _acquire(context, BeamType.ION, settings, "coincidence")
        stretch_ratio = context.kinematics.ion_stretch_ratio(context.microscope.stage.position())
        found = measure_coincidence(electron.image, ion.image, stretch_ratio)
        error_m = abs(found.offset.y_m)
        passed = found.is_fine and error_m <= tolerance_m
        agreement = f"two sizes of detail agree within {format_quantity(found.disagreement_m, 'm')}"
        if context.check("C7", measured=error_m, threshold=tolerance_m, unit="m", passed=passed, message=agreement):
            return error_m
        _cap(context, found.offset, settings.max_move_um * UM, "restoring coincidence")
        _vertical_move(context, found.offset.y_m, "restore coincidence")
    raise AlignmentError(f"the beams do not meet after {settings.max_passes} corrections of the height")


def _centre_in_ion_image(context: Context, settings: AlignSiteSettings) -> None:
    """Correct what tilting left: the electron image is centred, so the rest in y is height."""
    tolerance_m = settings.centre_tolerance_um * UM
    for _ in range(settings.max_passes):
        frame = _acquire(context, BeamType.ION, settings, "centre")
        cell = find_cell_near(frame.image, _image_centre(frame), expected_width_m=settings.cell_diameter_um * UM)
        offset = frame.image.to_metres(cell.centre)
        _cap(context, offset, settings.max_move_um * UM, "centring the cell in the ion image")
        if abs(offset.y_m) <= tolerance_m:
            return
        _vertical_move(context, offset.y_m, "centre the cell in the ion image")
    raise AlignmentError(f"the cell was not centred in the ion image after {settings.max_passes} moves")


def _choose_target(context: Context, settings: AlignSiteSettings) -> ImagePoint:
    """Propose the middle of the cell in the ion image, or the image centre when detection is switched off."""
    frame = context.acquire(BeamType.ION, settings.target_frame.to_image_settings(), purpose="target")
    point = _image_centre(frame)
    if context.options.use_detection:
        cell = find_cell_near(frame.image, point, expected_width_m=settings.cell_diameter_um * UM)
        proposal = FeatureProposal(feature=TARGET, point=cell.centre, confidence=cell.contrast_score)
        question = "Place the lamella here?"
        point = decide_points(context, question, [proposal], frame, model=CELL_FINDER, subject="point")[TARGET]
    context.record(TargetSet, image=frame.reference, point=point)
    return frame.image.to_metres(point)
