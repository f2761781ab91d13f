# SPDX-License-Identifier: BSD-3-Clause
"""Path MTU: Linux, on the way between two ends of a tunnel, has a link that carries less than the router's own.

host -- router -- hop (1400 bytes from here on) -- peer
"""

import re

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import Esp
from lab import wait_for
from router import Drops, Router, config, port
from wire import IP_ESP, IP_ICMP, IP_ICMP6, IP_UDP, Wire, is_ip, is_ip6

NARROW = 1400
LOCAL = {4: "192.0.2.1", 6: "2001:db8:f::1"}
HOP = {4: "192.0.2.254", 6: "2001:db8:f::fe"}
FAR_END = {4: "198.51.100.2", 6: "2001:db8:e::2"}
HOST = {4: "10.1.0.2", 6: "2001:db8:1::2"}


class Case:
    def __init__(self, index, outer, udp, fragment="before"):
        self.index, self.outer, self.udp, self.fragment = index, outer, udp, fragment
        self.spi = 0x51000000 + index
        self.key = bytes((index * 31 + i * 7 + 1) & 0xFF for i in range(20))
        self.net = {4: f"10.{100 + index}.0.0/24", 6: f"2001:db8:{100 + index:x}::/48"}
        self.far = {4: f"10.{100 + index}.0.9", 6: f"2001:db8:{100 + index:x}::9"}

    def sa(self):
        return {"name": f"s{self.index}", "direction": "out", "spi": self.spi, "source": LOCAL[self.outer],
                "destination": FAR_END[self.outer], "reqid": self.index + 1, "insecure-test": True,
                "encryption": "aes128gcm16", "key": "0x" + self.key.hex(), "fragment": self.fragment,
                **({"encapsulation": {}} if self.udp else {})}

    def opened(self, frame):
        """The packet inside a frame."""
        raw = frame[14:]
        outer = IPv6(raw) if raw[0] >> 4 == 6 else IP(raw)
        assert (outer.src, outer.dst) == (LOCAL[self.outer], FAR_END[self.outer])
        at = (40 if self.outer == 6 else 20) + (8 if self.udp else 0)
        return Esp(self.spi, "gcm", self.key, 16).open(raw[at:(40 + outer.plen) if self.outer == 6 else outer.len])[1]

    def match(self):
        proto = IP_UDP if self.udp else IP_ESP
        return is_ip6(proto, dst=FAR_END[6]) if self.outer == 6 else is_ip(proto, dst=FAR_END[4])


CASES = {f"{'udp-' if u else ''}over-{o}": Case(i, o, u) for i, (o, u) in
         enumerate(((4, False), (6, False), (4, True), (6, True)))}
AFTER = Case(4, 6, False, "after")


class Site:
    def __init__(self, lab):
        self.r, self.hop = lab.ns("r"), lab.ns("hop")
        self.host, self.peer = lab.ns("host"), lab.ns("peer")
        for ns in self.r, self.hop, self.host, self.peer:
            ns.ipv6_at_once()
        lab.veth(self.r, "v-lan", self.host, "e0")
        lab.veth(self.r, "v-wan", self.hop, "e0")
        lab.veth(self.hop, "e1", self.peer, "e0")
        self.hop.run("ip", "link", "set", "e1", "mtu", NARROW)
        self.host.addr("e0", HOST[4] + "/24", HOST[6] + "/64")
        self.hop.addr("e0", HOP[4] + "/24", HOP[6] + "/64")
        self.hop.addr("e1", "198.51.100.1/24", "2001:db8:e::1/64")
        self.peer.addr("e0", FAR_END[4] + "/24", FAR_END[6] + "/64")
        for key, value in (("net.ipv4.ip_forward", 1), ("net.ipv6.conf.all.forwarding", 1), ("net.ipv4.icmp_ratelimit", 0),
                           ("net.ipv6.icmp.ratelimit", 0)):
            self.hop.sysctl(key, value)
        for ns in self.host, self.peer:
            ns.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; policy drop; "
                          "}; add rule inet mute in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept")
        sas = [c.sa() for c in (*CASES.values(), AFTER)]
        policies = [{"direction": "out", "action": "protect", "source": f"{HOST[f]}", "destination": c.net[f],
                     "reqid": c.index + 1, "spi": c.spi} for c in (*CASES.values(), AFTER) for f in (4, 6)]
        self.router = Router(self.r, config(
            [port("lan", ["10.1.0.1/24", "2001:db8:1::1/64"]), port("wan", [LOCAL[4] + "/24", LOCAL[6] + "/64"])],
            ipsec={"static-only": True, "audit-rate": 1000}, sas=sas, policies=policies)).start()
        self.r.route("default", "via", HOP[4], "dev", "wan")
        self.r.route("::/0", "via", HOP[6], "dev", "wan")
        wait_for("routes", lambda: sum(x["prefix"] in ("0.0.0.0/0", "::/0") for x in self.router.routes()) == 2)
        wait_for("the MTU of the route", lambda: all(s["path_mtu"] == 1500 for s in self.router.sas()))
        self.wire = {n: Wire(getattr(self, n), "e0") for n in ("host", "hop", "peer")}
        self.mac = {"host": self.host.mac("e0"), "hop": self.hop.mac("e0"), "lan": self.r.mac("lan"), "wan": self.r.mac("wan")}

    def state(self, case):
        return next(s for s in self.router.sas() if s["spi"] == f"0x{case.spi:08x}")

    def send(self, case, family, size, **ip):
        """A packet of that size from the host; what it is one hop on."""
        layer = IPv6 if family == 6 else IP
        head = layer(src=HOST[family], dst=case.far[family], **ip) / UDP(sport=4000, dport=5000)
        p = layer(bytes(head / Raw(bytes(size - len(head)))))
        self.wire["host"].send(bytes(Ether(src=self.mac["host"], dst=self.mac["lan"]) / p))
        if family == 6:
            p.hlim -= 1
        else:
            p.ttl -= 1
            del p.chksum
        return bytes(p)

    def error(self, case, quoted, mtu):
        """The frame of an error of the hop about a packet, whatever it is."""
        if case.outer == 6:
            p = IPv6(src=HOP[6], dst=LOCAL[6]) / ICMPv6PacketTooBig(mtu=mtu) / Raw(quoted)
        else:
            p = IP(src=HOP[4], dst=LOCAL[4]) / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(quoted)
        return bytes(Ether(src=self.mac["hop"], dst=self.mac["wan"]) / p)


@pytest.fixture(scope="module")
def site(module_lab):
    s = Site(module_lab)
    yield s
    assert s.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(site):
    for w in site.wire.values():
        w.drain()


@pytest.mark.parametrize("name", CASES)
def test_learned(site, name):
    """The first packet is lost, the hop's error is believed; from then on hosts are told, and what fits arrives."""
    case = CASES[name]
    family = case.outer
    df = {"flags": "DF"} if family == 4 else {}
    with Drops(site.router) as d:
        site.send(case, family, 1400, **df)
        wait_for("the path's MTU", lambda: site.state(case)["path_mtu"] == NARROW)
        d.expect({"path-mtu": 1})
    state = site.state(case)
    assert 500 <= state["path_mtu_left"] <= 600 and 1300 < state["mtu"] < NARROW - 50
    assert f"SA 0x{case.spi:08x}: the path to {FAR_END[family]} carries {NARROW} bytes, says {HOP[family]}" in \
        site.router.process.output()
    assert "by an ICMP error, for" in site.router.ctl("sa", f"0x{case.spi:08x}").stdout
    assert site.wire["peer"].recv(case.match(), timeout=0.1) is None
    for f in 4, 6:
        site.send(case, f, state["mtu"] + 1, **({"flags": "DF"} if f == 4 else {}))
        frame = site.wire["host"].recv(is_ip6(IP_ICMP6, dst=HOST[6]) if f == 6 else is_ip(IP_ICMP, dst=HOST[4]))
        told = IPv6(frame[14:])[ICMPv6PacketTooBig].mtu if f == 6 else IP(frame[14:])[ICMP].nexthopmtu
        assert told == state["mtu"]
        want = site.send(case, f, told, **({"flags": "DF"} if f == 4 else {}))
        frame = site.wire["peer"].recv(case.match())
        assert frame is not None and NARROW - 4 < len(frame) - 14 <= NARROW and case.opened(frame) == want
    # Without DF it is cut before it is sealed.
    site.send(case, 4, 1400)
    assert len(site.wire["peer"].collect(2, case.match())) == 2


def test_sealed_whole(site):
    """fragment: after. Over IPv6 the router must cut for the path, and not only for its own link."""
    site.send(AFTER, 6, 1440)
    wait_for("the path's MTU", lambda: site.state(AFTER)["path_mtu"] == NARROW)
    site.send(AFTER, 4, 1440)
    pieces = site.wire["peer"].collect(2, is_ip6(44, dst=FAR_END[6]))
    assert len(pieces) == 2 and all(len(p) - 14 <= NARROW for p in pieces)


@pytest.mark.parametrize("name", CASES)
def test_forged(site, name):
    """Whoever knows no packet of ours changes nothing; it is counted, and audited with who it was."""
    case = CASES[name]
    before = site.state(case)["path_mtu"]
    site.send(case, case.outer, 600)
    real = bytearray(site.wire["peer"].recv(case.match())[14:][:120])
    at = (40 if case.outer == 6 else 20) + (8 if case.udp else 0)
    if case.outer == 6:
        real[4:6] = (1420).to_bytes(2, "big")
    else:
        real[2:4], real[6] = (1460).to_bytes(2, "big"), 0x40
    forged = []
    for where, what in ((at + 3, 0x80), (at + 7, 0xC0), (at + 4, 1), (at - (8 if case.udp else 0) - 1, 1)):
        bad = bytearray(real)
        bad[where] ^= what
        forged.append(site.error(case, bytes(bad), 1300))
    forged.append(site.error(case, bytes(real), 9000 if case.outer == 4 else 1279))
    forged.append(site.error(case, bytes(real), 1300)[:-1] + b"\x55")  # its checksum is wrong
    with Drops(site.router) as d:
        site.wire["hop"].send(*forged)
        d.expect({"path-mtu-refused": len(forged) - 2 * case.udp})  # of an SPI in UDP that is nobody's, Linux is told
    assert site.state(case)["path_mtu"] == before
    line = re.compile(rf"audit: event=path-mtu protocol=esp spi=0x{case.spi:08x} sqn=\d+ source={HOP[case.outer]} "
                      rf"destination={LOCAL[case.outer]}( flow=0x[0-9a-f]{{5}})? port=wan\n")
    wait_for("the audit line", lambda: line.search(site.router.process.output()))
    # The same, true and too small: no smaller than every path is.
    with Drops(site.router) as d:
        site.wire["hop"].send(site.error(case, bytes(real), 68 if case.outer == 4 else 1280))
        d.expect({"path-mtu": 1})
    wait_for("the least MTU", lambda: site.state(case)["path_mtu"] == (576 if case.outer == 4 else 1280))
