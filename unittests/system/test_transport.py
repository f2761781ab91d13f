# SPDX-License-Identifier: BSD-3-Clause
"""Transport mode between the router itself and a peer that is the reference of esp_ref.py."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import Esp
from lab import Lab, wait_for
from router import Drops, Router, config, port
from wire import IP_ESP, IP_ICMP, Wire, is_ip

LOCAL, PEER = "192.0.2.1", "192.0.2.2"
KEY_IN, KEY_OUT = bytes(range(36)), bytes(range(100, 136))
SPI_IN, SPI_OUT = 0x71000001, 0x71000002


def the_config():
    sa = {"mode": "transport", "encryption": "aes256gcm16", "reqid": 9, "insecure-test": True}
    return config([port("wan", [LOCAL + "/24"])], ipsec={"static-only": True}, sas=[
        {**sa, "name": "in", "direction": "in", "spi": SPI_IN, "source": PEER, "destination": LOCAL,
         "key": "0x" + KEY_IN.hex(), "replay-window": 64},
        {**sa, "name": "out", "direction": "out", "spi": SPI_OUT, "source": LOCAL, "destination": PEER,
         "key": "0x" + KEY_OUT.hex()}], policies=[
        {"direction": "in", "action": "protect", "source": PEER + "/32", "destination": LOCAL + "/32", "reqid": 9,
         "mode": "transport"},
        {"direction": "out", "action": "protect", "source": LOCAL + "/32", "destination": PEER + "/32", "reqid": 9,
         "mode": "transport", "spi": SPI_OUT}])


class Peer:
    def __init__(self, lab):
        self.r = lab.ns("r")
        self.r.no_ipv6()
        ns = lab.ns("peer")
        ns.no_ipv6()
        lab.veth(self.r, "v-wan", ns, "e0")
        ns.addr("e0", PEER + "/24")
        ns.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; policy drop; }")
        self.wire, self.mac = Wire(ns, "e0"), ns.mac("e0")
        self.router = Router(self.r, the_config()).start()
        self.router_mac = self.r.mac("wan")
        self.ns = ns
        self.seq = 0
        self.into, self.out = Esp(SPI_IN, "gcm", KEY_IN, 16), Esp(SPI_OUT, "gcm", KEY_OUT, 16)

    def send_ip(self, packet):
        self.wire.send(bytes(Ether(src=self.mac, dst=self.router_mac) / packet))

    def send(self, l4, proto, options=b"", **ip):
        self.seq += 1
        self.send_ip(IP(src=PEER, dst=LOCAL, proto=50, **ip) / Raw(self.into.seal(self.seq, bytes(l4), proto)))

    def recv(self):
        """The next ESP packet, opened; None when none comes."""
        frame = self.wire.recv(is_ip(IP_ESP))
        return frame and self.opened(frame)

    def opened(self, frame):
        """(outer, payload, protocol)"""
        outer = IP(frame[14:])
        _, payload, proto = self.out.open(bytes(outer.payload))
        return outer, payload, proto


@pytest.fixture(scope="module")
def peer():
    with Lab("t-transport") as lab:
        p = Peer(lab)
        yield p
        assert p.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(peer):
    peer.wire.drain()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 56, 1000, 1400])
def test_echo(peer, n):
    """Linux of the router answers; question and answer are sealed between the hosts' own addresses."""
    data = bytes(i & 0xFF for i in range(n))
    peer.send(ICMP(type=8, id=7, seq=n) / Raw(data), 1)
    got = peer.recv()
    assert got is not None, "no answer came"
    outer, payload, proto = got
    assert (outer.src, outer.dst, proto) == (LOCAL, PEER, 1)
    reply = ICMP(payload)
    assert (reply.type, reply.id, reply.seq, bytes(reply.payload)) == (0, 7, n, data)
    fresh = outer.copy()
    del fresh.chksum
    assert outer.chksum == IP(bytes(fresh)).chksum and outer.len == len(bytes(outer))


def test_clear_is_dropped_and_sent_by_nobody(peer):
    """A protected host speaks in clear: dropped. The router's own packets to it never go in clear."""
    with Drops(peer.router) as d:
        peer.send_ip(IP(src=PEER, dst=LOCAL) / ICMP(type=8, id=8))
        assert peer.wire.recv(is_ip(IP_ICMP), timeout=0.5) is None
        wait_for("the drop", lambda: d.since().get("policy-clear") == 1)
    ping = peer.r.start("ping", "-c", "3", "-i", "0.2", "-W", "1", PEER, name="ping")
    ping.wait()
    frames = peer.wire.collect(3, is_ip()) + peer.wire.collect(1, is_ip(), timeout=0.5)
    assert [f[23] for f in frames] == [IP_ESP] * 3, "in clear"
    assert [peer.opened(f)[2] for f in frames] == [1] * 3


def test_tunnelled_packet_in_a_transport_sa(peer):
    """IP in IP is a payload like any other: it is not forwarded as if a tunnel had brought it."""
    peer.send(IP(src="10.9.9.9", dst="10.1.1.1") / UDP(sport=1, dport=2), 4)
    got = peer.recv()
    assert got is not None and got[2] == 1, "Linux knows no IP in IP, and says so"
    error = ICMP(got[1])
    assert (error.type, error.code) == (3, 2)


def test_tcp_works(peer):
    """A SYN to a closed port is answered with RST, checksums right."""
    peer.send(bytes(IP(bytes(IP(src=PEER, dst=LOCAL) / TCP(sport=999, dport=9, flags="S")))[TCP]), 6)
    got = peer.recv()
    assert got is not None and got[2] == 6
    tcp = IP(bytes(IP(src=LOCAL, dst=PEER, proto=6) / Raw(got[1])))[TCP]
    assert tcp.flags == "RA" and tcp.sport == 9
    want = tcp.chksum
    del tcp.chksum
    assert IP(bytes(IP(src=LOCAL, dst=PEER) / tcp))[TCP].chksum == want


def test_path_mtu(peer):
    """Linux is told what fits, and believes it; without DF the ESP packet is fragmented instead."""
    p = peer.r.run("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1472", PEER, check=False)
    assert p.returncode == 1
    # 20 + 8 + 8 of IP and ESP, 16 of ICV, 2 of trailer, and a multiple of 4
    wait_for("the path's MTU", lambda: "mtu 1466" in peer.r.run("ip", "route", "get", PEER).stdout, 3)
    with Drops(peer.router) as d:
        peer.r.run("ping", "-c", "1", "-W", "1", "-M", "do", "-s", str(1466 - 28), PEER, check=False)
        got = peer.recv()
        assert got is not None and got[2] == 1 and len(got[1]) == 1466 - 20 and got[0].len == 1500
        assert d.since() == {}
