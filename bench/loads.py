# SPDX-License-Identifier: BSD-3-Clause
"""Load, latency and overload: bench-source plays a capture at a rate, bench-sink counts how late packets leave.

They are node plugins (bench/node). The port that packets pretend to come from is net_pcap's with nothing to play.
"""

import time

import meter
import ours
import traffic
from lab import BUILD


HEAD = 128  # bytes of a packet that the router may look at before it seals it, and more


class Loaded:
    """A router with the two nodes in it."""

    def __init__(self, process, m, nodes):
        self.process, self.meter, self.nodes = process, m, nodes
        self.telemetry = m.telemetry

    def rate(self, packets_a_second):
        self.telemetry.ask(f"/bench/load,{int(packets_a_second)}")

    def show(self):
        return self.telemetry.ask("/bench/show")

    def leaving(self, seconds):
        """Packets that leave in a second of the slowest lcore's own time, quarter second by quarter second; 0 where none left."""
        rows = [self.meter.interval(0.25) for _ in range(max(1, round(seconds / 0.25)))]
        return [self.meter.ghz * 1e9 / max(r["cycles"]) if r["packets"] else 0 for r in rows]


def plugins():
    library = str(BUILD / "bench" / "node" / "bench_load.so")
    return [{"library": library, "node": "bench-source", "edge": "bench-source -> ether-input"},
            {"library": library, "node": "bench-sink", "edge": "ip4-rewrite -> port-tx"}]


def config(lab, row, mode, transform, nodes):
    """The nodes of those plugins play what the port does not."""
    empty = lab.dir / "empty.pcap"
    traffic.write_pcap(empty, ())
    conf = ours.config(mode, row.direction, None, row.sas, transform, row.packets, window=row.window, esn=row.esn, plugins=nodes)
    conf["ports"][0]["devargs"] = f"net_pcap0,rx_pcap={empty}"
    return conf


def of_a_card(lab, name, binary, capture, row, mode, transform):
    """A router whose packets bench-source plays, as fast as they are taken; of each it writes the headers alone."""
    conf = config(lab, row, mode, transform, plugins()[:1])
    return ours.running(lab, name, binary, conf, row.direction, mode,
                        env={"BENCH_CAPTURE": str(capture), "BENCH_HEAD": str(HEAD)})


def running(lab, binary, capture, row, transform):
    """A context of a Loaded router; inbound its windows live."""
    conf = config(lab, row, row.mode, transform, plugins())
    env = {"BENCH_CAPTURE": str(capture), "BENCH_WINDOWS": str(int(row.direction == "in"))}
    return ours.running(lab, "load", binary, conf, row.direction, row.mode, env=env)


def measure(lab, binary, capture, row, transform, seconds, minute):
    """Peak, latency at a tenth and at 80 % of it, and what leaves when twice the peak is offered."""
    with running(lab, binary, capture, row, transform) as got:
        r = Loaded(*got)
        r.rate(0)
        time.sleep(0.2)
        intervals = [r.meter.interval(0.05, r.nodes) for _ in range(24)]
        summary = meter.summary(intervals, r.meter.ghz, 64 if row.size == "imix" else row.size)
        source = summary["nodes"].get("bench-source", 0)
        summary["source_cycles"] = source
        summary["cycles_without_source"] = summary["cycles"] - source
        peak = r.meter.ghz * 1e9 / summary["cycles"]  # of a lcore that keeps its cpu
        summary["peak_pps"] = peak
        summary["latency"] = {}
        for share in (0.1, 0.8):
            r.rate(peak * share)
            time.sleep(0.1)
            r.rate(peak * share)  # from here on it counts
            time.sleep(seconds)
            shown = r.show()
            summary["latency"][str(share)] = {k: shown[k] for k in ("p50", "p90", "p99", "p99_9")} | {
                "lost": shown["lost"] / max(shown["sent"] + shown["lost"], 1)}
        # The peak again, right before: a machine that others use does not stand still.
        r.rate(0)
        time.sleep(0.1)
        before = r.leaving(max(1, seconds))
        r.rate(2 * peak)
        during = r.leaving(minute)
        shown = r.show()
        summary["overload"] = {"offered": 2 * peak, "peak": meter.quantile(before, 0.5),
                               "left": meter.quantile(during, 0.5), "least": min(during), "seconds": minute,
                               "lost_at_source": shown["lost"]}
        return summary
