# SPDX-License-Identifier: BSD-3-Clause
"""What an attacker sends against selectors with ports, in both families and directions (RFC 4301, 4.4.1.1 and 7).

host -- router -- peer. UDP to port 5000 is protected, other UDP bypasses; of the network that only the hosts with IKE's ports
speak to, all is protected; the ports' default action is bypass, so whatever a policy does not catch would go through in clear.
"""

import re

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import Esp
from lab import wait_for
from router import Drops, Router, config, pcap_port
from wire import IP_ESP, IP_UDP, Wire, is_ip, is_ip6

ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8:f::1", "2001:db8:f::2")}
NET = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}
HOST = {4: "10.1.0.2", 6: "2001:db8:1::2"}
FAR_NET = {4: "10.2.0.0/24", 6: "2001:db8:2::/64"}
FAR = {4: "10.2.0.9", 6: "2001:db8:2::9"}
ALL_NET = {4: "10.3.0.0/24", 6: "2001:db8:3::/64"}
ALL = {4: "10.3.0.9", 6: "2001:db8:3::9"}
KEY_IN, KEY_OUT = bytes(range(20)), bytes(range(50, 70))
SPI_IN, SPI_OUT = 0x31000001, 0x31000002
PROTECTED, OTHER = 5000, 6000


def the_config():
    sa = {"encryption": "aes128gcm16", "reqid": 1, "insecure-test": True}
    sas = [{**sa, "name": "in", "direction": "in", "spi": SPI_IN, "source": ENDS[4][1], "destination": ENDS[4][0],
            "key": "0x" + KEY_IN.hex(), "replay-window": 64},
           {**sa, "name": "out", "direction": "out", "spi": SPI_OUT, "source": ENDS[4][0], "destination": ENDS[4][1],
            "key": "0x" + KEY_OUT.hex()}]
    policies = []
    for f in 4, 6:
        for d in "in", "out", "fwd":
            protect = {"direction": d, "action": "protect", "reqid": 1, **({"spi": SPI_OUT} if d == "out" else {})}
            far = {"source": NET[f], "destination": FAR_NET[f]} if d == "out" else \
                {"source": FAR_NET[f], "destination": NET[f]}
            everything = {"source": NET[f], "destination": ALL_NET[f]} if d == "out" else \
                {"source": ALL_NET[f], "destination": NET[f]}
            policies += [{**protect, **far, "protocol": "udp", "destination-ports": str(PROTECTED), "priority": 100},
                         {"direction": d, "action": "bypass", **far, "protocol": "udp", "priority": 200},
                         {**protect, **everything}]
    return config([pcap_port("lan", ["10.1.0.1/24", "2001:db8:1::1/64"], default_action="bypass"),
                   pcap_port("wan", [f"{ENDS[4][0]}/24", f"{ENDS[6][0]}/64"], default_action="bypass")],
                  ipsec={"static-only": True, "audit-rate": 1000}, sas=sas, policies=policies)


class Site:
    def __init__(self, lab):
        self.r = lab.ns("r")
        self.r.ipv6_at_once()
        self.wire, self.mac = {}, {}
        for n, dev, addrs in (("host", "lan", [HOST[4] + "/24", HOST[6] + "/64"]),
                              ("peer", "wan", [ENDS[4][1] + "/24", ENDS[6][1] + "/64"])):
            ns = lab.ns(n)
            ns.ipv6_at_once()
            lab.veth(self.r, f"v-{dev}", ns, "e0")
            ns.addr("e0", *addrs)
            ns.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; policy drop; "
                          "}; add rule inet mute in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept")
            self.wire[n], self.mac[n] = Wire(ns, "e0"), ns.mac("e0")
        self.router = Router(self.r, the_config()).start()
        for f in 4, 6:
            for net in FAR_NET[f], ALL_NET[f]:
                self.r.route(net, "via", ENDS[f][1], "dev", "wan")
        wait_for("routes", lambda: sum(x["prefix"] in (*FAR_NET.values(), *ALL_NET.values())
                                       for x in self.router.routes()) == 4)
        self.mac["lan"], self.mac["wan"] = self.r.mac("lan"), self.r.mac("wan")
        for f in 4, 6:  # neighbours are found
            for who, src, dst in ("host", HOST[f], FAR[f]), ("peer", FAR[f], HOST[f]):
                self.send(who, udp(f, src, dst, OTHER))
                other = self.wire["peer" if who == "host" else "host"]
                assert other.recv(is_ip6(dst=dst) if f == 6 else is_ip(dst=dst)) is not None
        self.esp_in, self.esp_out, self.seq = Esp(SPI_IN, "gcm", KEY_IN, 16), Esp(SPI_OUT, "gcm", KEY_OUT, 16), 0

    def send(self, who, packet):
        self.wire[who].send(bytes(Ether(src=self.mac[who], dst=self.mac[{"host": "lan", "peer": "wan"}[who]]) / packet))

    def seal(self, packet):
        """From the peer, through the SA."""
        self.seq += 1
        nh = 41 if IPv6 in packet else 4
        self.send("peer", IP(src=ENDS[4][1], dst=ENDS[4][0], proto=50) / Raw(self.esp_in.seal(self.seq, bytes(packet), nh)))


def udp(family, src, dst, dport, sport=4000, n=64):
    return ip(family, src, dst, bytes(IP(bytes(IP(src="1.1.1.1", dst="1.1.1.2") / UDP(sport=sport, dport=dport, chksum=0)
                                               / Raw(bytes(n))))[UDP]), 17)


def ip(family, src, dst, payload, proto, at=0, more=False):
    """A packet, or a fragment of one: payload from offset at on."""
    if family == 4:
        return IP(src=src, dst=dst, proto=proto, id=77, frag=at // 8, flags="MF" if more else 0) / Raw(payload)
    if at == 0 and not more:
        return IPv6(src=src, dst=dst, nh=proto) / Raw(payload)
    return IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(nh=proto, id=77, offset=at // 8, m=int(more)) / Raw(payload)


def pieces(family, src, dst, dport):
    """Name -> what an attacker makes of a datagram to that port: by RFC 1858 and RFC 3128."""
    whole = UDP(sport=4000, dport=dport, len=8 + 64, chksum=0) / Raw(bytes(64))
    raw = bytes(whole)
    return {"first": ip(family, src, dst, raw[:48], 17, more=True),
            "tiny": ip(family, src, dst, raw[:8], 17, more=True),
            "later": ip(family, src, dst, raw[48:], 17, at=48),
            "last": ip(family, src, dst, raw[64:], 17, at=64),
            # Over the ports of a first one that was allowed, in a host that takes the newer data.
            "overlap": ip(family, src, dst, raw[8:48], 17, at=8, more=True),
            # So short that there are no ports in it.
            "portless": ip(family, src, dst, raw[:2], 17, more=True)}


UNSEEN = ("later", "last", "overlap", "portless")  # their ports are not to be seen


@pytest.fixture(scope="module")
def site(module_lab):
    s = Site(module_lab)
    yield s
    assert s.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(site):
    for w in site.wire.values():
        w.drain()


def leaves(site, family, packet, dst):
    """How a packet of the host leaves: "sealed", "clear" or "not at all"."""
    site.send("host", packet)
    esp, clear = is_ip(IP_ESP), is_ip6(dst=dst) if family == 6 else is_ip(dst=dst)
    frame = site.wire["peer"].recv(lambda f: esp(f) or clear(f))
    if frame is None:
        return "not at all"
    if clear(frame):
        return "clear"
    inner = site.esp_out.open(bytes(IP(frame[14:]).payload))[1]
    # As it was, but one hop older.
    at, end = (7, 8) if family == 6 else (8, 12)
    want = bytes(packet)
    assert inner[:at] + inner[end:] == want[:at] + want[end:]
    return "sealed"


def arrives(site, family, dst, timeout=10):
    return site.wire["host"].recv(is_ip6(dst=dst) if family == 6 else is_ip(dst=dst), timeout=timeout)


@pytest.mark.parametrize("family", [4, 6])
def test_outbound(site, family):
    """What may belong to the protected port never leaves in clear."""
    for dport in PROTECTED, OTHER:
        got = {"whole": leaves(site, family, udp(family, HOST[family], FAR[family], dport), FAR[family])}
        for name, p in pieces(family, HOST[family], FAR[family], dport).items():
            got[name] = leaves(site, family, p, FAR[family])
        want = {n: "sealed" if dport == PROTECTED or n in UNSEEN else "clear" for n in got}
        assert got == want, (dport, got)


@pytest.mark.parametrize("family", [4, 6])
def test_clear_inbound(site, family):
    """The same from outside in clear: dropped, counted as such, audited; what is of another port comes in."""
    for dport in PROTECTED, OTHER:
        sent = {"whole": udp(family, FAR[family], HOST[family], dport), **pieces(family, FAR[family], HOST[family], dport)}
        for name, p in sent.items():
            with Drops(site.router) as d:
                site.send("peer", p)
                if dport == PROTECTED or name in UNSEEN:
                    d.expect({"policy-clear": 1})
                    assert site.wire["host"].recv(is_ip6(dst=HOST[6]) if family == 6 else is_ip(dst=HOST[4]), timeout=0.05) is None, name
                else:
                    assert arrives(site, family, HOST[family]) is not None, name
                    assert d.since() == {}
    want = re.compile(rf"audit: event=clear protocol=17 spi=0x00000000 sqn=0 source={FAR[family]} "
                      rf"destination={HOST[family]}( flow=0x00000)? port=wan\n")
    wait_for("the audit", lambda: len(want.findall(site.router.process.output())) >= 6)


@pytest.mark.parametrize("family", [4, 6])
def test_inner(site, family):
    """Through the SA comes what its policy allows, whole or in pieces, and nothing else."""
    src, dst = FAR[family], HOST[family]
    for name, p in {"whole": udp(family, src, dst, PROTECTED), **pieces(family, src, dst, PROTECTED)}.items():
        with Drops(site.router) as d:
            site.seal(p)
            assert arrives(site, family, dst) is not None, name
            assert d.since() == {}
    other = pieces(family, src, dst, OTHER)
    tcp = bytes(IP(bytes(IP(src="1.1.1.1", dst="1.1.1.2") / TCP(dport=PROTECTED)))[TCP])
    foreign = "10.9.0.9" if family == 4 else "2001:db8:9::9"
    for name, p in {"port": udp(family, src, dst, OTHER), "first": other["first"], "tiny": other["tiny"],
                    "protocol": ip(family, src, dst, tcp, 6), "source": udp(family, foreign, dst, PROTECTED),
                    "destination": udp(family, src, FAR[family][:-1] + "8", PROTECTED),
                    "no port": ip(family, src, dst, bytes(40), 89)}.items():
        with Drops(site.router) as d:
            site.seal(p)
            d.expect({"policy-mismatch": 1})
            assert arrives(site, family, dst, 0.3) is None, name
    want = re.compile(rf"audit: event=selector protocol=esp spi=0x{SPI_IN:08x} sqn=\d+ source={src} destination={dst}"
                      rf"( flow=0x00000)? port=wan\n")
    wait_for("the audit", lambda: len(want.findall(site.router.process.output())) >= 5)


@pytest.mark.parametrize("family", [4, 6])
def test_ike_ports_of_hosts(site, family):
    """IKE's ports are worth nothing to a host behind us, nor to who pretends to be behind the peer."""
    for sport, dport in ((500, 500), (4500, 4500), (4500, 500), (500, 4500)):
        for payload in bytes(28), b"\0\0\0\0" + bytes(28), SPI_IN.to_bytes(4, "big") + bytes(60), b"\xff":
            datagram = bytes(IP(bytes(IP(src="1.1.1.1", dst="1.1.1.2") / UDP(sport=sport, dport=dport, chksum=0) /
                                      Raw(payload)))[UDP])
            assert leaves(site, family, ip(family, HOST[family], ALL[family], datagram, 17), ALL[family]) == "sealed"
            with Drops(site.router) as d:
                site.send("peer", ip(family, ALL[family], HOST[family], datagram, 17))
                d.expect({"policy-clear": 1})
    assert arrives(site, family, HOST[family], 0.3) is None


def test_headers_cut_off(site):
    """RFC 7112: an IPv6 first fragment without all headers could be of any protocol."""
    for who, src, dst in ("host", HOST[6], FAR[6]), ("peer", FAR[6], HOST[6]):
        cut = IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(nh=60, m=1, id=5) / Raw(bytes([17, 3]) + bytes(6))
        hidden = IPv6(src=src, dst=dst) / IPv6ExtHdrDestOpt(nh=17) / Raw(bytes(UDP(sport=1, dport=PROTECTED, len=8)))
        with Drops(site.router) as d:
            site.send(who, cut)
            d.expect({"ip6-chain": 1})
        if who == "host":
            assert leaves(site, 6, hidden, dst) == "sealed"
        else:
            with Drops(site.router) as d:
                site.send(who, hidden)
                d.expect({"policy-clear": 1})
    for n in "host", "peer":
        assert site.wire[n].recv(is_ip6(IP_UDP), timeout=0.1) is None
