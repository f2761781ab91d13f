# SPDX-License-Identifier: BSD-3-Clause
"""Fixed costs: start-up, what an SA and a policy take of memory, and what it costs that they come and go."""

import re
import time

import churn
import ours
import transforms
import yaml
from lab import run

TABLE = 1 << 18


def start_up(lab, binary, sas):
    """Seconds from the command to the router's answer, with so many SAs and policies in its file."""
    conf = ours.config("inline", "out", None, sas, transforms.TRANSFORMS["aes128-gcm"], 0)
    before = time.monotonic()
    with ours.running(lab, "start", binary, conf, "out", "inline", forwards=False):
        return time.monotonic() - before


def memory(lab, binary):
    """Bytes that one more SA and one more policy take, as --check says it of the tables."""
    conf = ours.config("inline", "out", None, 1, transforms.TRANSFORMS["aes128-gcm"], 0)
    conf["limits"] |= {"sas": TABLE, "policies": TABLE}
    path = lab.dir / "memory.yaml"
    path.write_text(yaml.safe_dump({"name": "memory", **conf}))
    path.chmod(0o600)
    text = run([binary, "-c", path, "--check"], check=False).stdout
    found = re.findall(r"table: \d+ (SAs|policies), (\d+) KiB", text)
    return {what: int(kib) * 1024 / TABLE for what, kib in found}


def measure(lab, binary, quick):
    sizes = (1,) if quick else (1, 1000, 10000)
    return {"churn": churn.measure(lab, binary, quick), "bytes": memory(lab, binary),
            "start_seconds": {str(n): start_up(lab, binary, n) for n in sizes}}
