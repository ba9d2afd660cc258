"""Wakes between processes: a hint that never blocks and never fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from gateway.backends.embedded.wake import LateWake, WakeListener, WakeSender

LISTEN_AND_BE_KILLED = """
import sys, time
from gateway.backends.embedded.wake import WakeListener
listener = WakeListener(sys.argv[1], "gateway", "doomed")
print("ready", flush=True)
time.sleep(60)
"""


def test_every_listener_of_the_name_is_woken_and_no_other(tmp_path: Path) -> None:
    sender = WakeSender(tmp_path, "gateway")
    first, second = WakeListener(tmp_path, "gateway", "a"), WakeListener(tmp_path, "gateway", "b")
    other = WakeListener(tmp_path, "feeds", "a")
    sender()
    assert first.wait(5)
    assert second.wait(5)
    assert not other.wait(0)
    assert not first.wait(0), "a wake counts once"
    for closing in (sender, first, second, other):
        closing.close()
    assert os.listdir(tmp_path) == []


def test_a_late_wake_is_sent_when_it_is_asked_for_and_once(tmp_path: Path) -> None:
    wake, listener = LateWake(WakeSender(tmp_path, "gateway")), WakeListener(tmp_path, "gateway", "a")
    wake.send()
    wake()
    wake()
    assert not listener.wait(0), "nothing was due, and nobody has sent yet"
    wake.send()
    assert listener.wait(5)
    wake.send()
    assert not listener.wait(0)
    wake()
    wake.close()
    assert listener.wait(5), "what is due at the end is sent"
    listener.close()


def test_a_listener_that_comes_later_is_woken_too(tmp_path: Path) -> None:
    sender = WakeSender(tmp_path, "gateway")
    sender()
    for listener_id in ("a", "b"):
        listener = WakeListener(tmp_path, "gateway", listener_id)
        sender()
        assert listener.wait(5)
        listener.close()
        sender()
    sender.close()


def test_a_wait_ends_as_soon_as_it_is_woken(tmp_path: Path) -> None:
    listener = WakeListener(tmp_path, "gateway", "a")
    sender = WakeSender(tmp_path, "gateway")
    timer = threading.Timer(0.05, sender)
    timer.start()
    begun = time.monotonic()
    assert listener.wait(30)
    assert time.monotonic() - begun < 15
    timer.join()
    sender.close()
    listener.close()


def test_a_listener_that_does_not_listen_never_blocks_the_sender(tmp_path: Path) -> None:
    listener = WakeListener(tmp_path, "gateway", "asleep")
    sender = WakeSender(tmp_path, "gateway")
    for _ in range(3_000):
        sender()
    assert listener.wait(0)
    assert not listener.wait(0)
    sender.close()
    listener.close()


def test_the_socket_of_a_killed_listener_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN_AND_BE_KILLED, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    sender = WakeSender(tmp_path, "gateway")
    sender()
    assert len(os.listdir(tmp_path)) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    sender()
    assert os.listdir(tmp_path) == []
    sender.close()


def test_a_run_directory_that_is_not_there_is_left_alone_and_found_once_it_is(tmp_path: Path) -> None:
    run_dir = tmp_path / "absent"
    sender = WakeSender(run_dir, "gateway")
    sender()
    assert not run_dir.exists()
    listener = WakeListener(run_dir, "gateway", "a")
    sender()
    assert listener.wait(5)
    sender.close()
    listener.close()


def test_a_run_directory_with_a_long_path_works(tmp_path: Path) -> None:
    run_dir = tmp_path / ("x" * 120)
    listener, sender = WakeListener(run_dir, "gateway", "a"), WakeSender(run_dir, "gateway")
    sender()
    assert listener.wait(5)
    sender.close()
    listener.close()
