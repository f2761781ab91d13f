# SPDX-License-Identifier: BSD-3-Clause
"""SAs and policies that come and go while packets do: what charon's plugin would ask for, without charon.

unittests/scale_channel.c is the plugin's own link; a tunnel of it is an SPI, two SAs and three policies, which is what a
rekeying asks for, and taking one away is the rest of it.
"""

import os
import threading
import time
from types import SimpleNamespace

import transforms  # first: it finds the tests' laboratory
import meter
import ours
import traffic
from lab import Failed
from scale import Channel

RATE = 1000  # tunnels a second, made and taken away
PIECE = 20
MANY = 10000


def ask(channel, *words):
    reply = channel.ask(*words)
    if any(v["failed"] for v in reply.values() if isinstance(v, dict)):
        raise meter.Failed(f"scale-channel: {words}: {reply}")
    return reply


class Churn(threading.Thread):
    """RATE tunnels a second, until it is stopped; those that were missed are made up for."""

    def __init__(self, channel):
        super().__init__()
        self.channel, self.stopping, self.done, self.failed = channel, False, 0, None

    def run(self):
        began = time.monotonic()
        try:
            while not self.stopping:
                ask(self.channel, "fill", 0, PIECE, 0)
                ask(self.channel, "empty", 0, PIECE)
                self.done += PIECE
                time.sleep(max(0, began + self.done / RATE - time.monotonic()))
        except (meter.Failed, Failed, OSError) as e:
            self.failed = e


def under(m, channel, seconds):
    """Cycles a packet meanwhile (intervals of 50 ms), and tunnels a second that there were."""
    churn = Churn(channel)
    churn.start()
    before = time.monotonic()
    rows = [m.interval(0.05) for _ in range(int(seconds / 0.05))]
    rate = churn.done / (time.monotonic() - before)
    churn.stopping = True
    churn.join()
    if churn.failed:
        raise churn.failed
    return rows, rate


def cost(m, channel, rounds):
    """
    In turn without and with, so that the machine's own changes meet both. As many tunnels stand all the time: that policies
    tell hosts apart costs lookups, whether they change or not.
    """
    quiet, busy, rates = [], [], []
    ask(channel, "fill", PIECE, PIECE, 0)
    for _ in range(rounds):
        quiet += [m.interval(0.05) for _ in range(10)]
        rows, rate = under(m, channel, 0.5)
        busy += rows
        rates.append(rate)
    ask(channel, "empty", PIECE, PIECE)
    cycles = [meter.quantile([max(r["cycles"]) for r in rows if r["packets"]], 0.25) for rows in (quiet, busy)]
    return {"a_second": meter.quantile(rates, 0.5), "cycles_without": cycles[0], "cycles_with": cycles[1],
            "cost": cycles[1] / cycles[0] - 1}


def measure(lab, binary, quick):
    transform = transforms.TRANSFORMS["aes128-gcm"]
    capture = traffic.capture(lab.dir / "churn.pcap", "out", 64, 1, transform)
    conf = ours.config("inline", "out", capture, 1, transform, traffic.FLOWS)
    del conf["ipsec"]
    conf["limits"] |= {"sas": 4 * MANY, "policies": 4 * MANY}
    conf["eal"]["memory"] += 512
    with ours.running(lab, "churn", binary, conf, "out", "inline", forwards=False) as (_, m, _):
        ns = lab.namespaces["churn"]
        # A worker has its cpu to itself: what asks, and its agent, stay off it, or each call waits for the scheduler.
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {ours.cpus()[0]})
        channel = Channel(SimpleNamespace(ns=ns, name=ns.name))
        try:
            m.wait_for_packets()
            out = {"rekeys": cost(m, channel, 2 if quick else 6)}
            if not quick:
                filled, emptied = ask(channel, "fill", 0, MANY, 0), ask(channel, "empty", 0, MANY)
                for what, reply in (("add_sa", filled), ("add_policy", filled), ("del_sa", emptied),
                                    ("del_policy", emptied)):
                    out[what] = {"median_us": reply[what]["median"], "p99_us": reply[what]["p99"]}
                out["tunnels_a_second"] = {"made": MANY / filled["seconds"], "taken": MANY / emptied["seconds"]}
            return out
        finally:
            channel.stop()
            os.sched_setaffinity(0, before)
