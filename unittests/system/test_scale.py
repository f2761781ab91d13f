# SPDX-License-Identifier: BSD-3-Clause
"""A small ci/scale: that it works, and that no tunnel fails. How fast it is, ci/scale says."""

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

import scale
from lab import Lab, wait_for
from router import Router, config, port

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17  # of ptrace(2)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    return scale.load_tester(tmp_path_factory.mktemp("load-tester"))


@pytest.mark.parametrize("backend", scale.BACKENDS)
def test_tunnels(lab, plugin, backend):
    """load-tester's tunnels, each an IKE_SA with a CHILD_SA and an address of its own; both routers have them all."""
    scale.tunnels(lab, backend, 100, plugin, memory=256)


def test_messages(lab):
    """The plugin's link and a router without charon; all calls succeed, and at the end nothing is left."""
    result = scale.messages(lab, 500, memory=256)
    for step in "filled", "probe", "emptied":
        assert all(v["failed"] == 0 for v in result[step].values() if isinstance(v, dict)), result
    assert result["probe"]["add_sa"]["calls"] == result["router_add_sa_us"]["calls"] == 2000


def test_events_while_the_agent_is_stopped():
    """More expiries than the router keeps for a stopped agent: its memory does not grow, and none is forgotten."""
    with Lab("t-silent") as lab:
        result = scale.silent_agent(lab, 1200, seconds=8, memory=256)
    assert result["lost_while_stopped"] > 0 and result["resyncs"] >= 1


@contextmanager
def stopped(tid):
    """One thread of another process stands still; SIGSTOP would stop them all."""
    libc = ctypes.CDLL(None, use_errno=True)
    ptrace = libc.ptrace
    ptrace.argtypes, ptrace.restype = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p], ctypes.c_long
    for request in SEIZE, INTERRUPT:
        assert ptrace(request, tid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(tid, 0x40000000)  # __WALL
    try:
        yield
    finally:
        assert ptrace(DETACH, tid, None, None) == 0, os.strerror(ctypes.get_errno())


def test_add_sas_beside_a_stalled_lcore(lab):
    """A worker, which never sleeps, stands still. 1,000 SAs are added, at once; what is deleted meanwhile is not given back, so that the table is full: that
    is said, nothing grows, and the router answers. Then the worker goes on, and all is as before."""
    ns, peer = lab.ns("alone"), lab.ns("peer")
    ns.no_ipv6()
    lab.veth(ns, "v-wan", peer, "v-wan")
    router = Router(ns, config([port("wan", ["192.0.2.1/24"])], mode="inline", limits={"sas": 1024, "policies": 4096}, idle="poll"))
    router.start()
    c = scale.Channel(router)
    tasks = Path(f"/proc/{router.process.pid}/task")
    worker, = [int(t.name) for t in tasks.iterdir() if "worker" in (t / "comm").read_text()]

    def sas(state):
        return router.json("status")["counts"]["sas"][state]

    def failed(answer):
        return sum(v["failed"] for v in answer.values() if isinstance(v, dict))
    with stopped(worker):
        assert (tasks / str(worker) / "stat").read_text().split(") ")[1][0] == "t"
        before = sum(scale.memory_of(router))
        filled = c.ask("fill", 0, 500, 0)
        assert failed(filled) == 0 and filled["add_sa"]["calls"] == 1000 and sas("live") == 1000
        assert failed(c.ask("empty", 0, 500)) == 0
        assert sas("live") == 0 and sas("dying") == 1000
        again = c.ask("fill", 0, 500, 0)
        assert again["get_spi"]["failed"] >= 476 and sas("live") <= 24
        assert "No space left on device" in router.process.output()
        assert sum(scale.memory_of(router)) - before < 4096
    c.ask("empty", 0, 500)
    wait_for("the slots to come back", lambda: sas("dying") == sas("live") == 0, 10)
    assert failed(c.ask("fill", 0, 500, 0)) == 0 and sas("live") == 1000
    assert failed(c.ask("empty", 0, 500)) == 0
    assert c.stop() == 0 and router.stop(60) == 0
