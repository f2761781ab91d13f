# SPDX-License-Identifier: BSD-3-Clause
"""Tunnels that charon negotiates, and what happens when a part of it all dies, stops or hangs."""

import contextlib
import math
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from echo import Echo
from lab import BUILD_ASAN, PATIENCE, Failed, huge_files, keep_huge_files, run, wait_for
from router import CYGNET
from sites import PLAN, PLAN6, PLAN_4IN6, PLAN_6IN4, TwoSites
from wire import Capture, kind


@pytest.fixture
def sites(lab):
    return TwoSites(lab)


class NoClear:
    """Between the sites there is not one clear packet of the hosts while this context lasts."""

    def __init__(self, sites):
        self.sites = sites

    def __enter__(self):
        self.captures = [Capture(s.ns, "v-wan", "in") for s in self.sites]
        return self

    def __exit__(self, exc_type, *exc):
        kinds = {kind(f) for c in self.captures for f in c.stop()[0]}
        if exc_type is None:
            assert kinds <= {"esp", "ike", "arp", "nd"}, kinds


def agents(site):
    """Process ids of the agents in a site's namespace."""
    found = []
    for p in run(["ip", "netns", "pids", site.ns.name]).stdout.split():
        with contextlib.suppress(OSError):  # it has just ended
            if Path(f"/proc/{p}/comm").read_text().strip() == "cygnet-agent":
                found.append(int(p))
    return found


def wait_gone(site, pids, timeout=10):
    """Waits for those agents to end. The plugin soon starts another, which is not waited for."""
    wait_for("the agent to leave", lambda: not set(pids) & set(agents(site)), timeout)


@pytest.mark.parametrize("plan", [PLAN6, PLAN_4IN6, PLAN_6IN4], ids=["6in6", "4in6", "6in4"])
def test_families(lab, plan):
    """charon negotiates over IPv6 and for IPv6: up, traffic, rekeyed, down."""
    sites = TwoSites(lab, plan=plan)
    with NoClear(sites):
        sites.start()
        assert sites.ping(1, wait=0.3) == 0
        sites.up()
        assert sites.ping(10, interval=0.05) == 10
        assert all(s.usage(d)[0] == 10 for s in sites for d in ("in", "out"))
        # IKE's ports are charon's, and nobody's behind it: what a host sends from and to them is sealed.
        for port in 500, 4500:
            for payload in b"\0\0\0\0 as IKE in UDP", b"as ESP in UDP", b"\xff":
                with sites.a.host.inside(), socket.socket(socket.AF_INET6 if ":" in sites.b.me["host"] else
                                                          socket.AF_INET, socket.SOCK_DGRAM) as s:
                    s.bind((sites.a.me["host"], port))
                    s.sendto(payload, (sites.b.me["host"], port))
        wait_for("the datagrams in the tunnel", lambda: sites.a.usage("out")[0] >= 16 and sites.b.usage("in")[0] >= 16)
        before = {x["spi"] for x in sites.a.router.sas()}
        sites.a.charon.swanctl("--rekey", "--child", "net")
        wait_for("the new SAs", lambda: len({x["spi"] for x in sites.a.router.sas()} - before) == 2)
        assert sites.ping(10, interval=0.05) == 10
        sites.a.charon.terminate("site")
        wait_for("no SAs", lambda: not sites.a.router.sas() and not sites.b.router.sas())
        assert sites.ping(1, wait=0.3) == 0
    assert sites.stop() == ([0, 0], [0, 0])


def test_tunnel(sites):
    """Up, traffic, down; what charon says of the SAs is what the routers say."""
    with NoClear(sites):
        sites.start()
        assert sites.ping(2, wait=0.3) == 0
        sites.up()
        assert sites.ping(10, interval=0.05) == 10
        for s in sites:
            for d in "in", "out":
                assert s.usage(d)[0] == 10
            spis = {x["spi"].removeprefix("0x").zfill(8) for x in s.router.sas()}
            assert spis == set(re.findall(r"^\s+(?:in|out)\s+([0-9a-f]{8}),", s.charon.sas(), re.M))
            counts = re.findall(r"(\d+) packets", s.charon.sas())
            assert counts == ["10", "10"], s.charon.sas()
        assert sites.ping(3, size=1372) == 3  # the largest that fits
        sites.a.charon.terminate("site")
        wait_for("SAs to go", lambda: not any(s.router.sas() for s in sites))
        assert not any(s.router.policies() for s in sites)
        assert sites.ping(2, wait=0.3) == 0
    assert sites.stop() == ([0, 0], [0, 0])


def test_policy_of_the_file(sites):
    """A policy of router.yaml that names no SPI: charon's SA protects it, also when it comes after that SA."""
    sites.start().up()
    router = sites.a.router
    router.conf["policies"] = [{"direction": "out", "action": "protect", "source": "10.1.0.0/24", "destination": "10.99.0.0/16",
                                "reqid": next(s["reqid"] for s in router.sas())}]
    router.write()
    assert router.ctl("reload", check=False).returncode == 0

    def used():
        return next(p["sa"] for p in router.policies() if p["destination"] == "10.99.0.0/16")

    def there():
        return [s["spi"] for s in router.sas() if s["direction"] == "out"]
    assert (first := there()) == [used()]
    sites.a.charon.swanctl("--rekey", "--child", "net")
    wait_for("the next SA", lambda: len(there()) == 1 and there() != first, 15)
    assert there() == [used()]
    sites.a.charon.terminate("site")
    wait_for("the SA to go", lambda: used() == "trap")
    assert sites.stop() == ([0, 0], [0, 0])


def test_rekey_under_traffic(sites):
    """Make before break: not one ping of a steady stream is lost."""
    sites.start().up()
    assert sites.ping(3) == 3
    with Echo(sites.a.host, PLAN["b"]["host"], 0.01) as stream:
        for i in range(6):
            n = stream.sent + 40
            wait_for("pings", lambda n=n: stream.sent >= n)
            (sites.a, sites.b)[i % 2].charon.swanctl("--rekey", "--child", "net")
    assert stream.lost == 0, (stream.sent, stream.lost)
    wait_for("old SAs to go", lambda: all(len(s.router.sas()) == 2 for s in sites), 15)


def test_sas_come_and_go_for_a_minute(sites):
    """Both routers run with AddressSanitizer and UBSan; SAs are replaced all the time under full traffic, and
    nothing is lost of a stream that leaves room for it."""
    for s in sites:
        s.router.binary = BUILD_ASAN / "cygnet"
        assert s.router.binary.exists(), "no build with sanitizers: ci/test makes it, or set CYGNET_BUILD_ASAN"
    sites.start().up()
    assert sites.ping(3) == 3
    server, floods = sites.b.host.start("iperf3", "-s", "--forceflush"), []

    def listening():
        return server.output().count("Server listening")

    def flood(mbits, seconds):
        # After each test it listens anew.
        wait_for("iperf3's server", lambda: listening() > max(floods, default=0))
        floods.append(listening())
        return sites.a.host.start("iperf3", "-c", PLAN["b"]["host"], "-u", "-b", f"{mbits}M", "-l", "1000", "-t", seconds, "--bidir",
                                  name=f"load-{len(floods)}")

    def went_well(load):
        """Not where its control connection is lost in the flood."""
        with contextlib.suppress(Failed):
            return load.wait(20) == 0
        load.kill()
        return False

    def overload():
        return sum(s.router.drops().get(reason, 0) for s in sites for reason in ("crypto-overload", "tx-full")) + \
            sum(s.router.unread() for s in sites)
    for mbits in 20, 10, 5, 2:  # what this machine has room for at the moment
        before = overload()
        with Echo(sites.a.host, PLAN["b"]["host"], 0.01) as stream:
            carried = went_well(flood(mbits, 3))
        if carried and stream.lost == 0 and overload() <= before:
            break
    seen = []
    # A minute in three parts. Where others take the cpu the ports' rings overflow: the best of them loses no more than that.
    for _ in range(3):
        before, load = overload(), flood(mbits, 20)
        end, rekeys = time.monotonic() + 20, 0
        with Echo(sites.a.host, PLAN["b"]["host"], 0.01) as stream:
            while time.monotonic() < end or rekeys <= 13 or stream.sent <= 300:
                (sites.a, sites.b)[rekeys % 2].charon.swanctl("--rekey", "--child", "net")
                rekeys += 1
                time.sleep(0.3)
        carried = went_well(load)
        seen.append((stream.lost if carried else math.inf, overload() - before))
        print(f"{mbits} Mbit/s each way, {rekeys} rekeyings, {stream.lost} of {stream.sent} lost, "
              f"iperf3 {'ended well' if carried else 'failed: ' + load.tail()}")
    assert any(lost <= dropped for lost, dropped in seen), (seen, [s.router.drops() for s in sites])
    assert sum(s.usage("in")[0] for s in sites) > 0
    wrong = {"esp-icv", "policy-no-sa", "none", "esp-replay"}
    if not any(lost for lost, _ in seen):
        wrong.add("esp-no-sa")  # in rings that overflow a packet waits for longer than its SA lingers
    for s in sites:
        assert not wrong & set(s.router.drops()), s.router.drops()
    charons, routers = sites.stop()
    for s in sites:
        assert not re.search("Sanitizer|runtime error", s.router.process.output()), s.router.process.tail(60)
    assert (charons, routers) == ([0, 0], [0, 0])


def test_charon_before_router(sites):
    """charon starts, waits, and the tunnel comes up once the routers are there."""
    for s in sites:
        s.make_charon()
        s.charon.start()
        s.load()
    time.sleep(1)
    assert all(s.charon.process.alive() for s in sites)
    for s in sites:
        s.start_router()
        s.add_route()
    for s in sites:
        s.wait_backend()
    sites.up()
    assert sites.ping() == 3


def test_router_is_killed(sites):
    """kill -9 under a living charon: nothing leaks, the agent leaves, and the tunnel is negotiated anew."""
    sites.start(start="start|trap")
    sites.wait_sas(20)
    assert sites.ping() == 3
    agent, charon = agents(sites.a), sites.a.charon.process.pid
    before = {x["spi"] for x in sites.a.router.sas()}
    with NoClear(sites):
        sites.a.router.kill()
        wait_gone(sites.a, agent)
        assert sites.ping(2, wait=0.3) == 0
        assert sites.a.charon.swanctl("--stats").returncode == 0
        sites.a.start_router()
        wait_for("the agent to come back", lambda: agents(sites.a), 15)
        sites.wait_ping(30)
    assert agents(sites.a) != agent and sites.a.charon.process.pid == charon and sites.a.charon.process.alive()
    after = {x["spi"] for x in sites.a.router.sas()}
    assert after and not after & before
    assert sites.ping() == 3


def test_charon_is_killed(sites):
    """Traffic goes on over the orphans; a new charon brings the tunnel up again and they yield to it."""
    sites.start()
    sites.up()
    assert sites.ping() == 3
    with NoClear(sites):
        orphans = {x["spi"] for x in sites.a.router.sas()}
        sites.a.charon.kill()
        wait_for("its agent to die with it", lambda: not agents(sites.a), 5)
        assert sites.ping(10, interval=0.1) == 10
        assert {x["spi"] for x in sites.a.router.sas()} == orphans
        sites.a.charon.start()
        sites.a.wait_backend()
        sites.a.load()
        assert sites.ping() == 3
        sites.a.charon.initiate()
        assert sites.ping(10, interval=0.1) == 10
        fresh = [x for x in sites.a.router.sas() if x["spi"] not in orphans]
        assert sorted(x["direction"] for x in fresh) == ["in", "out"]
        out = next(x for x in fresh if x["direction"] == "out")
        assert out["packets"] >= 10


def test_agent_is_killed(sites):
    """It is started again; no SA is lost."""
    sites.start().up()
    before = {x["spi"] for x in sites.a.router.sas()}
    for pid in agents(sites.a):
        os.kill(pid, signal.SIGKILL)
    assert sites.ping(5, interval=0.1) == 5
    wait_for("a new agent", lambda: sites.a.charon.output().count("router is there") == 2, 15)
    assert {x["spi"] for x in sites.a.router.sas()} == before
    sites.a.charon.swanctl("--rekey", "--child", "net")
    wait_for("rekeyed SAs", lambda: {x["spi"] for x in sites.a.router.sas()} - before, 10)
    assert sites.ping() == 3


def test_agent_hangs(sites):
    """SIGSTOP for a minute: traffic, cygnetctl and the expiry of SAs go on."""
    sites.start(plugin="timeout = 1000", extra_child="life_time = 40s\n\t\t\t\trekey_time = 0")
    sites.up()
    pids = agents(sites.a)
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert sites.ping(20, interval=0.2) == 20
        for _ in range(20):
            asked = time.monotonic()
            assert len(sites.a.router.sas()) == 2
            assert time.monotonic() - asked < 2 * PATIENCE
        # The SAs' hard lifetime passes though nobody can be told: they carry nothing any more.
        wait_for("their end", lambda: sites.ping(1, wait=0.3) == 0, 60, 0.5)
        assert sites.a.router.ctl("graph", "stats", timeout=5).returncode == 0
        time.sleep(max(0, 60 - (time.monotonic() - began)))
        assert sites.a.router.ctl("lcores", timeout=5).returncode == 0
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_for("charon to answer", lambda: sites.a.charon.swanctl("--stats", check=False, timeout=5).returncode == 0, 30)
    sites.a.charon.terminate("site", check=False)
    wait_for("a new tunnel", lambda: sites.a.charon.initiate(check=False).returncode == 0, 20, 1)
    sites.wait_ping(10)


# Keys


def negotiated_keys(charon):
    """The ESP keys, as charon logs them at its highest level; their first 16 bytes."""
    keys, name, data = [], None, b""
    for line in charon.output().splitlines():
        head = re.search(r"encryption (?:initiator|responder) key => (\d+) bytes", line)
        row = re.search(r"\[CHD\]\s+\d+: ((?:[0-9A-F]{2} )+)", line)
        if head:
            name, data = head.group(1), b""
        elif row and name:
            data += bytes.fromhex(row.group(1))
            if len(data) >= 16:
                keys.append(data[:16])
                name = None
    return keys


def holders(pid, needles, shared=True):
    """Which of the needles stand in a process's memory; with or without the router's huge pages."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            ends, perms = line.split()[:2]
            if "r" not in perms or (not shared and "/dev/hugepages/" in line) or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            at, end = (int(x, 16) for x in ends.split("-"))
            while at < end:
                try:
                    data = os.pread(mem.fileno(), min(end - at, 4 << 20), at)
                except OSError:
                    break
                if not data:
                    break
                found |= {n for n in needles if n in data}
                at += len(data) if at + len(data) >= end or len(data) < 64 else len(data) - 16
    return found


def in_files(prefix, needles):
    return {n for f in huge_files(prefix) for n in needles if n in Path(f).read_bytes()}


def test_keys_are_wiped(lab):
    """Of every process and huge-page file after del_sa, SIGTERM and kill -9 with its cleaning start."""
    sites = TwoSites(lab)
    # charon logs the keys for us; its log buffers hold them as text, not as bytes.
    sites.start(charon="")
    for s in sites:
        conf = s.charon.conf.read_text().replace("knl = 2", "knl = 2\n\t\t\tchd = 4")
        s.charon.conf.write_text(conf)
        s.charon.stop()
        s.charon.start()
        s.wait_backend()
        s.load()
    sites.up()
    assert sites.ping() == 3
    keys = set(negotiated_keys(sites.a.charon))
    assert len(keys) == 2
    a = sites.a.router
    # The search finds what is there: else its silence says nothing.
    assert holders(a.process.pid, keys) == keys
    # The agent maps the router's memory, where sessions are, and has no copy of its own.
    assert not any(holders(pid, keys, shared=False) for pid in agents(sites.a))
    sites.a.charon.terminate("site")
    wait_for("SAs to go", lambda: not any(s.router.sas() for s in sites))
    for s in sites:
        for pid in [s.router.process.pid, s.charon.process.pid, *agents(s)]:
            wait_for(f"no keys in {Path(f'/proc/{pid}/comm').read_text().strip()}", lambda pid=pid: not holders(pid, keys), 5)
        assert not in_files(s.router.name, keys)

    sites.up()
    keys = set(negotiated_keys(sites.a.charon)) - keys
    assert len(keys) == 2 and holders(a.process.pid, keys) == keys
    with keep_huge_files(a.name):
        a.kill()
        assert in_files(a.name, keys) == keys  # that is what the clean-up is for
    sites.a.charon.stop()
    a.start()
    assert not in_files(a.name, keys) and not holders(a.process.pid, keys)
    assert a.stop() == 0
    assert not huge_files(a.name)


# Without this capability root may look into a process of root that has it not either: if that process lets itself be dumped.
NO_PTRACE = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]


def secrecy(pid):
    """Whether another process of its user may open a process's memory, and its limits of core files."""
    opened = run([*NO_PTRACE, "sh", "-c", f": < /proc/{pid}/mem"], check=False)
    assert opened.returncode == 0 or "Permission denied" in opened.stderr
    limits = re.search(r"^Max core file size +(\S+) +(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.M).groups()
    return opened.returncode == 0, limits


def test_memory_is_closed(lab, sites):
    """Huge-page files for root alone; of processes that hold keys no core files, and no look into them for who may not trace all."""
    a = sites.a
    a.router.binary = lab.dir / "cygnet"
    a.router.binary.write_text("#!/bin/sh\nexec " + " ".join([*NO_PTRACE, str(CYGNET)]) + ' "$@"\n')
    a.router.binary.chmod(0o755)
    a.start_router()
    charon = a.make_charon()
    charon.script = charon.script.replace("exec ", "exec " + " ".join(NO_PTRACE) + " ")
    charon.start()
    a.wait_backend()
    # One that hides nothing can be looked into, else the rest says nothing.
    other = lab.start([*NO_PTRACE, "sleep", "600"], name="other")
    wait_for("it", lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
    opened, limits = secrecy(other.pid)
    assert opened and limits != ("0", "0"), "kernel.yama.ptrace_scope and ulimit -Hc must allow that"
    for pid in a.router.process.pid, *agents(a):
        assert secrecy(pid) == (False, ("0", "0")), Path(f"/proc/{pid}/comm").read_text()
    assert len(agents(a)) == 1
    assert os.stat("/dev/hugepages").st_mode & 0o077 == 0
    assert all(os.stat(f).st_mode & 0o077 == 0 for f in huge_files(a.router.name)) and huge_files(a.router.name)
    assert os.stat(a.router.socket).st_mode & 0o777 == 0o600
