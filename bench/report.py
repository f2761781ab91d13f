# SPDX-License-Identifier: BSD-3-Clause
"""Tables, and what machine it was."""

import os
import re
import subprocess
import time
from pathlib import Path

import meter

ONE = "one-sa"  # cygnet with one SA, beside rows of many
INLINE = "inline"  # and with a worker alone, beside dedicated rows


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
    out = [f"{entry['title']:48}"]
    for name, p in entry["programs"].items():
        out.append(f"{name} {p['cycles']:.0f} (median {p['median']:.0f}, spread {p['spread']:.0f})")
    return "  ".join(out)


def table(result):
    """Cycles a packet, lower quartile; the ratio is speed against the best way of ipsec-secgw."""
    width = max([len(e["title"]) for e in result["rows"]] + [3])
    out = [f"{'row':{width}} {'cycles':>7} {'median':>7} {'spread':>6} {'Mpps':>6} {'Gbit/s':>7} {'secgw':>7} {'ratio':>6}"]
    for e in result["rows"]:
        p = e["programs"].get("cygnet")
        if p is None:
            continue
        best = best_peer(e["programs"])
        peer = e["programs"][best]["cycles"] if best else None
        out.append(f"{e['title']:{width}} {p['cycles']:7.0f} {p['median']:7.0f} {p['spread']:6.1f} {p['mpps']:6.2f} "
                   f"{p['gbps']:7.2f} " + (f"{peer:7.0f} {peer / p['cycles']:6.2f}" if peer else ""))
    for e in result["rows"]:
        p = e["programs"].get("cygnet", {})
        if p.get("nodes"):
            nodes = sorted(p["nodes"].items(), key=lambda x: -x[1])
            out.append(f"{e['name']}: " + ", ".join(f"{n} {c:.1f}" for n, c in nodes if c >= 0.05))
    wanted = targets(result)
    if wanted:
        out.append("")
        out += [f"{what:64} wanted {want:.2f}  got {got:.2f}{'' if got >= want else '  (not reached)'}"
                for what, want, got in wanted]
        out.append("")
    if result["floor"]:
        out.append("receive and send alone (testpmd): " + ", ".join(
            f"{k} B {v['cycles']:.0f}" for k, v in result["floor"].items()))
    for k, v in result["crypto"].items():
        out.append(f"device alone, {k}: {v:.0f}")
    return "\n".join(out)


def load_text(e):
    latency = "; ".join(f"at {float(k):.0%} " + " / ".join(f"{v[p] / 1000:.1f}" for p in ("p50", "p99", "p99_9")) +
                        (f" (lost {v['lost']:.1%})" if v["lost"] > 0 else "") for k, v in e["latency"].items())
    o = e["overload"]
    return (f"load {e['title']}: {e['cycles_without_source']:.0f} cycles and {e['source_cycles']:.0f} of the source; "
            f"latency us p50/p99/p99.9 {latency}; offered twice the peak for {o['seconds']} s: "
            f"{o['left'] / o['peak']:.2f} of it, {o['least'] / o['peak']:.2f} in the worst quarter second")


def fixed_text(f):
    c = f["churn"]
    r = c["rekeys"]
    out = [f"{r['a_second']:.0f} rekeys a second (an SPI, two SAs, three policies each): {r['cycles_without']:.0f} cycles a "
           f"packet without, {r['cycles_with']:.0f} with: {r['cost']:+.1%}"]
    if "tunnels_a_second" in c:
        out += [f"{k}: median {v['median_us']:.0f} us, p99 {v['p99_us']:.0f} us" for k, v in c.items() if "median_us" in v]
        out.append(", ".join(f"{v:.0f} tunnels a second {k}" for k, v in c["tunnels_a_second"].items()))
    return "\n".join(out + ["start: " + ", ".join(f"{n} SAs {s:.2f} s" for n, s in f["start_seconds"].items()),
                      "memory of one: " + ", ".join(f"{w} {b:.0f} bytes" for w, b in f["bytes"].items())])


def program_of(result, name):
    for e in result["rows"]:
        if e["name"] == name:
            return e["programs"].get("cygnet", {})
    return {}


def crypto_of(program):
    """What the worker of an inline row spends on crypto, by its own means."""
    return program.get("nodes", {}).get("crypto-submit")


def targets(result):
    """The project's own targets, as ratios of this run: what, wanted, got."""
    out = []
    floor = {"64": 1.2, "512": 1.15, "1400": 1.1}
    many = {(100000, 64): 0.5, (100000, 512): 0.7, (100000, 1400): 0.8, (100, 64): 0.85}
    for e in result["rows"]:
        row, best = e["row"], best_peer(e["programs"])
        if best and "cygnet" in e["programs"] and row["sas"] == 1:
            gcm = row["transform"].endswith("gcm") and str(row["size"]) in floor
            out.append((f"{e['name']} against {best}", floor[str(row["size"])] if gcm else 1.0,
                        e["programs"][best]["cycles"] / e["programs"]["cygnet"]["cycles"]))
        if row["transform"].endswith("gcm") and {"cygnet", INLINE} <= e["programs"].keys():
            inline = e["programs"][INLINE]
            crypto = crypto_of(inline)
            if crypto:
                limit = max(inline["cycles"] - crypto + 40, 1.1 * crypto + 40)
                out.append((f"{e['name']} against its limit", 0.85, limit / e["programs"]["cygnet"]["cycles"]))
        wanted = many.get((row["sas"], row["size"]))
        if wanted and {"cygnet", ONE} <= e["programs"].keys():
            out.append((f"{e['name']} against one SA", wanted, e["programs"][ONE]["cycles"] / e["programs"]["cygnet"]["cycles"]))
    if "churn" in result["fixed"]:
        r = result["fixed"]["churn"]["rekeys"]
        out.append((f"throughput with {r['a_second']:.0f} rekeys a second against none", 0.95,
                    r["cycles_without"] / r["cycles_with"]))
    for e in result["load"]:
        out.append((f"overload {e['title']} against the peak", 0.95, e["overload"]["left"] / e["overload"]["peak"]))
    return out


def gnuplot(directory, name, title, xlabel, series, extra=""):
    """series: name and points."""
    data = directory / f"{name}.dat"
    data.write_text("\n\n\n".join("\n".join(f"{x} {y:.3f}" for x, y in points) for _, points in series) + "\n")
    plots = ", ".join(f"'{data}' index {i} with linespoints lw 2 title '{label}'" for i, (label, _) in enumerate(series))
    script = (f"set terminal svg size 800,500 background 'white'\nset output '{directory / name}.svg'\n"
              f"set title '{title}'\nset xlabel '{xlabel}'\nset ylabel 'Gbit/s'\nset key left top\nset grid\n"
              f"set yrange [0:*]\n{extra}\nplot {plots}\n")
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    data.unlink()


def plot(result, directory):
    """Throughput over size, as measured; over lcores, from the measured costs (docs/performance.md)."""
    directory.mkdir(parents=True, exist_ok=True)
    series = {}
    for e in result["rows"]:
        r = e["row"]
        if r["transform"] != "aes128-gcm" or r["sas"] != 1 or r["size"] == "imix" or r["packets"] != 256:
            continue
        if "cygnet" in e["programs"]:
            series.setdefault(f"cygnet {r['mode']} {r['direction']}", []).append(
                (r["size"], e["programs"]["cygnet"]["gbps"]))
        best = best_peer(e["programs"])
        if best:
            series.setdefault(f"ipsec-secgw {r['direction']}", []).append((r["size"], e["programs"][best]["gbps"]))
    if series:
        gnuplot(directory, "size", "AES-GCM-128, one SA", "bytes in a frame", sorted(series.items()))
    lines = []
    ghz = result["machine"]["tsc_ghz"]
    for size in 64, 1400:
        inline = program_of(result, f"inline out aes128-gcm {size}")
        crypto = crypto_of(inline)
        if crypto:
            inline = inline["cycles"]
            gbit = ghz * 8 * size
            lines.append((f"inline {size} B", [(n, n * gbit / inline) for n in range(1, 9)]))
            lines.append((f"one worker, n-1 crypto lcores {size} B", [
                (n, gbit / max(inline - crypto + 40, (1.1 * crypto + 40) / (n - 1))) for n in range(2, 9)]))
    if lines:
        gnuplot(directory, "lcores", "AES-GCM-128 out, from costs measured on one", "lcores", lines)
