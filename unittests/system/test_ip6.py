# SPDX-License-Identifier: BSD-3-Clause
"""IPv6 in clear: neighbours by Linux, forwarding by the data plane, errors of a router."""

import json
import re
import socket
import time

import pytest
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting)
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab import wait_for
from router import Drops, Router, config, port
from wire import IP_ICMP6, IP_UDP, Wire, is_ip6

LEFT, RIGHT = "2001:db8:1::", "2001:db8:2::"


class Net:
    """left -- router -- right; the way to the right is narrower."""

    def __init__(self, lab):
        self.lab = lab
        self.r, self.left, self.right = lab.ns("r"), lab.ns("left"), lab.ns("right")
        self.r.ipv6_at_once()
        for ns, dev, net in (self.left, "in", LEFT), (self.right, "out", RIGHT):
            ns.ipv6_at_once()
            lab.veth(self.r, f"v-{dev}", ns, "e0")
            ns.addr("e0", f"{net}2/64")
            ns.route("default", "via", f"{net}1")
        self.router = Router(self.r, config(
            [port("in", [f"{LEFT}1/64"], default_action="bypass"),
             port("out", [f"{RIGHT}1/64"], default_action="bypass", mtu=1400)],
            ipsec={"static-only": True})).start()

    def forwarded_by_linux(self):
        return int(re.search(r"Ip6OutForwDatagrams\s+(\d+)", self.r.run("cat", "/proc/net/snmp6").stdout).group(1))


@pytest.fixture(scope="module")
def net(module_lab):
    n = Net(module_lab)
    yield n
    assert n.router.stop() == 0


def test_pings(net):
    """The first packet is held until the neighbour is known; Linux answers for the router and forwards nothing."""
    assert net.left.ping(f"{LEFT}1") == 3
    assert net.left.ping(f"{RIGHT}2") == 3
    assert net.right.ping(f"{LEFT}2", size=1000) == 3
    assert net.forwarded_by_linux() == 0
    assert net.r.ping(f"{RIGHT}2") == 3
    for dev in "v-in", "v-out":
        assert net.r.run("cat", f"/proc/sys/net/ipv6/conf/{dev}/disable_ipv6").stdout.strip() == "1"
    rows = {x["prefix"]: x for x in net.router.routes()}
    assert rows[f"{RIGHT}2/128"]["state"] == "resolved" and rows[f"{RIGHT}/64"]["kind"] == "connected"


def test_link_local_gateway(net):
    """A route by a link-local gateway, as every routing protocol makes them; the neighbour is unknown before."""
    gateway = re.search(r"inet6 (fe80[^/]*)/", net.right.run("ip", "-6", "addr", "show", "dev", "e0").stdout).group(1)
    net.right.addr("lo", "2001:db8:77::7/128")
    net.r.route("2001:db8:77::/48", "via", gateway, "dev", "out")
    wait_for("the route", lambda: any(x["prefix"] == "2001:db8:77::/48" for x in net.router.routes()))
    assert net.left.ping("2001:db8:77::7") == 3


def test_hop_of_a_multipath_route_goes(net):
    """Linux tells of the hop, and not of the route that stays."""
    prefix, hops = "2001:db8:78::/48", [f"{RIGHT}2", f"{RIGHT}3"]
    net.right.addr("lo", "2001:db8:78::7/128")

    def kinds():
        return [x["kind"] for x in net.router.routes() if x["prefix"] == prefix]
    net.r.route(prefix, "via", hops[1])
    net.r.run("ip", "-6", "route", "append", prefix, "via", hops[0])
    wait_for("both hops", lambda: kinds() == ["multipath"])
    net.r.run("ip", "-6", "route", "del", prefix, "via", hops[1])
    wait_for("the other to go", lambda: kinds() != ["multipath"])
    assert net.left.ping("2001:db8:78::7") == 3
    net.r.run("ip", "-6", "route", "del", prefix, "via", hops[0])
    wait_for("the route to go", lambda: kinds() == [])


def test_packet_too_big(net):
    """Linux at the left learns the path's MTU from what the router says."""
    assert net.left.ping(f"{RIGHT}2", size=1400, df=True, wait=1) == 0
    wait_for("the path MTU", lambda: "mtu 1400" in net.left.run("ip", "-6", "route", "get", f"{RIGHT}2").stdout)
    assert net.left.ping(f"{RIGHT}2", size=1400 - 48, df=True) == 3


def test_duplicate_address_detection(lab):
    """Elsewhere it is off, for it takes a second. Linux asks by the port, and hears of an owner by it; its own addresses have none."""
    r, left = lab.ns("r"), lab.ns("left")
    left.ipv6_at_once()
    lab.veth(r, "v-in", left, "e0")
    left.addr("e0", f"{LEFT}2/64")
    router = Router(r, config([port("in", [f"{LEFT}1/64"], default_action="bypass")], ipsec={"static-only": True})).start()

    def states():
        """address -> tentative, dadfailed, or None"""
        found = json.loads(r.run("ip", "-6", "-j", "addr", "show", "dev", "in").stdout)[0]["addr_info"]
        return {a["local"]: next((k for k in ("dadfailed", "tentative") if a.get(k)), None) for a in found}
    wait_for("the addresses", lambda: len(states()) == 2 and "tentative" not in states().values())
    assert set(states().values()) == {None}, states()
    assert left.ping(f"{LEFT}1") == 3 and r.ping(f"{LEFT}2") == 3
    r.addr("in", f"{LEFT}2/64")
    wait_for("the other owner to be found", lambda: states()[f"{LEFT}2"] == "dadfailed")
    assert left.ping(f"{LEFT}1") == 3
    assert router.stop() == 0


@pytest.fixture
def wire(net):
    w = Wire(net.left, "e0")
    w.eth = Ether(src=net.left.mac("e0"), dst=net.r.mac("in"))
    w.drain()
    yield w
    w.close()


def answer(wire, packet):
    wire.send(wire.eth / packet)
    got = wire.recv(is_ip6(IP_ICMP6, src=f"{LEFT}1"))
    return got and IPv6(got[14:])


def test_errors(net, wire):
    """Hop limit, no route, unreachable: quoted whole, checksum right."""
    net.r.route("unreachable", "2001:db8:66::/48")
    wait_for("the route", lambda: any(x["prefix"] == "2001:db8:66::/48" for x in net.router.routes()))
    for packet, kind, code in (
            (IPv6(src=f"{LEFT}2", dst=f"{RIGHT}2", hlim=1), ICMPv6TimeExceeded, 0),
            (IPv6(src=f"{LEFT}2", dst="2001:db8:ffff::1"), ICMPv6DestUnreach, 0),
            (IPv6(src=f"{LEFT}2", dst="2001:db8:66::1"), ICMPv6DestUnreach, 3)):
        packet = IPv6(bytes(packet / UDP(sport=1, dport=2) / Raw(b"x" * 1300)))
        got = answer(wire, packet)
        assert got is not None and kind in got and got[kind].code == code
        assert len(got) == 1280 and bytes(got[kind].payload)[8:] == bytes(packet)[8:1280 - 48]
        want = got[kind].cksum
        del got[kind].cksum
        assert IPv6(bytes(got))[kind].cksum == want
        time.sleep(0.05)
    assert answer(wire, IPv6(src=f"{LEFT}2", dst=f"{RIGHT}2") / UDP() / Raw(bytes(1400)))[ICMPv6PacketTooBig].mtu == 1400


def test_extension_headers(net, wire):
    """Those that hosts may send pass; routing headers of type 0 and by way of us do not."""
    far = Wire(net.right, "e0")
    base = IPv6(src=f"{LEFT}2", dst=f"{RIGHT}2")
    for i, chain in enumerate((IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(),
                               IPv6ExtHdrFragment(m=1, id=5), IPv6ExtHdrFragment(offset=20, id=5))):
        packet = base / chain / UDP(sport=100 + i, dport=9) / Raw(b"data" * 8)
        wire.send(wire.eth / packet)
        want = bytearray(bytes(packet))
        want[7] -= 1
        got = far.recv(lambda f: is_ip6(dst=f"{RIGHT}2")(f) and f[14:14 + len(want)] == bytes(want))
        assert got is not None, packet.summary()
    with Drops(net.router) as d:
        wire.send(wire.eth / base / IPv6ExtHdrRouting(type=0, addresses=["2001:db8:9::9"]) / UDP())
        d.expect({"ip6-routing": 1})
        wire.send(wire.eth / IPv6(src=f"{LEFT}2", dst=f"{LEFT}1") /
                  IPv6ExtHdrRouting(type=4, addresses=[f"{RIGHT}2"]) / UDP())
        d.expect({"ip6-routing": 2})
        wire.send(wire.eth / IPv6(src="fe80::99", dst=f"{RIGHT}2") / UDP())
        d.expect({"ip6-routing": 2, "ip6-scope": 1})
    assert far.recv(is_ip6(IP_UDP), timeout=0.2) is None
    far.close()


def test_spoofed_discovery(net, wire):
    """An advertisement that somebody forwarded changes no neighbour; one of the link does."""
    target = socket.inet_pton(socket.AF_INET6, f"{LEFT}2")
    before = net.router.routes()
    na = IPv6(src=f"{LEFT}2", dst=f"{LEFT}1", hlim=254) / Raw(
        b"\x88\0\0\0\x60\0\0\0" + target + b"\x02\x01\x02\0\0\0\0\x66")
    na.nh = IP_ICMP6
    wire.send(wire.eth / na)
    assert answer(wire, IPv6(src=f"{LEFT}2", dst=f"{LEFT}1") / ICMPv6EchoRequest()) is not None
    mac = {x["prefix"]: x.get("mac") for x in net.router.routes()}
    assert mac[f"{LEFT}2/128"] == {x["prefix"]: x.get("mac") for x in before}[f"{LEFT}2/128"] == net.left.mac("e0")
