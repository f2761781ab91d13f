# SPDX-License-Identifier: BSD-3-Clause
"""VLANs of a port (802.1Q): ports of their own, in Linux too."""

import re
import struct
import urllib.request
from types import SimpleNamespace

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from lab import wait_for
from router import Drops, Router, config, port
from sites import PLAN, TwoSites
from wire import Capture, Wire


def vlan_router(ns, which, more=()):
    vlan = {"id": 100, "addresses": [f"10.9.0.{which}/24"], "default-action": "bypass"}
    return Router(ns, config([*more, port("out", [f"10.2.0.{which}/24"], vlans=[vlan])],
                             ipsec={"static-only": True, "local-action": "bypass"}))


@pytest.fixture
def net(lab):
    """left -- in, router, out == out, right: out has VLAN 100 beside its own packets."""
    r, left, right = lab.ns("r"), lab.ns("left"), lab.ns("right")
    for ns in r, left, right:
        ns.no_ipv6()
    lab.veth(r, "v-in", left, "e0")
    lab.veth(r, "v-out", right, "v-out")
    left.addr("e0", "10.1.0.2/24")
    left.route("default", "via", "10.1.0.1")
    right.run("ip", "addr", "add", "10.66.0.1/32", "dev", "lo")
    routers = (vlan_router(r, 1, [port("in", ["10.1.0.1/24"], default_action="bypass")]), vlan_router(right, 2))
    routers[0].conf["metrics"] = {"port": 9469}
    routers[0].write()
    for x in routers:
        x.start(wait=False)
    for x in routers:
        x.wait_ready()
    right.route("10.1.0.0/24", "via", "10.9.0.1", "dev", "out.100")
    return SimpleNamespace(router=routers[0], peer=routers[1], r=r, left=left, right=right)


def row(router, name):
    return next(p for p in router.json("port") if p["name"] == name)


def test_is_a_port_of_linux(net):
    """Addresses, neighbours and routes are Linux's, as on any port; what the device may do does not count for it."""
    assert net.right.ping("10.9.0.1") == 3
    assert net.left.ping("10.9.0.2") == 3
    assert net.left.ping("10.9.0.2", size=1400) == 3
    net.r.route("10.66.0.0/16", "via", "10.9.0.2", "dev", "out.100")
    wait_for("the route", lambda: any(x["prefix"] == "10.66.0.0/16" for x in net.router.routes()))
    assert net.left.ping("10.66.0.1") == 3

    def read():
        """What ctl and the metrics say, if nothing came meanwhile."""
        vlan = row(net.router, "out.100")
        with net.r.inside():
            scraped = urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=30).read().decode()
        return (vlan, scraped) if row(net.router, "out.100") == vlan else None
    vlan, scraped = wait_for("a moment of silence", read)
    assert (vlan["vlan"], vlan["parent"], vlan["mac"]) == (100, "out", row(net.router, "out")["mac"])
    assert min(vlan["stats"]["rx_packets"], vlan["stats"]["tx_packets"]) >= 12
    metrics = {name: float(v) for name, v in re.findall(r'^cygnet_port_(\w+){port="out.100"} (\S+)$', scraped, re.M)}
    assert metrics == {"up": 1, **{f"{k}_total": vlan["stats"][k] for k in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")}}
    assert 'cygnet_port_rx_missed_packets_total{port="out"}' in scraped
    next(p for p in net.router.conf["ports"] if p["name"] == "out")["vlans"][0]["addresses"].append("10.99.0.1/24")
    net.router.write()
    assert "+ port out.100: address 10.99.0.1/24" in net.router.ctl("reload").stdout
    assert "ethdev" not in net.router.process.output().lower() and "invalid port" not in net.router.process.output().lower()
    with Drops(net.router) as d:
        assert net.left.ping("10.2.0.2", count=1, wait=1) == 0
        d.expect({"policy-default": 1})
    assert "out.100" in net.router.ctl("port").stdout
    assert net.router.stop() == 0


def test_other_vlans(net):
    """An unknown VLAN and a second tag are dropped; a tag of VLAN 0 is none."""
    wire = Wire(net.right, "v-out")
    mac, from_mac = row(net.router, "out")["mac"], row(net.peer, "out")["mac"]
    ping = IP(src="10.2.0.2", dst="10.2.0.1") / ICMP()
    assert net.right.ping("10.2.0.1", count=1) == 1
    with Drops(net.router) as d:
        wire.send(*[Ether(dst=mac) / Dot1Q(vlan=v) / ping for v in (1, 99, 101, 4094)])
        d.expect({"ether-vlan": 4})
    with Drops(net.router) as d:
        wire.send(Ether(dst=mac) / Dot1Q(vlan=100) / Dot1Q(vlan=100) / ping)
        d.expect({"ether-type": 1})
    wire.drain()
    wire.send(Ether(dst=mac, src=from_mac) / Dot1Q(vlan=0, prio=5) / ping)
    assert wire.recv(lambda f: f[12:14] == b"\x08\x00" and f[23] == 1 and f[34] == 0) is not None


def test_two_sites(lab):
    """IKE and ESP over a VLAN: nothing between the sites goes without its tag."""
    sites = TwoSites(lab)
    for s in sites:
        wan = s.router.conf["ports"][1]
        wan["vlans"] = [{"id": 7, "name": "wan7", "addresses": wan.pop("addresses")}]
        s.router.write()
        s.add_route = lambda s=s: s.ns.route(s.peer["net"], "via", s.peer["wan"], "dev", "wan7")
    sites.start().up()
    captures = [Capture(s.ns, "v-wan", "in") for s in sites]
    sites.wait_ping(10)
    assert sites.ping(5) == 5
    assert min(s.usage("out")[0] for s in sites) >= 5
    for c in captures:
        frames, _ = c.stop()
        assert len(frames) >= 5
        assert {struct.unpack_from("!HH", f, 12) for f in frames} == {(0x8100, 7)}
    assert PLAN["a"]["wan"] in sites.a.ns.run("ip", "-4", "addr", "show", "dev", "wan7").stdout
    assert sites.stop() == ([0, 0], [0, 0])
