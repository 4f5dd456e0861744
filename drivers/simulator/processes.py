"""What happens to the sample by itself or beside milling: bending, growing layers, redeposition, motion of the film."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bending import bend_due, watch_lamella
from drivers.simulator.bodies import NEEDLE, Body, BodyKind
from drivers.simulator.deposits import Deposits
from drivers.simulator.film_motion import film_speed_m_per_c, moved_by_film, spend_on_film
from drivers.simulator.process_settings import ProcessSettings
from drivers.simulator.process_state import Layer, ProcessState
from drivers.simulator.redeposition import redeposit
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.view import View

ON_FILM: Final = (BodyKind.GRID, BodyKind.WAFFLE)
"""Bodies that lie on a support film."""


class Processes:
    """Change bodies as time and milling go on; what was changed is returned, so that it can be saved."""

    def __init__(self, bodies: Iterable[Body], settings: ProcessSettings, *, seed: int) -> None:
        """Take the bodies as they stand for the bare ones."""
        self.settings = settings
        self.seed = seed
        self._samples = {body.number: body.sample for body in bodies}
        self._deposits = Deposits(bodies, settings)

    def resume(self, state: ProcessState) -> None:
        """Lay the layers of a saved state on the bare bodies."""
        self._deposits.lay(state)

    def adopt(self, state: ProcessState, piece: Body) -> None:
        """Let layers grow on a piece that has just come free."""
        state.freed_at_counts[piece.number] = state.ice_count
        self._deposits.adopt(piece)

    def catch_up(self, state: ProcessState, ion_view: View, *, now_s: float) -> list[Cut]:
        """Let the time until ``now_s`` act on the bodies."""
        changed: list[Cut] = []
        if self.settings.bending.enabled:
            changed = bend_due(
                self._samples, state.lamellae, ion_view, self.settings.bending, seed=self.seed, now_s=now_s
            )
        return changed + self._deposits.grow_ice(state, now_s)

    def seen(self, state: ProcessState, view: View) -> View:
        """Return what a beam sees of the sample where its film has moved."""
        motion = self.settings.film_motion
        return moved_by_film(view, state.film_sites, motion, seed=self.seed) if motion.enabled else view

    def milled(self, state: ProcessState, base: Body, ion_view: View, charge_c: float) -> None:
        """Let a charge that milling has spent on a body move its film."""
        if self._moves(base):
            spend_on_film(state.film_sites, ion_view, charge_c, self.settings.film_motion)

    def speed_m_per_s(self, state: ProcessState, base: Body, ion_view: View, beam_current_a: float) -> float:
        """Return how fast the film of a body moves under the ion beam."""
        if not self._moves(base):
            return 0.0
        speed_m_per_c = film_speed_m_per_c(state.film_sites, ion_view, self.settings.film_motion, seed=self.seed)
        return speed_m_per_c * beam_current_a

    def _moves(self, base: Body) -> bool:
        return self.settings.film_motion.enabled and base.kind in ON_FILM

    def deposit(self, state: ProcessState, layer: Layer) -> list[Cut]:
        """Deposit a layer on its body where it reaches it."""
        return self._deposits.add(state, layer)

    def before_milling(self, cuts: Sequence[Cut]) -> list[Cut]:
        """Remember cuts as they are; nothing where no process asks for it."""
        needed = self.settings.redeposition.enabled
        return [replace(cut, front_m=cut.front_m.copy()) for cut in cuts] if needed else []

    def after_milling(self, sample: Sample, cuts: Sequence[Cut], before: Sequence[Cut]) -> list[Cut]:
        """Let what an interval of milling has removed from a sample land elsewhere on it."""
        if not self.settings.redeposition.enabled:
            return []
        return redeposit(sample, cuts, before, self.settings.redeposition)

    def finished_milling(
        self, state: ProcessState, body: Body, place_m: NDArray[np.float64], ion_view: View, *, now_s: float
    ) -> None:
        """Look at what a finished pattern has left in a body at a place: a thin slab may bend from now on.

        Pieces and the needle are left out: `bend` moves what is held at both ends.
        """
        bending, number = self.settings.bending, body.number
        if bending.enabled and number < NEEDLE:
            watch_lamella(
                body.sample, state.lamellae, place_m, ion_view, bending, seed=self.seed, now_s=now_s, body=number
            )
