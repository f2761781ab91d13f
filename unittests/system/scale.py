# SPDX-License-Identifier: BSD-3-Clause
"""ci/scale's inside, and unittests/system/test_scale.py's: many tunnels, by charon and by the message interface alone."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from charon import AGENT, Charon
from lab import BUILD, PREFIX, Failed, Lab, run, wait_for
from router import Router, config, port

CHANNEL = BUILD / "unittests" / "scale-channel"
STRONGSWAN = Path(os.environ.get("CYGNET_CACHE", "/var/cache/cygnet"))


def load_tester(where):
    """strongSwan's load-tester plugin, built from the tree that ci/setup fetched: the distribution does not ship it."""
    tree = sorted(STRONGSWAN.glob("strongswan-*/config.h"))[-1].parent
    source = tree / "src" / "libcharon" / "plugins" / "load_tester"
    out = where / "libstrongswan-load-tester.so"
    run(["cc", "-O2", "-fPIC", "-shared", "-w", '-DIPSEC_PIDDIR="/run"', "-include", tree / "config.h", "-I", tree / "src" / "libstrongswan",
         "-I", tree / "src" / "libcharon", *sorted(source.glob("load_tester_*.c")), "-Wl,--unresolved-symbols=ignore-all", "-o", out],
        timeout=120)
    return out


LOAD_TESTER = """\
		load-tester {{
			enable = yes
			version = 2
			fake_kernel = {fake}
			proposal = aes128gcm16-prfsha256-x25519
			esp = aes128gcm16
			initiator_auth = psk
			responder_auth = psk
			request_virtual_ip = {vip}
			pool = {pool}
			initiator_tsr = 10.2.0.0/16
			responder_tsr = 10.2.0.0/16
			responder = 192.0.2.2
			socket = unix:///run/charon.ldt
			child_rekey = 0
		}}
"""

CHARON = """\
threads = 32
	ikesa_table_size = 16384
	ikesa_table_segments = 64
	dos_protection = no
	cookie_threshold = 0
	block_threshold = 0
	init_limit_half_open = 0
	half_open_timeout = 120
	reuse_ikesa = no
	install_routes = no
"""

BACKENDS = ("kernel-cygnet", "kernel-libipsec", "fake")
AT_ONCE, BATCH = 8, 10  # initiating threads, and tunnels that each has under way


class Tester:
    """A charon that makes tunnels, or answers to them, on that backend. load-tester brings configuration and secrets, and
    each tunnel has a virtual address, so that no two have the same selectors."""

    def __init__(self, ns, prefix, backend, plugin, initiator):
        self.ns, self.backend, self.initiator = ns, backend, initiator
        self.charon = c = Charon(ns, prefix, backend="load-tester" if backend == "fake" else backend, charon=CHARON)
        shutil.copy(plugin, c.dir / "plugins")
        conf = LOAD_TESTER.format(fake="yes" if backend == "fake" else "no", vip="yes" if initiator else "no",
                                  pool="" if initiator else "pool")
        text = c.conf.read_text().replace("plugins {\n", "plugins {\n" + conf, 1)
        text = text.replace("default = 1\n\t\t\tknl = 2", "default = 0\n\t\t\tknl = 1")
        if backend != "fake":
            text = text.replace("socket-default vici", "socket-default load-tester vici")
        c.conf.write_text(text)

    def start(self):
        self.charon.start()
        if not self.initiator:
            self.charon.load("pools {\n\tpool {\n\t\taddrs = 10.3.0.0/16\n\t}\n}\n")
        return self

    def initiate(self, tunnels):
        """Makes that many, and returns what became of them: {"+": established, "-": failed, "!": failed, "*": retransmissions}."""
        count, lock, left = dict.fromkeys("+-!*", 0), threading.Lock(), [tunnels]

        def some():
            while True:
                with lock:
                    n = min(BATCH, left[0])
                    left[0] -= n
                if n == 0:
                    return
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(60)
                    s.connect(str(self.charon.run / "charon.ldt"))
                    s.sendall(f"{n} 0\n".encode())
                    text = b""
                    while data := s.recv(4096):
                        text += data
                with lock:
                    for k in count:
                        count[k] += text.decode().count(k)
        threads = [threading.Thread(target=some) for _ in range(AT_ONCE)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return count


def rss(pid):
    """Resident kilobytes of a process, without huge pages."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


class Pair:
    """Two namespaces with a cable; on cygnet each has a router."""

    def __init__(self, lab, backend, plugin, tunnels, memory):
        self.lab, self.backend = lab, backend
        self.ns = [lab.ns(n) for n in ("left", "right")]
        self.routers, dev = [], "v-wan" if backend == "kernel-cygnet" else "wan"
        for n in self.ns:
            n.no_ipv6()
        lab.veth(self.ns[0], dev, self.ns[1], dev)
        for i, n in enumerate(self.ns):
            address = f"192.0.2.{i + 1}/24"
            if backend == "kernel-cygnet":
                conf = config([port("wan", [address])], mode="inline", limits={
                    "sas": max(4096, 3 * tunnels), "policies": max(4096, 4 * tunnels)})
                self.routers.append(Router(n, conf))
                self.routers[-1].conf["eal"]["memory"] = memory
                self.routers[-1].write()
                self.routers[-1].start()
            else:
                n.addr(dev, address)
        self.testers = [Tester(n, r.name if r else "none", backend, plugin, i == 0)
                        for i, (n, r) in enumerate(zip(self.ns, self.routers or [None, None]))]
        for t in self.testers:
            t.start()
        for r in self.routers:
            wait_for("the plugin", lambda r=r: r.json("status")["policies_complete"], 15)

    def children(self):
        """CHILD_SAs as both charons count IKE_SAs."""
        return [int(re.search(r"IKE_SAs: (\d+) total", t.charon.swanctl("--stats", timeout=60).stdout).group(1))
                for t in self.testers]

    def stop(self):
        return [t.charon.process.stop(timeout=120) for t in self.testers] + [r.stop(60) for r in self.routers]


def latency(router, kind):
    return {k: v for k, v in router.json("status")["channel"]["latency_us"][kind].items() if k != "buckets"}


def heap(router):
    """Kilobytes of huge pages that are allocated, as DPDK's telemetry has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(f"/run/dpdk/{router.conf['eal']['file-prefix']}/dpdk_telemetry.v2")
        s.recv(16384)
        s.send(b"/eal/heap_info,0")
        return json.loads(s.recv(16384))["/eal/heap_info"]["Alloc_size"] // 1024


def memory_of(router):
    """Kilobytes that a router uses: (its own, in huge pages)."""
    return rss(router.process.pid), heap(router)


def per_tunnel(router, before, n):
    """Bytes that each tunnel has added, and what the tables for that many SAs take from the start."""
    now = memory_of(router)
    return {"process_bytes": (now[0] - before[0]) * 1024 // n, "huge_page_bytes": (now[1] - before[1]) * 1024 // n,
            "at_start_kib": {"process": before[0], "huge_pages": before[1]}, "limits": router.conf["limits"]}


def tunnels(lab, backend, n, plugin, memory=512):
    """Makes n tunnels on a backend; the figures. Raises when one failed."""
    pair = Pair(lab, backend, plugin, n, memory)
    before = [memory_of(r) for r in pair.routers]
    began = time.monotonic()
    count = pair.testers[0].initiate(n)
    took = time.monotonic() - began
    result = {"backend": backend, "tunnels": n, "seconds": round(took, 2), "rate": round(n / took, 1), **count}
    wait_for(f"{n} IKE_SAs at both", lambda: pair.children() == [n, n], 30)
    if pair.routers:
        for i, r in enumerate(pair.routers):
            def counts(r=r):
                c = r.json("status")["counts"]
                return c["sas"]["live"], c["policies"]["out"], c["policies"]["in"]
            # charon counts an IKE_SA before its CHILD_SA is there.
            wait_for(f"SAs and policies of {n} tunnels", lambda: counts() == (2 * n, n, n), 10)
            result[("left", "right")[i]] = {
                "add_sa_us": latency(r, "add-sa"), "add_policy_us": latency(r, "add-policy"), "get_spi_us": latency(r, "get-spi"),
                "memory_a_tunnel": per_tunnel(r, before[i], n), "refused": r.json("status")["channel"]["refused"]}
    assert count["+"] == n and count["-"] == count["!"] == 0, count
    began = time.monotonic()
    codes = pair.stop()
    result["stop_seconds"] = round(time.monotonic() - began, 1)
    assert not any(codes), codes
    return result


class Channel:
    """scale-channel beside a router, in its namespace."""

    def __init__(self, router):
        self.p = subprocess.Popen(router.ns.command(CHANNEL, AGENT, router.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        self.answer(30)

    def answer(self, timeout):
        timer = threading.Timer(timeout, self.p.kill)
        timer.start()
        try:
            line = self.p.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise Failed(f"scale-channel said nothing within {timeout} s")
        return json.loads(line)

    def ask(self, *words, timeout=300):
        self.p.stdin.write(" ".join(map(str, words)) + "\n")
        self.p.stdin.flush()
        return self.answer(timeout)

    def agent(self):
        return int(run(["pgrep", "-P", self.p.pid, "cygnet-agent"]).stdout)

    def stop(self):
        self.p.stdin.close()
        return self.p.wait(30)


def messages(lab, n, memory=1024):
    """n tunnels (two SAs each) by the message interface alone, and what a call costs with them in place."""
    ns = lab.ns("alone")
    ns.no_ipv6()
    peer = lab.ns("peer")
    lab.veth(ns, "v-wan", peer, "v-wan")
    router = Router(ns, config([port("wan", ["192.0.2.1/24"])], mode="inline",
                               limits={"sas": 1 << (2 * n + 4096 - 1).bit_length(), "policies": 3 * n + 4096}))
    router.conf["eal"]["memory"] = memory
    router.write()
    router.start()
    before = memory_of(router)
    c = Channel(router)
    result = {"filled": c.ask("fill", 0, n, 0)}
    counts = router.json("status")["counts"]
    assert counts["sas"]["live"] == 2 * n and counts["policies"]["out"] == n, counts
    result["memory_a_tunnel"] = per_tunnel(router, before, n)
    was = router.json("status")["channel"]["latency_us"]["add-sa"]["buckets"]
    result["probe"] = c.ask("probe", n, 2000)
    now = router.json("status")["channel"]["latency_us"]["add-sa"]["buckets"]
    result["router_add_sa_us"] = quantiles({int(k): v - was.get(k, 0) for k, v in now.items()})
    result["emptied"] = c.ask("empty", 0, n)
    wait_for("an empty router", lambda: router.json("status")["counts"]["sas"]["live"] == 0, 10)
    assert router.json("status")["counts"]["policies"]["out"] == 0
    assert c.stop() == 0 and router.stop(60) == 0
    return result


def quantiles(buckets):
    total, seen, out = sum(buckets.values()), 0, {}
    for us in sorted(buckets):
        seen += buckets[us]
        for name, part in (("median", 0.5), ("p99", 0.99)):
            if name not in out and seen >= total * part:
                out[name] = us
    return {"calls": total, **out}


def silent_agent(lab, n, seconds=60, memory=512):
    """n soft lifetimes run out while the agent is stopped: the router's memory stays, and afterwards nobody has missed one."""
    ns = lab.ns("silent")
    ns.no_ipv6()
    peer = lab.ns("far")
    lab.veth(ns, "v-wan", peer, "v-wan")
    router = Router(ns, config([port("wan", ["192.0.2.1/24"])], mode="inline",
                               limits={"sas": 4 * n + 64, "policies": 4 * n + 64}))
    router.conf["eal"]["memory"] = memory
    router.write()
    router.start()
    c = Channel(router)
    # Long enough that all are there before the first runs out: those of a try that was too slow count as had already.
    took = c.ask("fill", 0, n, 0)["seconds"]
    c.ask("empty", 0, n)
    wait_for("an empty router", lambda: router.json("status")["counts"]["sas"]["live"] == 0, 10)
    life = max(2, n // 250, round(4 * took))
    for _ in range(4):  # the second time it can be slower
        had = c.ask("events", 0, 0)["expired"]
        filled = c.ask("fill", 0, n, life)
        if filled["seconds"] < life:
            break
        c.ask("empty", 0, n)
        wait_for("an empty router", lambda: router.json("status")["counts"]["sas"]["live"] == 0, 10)
        life *= 2
    assert filled["seconds"] < life, filled
    agent = c.agent()
    os.kill(agent, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        before = sum(memory_of(router))
        time.sleep(life + 1)
        while time.monotonic() - stopped < seconds:
            assert router.ctl("lcores").returncode == 0
            time.sleep(1)
        grown = sum(memory_of(router)) - before
        lost = router.json("status")["channel"]["lost_events"]
    finally:
        os.kill(agent, signal.SIGCONT)
    told = c.ask("events", had + n, 60)
    status = router.json("status")
    result = {"events": n, "stopped_seconds": round(time.monotonic() - stopped), "grown_kib": grown, "lost_while_stopped": lost,
              "told": told["expired"] - had, "reports": told["reports"], "resyncs": status["channel"]["resyncs"]}
    assert result["told"] == n, result
    assert status["counts"]["sas"]["live"] == 2 * n and status["counts"]["policies"]["out"] == n
    assert grown < 4096, result
    emptied = c.ask("empty", 0, n)
    assert emptied["del_sa"]["failed"] == 0, emptied
    assert c.stop() == 0 and router.stop(60) == 0
    return result


def show(title, result):
    print(f"== {title}\n{json.dumps(result, indent=2)}", flush=True)


def main(args):
    n = int(args[0]) if args else 10000
    with Lab("scale") as lab:
        plugin = load_tester(lab.dir)
        keep = plugin.read_bytes()
    for backend in BACKENDS:
        with Lab("scale") as lab:
            plugin = lab.dir / "libstrongswan-load-tester.so"
            plugin.write_bytes(keep)
            show(f"{n} tunnels, {backend}", tunnels(lab, backend, n, plugin))
    with Lab("scale") as lab:
        show(f"{10 * n} SAs by messages alone", messages(lab, 5 * n))
    with Lab("scale") as lab:
        show(f"{n} events while the agent is stopped", silent_agent(lab, n))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
