"""A thread that takes the lock again and again leaves room for every other."""

from __future__ import annotations

import threading

from drivers.thermofisher.fair_lock import FairLock


def wait_for_waiters(lock: FairLock, count: int) -> None:
    while lock.waiter_count < count:
        pass


def test_threads_are_served_in_the_order_in_which_they_asked() -> None:
    lock, served = FairLock(), []

    def take(name: str) -> None:
        with lock:
            served.append(name)

    with lock:
        threads = []
        for number, name in enumerate("abc", start=1):
            threads.append(threading.Thread(target=take, args=(name,)))
            threads[-1].start()
            wait_for_waiters(lock, number)
    # Asked for again at once, by the thread that has just released it.
    with lock:
        served.append("again")
    for thread in threads:
        thread.join()
    assert served == ["a", "b", "c", "again"]


def test_a_thread_that_gives_up_waiting_is_not_served_later() -> None:
    lock = FairLock()
    with lock:
        assert not lock.acquire(0.0)
        assert lock.waiter_count == 0
    assert lock.acquire(0.0)
    lock.release()
