# SPDX-License-Identifier: BSD-3-Clause
"""One meter for all programs: packets that the out port sent, against what the lcores' threads ran meanwhile.

Packets come from DPDK's telemetry, time from /proc/PID/task/TID/schedstat: an interval in which somebody else had
the cpu costs precision and does not count as ours. Many short intervals are taken; a row is their lower quartile,
with median and spread beside it.
"""

import contextlib
import json
import os
import re
import signal
import socket
import time
from pathlib import Path


class Failed(Exception):
    pass


def tsc_ghz():
    """The guest's TSC: twice the bogomips, as the kernel derives them from it."""
    return float(re.search(r"bogomips\s*:\s*([\d.]+)", Path("/proc/cpuinfo").read_text()).group(1)) / 2000


def quantile(values, q):
    v = sorted(values)
    at = q * (len(v) - 1)
    low = int(at)
    return v[low] + (v[min(low + 1, len(v) - 1)] - v[low]) * (at - low)


class Telemetry:
    def __init__(self, prefix, process, timeout=20):
        end = time.monotonic() + timeout
        path = f"/run/dpdk/{prefix}/dpdk_telemetry.v2"
        while True:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.settimeout(5)
            with contextlib.suppress(OSError, ValueError):
                self.socket.connect(path)
                self.pid = json.loads(self.socket.recv(65536))["pid"]
                if Path(f"/proc/{self.pid}").exists():
                    return
            self.socket.close()
            if not process.alive() or time.monotonic() > end:
                raise Failed(f"{prefix}: no telemetry\n{process.tail()}")
            time.sleep(0.05)

    def ask(self, command):
        self.socket.send(command.encode())
        return next(iter(json.loads(self.socket.recv(65536)).values()))

    def close(self):
        self.socket.close()


first = True  # --polite unsets it


def prefer(pid):
    """What is measured goes before whatever else the machine does, in its session's group of the scheduler and as one. Or
    after it, with a tenth of what others get: with less it comes to no figures."""
    nice = -20 if first else 10
    for p in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(p.name), nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def threads(pid, names):
    """Thread ids by name, for the lcores' names."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name in names:
            found[name] = int(task.name)
    return [found[n] for n in names]


class Meter:
    """port: of the packets that count; tids: threads whose time counts, the first being the one that seals."""

    def __init__(self, telemetry, port, tids):
        self.telemetry = telemetry
        self.port = port
        self.stat = [Path(f"/proc/{telemetry.pid}/task/{t}/schedstat") for t in tids]
        self.ghz = tsc_ghz()

    def stats(self):
        """Before the port is there telemetry answers null."""
        return self.telemetry.ask(f"/ethdev/stats,{self.port}") or {"opackets": 0, "obytes": 0}

    def snap(self):
        stats = self.stats()
        ran = [int(s.read_text().split()[0]) for s in self.stat]
        return time.monotonic_ns(), stats["opackets"], stats["obytes"], ran

    def wait_for_packets(self, timeout=10):
        end = time.monotonic() + timeout
        while self.stats()["opackets"] == 0:
            if time.monotonic() > end:
                raise Failed("no packet came out")
            time.sleep(0.05)

    def interval(self, seconds, nodes=None):
        """What happened in that time: packets, cycles a packet on each thread, cycles of each node."""
        first = nodes() if nodes else {}
        before = self.snap()
        time.sleep(seconds)
        now = self.snap()
        packets = now[1] - before[1]
        row = {"packets": packets, "seconds": (now[0] - before[0]) / 1e9, "bytes": (now[2] - before[2]) / max(packets, 1),
               "share": (now[3][0] - before[3][0]) / (now[0] - before[0]),
               "cycles": [(b - a) * self.ghz / max(packets, 1) for a, b in zip(before[3], now[3])]}
        if nodes:
            row["nodes"] = {n: c[1] - first[n][1] for n, c in nodes().items()}
        return row


def in_turn(programs, rounds, seconds, settle=0.02):
    """
    Programs (process, meter, nodes) that run on the same cpus: one at a time goes on for an interval while the
    others are stopped, so that whatever the machine does meets all of them; all are stopped afterwards. Returns the
    intervals of each.
    """
    for process, _, _ in programs.values():
        process.send(signal.SIGSTOP)
    samples = {name: [] for name in programs}
    for _ in range(rounds):
        for name, (process, meter, nodes) in programs.items():
            process.send(signal.SIGCONT)
            time.sleep(settle)
            samples[name].append(meter.interval(seconds, nodes))
            process.send(signal.SIGSTOP)
    return samples


def summary(rows, ghz, clear_bytes):
    """What a row of the table says; throughput is that of one lcore alone, by the slowest thread."""
    rows = [r for r in rows if r["packets"] > 0]
    if not rows:
        raise Failed("no packets")
    per = [max(r["cycles"]) for r in rows]
    cycles = quantile(per, 0.25)
    out = {"cycles": cycles, "median": quantile(per, 0.5), "spread": quantile(per, 0.75) - quantile(per, 0.25),
           "threads": [quantile([r["cycles"][i] for r in rows], 0.25) for i in range(len(rows[0]["cycles"]))],
           "mpps": ghz * 1000 / cycles, "gbps": ghz * 8 * clear_bytes / cycles,
           "intervals": len(rows)}
    if "nodes" in rows[0]:
        nodes = {}
        # A node's cycles are the TSC's: intervals in which the lcore kept its cpu are the ones to look at.
        whole = sorted(rows, key=lambda r: r["share"])[len(rows) // 2:]
        for name in rows[0]["nodes"]:
            v = [r["nodes"][name] / r["packets"] for r in whole]
            if any(v):
                nodes[name] = quantile(v, 0.25)
        out["nodes"] = nodes
    return out
