"""The token that stops every blocking call."""

from __future__ import annotations

import threading

from fibsem_runtime.core.errors import Cancelled


class CancelToken:
    """Carry one request to stop from whoever asks to whoever works; safe from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason = ""

    def cancel(self, reason: str) -> None:
        """Ask everything that holds this token to stop; the first reason is kept."""
        if not self._event.is_set():
            self._reason = reason
            self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._event.is_set()

    @property
    def reason(self) -> str:
        """Return why, or an empty text."""
        return self._reason

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` with the reason if a stop was asked for."""
        if self._event.is_set():
            raise Cancelled(self._reason)
