# SPDX-License-Identifier: BSD-3-Clause
"""Linux is the control plane: taps, routes and neighbours, and ports that the kernel does not hear."""

import json
import re
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from lab import run, wait_for
from router import Drops, Router, config, port
from wire import IP_ICMP, IP_UDP, Capture, Wire, is_ip, kind


class Net:
    """left -- router -- right, nothing protected; what passes is said by the test."""

    def __init__(self, lab, action, ipv6=False):
        self.lab = lab
        self.r, self.left, self.right = lab.ns("r"), lab.ns("left"), lab.ns("right")
        if not ipv6:
            self.r.no_ipv6()
        for ns, dev, addr in (self.left, "in", "10.1.0"), (self.right, "out", "10.2.0"):
            ns.no_ipv6()
            lab.veth(self.r, f"v-{dev}", ns, "e0")
            ns.addr("e0", f"{addr}.2/24")
            ns.route("default", "via", f"{addr}.1")
        self.router = Router(self.r, config(
            [port(n, [f"10.{i}.0.1/24"], default_action=action) for i, n in ((1, "in"), (2, "out"))],
            ipsec={"static-only": True}))

    def start(self):
        self.router.start()
        return self


@pytest.fixture
def bypass(lab):
    return Net(lab, "bypass").start()


@pytest.fixture
def discard(lab):
    return Net(lab, "discard", ipv6=True).start()


def test_pings(bypass):
    """The router answers itself, by Linux, and forwards by the data plane."""
    assert bypass.left.ping("10.1.0.1") == 3
    assert bypass.left.ping("10.2.0.2") == 3
    assert bypass.left.ping("10.2.0.2", size=1400) == 3
    # Linux has not forwarded one of them.
    ip = bypass.r.run("cat", "/proc/net/snmp").stdout
    head, values = [x.split()[1:] for x in ip.splitlines() if x.startswith("Ip:")]
    assert dict(zip(head, map(int, values)))["ForwDatagrams"] == 0
    assert bypass.router.stop() == 0


def deaf(router):
    return [p["deaf"] for p in router.json("port")]


@pytest.mark.parametrize("forward,flush", [(0, False), (1, False), (1, True)])
def test_kernel_is_deaf(discard, forward, flush):
    """Clear packets to a local and to a remote address pass nowhere, though Linux would forward them; also when somebody has
    thrown away all filters of the machine."""
    net = discard
    assert deaf(net.router) == [True, True]
    if flush:
        net.r.run("nft", "flush", "ruleset")
        wait_for("new filters", lambda: deaf(net.router) == [True, True], 3)
        wait_for("a word of it", lambda: "netdev v-in: its filter was taken away" in net.router.process.output(), 3)
    for dev in "v-in", "v-out":
        assert net.r.run("cat", f"/proc/sys/net/ipv6/conf/{dev}/disable_ipv6").stdout.strip() == "1"
    net.r.sysctl("net.ipv4.ip_forward", forward)
    net.r.sysctl("net.ipv4.conf.all.rp_filter", 0)
    for dev in "v-in", "v-out", "in", "out":
        net.r.sysctl(f"net.ipv4.conf.{dev}.rp_filter", 0)
    left = Wire(net.left, "e0")
    seen = Capture(net.right, "e0", "in")
    mac = net.left.mac("e0")
    for target in net.r.mac("v-in"), net.r.mac("in"), "ff:ff:ff:ff:ff:ff":
        for src in "10.1.0.77", "10.2.0.77", "198.51.100.1":
            for dst in "10.2.0.2", "10.2.0.1", "10.1.0.1":
                left.send(*[Ether(src=mac, dst=target) / IP(src=src, dst=dst) / UDP(sport=7, dport=7) / Raw(b"spoof")
                            for _ in range(3)])
    time.sleep(0.5)
    frames, _ = seen.stop()
    assert [kind(f) for f in frames if kind(f).startswith("clear")] == []
    assert b"spoof" not in b"".join(frames)
    assert net.router.stop() == 0


def test_another_interface_of_that_name(lab):
    """The interface under a port goes and comes back: Linux hears nothing of the new one either."""
    r, left = lab.ns("r"), lab.ns("left")
    left.no_ipv6()
    lab.veth(r, "v-in", left, "e0")
    router = Router(r, config([port("in", ["10.1.0.1/24"])], ipsec={"static-only": True}))
    router.start()
    r.run("ip", "link", "del", "v-in")
    wait_for("it to be missed", lambda: "netdev v-in is gone" in router.process.output(), 3)
    lab.veth(r, "v-in", left, "e0")
    wait_for("the filter", lambda: deaf(router) == [True], 3)
    wait_for("a word of it", lambda: "netdev v-in is another interface now" in router.process.output(), 3)

    def flags():
        return json.loads(r.run("ip", "-j", "link", "show", "v-in").stdout)[0]["flags"]
    wait_for("no ARP", lambda: "NOARP" in flags(), 3)
    assert r.run("cat", "/proc/sys/net/ipv6/conf/v-in/disable_ipv6").stdout.strip() == "1"
    assert router.stop() == 0


def test_an_interface_that_cannot_be_made_deaf(lab):
    """IPv6 cannot be turned off on the interface that came back, for /proc/sys is read-only: it is tried once a second, though each
    try changes filters, and told once; and it is made deaf when that can be done."""
    r, left = lab.ns("r"), lab.ns("left")
    left.no_ipv6()
    lab.veth(r, "v-in", left, "e0")
    router = Router(r, config([port("in", ["10.1.0.1/24"])], ipsec={"static-only": True}))
    router.start()
    its_mounts = ["nsenter", "-t", router.process.pid, "-m"]
    run(its_mounts + ["mount", "-o", "bind,ro", "/proc/sys", "/proc/sys"])
    r.run("ip", "link", "del", "v-in")
    wait_for("it to be missed", lambda: "netdev v-in is gone" in router.process.output(), 3)
    lab.veth(r, "v-in", left, "e0")
    wait_for("the first try", lambda: "it still does" in router.process.output(), 3)
    time.sleep(3)
    assert router.process.output().count("it still does") == 1
    assert router.process.output().count("cannot turn IPv6 off") == 1
    run(its_mounts + ["umount", "/proc/sys"])
    wait_for("the interface", lambda: "which Linux heard: made deaf" in router.process.output(), 5)
    assert r.run("cat", "/proc/sys/net/ipv6/conf/v-in/disable_ipv6").stdout.strip() == "1"
    assert router.stop() == 0


def test_what_linux_sends_is_not_received(lab):
    """Linux speaks on the veth until the port takes it, which af_packet would take in: Linux's own probe for another owner of the
    link-local address, whose MAC the tap has as well, would come in as if that owner had sent it."""
    r, left = lab.ns("r"), lab.ns("left")
    left.no_ipv6()
    r.sysctl("net.ipv6.conf.default.accept_dad", 0)
    lab.veth(r, "v-in", left, "e0")
    router = Router(r, config([port("in", ["10.1.0.1/24"])], ipsec={"static-only": True}))
    wire = Capture(left, "e0", "in")
    lab.start(["ip", "netns", "exec", r.name, "ping", "-q", "-i", "0.001", "ff02::1%v-in"], "ping")
    wait_for("Linux to speak", lambda: wire.file.stat().st_size > 5000)
    router.start()
    tap = r.run("ip", "-s", "-j", "link", "show", "in").stdout
    assert sum(f[12:14] == b"\x86\xdd" for f in wire.stop()[0]) > 10
    assert json.loads(tap)[0]["stats64"]["rx"]["packets"] == 0
    assert router.stop() == 0


def test_a_start_that_fails_gives_interfaces_back(lab):
    """Those that it made deaf; what an earlier router left so, for nothing to leak while it is away, stays."""
    r, left = lab.ns("r"), lab.ns("left")
    for dev in "v-in", "v-out":
        lab.veth(r, dev, left, f"e-{dev}")
    router = Router(r, config([port("in", ["10.1.0.1/24"])], ipsec={"static-only": True}))
    router.start()
    router.kill()
    router.conf["ports"].append(port("out", devargs="net_pcap_out,rx_pcap=/nowhere.pcap,tx_iface=v-out"))
    router.write()
    router.start(wait=False)
    assert router.process.wait(20) != 0
    assert 'device "net_pcap_out' in router.process.tail()
    off = {d: r.run("cat", f"/proc/sys/net/ipv6/conf/{d}/disable_ipv6").stdout.strip() for d in ("v-in", "v-out")}
    assert off == {"v-in": "1", "v-out": "0"}
    assert "device \"v-in\"" in (rules := r.run("nft", "list", "ruleset").stdout) and "v-out" not in rules


def test_each_ike_datagram_arrives_once(discard):
    """To UDP port 500 of the router: neither lost nor given to Linux twice (by the tap and by the veth)."""
    net = discard
    net.left.ping("10.1.0.1", count=1, wait=1)  # neighbours are known
    tap = Capture(net.r, "in", "in")
    left = Wire(net.left, "e0")
    eth = Ether(src=net.left.mac("e0"), dst=net.r.mac("in"))
    n = 50
    for i in range(n):
        left.send(eth / IP(src="10.1.0.2", dst="10.1.0.1", id=i + 1) / UDP(sport=500, dport=500) / Raw(bytes(28)))
        time.sleep(0.002)
    time.sleep(0.3)
    ids = [int.from_bytes(f[18:20], "big") for f in tap.stop()[0] if kind(f) == "ike"]
    snmp = net.r.run("cat", "/proc/net/snmp").stdout
    head, values = [x.split()[1:] for x in snmp.splitlines() if x.startswith("Udp:")]
    udp = dict(zip(head, map(int, values)))
    # Whether it is let in is a matter of policy and of charon's socket; it never comes twice.
    assert len(ids) == len(set(ids))
    assert udp["InDatagrams"] + udp["NoPorts"] <= n
    assert net.router.stop() == 0


def test_routes_follow_linux(bypass):
    """Added, changed and removed while packets run; blackhole and unreachable mean what they say."""
    net = bypass
    net.right.addr("lo", "172.16.0.1/32", "172.16.1.1/32")
    r = net.router

    def prefixes():
        return {x["prefix"] for x in r.routes()}

    assert net.left.ping("172.16.0.1", count=1, wait=0.5) == 0
    net.r.route("172.16.0.0/24", "via", "10.2.0.2")
    wait_for("the route", lambda: "172.16.0.0/24" in prefixes(), 3)
    assert net.left.ping("172.16.0.1") == 3
    net.r.route("blackhole", "172.16.0.1/32")
    wait_for("the blackhole", lambda: "172.16.0.1/32" in prefixes(), 3)
    with Drops(r) as d:
        assert net.left.ping("172.16.0.1", count=2, wait=0.3) == 0
        d.expect({"route-blackhole": 2})
    net.r.run("ip", "route", "del", "blackhole", "172.16.0.1/32")
    wait_for("its end", lambda: "172.16.0.1/32" not in prefixes(), 3)
    assert net.left.ping("172.16.0.1") == 3
    net.r.route("unreachable", "172.16.1.0/24")
    wait_for("unreachable", lambda: "172.16.1.0/24" in prefixes(), 3)
    with Drops(r) as d:
        p = net.left.run("ping", "-n", "-c", "1", "-W", "10", "172.16.1.1", check=False)
        assert re.search("[Uu]nreachable|prohibited|filtered", p.stdout), p.stdout
        d.expect({"route-unreachable": 1})
    net.r.run("ip", "route", "del", "172.16.0.0/24")
    wait_for("the route to go", lambda: "172.16.0.0/24" not in prefixes(), 3)
    with Drops(r) as d:
        assert net.left.ping("172.16.0.1", count=1, wait=0.3) == 0
        d.expect({"no-route": 1})
    assert net.router.stop() == 0


def test_neighbours(bypass):
    """Resolved by the kernel when first needed, with packets held; a changed MAC is followed; none: a drop."""
    net = bypass
    net.r.run("ip", "neigh", "flush", "dev", "out")
    assert net.left.ping("10.2.0.2", count=3) == 3  # not even the first is lost
    net.right.run("ip", "link", "set", "e0", "down")
    net.right.run("ip", "link", "set", "e0", "address", "02:00:00:00:00:42")
    net.right.run("ip", "link", "set", "e0", "up")
    net.right.route("default", "via", "10.2.0.1")
    net.right.ping("10.2.0.1", count=2)  # its ARP says so
    wait_for("the new MAC", lambda: net.left.ping("10.2.0.2", count=1, wait=1) == 1, 10)
    with Drops(net.router) as d:
        assert net.left.ping("10.2.0.99", count=1, wait=4) == 0
        wait_for("a drop", lambda: d.since().get("neighbour-unresolved"), 8)
    assert net.left.ping("10.2.0.2") == 3
    assert net.router.stop() == 0


def test_taps_survive_a_crash(bypass):
    """kill -9: taps, addresses and routes stay, and the next router goes on with them."""
    net = bypass
    net.r.route("172.16.0.0/24", "via", "10.2.0.2")
    net.right.addr("lo", "172.16.0.1/32")
    index = net.r.run("cat", "/sys/class/net/out/ifindex").stdout
    assert net.left.ping("172.16.0.1") == 3
    net.router.kill()
    routes = net.r.run("ip", "route").stdout
    assert "172.16.0.0/24" in routes and "10.2.0.0/24 dev out" in routes
    seen = Capture(net.right, "e0", "in")
    assert net.left.ping("10.2.0.2", count=2, wait=0.3) == 0
    assert not [f for f in seen.stop()[0] if kind(f).startswith("clear")]
    net.router.start()
    assert net.r.run("cat", "/sys/class/net/out/ifindex").stdout == index
    wait_for("forwarding", lambda: net.left.ping("172.16.0.1", count=1, wait=1) == 1, 5)
    assert net.router.stop() == 0


def test_punts_are_rationed(lab):
    """A flood of one class to the router starves neither ARP nor the traffic that passes through."""
    net = Net(lab, "bypass")
    net.router.conf["limits"] = {"punt-rate": 100}
    net.router.write()
    net.start()
    assert net.left.ping("10.2.0.2") == 3
    left = Wire(net.left, "e0")
    flood = bytes(Ether(src=net.left.mac("e0"), dst=net.r.mac("in")) / IP(src="10.1.0.2", dst="10.1.0.1")
                  / UDP(sport=9, dport=9) / Raw(bytes(100)))

    def received():
        return next(p["stats"]["rx_packets"] for p in net.router.json("port") if p["name"] == "in")
    began, before, given = time.monotonic(), received(), 0
    while time.monotonic() < began + 1 or given < 2000:
        left.send(*[flood] * 50)
        given += 50
        time.sleep(0.005)

    def read():
        n = received()
        time.sleep(0.05)
        return received() == n
    wait_for("the flood to be read", read)
    assert net.left.ping("10.2.0.2") == 3
    net.left.run("ip", "neigh", "flush", "dev", "e0")
    assert net.left.ping("10.2.0.2", count=1) == 1  # ARP has a ration of its own

    def refused():
        """At the ration, and before it where its ring is full."""
        return net.router.json("status")["host"]["rationed"]["other"] + net.router.drops().get("punt-ration", 0)
    sent = received() - before
    assert sent > 1000
    wait_for("the flood to be refused", lambda: refused() > sent / 2, 3)
    # What was saved before, and what has come since.
    assert net.router.json("status")["host"]["to_linux"]["other"] < 200 + 100 * (time.monotonic() - began)
    assert net.router.stop() == 0


def test_arp_for_others_is_not_answered(bypass):
    left = Wire(bypass.left, "e0")
    mac = bypass.left.mac("e0")
    left.send(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="10.1.0.2", pdst="10.1.0.50"))
    answer = left.recv(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == bytes([10, 1, 0, 50]), 0.5)
    assert answer is None
    left.send(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="10.1.0.2", pdst="10.1.0.1"))
    answer = left.recv(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == bytes([10, 1, 0, 1]))
    assert answer is not None and ARP(answer[14:]).hwsrc == bypass.r.mac("in")
    # Once, by the tap, and not by the veth under it as well.
    assert left.recv(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == bytes([10, 1, 0, 1]), 0.3) is None


def test_a_tap_that_is_down(bypass):
    """What it does not take is counted where one looks."""
    def refused():
        return bypass.router.json("status")["host"]["refused_by_linux"]
    assert refused() == 0
    bypass.r.run("ip", "link", "set", "in", "down")
    left = Wire(bypass.left, "e0")
    mac = bypass.left.mac("e0")
    left.send(*[bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="10.1.0.2", pdst="10.1.0.1"))] * 5)
    wait_for("them to be refused", lambda: refused() >= 5, 5)
    assert re.search(r"^refused by Linux +[1-9]", bypass.router.ctl("status").stdout, re.M)


def test_icmp_passes_both_ways(bypass):
    left, right = Wire(bypass.left, "e0"), Wire(bypass.right, "e0")
    eth = Ether(src=bypass.left.mac("e0"), dst=bypass.r.mac("in"))
    bypass.left.ping("10.2.0.2", count=1)
    right.drain()
    left.send(eth / IP(src="10.1.0.2", dst="10.2.0.2", ttl=9, tos=0x28) / ICMP(id=7, seq=9) / Raw(b"echo"))
    got = right.recv(is_ip(IP_ICMP))
    assert got is not None
    ip = IP(got[14:])
    assert (ip.ttl, ip.tos, ip[ICMP].seq, bytes(ip[Raw])[:4]) == (8, 0x28, 9, b"echo")
    assert is_ip(IP_UDP)(got) is False
