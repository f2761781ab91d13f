# SPDX-License-Identifier: BSD-3-Clause
"""The tables alone: lookups and updates of policies, SAs and routes, by bench-tables (bench/tables)."""

import json

import meter
import ours
from lab import BUILD, run

MEMORY = 2048  # MiB of huge pages, for a million routes of both families


def measure(lab, quick):
    """Rows of bench-tables, as they are."""
    rest, fast = ours.cpus()
    program = BUILD / "bench" / "tables" / "bench-tables"
    sizes = ("10000", "100000") if quick else ("100000", "1000000")
    cmd = [program, "--lcores", f"0@{rest},1@{fast}", "--file-prefix", f"{lab.name}-tables", "--in-memory", "--no-pci",
           "--no-telemetry", "-m", str(MEMORY), "--log-level", "*:error", "--force-max-simd-bitwidth=512", "--", *sizes]
    out = run(cmd, check=False, timeout=600)
    if out.returncode != 0:
        hint = f" (it wants {MEMORY // 2} free huge pages: HUGEPAGES={MEMORY} ci/setup)" if not out.stdout else ""
        raise meter.Failed(f"bench-tables{hint}: {out.stderr.strip()[-300:]}")
    return [json.loads(line) for line in out.stdout.splitlines() if line.startswith("{")]


def text(rows):
    """As a table: cycles a lookup; microseconds of the control thread an update."""
    out = [f"{'table':42} {'random':>7} {'1 flow':>7} {'updated':>8} {'updates/s':>10} {'mean us':>8} {'p99 us':>7}"]
    for r in rows:
        name = r["table"] + (f" IPv{r['family']}" if r["family"] else "")
        what = f"{r['n']:,} {name}" + (f", {r['note']}" if r.get("note") else "")
        line = f"{what:42} {r['random']:7.1f}"
        if "flow" in r:
            line += f" {r['flow']:7.1f} {r['busy']:8.1f} {r['updates_per_second']:10,.0f} {r['update_us']:8.2f} {r['update_p99_us']:7.2f}"
        out.append(line)
    return "\n".join(out)
