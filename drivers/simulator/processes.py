"""What happens to the sample by itself or beside milling: bending, growing layers, redeposition, motion of the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bending import bend_due, watch_lamella
from drivers.simulator.deposits import Deposits
from drivers.simulator.film_motion import film_speed_m_per_c, moved_by_film, spend_on_film
from drivers.simulator.process_settings import ProcessSettings
from drivers.simulator.process_state import Layer, ProcessState
from drivers.simulator.redeposition import redeposit
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.view import View


@dataclass(slots=True, kw_only=True)
class Processes:
    """Change a sample as time and milling go on; what was changed is returned, so that it can be saved."""

    sample: Sample
    settings: ProcessSettings
    seed: int
    deposits: Deposits = field(init=False)

    def __post_init__(self) -> None:
        """Take the sample as it stands for the bare one."""
        self.deposits = Deposits.on(self.sample, self.settings)

    def resume(self, state: ProcessState) -> None:
        """Lay the layers of a saved state on the bare sample."""
        self.deposits.lay(state)

    def catch_up(self, state: ProcessState, ion_view: View, *, now_s: float) -> list[Cut]:
        """Let the time until ``now_s`` act on the sample."""
        changed: list[Cut] = []
        if self.settings.bending.enabled:
            changed = bend_due(
                self.sample, state.lamellae, ion_view, self.settings.bending, seed=self.seed, now_s=now_s
            )
        return list(self.sample.cuts) if self.deposits.grow_ice(state, now_s) else changed

    def seen(self, state: ProcessState, view: View) -> View:
        """Return what a beam sees of the sample where its film has moved."""
        motion = self.settings.film_motion
        return moved_by_film(view, state.film_sites, motion, seed=self.seed) if motion.enabled else view

    def milled(self, state: ProcessState, ion_view: View, charge_c: float) -> None:
        """Let a charge that milling has spent move the film."""
        if self.settings.film_motion.enabled:
            spend_on_film(state.film_sites, ion_view, charge_c, self.settings.film_motion)

    def speed_m_per_s(self, state: ProcessState, ion_view: View, beam_current_a: float) -> float:
        """Return how fast the film moves under the ion beam."""
        motion = self.settings.film_motion
        if not motion.enabled:
            return 0.0
        return film_speed_m_per_c(state.film_sites, ion_view, motion, seed=self.seed) * beam_current_a

    def deposit(self, state: ProcessState, layer: Layer) -> list[Cut]:
        """Deposit a layer."""
        self.deposits.add(state, layer)
        return list(self.sample.cuts)

    def before_milling(self, cuts: Sequence[Cut]) -> list[Cut]:
        """Remember cuts as they are; nothing where no process asks for it."""
        needed = self.settings.redeposition.enabled
        return [replace(cut, front_m=cut.front_m.copy()) for cut in cuts] if needed else []

    def after_milling(self, cuts: Sequence[Cut], before: Sequence[Cut]) -> list[Cut]:
        """Let what an interval of milling has removed land elsewhere."""
        if not self.settings.redeposition.enabled:
            return []
        return redeposit(self.sample, cuts, before, self.settings.redeposition)

    def finished_milling(
        self, state: ProcessState, place_m: NDArray[np.float64], ion_view: View, *, now_s: float
    ) -> None:
        """Look at what a finished pattern has left at a place: a thin slab may bend from now on."""
        bending = self.settings.bending
        if bending.enabled:
            watch_lamella(self.sample, state.lamellae, place_m, ion_view, bending, seed=self.seed, now_s=now_s)
