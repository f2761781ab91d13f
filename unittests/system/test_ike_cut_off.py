# SPDX-License-Identifier: BSD-3-Clause
"""cygnetctl ike load and run, ended in their midst: what charon has then is still known for ours."""

import contextlib
import signal
import socket
import time

import pytest

from ike import Ike, ike_file
from lab import wait_for
from router import CYGNETCTL
from sites import PLAN, TwoSites

NAME = "gw.example.test"
TUNNELS = 4


class Slow:
    """A charon whose name server says nothing: load-conn takes its time, for each trap anew."""

    def __init__(self, lab):
        self.lab = lab
        self.site = TwoSites(lab).a
        self.site.start_router()
        self.charon = self.site.make_charon()
        self.resolv = lab.dir / "resolv.conf"
        self.silence(1)
        self.charon.script = self.charon.script.replace(
            "exec ", f"mount --bind {self.resolv} /etc/resolv.conf\nexec ")
        self.charon.start()
        self.site.wait_backend()
        self.ike = Ike(self.site)

    def silence(self, seconds):
        self.resolv.write_text(f"nameserver 127.0.0.1\nsearch .\noptions timeout:{seconds} attempts:1\n")

    def doc(self, tunnels=TUNNELS, name=NAME):
        doc = ike_file(PLAN["a"], PLAN["b"], {
            f"t{i}": {"local-ts": f"10.1.{i}.0/24", "remote-ts": f"10.2.{i}.0/24"} for i in range(tunnels)})
        doc["ipsec"]["gateways"][0]["remote-address"] = name
        return doc

    def start(self, doc=None, what="load"):
        if doc:
            self.ike.write(doc)
        return self.lab.start([CYGNETCTL, "ike", what, self.ike.file, "--uri", self.charon.socket], f"ike-{what}")

    def wait_listed(self):
        """charon has the connection, and is at work on its traps."""
        wait_for("the connection", lambda: NAME in self.charon.swanctl("--list-conns").stdout, 10)
        time.sleep(0.3)


@pytest.fixture(scope="module")
def slow(module_lab):
    slow = Slow(module_lab)
    with slow.site.ns.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.closing(server):
        server.bind(("127.0.0.1", 53))
        yield slow


@pytest.fixture(autouse=True)
def nothing_stays(slow):
    yield
    slow.ike.load({"ipsec": {}}, "--quiet")


def test_a_killed_load_is_known_for_ours(slow):
    """kill -9 while charon works at it, for longer than 30 seconds; the next load waits, and has its way."""
    slow.silence(5)
    load = slow.start(slow.doc())
    slow.wait_listed()
    load.kill()
    diff = slow.ike.run("diff", slow.ike.file, check=False)
    assert diff.returncode == 4 and "a load that was cut off may have changed it" in diff.stdout
    out = slow.ike.load()
    assert "4 changed" in out.stdout
    slow.silence(1)
    assert "0 changed, 0 removed, 4 unchanged" in slow.ike.load().stdout
    # One that is cut off, and left the file.
    load = slow.start(slow.doc(3))
    time.sleep(0.5)
    load.kill()
    slow.ike.load({"ipsec": {}})
    assert "ike-gw-1" not in slow.charon.swanctl("--list-conns").stdout


def test_charon_dies_in_a_load(slow):
    """That is no wrong file: the exit code is 3, and the unit tries again."""
    slow.silence(1)
    load, run = slow.start(slow.doc()), None
    slow.wait_listed()
    slow.charon.kill()
    assert load.wait(10) == 3 and "charon hung up" in load.output()
    slow.charon.start()
    run = slow.start(what="run")
    slow.wait_listed()
    slow.charon.kill()
    wait_for("notice", lambda: "charon hung up" in run.output(), 10)
    slow.charon.start()
    wait_for("the file to be loaded", lambda: "4 added" in run.output(), 20)
    assert run.stop() == 0


def test_run_ends_in_a_load(slow):
    """SIGTERM takes back what the load did, and then run ends: with its first file, and with a later one."""
    slow.silence(1)
    run = slow.start(slow.doc(), "run")
    slow.wait_listed()
    assert run.stop(timeout=20) == 0 and "interrupted; nothing has changed" in run.output()
    assert "ike-gw-1" not in slow.charon.swanctl("--list-conns").stdout
    run = slow.start(slow.doc(1, PLAN["b"]["wan"]), "run")
    wait_for("the first file", lambda: "1 added" in run.output(), 10)
    slow.ike.write(slow.doc())
    run.send(signal.SIGHUP)
    slow.wait_listed()
    assert run.stop(timeout=20) == 0 and "interrupted; nothing has changed" in run.output()
    assert list(slow.ike.status()) == ["t0"]
