from __future__ import annotations

import threading

import pytest

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import Cancelled


def test_a_fresh_token_lets_work_go_on() -> None:
    token = CancelToken()
    token.raise_if_cancelled()
    assert not token.is_cancelled
    assert token.reason == ""


def test_a_cancelled_token_raises_with_its_reason() -> None:
    token = CancelToken()
    token.cancel("stop pressed")
    assert token.is_cancelled
    with pytest.raises(Cancelled, match="stop pressed"):
        token.raise_if_cancelled()


def test_the_first_reason_is_kept() -> None:
    token = CancelToken()
    token.cancel("stop pressed")
    token.cancel("client lost")
    assert token.reason == "stop pressed"


def test_another_thread_can_cancel() -> None:
    token = CancelToken()
    thread = threading.Thread(target=token.cancel, args=("from outside",))
    thread.start()
    thread.join()
    assert token.reason == "from outside"
