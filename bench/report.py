# SPDX-License-Identifier: BSD-3-Clause
"""Tables, and what machine it was."""

import os
import re
import subprocess
import time
from pathlib import Path

import meter


def machine():
    cpu = Path("/proc/cpuinfo").read_text()
    flags = set(re.search(r"flags\s*:(.*)", cpu).group(1).split())
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cpu": re.search(r"model name\s*:\s*(.*)", cpu).group(1),
        "cpus": len(os.sched_getaffinity(0)),
        "tsc_ghz": meter.tsc_ghz(),
        "vector": sorted(flags & {"avx2", "avx512f", "vaes", "vpclmulqdq", "sha_ni"}),
        "kernel": os.uname().release,
        "packages": dict(line.split(" ", 1) for line in subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "libdpdk-dev", "libipsec-mb1"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()),
        "load_before": os.getloadavg(),
        "commit": subprocess.run(["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True,
                                 cwd=Path(__file__).parent).stdout.strip(),
    }


def machine_text(m):
    return (f"{m['time']}  commit {m['commit']}\n{m['cpu']}, {m['cpus']} cpus, TSC {m['tsc_ghz']:.2f} GHz, "
            f"{' '.join(m['vector'])}\n{', '.join(f'{k} {v}' for k, v in m['packages'].items())}; "
            f"load {m['load_before'][0]:.1f}")


def best_peer(programs):
    peers = {n: p["cycles"] for n, p in programs.items() if n.startswith("secgw")}
    return min(peers, key=peers.get) if peers else None


def row_text(entry):
    out = [f"{entry['name']:48}"]
    for name, p in entry["programs"].items():
        out.append(f"{name} {p['cycles']:.0f} (median {p['median']:.0f}, spread {p['spread']:.0f})")
    return "  ".join(out)


def table(result):
    """Cycles a packet, lower quartile; the ratio is speed against the best way of ipsec-secgw."""
    out = [f"{'row':48} {'cycles':>7} {'median':>7} {'spread':>6} {'Mpps':>6} {'Gbit/s':>7} {'secgw':>7} {'ratio':>6}"]
    for e in result["rows"]:
        p = e["programs"].get("cygnet")
        if p is None:
            continue
        best = best_peer(e["programs"])
        peer = e["programs"][best]["cycles"] if best else None
        out.append(f"{e['name']:48} {p['cycles']:7.0f} {p['median']:7.0f} {p['spread']:6.1f} {p['mpps']:6.2f} "
                   f"{p['gbps']:7.2f} " + (f"{peer:7.0f} {peer / p['cycles']:6.2f}" if peer else ""))
    for e in result["rows"]:
        p = e["programs"].get("cygnet", {})
        if p.get("nodes"):
            nodes = sorted(p["nodes"].items(), key=lambda x: -x[1])
            out.append(f"{e['name']}: " + ", ".join(f"{n} {c:.1f}" for n, c in nodes if c >= 0.05))
    if result["floor"]:
        out.append("receive and send alone (testpmd): " + ", ".join(
            f"{k} B {v['cycles']:.0f}" for k, v in result["floor"].items()))
    for k, v in result["crypto"].items():
        out.append(f"device alone, {k}: {v:.0f}")
    return "\n".join(out)


def plot(result, directory):
    pass
