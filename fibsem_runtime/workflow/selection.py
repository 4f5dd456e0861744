"""Choose the sites of a run: from the operator's list or on an electron overview."""

from __future__ import annotations

from fibsem_runtime.core import BeamType, ImagePoint, PixelPoint
from fibsem_runtime.core.errors import FeatureNotFoundError
from fibsem_runtime.core.units import UM
from fibsem_runtime.events import FeatureProposal, LamellaAdded
from fibsem_runtime.imaging import Blob, find_cells
from fibsem_runtime.workflow.context import Context, Frame
from fibsem_runtime.workflow.decisions import decide_points
from fibsem_runtime.workflow.settings import ListSelection, OverviewSelection
from fibsem_runtime.workflow.steps.align_site import CELL_FINDER


def select_sites(context: Context) -> list[str]:
    """Return the names of the run's lamellae, adding those that the experiment does not have yet."""
    known = [d.lamella for d in context.experiment.documents(kind="lamella_added")]
    if known:
        return known
    selection = context.method.selection
    if isinstance(selection, ListSelection):
        return _add_listed(context, selection)
    return _add_from_overview(context, selection)


def _add_listed(context: Context, selection: ListSelection) -> list[str]:
    chosen = selection.positions[: context.options.lamella_count]
    context.experiment.record_together(
        [
            context.bind(lamella=position.name).make(LamellaAdded, stage_position=position.to_stage_position())
            for position in chosen
        ]
    )
    return [position.name for position in chosen]


def _add_from_overview(context: Context, selection: OverviewSelection) -> list[str]:
    """Image the square, propose its cells and add the decided ones with their stage positions."""
    context.use_imaging_current()
    here = context.microscope.stage.position()
    context.move_stage(context.kinematics.electron_pose(here), purpose="overview")
    context.microscope.electron_beam.auto_contrast(cancel=context.cancel)
    frame = context.acquire(BeamType.ELECTRON, selection.frame.to_image_settings(), purpose="overview")
    found = find_cells(
        frame.image,
        min_diameter_m=selection.min_diameter_um * UM,
        max_diameter_m=selection.max_diameter_um * UM,
    )
    cells = _well_placed(frame, found, selection)[: context.options.lamella_count]
    context.check(
        "sites",
        measured=float(len(cells)),
        threshold=float(context.options.lamella_count),
        unit="cells",
        passed=len(cells) >= context.options.lamella_count,
    )
    if not cells:
        raise FeatureNotFoundError(
            "the overview shows no cell that is free of grid bars and neighbours; move to another square or give a list"
        )
    names = [f"lamella-{number:02d}" for number in range(1, len(cells) + 1)]
    proposals = [
        FeatureProposal(
            feature=name,
            point=cell.centre,
            confidence=cell.contrast_score,
            rivals=[other.centre for other in found if other is not cell],
        )
        for name, cell in zip(names, cells, strict=True)
    ]
    points = decide_points(context, "Prepare lamellae in these cells?", proposals, frame, model=CELL_FINDER)
    context.experiment.record_together([_site(context, name, frame, point) for name, point in points.items()])
    return list(points)


def _site(context: Context, name: str, frame: Frame, point: PixelPoint) -> LamellaAdded:
    scan_rotation_rad = context.microscope.electron_beam.settings().scan_rotation_rad
    position = context.kinematics.stable_move(
        context.microscope.stage.position(),
        BeamType.ELECTRON,
        frame.image.to_metres(point),
        scan_rotation_rad=scan_rotation_rad,
    )
    return context.bind(lamella=name).make(LamellaAdded, stage_position=position, image=frame.reference, point=point)


def _well_placed(frame: Frame, cells: list[Blob], selection: OverviewSelection) -> list[Blob]:
    """Return cells inside the margin, free of neighbours and far enough from each other, the clearest first."""
    offsets = {id(cell): frame.image.to_metres(cell.centre) for cell in cells}
    margin_m = selection.edge_margin_um * UM
    half_width_m = frame.image.pixel_size_m * frame.image.shape[1] / 2 - margin_m
    half_height_m = frame.image.pixel_size_m * frame.image.shape[0] / 2 - margin_m
    chosen: list[Blob] = []
    for cell in sorted(cells, key=lambda c: -c.contrast_score):
        here = offsets[id(cell)]
        others = [offsets[id(c)] for c in cells if c is not cell]
        if abs(here.x_m) > half_width_m or abs(here.y_m) > half_height_m:
            continue
        if any(_is_near(here, o, selection.clearance_x_um, selection.clearance_y_um) for o in others):
            continue
        taken = [offsets[id(c)] for c in chosen]
        if not any(_is_near(here, o, selection.min_spacing_x_um, selection.min_spacing_y_um) for o in taken):
            chosen.append(cell)
    return chosen


def _is_near(here: ImagePoint, other: ImagePoint, dx_um: float, dy_um: float) -> bool:
    return abs(here.x_m - other.x_m) < dx_um * UM and abs(here.y_m - other.y_m) < dy_um * UM
