# SPDX-License-Identifier: BSD-3-Clause
"""cygnet itself: its graph, its tables, static SAs; a net_pcap port in, a net_null port out."""

import contextlib
import json
import os
import signal
import socket

import meter
import traffic
import yaml
from lab import run
from router import Router

MAC_NEIGHBOUR = "02:00:00:00:00:02"


def cpus():
    """The one that measures and controls, and the one that is measured; dedicated takes both."""
    c = sorted(os.sched_getaffinity(0))
    return c[0], c[-1]


def lcores(mode):
    rest, fast = cpus()
    if mode == "inline":
        return [{"lcore": 0, "cpu": rest, "role": "control"}, {"lcore": 1, "cpu": fast, "role": "worker"}]
    return [{"lcore": 0, "cpu": rest, "role": "control"}, {"lcore": 1, "cpu": fast, "role": "worker"},
            {"lcore": 2, "cpu": rest, "role": "crypto"}]


def sas_of(direction, sas, transform, window, esn):
    src, dst = traffic.OUTER_SRC, traffic.OUTER_DST
    if direction == "in":
        src, dst = dst, src
    more = {"replay-window": window, "esn": esn} if direction == "in" else {}
    return [{"name": f"sa-{i}", "direction": direction, "spi": traffic.SPI + i, "source": src, "destination": dst,
             "reqid": i + 1, "insecure-test": True, **transform.sa(**more)} for i in range(sas)]


def policies_of(direction, sas, prefix):
    hosts = [f"{traffic.far(i)}/32" for i in range(sas)] if sas > 1 else [prefix]
    if direction == "out":
        return [{"direction": "out", "action": "protect", "source": "10.1.0.0/16", "destination": h, "reqid": i + 1,
                 "spi": traffic.SPI + i} for i, h in enumerate(hosts)]
    return [{"direction": "fwd", "action": "protect", "source": h, "destination": "10.1.0.0/16", "reqid": i + 1}
            for i, h in enumerate(hosts)]


def config(mode, direction, capture, sas, transform, packets, window=0, esn=False, crypto=None, plugins=()):
    """capture: what the pcap port plays; None: nothing comes, a plugin makes the packets."""
    rx = f"net_pcap0,rx_pcap={capture},infinite_rx=1" if capture else "net_null1,no-rx=1"
    lan = {"name": "lan", "addresses": ["10.1.0.1/24"], "devargs": "net_null0,no-rx=1"}
    wan = {"name": "wan", "addresses": [f"{traffic.OUTER_SRC}/24"], "devargs": "net_null0,no-rx=1"}
    ports = [{**lan, "devargs": rx}, wan] if direction == "out" else [{**wan, "devargs": rx}, lan]
    mbufs = 16384 if packets < 8192 else packets + 32768
    return {
        "idle": "poll",
        "eal": {"memory": 256 + mbufs * 3 // 1024 + sas * 3 // 256},
        "lcores": lcores(mode),
        "ports": ports,
        "crypto": {"mode": mode, **(crypto or {})},
        "ipsec": {"static-only": True},
        "limits": {"mbufs": mbufs, "sas": max(4096, 2 * sas), "policies": max(4096, sas)},
        "sas": sas_of(direction, sas, transform, window, esn),
        "policies": policies_of(direction, sas, "20.0.0.0/8"),
        **({"plugins": list(plugins)} if plugins else {}),
    }


def listed(conf, key):
    """A long list as YAML: the library takes minutes for 100,000 entries."""
    lines = [f"{key}:"]
    for entry in conf[key]:
        fields = [f"{k}: {json.dumps(v)}" for k, v in entry.items()]
        lines += ["  - " + fields[0], *("    " + f for f in fields[1:])]
    return "\n".join(lines) + "\n"


class Control:
    """cygnetctl's socket, kept open: a sample costs the control thread little."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")

    def ask(self, command, **args):
        self.file.write(json.dumps({"command": command, **({"args": args} if args else {})}) + "\n")
        self.file.flush()
        reply = json.loads(self.file.readline())
        if reply["status"] != "ok":
            raise meter.Failed(f"{command}: {reply.get('message')}")
        return reply["data"]

    def nodes(self):
        """(packets, cycles) of each node, over all lcores."""
        sums = {}
        for lcore in self.ask("graph"):
            for n in lcore["nodes"]:
                at = sums.get(n["node"], (0, 0))
                sums[n["node"]] = (at[0] + n["packets"], at[1] + n["cycles"])
        return sums

    def drops(self):
        sums = {}
        for lcore in self.ask("graph"):
            for d in lcore["drops"]:
                sums[d["reason"]] = sums.get(d["reason"], 0) + d["packets"]
        return sums


@contextlib.contextmanager
def running(lab, name, binary, conf, direction, mode, env=None, forwards=True):
    """A router that forwards, in a namespace of its own; yields it, its meter and what counts its nodes."""
    ns = lab.ns(name)
    ns.no_ipv6()
    router = Router(ns, {k: v for k, v in conf.items() if k not in ("sas", "policies")})
    router.write(yaml.safe_dump(router.conf, sort_keys=False) + listed(conf, "sas") + listed(conf, "policies"))
    router.binary = binary
    try:
        router.start(wait=False, env=env)
        router.wait_ready(120)
        gateway = "192.0.2.2" if direction == "out" else "10.1.0.2"
        dev = "wan" if direction == "out" else "lan"
        ns.run("ip", "neigh", "replace", gateway, "lladdr", MAC_NEIGHBOUR, "dev", dev, "nud", "permanent")
        ns.route(*(["20.0.0.0/8", "via", gateway, "dev", "wan"] if direction == "out"
                   else ["10.1.128.0/17", "via", gateway, "dev", "lan"]))
        telemetry = meter.Telemetry(router.name, router.process)
        meter.prefer(telemetry.pid)
        names = ["rte-worker-1", "rte-worker-2"][:1 if mode == "inline" else 2]
        m = meter.Meter(telemetry, 1, meter.threads(telemetry.pid, names))
        if forwards:
            m.wait_for_packets()
        yield router.process, m, Control(router.socket).nodes
        telemetry.close()
    finally:
        if router.process:
            router.process.send(signal.SIGCONT)
            router.process.stop(timeout=20)
            lab.processes.remove(router.process)
        run(["ip", "netns", "del", ns.name], check=False)
        lab.namespaces.pop(name)
