# SPDX-License-Identifier: BSD-3-Clause
"""cygnetctl ike with a charon that is hung, and with a reader that is: a charon played here, of vici's framing alone."""

import socket
import struct
import subprocess
import threading
import time

import pytest

from lab import PATIENCE, run
from router import CYGNETCTL

REQUEST, RESPONSE, REGISTER, UNREGISTER, CONFIRM, EVENT = 0, 1, 3, 4, 5, 7


def key_value(key, value):
    return bytes([3, len(key)]) + key + struct.pack(">H", len(value)) + value


class Played(threading.Thread):
    """Answers commands with nothing and confirms events; not those of deaf; floods who registers for flood."""

    def __init__(self, path, deaf=(), flood=None):
        super().__init__(daemon=True)
        self.deaf, self.flood, self.versions, self.flooded = deaf, flood, 0, False
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                self.serve(self.listener.accept()[0])
            except OSError:
                continue

    def serve(self, c):
        def send(kind, body=b""):
            c.sendall(struct.pack(">IB", len(body) + 1, kind) + body)

        def receive(n):
            data = b""
            while len(data) < n:
                part = c.recv(n - len(data))
                if not part:
                    raise OSError
                data += part
            return data

        while True:
            packet = receive(struct.unpack(">I", receive(4))[0])
            kind, name = packet[0], packet[2:2 + packet[1]]
            self.versions += name == b"version"
            if kind in self.deaf:
                continue
            send(RESPONSE if kind == REQUEST else CONFIRM)
            if kind == REGISTER and name == self.flood:
                event = bytes([len(name)]) + name + key_value(b"msg", b"x" * 1000)
                for _ in range(20000):
                    send(EVENT, event)
                self.flooded = True


def test_a_queue_that_is_full(lab):
    """A stopped charon's socket still takes some connections, then none: nobody waits for ever."""
    path = lab.dir / "full"
    waiting = []
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen(0)
        try:
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(path))
        except BlockingIOError:
            pass
        p = run([CYGNETCTL, "ike", "status", "--uri", path], check=False, timeout=20)
    assert p.returncode == 3 and "takes no connections: is it hung, or stopped?" in p.stderr
    for c in waiting:
        c.close()


def test_a_charon_that_hangs_in_the_midst(lab):
    """It has answered, and says no more when it is told that events are not wanted any longer."""
    Played(lab.dir / "deaf", deaf=(UNREGISTER,))
    p = run([CYGNETCTL, "ike", "metrics", "--uri", lab.dir / "deaf"], check=False, timeout=20)
    assert p.returncode == 3 and "charon does not answer: is it hung, or stopped?" in p.stderr


@pytest.mark.parametrize("json", [False, True])
def test_a_reader_that_pauses(lab, json):
    """More events than fit anywhere, and nobody reads: charon is still listened to, and what was lost is told."""
    charon = Played(lab.dir / "loud", flood=b"log")
    p = subprocess.Popen([CYGNETCTL, "ike", "watch", "--log", *(["--json"] if json else []), "--uri", lab.dir / "loud"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end and not (charon.flooded and charon.versions >= 2):
            time.sleep(0.1)
        assert charon.flooded and charon.versions >= 2 and p.poll() is None
        lines = []
        while b"lost" not in (line := p.stdout.readline()):
            assert line
            lines.append(line)
        assert 3000 < len(lines) < 20000
    finally:
        p.terminate()
        p.communicate(timeout=5 * PATIENCE)
    assert p.returncode == 0
