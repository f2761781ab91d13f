# SPDX-License-Identifier: BSD-3-Clause
"""Fixed costs: start-up, memory an SA, and what the tables take to change (bench/fixed.c)."""

import json
import time

import ours
from lab import BUILD, run


def start_up(lab, binary, transform, sas):
    """Seconds from the command to the router's socket, with so many SAs and policies in its file."""
    conf = ours.config("inline", "out", None, sas, transform, 0)
    conf["ports"][0]["devargs"] = "net_null1,no-rx=1"
    before = time.monotonic()
    with ours.running(lab, "start", binary, conf, "out", "inline", forwards=False):
        return time.monotonic() - before


def tables():
    """What bench-fixed says: rates of the control thread's calls at several sizes, bytes of each thing."""
    return json.loads(run([BUILD / "bench" / "node" / "bench-fixed"], timeout=120).stdout)
