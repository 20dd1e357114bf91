"""Starting and stopping real processes, and waiting for what they promise."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
_STOP_TIMEOUT_S = 15.0


def free_port() -> int:
    """Return a TCP port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(
    condition: Callable[[], Any], what: str, timeout_s: float = 30.0, every_s: float = 0.02
) -> Any:
    """Return the first true value of `condition`; AssertionError naming `what` if none comes in
    time.

    What another process does to its files tells nobody, so it is looked at `every_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s for {what}")
        time.sleep(every_s)
    return value


class Process:
    """A child process with its output in files. It is stopped when the `with` block ends."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self.command = command
        self.stdout = folder / f"{name}.out"
        self.stderr = folder / f"{name}.err"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        with self.stdout.open("wb") as out, self.stderr.open("ab") as err:
            self._child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def kill(self) -> None:
        """Send SIGKILL, which ends it as a power cut would."""
        assert self._child is not None
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code.

        SIGKILL and AssertionError follow if it does not end in time.
        """
        assert self._child is not None
        self._child.terminate()
        try:
            return self._child.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop on SIGTERM") from None

    def ready(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Return the first line of stdout, which is JSON once the process serves."""

        def first_line() -> dict[str, Any] | None:
            if not self.running():
                raise AssertionError(f"{self.name} ended: {self.stderr.read_text()[-2000:]}")
            line, newline, _ = self.stdout.read_text().partition("\n")
            return json.loads(line) if newline else None

        found: dict[str, Any] = wait_for(first_line, f"{self.name} to be ready", timeout_s)
        return found

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running():
            self.stop()


class Broker(Process):
    """Mosquitto on a free port of this machine, with the queue limits that we ship."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\n"
            "allow_anonymous true\n"
            "max_inflight_messages 0\n"
            "max_queued_messages 100000\n"
            "max_packet_size 131072\n"
            "set_tcp_nodelay true\n"
        )
        super().__init__("mosquitto", [MOSQUITTO, "-c", str(config)], folder)

    def start(self) -> None:
        super().start()
        wait_for(self._answers, "mosquitto to listen")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
