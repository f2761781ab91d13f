# SPDX-License-Identifier: BSD-3-Clause
"""A cygnet in a namespace."""

import contextlib
import fcntl
import json
import os
import signal
from pathlib import Path

import yaml

from lab import BUILD, STATE, Failed, dead_huge_mb, run, wait_for

CYGNET = BUILD / "cygnet"
FREE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
CYGNETCTL = BUILD / "ctl" / "cygnetctl"


def port(name, addresses=(), mtu=1500, default_action="discard", workers=None, qpairs=1, **more):
    """A port on the veth end v-NAME of its namespace; its tap is NAME. It needs a queue
    pair for each worker."""
    # Four times the usual frames: a router without a cpu for a moment loses none.
    p = {"name": name, "devargs": f"net_af_packet_{name},iface=v-{name},qpairs={qpairs},framecnt=2048", "addresses": list(addresses),
         "mtu": mtu, "default-action": default_action, "rx-queues": qpairs}
    if workers:
        p["workers"] = workers
    return {**p, **more}


def pcap_port(name, addresses=(), **more):
    """The same by libpcap: AF_PACKET's fanout has the kernel put fragments together before cygnet sees anything."""
    return port(name, addresses, devargs=f"net_pcap_{name},rx_iface_in=v-{name},tx_iface=v-{name}", **more)


def config(ports, workers=1, crypto=1, mode="dedicated", **more):
    """A router's configuration as a dictionary; lcore 0 is the control thread's."""
    cpus = sorted(os.sched_getaffinity(0))
    roles = ["control"] + ["worker"] * workers + (["crypto"] * crypto if mode == "dedicated" else [])
    lcores = [{"lcore": i, "cpu": cpus[i % len(cpus)], "role": role} for i, role in enumerate(roles)]
    return {"lcores": lcores, "ports": ports, "crypto": {"mode": mode}, **more}


class Router:
    def __init__(self, ns, conf, name=None):
        self.ns = ns
        self.lab = ns.lab
        self.name = name or f"{self.lab.name}-{ns.short}"
        self.file = self.lab.dir / f"{ns.short}.yaml"
        self.socket = self.lab.dir / f"{ns.short}.sock"
        self.process = None
        self.binary = CYGNET
        self.conf = {"name": self.name, "socket": str(self.socket),
                     "eal": {"file-prefix": self.name, "memory": 256}, **conf}
        self.write()

    def write(self, text=None):
        """Writes the configuration (or a text instead); readable by root alone, for it may hold keys."""
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as f:
            f.write(text if text is not None else yaml.safe_dump(self.conf, sort_keys=False))

    def check(self, **kw):
        """cygnet --check: the finished process."""
        return self.ns.run(self.binary, "-c", self.file, "--check", check=False, **kw)

    def reserve(self):
        """Waits for huge pages enough for it, which other labs may have at the moment: the lock, while which is open nobody else
        takes them."""
        def look():
            lock = open(STATE / "hugepages.lock", "w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.conf["eal"]["memory"] <= 2 * int(FREE_PAGES.read_text()) + dead_huge_mb():
                return lock
            lock.close()
            return None
        return wait_for("huge pages", look, 225, 0.2)

    def has_memory(self):
        try:
            maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        except OSError:
            return True  # it has ended
        return 2 * maps.count("/dev/hugepages/") >= self.conf["eal"]["memory"] or not self.process.alive()

    def start(self, wait=True, env=None):
        with self.reserve():
            self.process = self.ns.start(self.binary, "-c", self.file, name=f"cygnet-{self.ns.short}", env=env)
            with contextlib.suppress(Failed):
                wait_for("its memory", self.has_memory, 5, 0.01)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=30):
        def ready():
            if not self.process.alive():
                raise Failed(f"cygnet ended with {self.process.popen.returncode}\n{self.process.tail()}")
            return self.socket.exists() and self.ctl("lcores", check=False).returncode == 0
        wait_for(f"cygnet {self.name}", ready, timeout, 0.1)

    def stop(self, timeout=15):
        return self.process.stop(signal.SIGTERM, timeout)

    def kill(self):
        return self.process.kill()

    def ctl(self, *args, **kw):
        return run([CYGNETCTL, "--socket", self.socket, *args], **kw)

    def json(self, *args):
        return json.loads(self.ctl("--json", *args).stdout)

    # What the tests ask of the counters; the one place that knows the form of the replies.

    def drops(self):
        """Packets dropped, by reason; reasons that never happened are absent."""
        sums = {}
        for lcore in self.json("graph", "stats"):
            for d in lcore["drops"]:
                sums[d["reason"]] = sums.get(d["reason"], 0) + d["packets"]
        return sums

    def unread(self):
        """Packets that its interfaces got and its ports did not: those for which net_af_packet's rings had no room, which nobody else
        counts, and those still in them, and what came before the start. Says something between two times at which nothing comes."""
        def read():
            return sum(p["stats"]["rx_packets"] for p in self.json("port"))
        for _ in range(20):
            before = read()
            files = [f"/sys/class/net/v-{p['name']}/statistics/rx_packets" for p in self.conf["ports"]]
            came = sum(map(int, self.ns.run("cat", *files).stdout.split()))
            if read() == before:
                break
        return came - before

    def nodes(self):
        """Names of the nodes that the graphs have."""
        return {n["node"] for lcore in self.json("graph", "stats") for n in lcore["nodes"]}

    def sas(self):
        """SAs with keys: no reserved SPIs."""
        return [s for s in self.json("sa") if s["state"] == "live"]

    def policies(self):
        return self.json("policy")

    def routes(self):
        return self.json("route")


class Drops:
    """with Drops(router) as d: …; d.since() gives what was dropped meanwhile, by reason."""

    def __init__(self, router):
        self.router = router

    def __enter__(self):
        self.before = self.router.drops()
        return self

    def __exit__(self, *exc):
        pass

    def since(self):
        now = self.router.drops()
        return {r: n - self.before.get(r, 0) for r, n in now.items() if n != self.before.get(r, 0)}

    def expect(self, want, timeout=3):
        """Waits for exactly these drops."""
        try:
            wait_for(f"drops {want}", lambda: self.since() == want, timeout)
        except Failed:
            raise Failed(f"drops: want {want}, got {self.since()}") from None
