# SPDX-License-Identifier: BSD-3-Clause
"""Start, stop and start again; what may run beside what; what a router leaves behind."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from echo import Echo
from lab import BUILD, Failed, huge_files, run, wait_for
from router import CYGNETCTL, Router, config, port


@pytest.fixture
def site(lab):
    r, a, b = lab.ns("r"), lab.ns("a"), lab.ns("b")
    for ns, dev, net in (a, "in", "10.1.0"), (b, "out", "10.2.0"):
        ns.no_ipv6()
        lab.veth(r, f"v-{dev}", ns, "e0")
        ns.addr("e0", f"{net}.2/24")
        ns.route("default", "via", f"{net}.1")
    r.a, r.b = a, b
    return r


def conf(**more):
    return config([port("in", ["10.1.0.1/24"], default_action="bypass"),
                   port("out", ["10.2.0.1/24"], default_action="bypass")], ipsec={"static-only": True}, **more)


@pytest.mark.parametrize("mode", ["dedicated", "inline"])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_under_traffic(site, mode, sig):
    router = Router(site, conf(mode=mode)).start()
    flood = site.a.start("ping", "-n", "-q", "-i", "0.002", "10.2.0.2")
    time.sleep(1)
    assert router.process.stop(sig) == 0
    assert not huge_files(router.name) and not router.socket.exists()
    assert not re.search(r"\berror\b|leak|failed", router.process.output(), re.I), router.process.tail()
    flood.stop(signal.SIGINT)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_starts(site, sig):
    """It ends in order then, too: nothing with keys is left, and nothing runs."""
    sas = [{"name": f"s{i}", "direction": "in", "reqid": i + 1, "spi": 0x1000 + i, "source": "192.0.2.2", "destination": "192.0.2.1",
            "encryption": "aes256", "integrity": "sha256", "key": f"0x{i:064x}", "integrity-key": f"0x{i:064x}"} for i in range(2000)]
    router = Router(site, conf(sas=sas)).start(wait=False)
    wait_for("its memory", lambda: huge_files(router.name), 10, 0.005)
    assert router.process.stop(sig, 30) == 0
    assert "ending" in router.process.output()
    assert not huge_files(router.name) and not router.socket.exists()


def test_ended_again_and_again(site):
    """Whoever is impatient leaves no keys behind either."""
    router = Router(site, conf()).start()
    end = time.monotonic() + 30
    while router.process.alive() and time.monotonic() < end:
        router.process.send(signal.SIGTERM)
        time.sleep(0.001)
    assert router.process.popen.returncode == 0
    assert not huge_files(router.name) and not router.socket.exists()


def test_read_only_proc_sys(site):
    """As in many containers. What is so already is not written, and a setting that is a comfort only costs a warning."""
    binary = site.lab.dir / "read-only"
    binary.write_text("#!/bin/sh\nexec unshare -m sh -c 'mount --bind /proc/sys /proc/sys && "
                      f"mount -o remount,bind,ro /proc/sys && exec {BUILD / 'cygnet'} \"$@\"' sh \"$@\"\n")
    binary.chmod(0o755)
    for dev in "v-in", "v-out":
        site.sysctl(f"net.ipv6.conf.{dev}.disable_ipv6", 1)
    router = Router(site, conf())
    router.binary = binary
    for warned in True, False:
        router.start()
        assert site.a.ping("10.2.0.2", count=2) == 2
        assert router.stop() == 0
        assert ("tap in: cannot set promote_secondaries" in router.process.output()) == warned, router.process.tail()
        for dev in "in", "out":
            site.sysctl(f"net.ipv4.conf.{dev}.promote_secondaries", 1)
        router.process.log.unlink()


def test_many_starts(site):
    """Nothing accumulates: no taps, files, descriptors or memory that the next start would miss."""
    router = Router(site, conf())
    links = None
    for _ in range(5):
        router.start()
        assert site.a.ping("10.2.0.2", count=2) == 2
        assert router.stop() == 0
        now = site.run("ip", "-o", "link").stdout.count("\n")
        assert links in (None, now)
        links = now
        assert huge_files(router.name) == []


def test_ports_and_addresses_that_are_no_more(site):
    """A port that has another name at the next start, and an address that has gone: the old tap would have the subnet. What is an
    administrator's or another router's stays."""
    other = Router(site, config([port("more", devargs="net_null_more")], ipsec={"static-only": True}), name=f"{site.lab.name}-o")
    other.start()
    other.kill()
    router = Router(site, conf())
    router.conf["ports"][0]["addresses"] += ["10.1.9.1/24", "2001:db8::1/64"]
    router.conf["ports"][1]["vlans"] = [{"id": 7, "addresses": ["10.7.0.1/24"]}]
    router.write()
    router.start()
    site.addr("in", "10.1.8.1/24")
    site.addr("out", "10.2.8.1/24")
    assert router.stop() == 0
    router.conf["ports"][0]["addresses"] = ["10.1.0.1/24"]
    router.conf["ports"][1]["name"] = "far"
    del router.conf["ports"][1]["vlans"]
    router.write()
    router.start()

    def addresses():
        return {x["ifname"]: {a["local"] for a in x["addr_info"] if a["scope"] == "global"}
                for x in json.loads(site.run("ip", "-j", "addr").stdout) if not x["ifname"].startswith(("v-", "lo"))}
    assert addresses() == {"in": {"10.1.0.1", "10.1.8.1"}, "far": {"10.2.0.1"}, "more": set()}
    wait_for("an answer", lambda: site.a.ping("10.2.0.2", count=1, wait=1) == 1)
    assert "tap out: there is no such port any more: removed" in router.process.output()
    assert router.stop() == 0


def test_same_name_twice(site):
    """The second of a name is refused, and the first goes on."""
    first = Router(site, conf()).start()
    twin = Router(site, conf(), name=first.name)
    twin.file.rename(twin.file.with_suffix(".twin"))
    p = site.run(BUILD / "cygnet", "-c", twin.file.with_suffix(".twin"), check=False)
    assert p.returncode != 0
    assert site.a.ping("10.2.0.2") == 3
    assert first.ctl("status").returncode == 0
    assert first.stop() == 0


def test_two_routers_beside_each_other(lab):
    routers = []
    for name in "x", "y":
        ns, far = lab.ns(name), lab.ns(name + "-far")
        far.no_ipv6()
        lab.veth(ns, "v-in", far, "e0")
        far.addr("e0", "10.1.0.2/24")
        routers.append((Router(ns, config([port("in", ["10.1.0.1/24"])], ipsec={"static-only": True})).start(), far))
    for _, far in routers:
        assert far.ping("10.1.0.1") == 3
    assert routers[0][0].stop() == 0
    assert routers[1][1].ping("10.1.0.1") == 3
    assert routers[1][0].stop() == 0


def test_idle_router_sleeps(site):
    """With back-off an idle router leaves the cpus to others."""
    router = Router(site, conf()).start()
    time.sleep(0.5)

    def ticks():
        fields = Path(f"/proc/{router.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    used = []
    for _ in range(3):
        before = ticks()
        time.sleep(1)
        used.append((ticks() - before) / os.sysconf("SC_CLK_TCK"))
    assert min(used) < 0.6, f"{used} cpus"
    assert router.stop() == 0


def test_cygnetctl_without_a_router(lab):
    p = run([CYGNETCTL, "--socket", lab.dir / "none.sock", "sa"], check=False)
    assert p.returncode == 3 and len(p.stderr.splitlines()) == 1, p
    assert run([CYGNETCTL, "nonsense"], check=False).returncode == 2
    assert run([CYGNETCTL, "--help"]).stdout.count("\n") > 10


def test_traffic_while_policies_and_routes_are_listed(site):
    """cygnetctl is served by the control thread; no packet waits for it."""
    router = Router(site, conf()).start()
    assert site.a.ping("10.2.0.2") == 3
    with Echo(site.a, "10.2.0.2", 0.005) as stream:
        rounds = 0
        while rounds < 20 or stream.sent <= 50:
            for command in ("sa",), ("policy",), ("route",), ("port",), ("lcores",), ("status",), ("graph", "stats"):
                router.json(*command)
            rounds += 1
    assert stream.lost == 0
    assert router.stop() == 0


def test_routes_change_under_traffic(site):
    """Hundreds of routes come and go; a stream to one that stays loses nothing."""
    router = Router(site, conf()).start()
    site.b.addr("lo", "172.16.0.1/32")
    site.route("172.16.0.0/24", "via", "10.2.0.2")
    wait_for("the route", lambda: site.a.ping("172.16.0.1", count=1, wait=1) == 1)
    batch = "\n".join(f"route {{}} 172.{17 + i // 250}.{i % 250}.0/25 via 10.2.0.2" for i in range(500))
    site.lab.dir.joinpath("add").write_text(batch.replace("{}", "add") + "\n")
    site.lab.dir.joinpath("del").write_text(batch.replace("{}", "del") + "\n")

    def mirrored():
        """Those of the batch: neighbours have routes too, and may come and go meanwhile."""
        return sum(r["prefix"].endswith("/25") for r in router.routes())

    def wait_mirrored(n):
        try:
            wait_for("the routes", lambda: mirrored() == n, 10)
        except Failed as e:
            raise Failed(f"{e}: {mirrored()} of {n} are mirrored") from None

    with Echo(site.a, "172.16.0.1", 0.005) as stream:
        rounds = 0
        while rounds < 5 or stream.sent <= 50:
            site.run("ip", "-batch", site.lab.dir / "add")
            wait_mirrored(500)
            site.run("ip", "-batch", site.lab.dir / "del")
            wait_mirrored(0)
            rounds += 1
    assert stream.lost == 0
    assert router.stop() == 0


def test_complete_is_said_by_hand(site):
    """No charon tells the policies: nothing passes in clear until cygnetctl complete says that there are no more."""
    router = Router(site, {**conf(), "ipsec": {}}).start()
    assert router.json("status")["policies_complete"] is False and site.a.ping("10.2.0.2", count=2, wait=1) == 0
    assert router.drops().get("policy-incomplete", 0) > 0
    assert "complete" in router.ctl("complete").stdout
    assert router.json("status")["policies_complete"] is True and site.a.ping("10.2.0.2", count=3) == 3
    assert router.stop() == 0
