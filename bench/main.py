# SPDX-License-Identifier: BSD-3-Clause
"""The command line of ci/bench: which rows, how often, and where the results go."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import transforms  # first: it finds the tests' laboratory
import meter
import ours
import dpdk_programs as dpdk
import fixed
import loads
import report
import tables
import traffic
from lab import BUILD, REPO, Failed, Lab
from rows import Row, load_rows, plan

PAGES = 1024, 2048  # of 2 MB: without, with rows of 100,000 SAs
PAGES_AGAINST = 1024  # and so many for each other version of those


def arguments():
    p = argparse.ArgumentParser(prog="ci/bench", description=__doc__)
    p.add_argument("--quick", action="store_true", help="the rows that matter most, in less than two minutes")
    p.add_argument("--json", metavar="FILE", help="write all figures there")
    p.add_argument("--plot", metavar="DIR", help="write SVG plots there (gnuplot)")
    p.add_argument("--only", metavar="TEXT", default="", help="rows whose name has all of these words")
    p.add_argument("--intervals", type=int, default=24, help="of each program in each row, in turn (default 24)")
    p.add_argument("--seconds", type=float, default=0.05, help="an interval's length (default 0.05)")
    p.add_argument("--against", metavar="DIR", action="append", default=[],
                   help="a build of another version, measured beside this one")
    p.add_argument("--no-peers", action="store_true", help="cygnet alone")
    p.add_argument("--tables", action="store_true", help="policies, SAs and routes alone: lookups and updates, a minute")
    p.add_argument("--polite", action="store_true", help="after all others, instead of before them")
    p.add_argument("--list", action="store_true", help="say which rows there are, measure nothing")
    return p.parse_args()


class Bench:
    def __init__(self, args, lab, captures):
        self.args = args
        self.lab = lab
        self.captures = captures
        self.ghz = meter.tsc_ghz()
        self.builds = {"cygnet": BUILD / "cygnet", **{Path(d).name: Path(d) / "cygnet" for d in args.against}}
        self.cpu = ours.cpus()[1]

    def capture(self, row):
        """What the row's port plays; the packets for one SA or for many are as many."""
        t = transforms.TRANSFORMS[row.transform]
        kind = "clear" if row.direction == "out" else row.transform + ("-esn" if row.esn else "")
        name = f"{row.direction}-{kind}-{row.size}-{row.sas}-{row.packets}.pcap"
        return traffic.capture(self.captures / name, row.direction, row.size, row.sas, t, row.packets, row.esn)

    def programs(self, row):
        """What measures a row: names, and contexts of a process, its meter, and what counts its nodes."""
        t = transforms.TRANSFORMS[row.transform]
        capture = self.capture(row)
        if row.card:
            for name, mode in (("cygnet", row.mode), (report.INLINE, "inline")):
                yield name, loads.of_a_card(self.lab, name, self.builds["cygnet"], capture, row, mode, t)
            return
        for name, binary in self.builds.items():
            conf = ours.config(row.mode, row.direction, capture, row.sas, t, row.packets)
            yield name, ours.running(self.lab, name, binary, conf, row.direction, row.mode)
        if row.sas > 1:  # what many SAs cost is against one SA over as many packets, in turn
            conf = ours.config(row.mode, row.direction, self.capture(replace(row, sas=1)), 1, t, row.packets)
            yield report.ONE, ours.running(self.lab, report.ONE, self.builds["cygnet"], conf, row.direction, row.mode)
        if row.mode == "dedicated":
            conf = ours.config("inline", row.direction, capture, row.sas, t, row.packets)
            yield report.INLINE, ours.running(self.lab, report.INLINE, self.builds["cygnet"], conf, row.direction, "inline")
        if self.args.no_peers:
            return
        secgw = dpdk.secgw("x86-64-v3") if row.peers else None
        for style in row.peers:
            yield f"secgw-{style}", dpdk.running_secgw(
                self.lab, secgw, self.cpu, row.direction, capture, row.sas, t, style, row.packets)

    def measure(self, row):
        size = sum(traffic.IMIX) / len(traffic.IMIX) if row.size == "imix" else row.size
        with contextlib.ExitStack() as stack:
            programs = {}
            for name, context in self.programs(row):
                try:
                    programs[name] = stack.enter_context(context)
                except (meter.Failed, Failed, OSError) as e:
                    print(f"{row.name}: {name}: {e}", file=sys.stderr)
                    continue
                programs[name][0].send(signal.SIGSTOP)
            samples = meter.in_turn(programs, self.args.intervals, self.args.seconds)
        return {name: meter.summary(rows, self.ghz, size) for name, rows in samples.items()}

    def floor(self, size, packets):
        row = Row("out", size, "aes128-gcm", packets=packets)
        with dpdk.running_floor(self.lab, self.cpu, self.capture(row), packets) as (_, m, _):
            rows = [m.interval(self.args.seconds) for _ in range(self.args.intervals)]
            return meter.summary(rows, self.ghz, size)

    def load(self, row):
        quick = self.args.quick
        return loads.measure(self.lab, self.builds["cygnet"], self.capture(row), row,
                             transforms.TRANSFORMS[row.transform], 0.5 if quick else 2, 1 if quick else 60)

    def crypto(self, row):
        """The least of three: the tool counts what the clock says, whoever had the cpu."""
        t = transforms.TRANSFORMS[row.transform]
        return min(dpdk.crypto_perf(t, row.direction, row.size, self.cpu) for _ in range(3))


def main():
    args = arguments()
    meter.first = not args.polite
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ci/bench: ended"))  # and nothing is left that polls
    rows = [r for r in plan(args.quick) if all(w in r.name for w in args.only.split())]
    if args.list:
        print("\n".join(r.name for r in rows))
        return 0
    if os.geteuid() != 0:
        sys.exit("ci/bench: run as root")
    many = any(r.sas >= 100000 for r in rows) and not args.tables
    pages = str(PAGES[many] + PAGES_AGAINST * many * len(args.against))
    subprocess.run([REPO / "ci" / "setup", *([] if args.no_peers or args.tables else ["--bench"])],
                   env={"HUGEPAGES": pages, **os.environ}, check=True)
    if "CYGNET_BUILD" not in os.environ:
        subprocess.run([REPO / "ci" / "build", BUILD], check=True, stdout=subprocess.DEVNULL)
    result = {"machine": report.machine(), "rows": [], "floor": {}, "crypto": {}, "load": [], "fixed": {}}
    print(report.machine_text(result["machine"]))
    if args.tables:
        with Lab("bench") as lab:
            result["tables"] = tables.measure(lab, args.quick)
        print(tables.text(result["tables"]))
        if args.json:
            Path(args.json).write_text(json.dumps(result, indent=1, default=str) + "\n")
        return 0
    with Lab("bench") as lab, tempfile.TemporaryDirectory(dir=lab.dir) as captures:
        b = Bench(args, lab, Path(captures))
        for row in rows:
            try:
                entry = {"row": row.__dict__, "name": row.name, "title": row.title, "programs": b.measure(row)}
            except (meter.Failed, Failed) as e:
                print(f"{row.name}: {e}", file=sys.stderr)
                continue
            result["rows"].append(entry)
            print(report.row_text(entry), flush=True)
        for row in load_rows(args.quick):
            if not all(w in f"load {row.name}" for w in args.only.split()):
                continue
            try:
                entry = {"row": row.__dict__, "name": row.name, "title": row.title, **b.load(row)}
            except (meter.Failed, Failed) as e:
                print(f"load {row.name}: {e}", file=sys.stderr)
                continue
            result["load"].append(entry)
            print(report.load_text(entry), flush=True)
        if all(w in "fixed costs" for w in args.only.split()):
            try:
                result["fixed"] = fixed.measure(lab, b.builds["cygnet"], args.quick)
                print(report.fixed_text(result["fixed"]), flush=True)
            except (meter.Failed, Failed) as e:
                print(f"fixed costs: {e}", file=sys.stderr)
        if not args.no_peers:
            for size in sorted({r.size for r in rows if r.size != "imix"}):
                try:
                    result["floor"][str(size)] = b.floor(size, traffic.FLOWS)
                except meter.Failed as e:
                    print(f"floor: {e}", file=sys.stderr)
            for row in rows:
                key = f"{row.transform} {row.direction} {row.size}"
                if row.size == "imix" or key in result["crypto"]:
                    continue
                try:
                    result["crypto"][key] = b.crypto(row)
                except (meter.Failed, Failed) as e:
                    print(f"{key}: {e}", file=sys.stderr)
    result["machine"]["load_after"] = os.getloadavg()
    print(report.table(result))
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1, default=str) + "\n")
    if args.plot:
        report.plot(result, Path(args.plot))
    return 0
