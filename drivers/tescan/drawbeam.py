"""DrawBeam through the SDK (vendor-tescan.md A5)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from drivers.essence.ports import AnyLayerObject, EngineStatus, Layer, LayerAnnulus, LayerDot, LayerLine, LayerObject
from drivers.essence.values import LAYER_NAME
from drivers.tescan.convert import to_engine_status
from drivers.tescan.link import Link
from fibsem_runtime.core.errors import MillingError
from fibsem_runtime.hal.shapes import CrossSection, ShapeKind

_METHODS: Final = {
    CrossSection.RECTANGLE: "addRectangleFilled",
    CrossSection.CLEANING: "addRectanglePolish",
    CrossSection.REGULAR: "addRectangleStairs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkDrawBeam:
    """Implement `drivers.essence.ports.DrawBeamPort`."""

    link: Link
    package: Any

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return what the SDK's layers are known to hold; nobody has exercised its polygons, bitmaps do not exist."""
        return frozenset({ShapeKind.RECTANGLE, ShapeKind.LINE, ShapeKind.CIRCLE})

    def load(self, layer: Layer) -> None:
        """Build the vendor's layer and load it."""
        self.link.do(
            "DrawBeam.LoadLayer", lambda sdk: sdk.DrawBeam.LoadLayer(self._build(sdk, layer)), family=MillingError
        )

    def unload(self) -> None:
        """Unload the layer."""
        self._call("UnloadLayer")

    def estimate_s(self) -> float:
        """Return how long the loaded layer takes."""
        return self.link.read("DrawBeam.EstimateTime", float, family=MillingError)

    def status(self) -> EngineStatus:
        """Read what the engine does."""
        return self.link.read("DrawBeam.GetStatus", to_engine_status, family=MillingError)

    def start(self) -> None:
        """Begin to mill."""
        self._call("Start")

    def pause(self) -> None:
        """Interrupt."""
        self._call("Pause")

    def resume(self) -> None:
        """Go on."""
        self._call("Resume")

    def stop(self) -> None:
        """End the exposure."""
        self._call("Stop")

    @contextmanager
    def urgent(self) -> Iterator[SdkDrawBeam]:
        """Yield the engine over a second connection while another thread holds the first up (A2)."""
        with self.link.urgent() as link:
            yield self if link is self.link else replace(self, link=link)

    def _call(self, name: str) -> None:
        self.link.call(f"DrawBeam.{name}", family=MillingError)

    def _build(self, sdk: Any, layer: Layer) -> Any:
        settings = self.package.DrawBeam.IEtching(
            syncWriteField=False,
            writeFieldSize=layer.field_m,
            beamCurrent=layer.beam_current_a,
            spotSize=layer.spot_size_m,
            rate=layer.rate_m3_per_c,
            dwellTime=layer.dwell_time_s,
            parallel=False,
            spacing=layer.spacing_ratio,
        )
        built = sdk.DrawBeam.Layer(LAYER_NAME, settings)
        for each in layer.objects:
            self._add(built, each)
        return built

    def _add(self, built: Any, each: AnyLayerObject) -> None:
        """Add one object; depth stands before width and height."""
        unit = self.package.DrawBeam.DepthUnit
        if isinstance(each, LayerObject):
            getattr(built, _METHODS[each.kind])(
                CenterX=each.centre_x_m,
                CenterY=each.centre_y_m,
                Depth=each.depth_m,
                Width=each.width_m,
                Height=each.height_m,
                Angle=math.degrees(each.angle_rad),
                DepthUnit=unit.Meter,
            )
        elif isinstance(each, LayerLine):
            built.addLine(
                BeginX=each.start.x_m,
                BeginY=each.start.y_m,
                EndX=each.end.x_m,
                EndY=each.end.y_m,
                Depth=each.depth_m,
                DepthUnit=unit.Meter,
            )
        elif isinstance(each, LayerAnnulus):
            built.addAnnulusFilled(
                CenterX=each.centre.x_m,
                CenterY=each.centre.y_m,
                RadiusA=each.outer_radius_m,
                RadiusB=each.inner_radius_m,
                Depth=each.depth_m,
                DepthUnit=unit.Meter,
            )
        elif isinstance(each, LayerDot):
            built.addDot(CenterX=each.point.x_m, CenterY=each.point.y_m, Depth=each.duration_s, DepthUnit=unit.Second)
