import os
import signal
import threading
import time
from contextlib import nullcontext

from imprint.runs.locks import exclusive, exclusive_if_free


def test_only_one_at_a_time_though_the_file_is_removed_and_made_again(tmp_path):
    path, inside, overlaps = tmp_path / "lock", [], []

    def work():
        for _ in range(40):
            with exclusive(path, waiting=lambda holder: None):
                inside.append(1)
                time.sleep(0.0002)
                overlaps.append(len(inside) - 1)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(overlaps) == 200
    assert sum(overlaps) == 0
    assert not path.exists()


def test_without_the_lock_they_do_overlap(tmp_path):
    """The control of the test above."""
    inside, overlaps = [], []

    def work():
        for _ in range(20):
            with nullcontext():
                inside.append(1)
                time.sleep(0.001)
                overlaps.append(len(inside) - 1)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(overlaps) > 0


def test_the_lock_is_free_after_a_kill_and_the_waiter_knew_whom_it_waited_for(tmp_path):
    path, ready, heard = tmp_path / "lock", tmp_path / "ready", []
    if (child := os.fork()) == 0:
        with exclusive(path, waiting=lambda holder: None):
            ready.touch()
            time.sleep(60)
    while not ready.exists():
        time.sleep(0.005)
    with exclusive_if_free(path) as free:
        assert not free
    threading.Timer(0.1, os.kill, (child, signal.SIGKILL)).start()
    with exclusive(path, waiting=heard.append):
        assert heard == [str(child)]
    os.waitpid(child, 0)
    with exclusive_if_free(path) as free:
        assert free


def test_the_lock_is_free_after_an_exception(tmp_path):
    path = tmp_path / "lock"
    try:
        with exclusive(path, waiting=lambda holder: None):
            raise KeyError
    except KeyError:
        pass
    with exclusive_if_free(path) as free:
        assert free
