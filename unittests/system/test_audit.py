# SPDX-License-Identifier: BSD-3-Clause
"""The audit log: each event provoked from outside in both families, its fields as RFC 4301, 4303 and 4302 want them, and its
ration. ICMP errors about a path are in test_path_mtu.py.
"""

import re
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import Ah, Esp
from lab import Lab, wait_for
from router import Drops, Router, config, pcap_port
from wire import Wire

LOCAL = {4: "192.0.2.1", 6: "2001:db8:f::1"}
PEER = {4: "192.0.2.2", 6: "2001:db8:f::2"}
HOST = {4: "10.1.0.2", 6: "2001:db8:1::2"}
NET = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}
FAR_NET = {4: "10.2.0.0/24", 6: "2001:db8:2::/64"}
FAR = {4: "10.2.0.9", 6: "2001:db8:2::9"}
FLOW = 0xABCDE
RATE = 20
KEY = bytes(range(20))
AH_KEY = bytes(range(32))


def spi(family, kind):
    """kind: "esp", "ah", "out"."""
    return 0x41000000 + family * 16 + {"esp": 1, "ah": 2, "out": 3}[kind]


def the_config():
    sas, policies = [], []
    for f in 4, 6:
        sa = {"reqid": f, "insecure-test": True, "source": PEER[f], "destination": LOCAL[f], "direction": "in",
              "replay-window": 64}
        sas += [{**sa, "name": f"esp{f}", "spi": spi(f, "esp"), "encryption": "aes128gcm16", "key": "0x" + KEY.hex()},
                {**sa, "name": f"ah{f}", "spi": spi(f, "ah"), "protocol": "ah", "integrity": "sha256",
                 "integrity-key": "0x" + AH_KEY.hex()}]
        policies += [{"direction": d, "action": "protect", "source": FAR_NET[f], "destination": NET[f], "reqid": f}
                     for d in ("in", "fwd")]
    return config([pcap_port("lan", ["10.1.0.1/24", "2001:db8:1::1/64"], default_action="bypass"),
                   pcap_port("wan", [f"{LOCAL[4]}/24", f"{LOCAL[6]}/64"], default_action="bypass")],
                  ipsec={"static-only": True, "audit-rate": RATE}, sas=sas, policies=policies)


class Site:
    def __init__(self, lab):
        self.r, self.peer = lab.ns("r"), lab.ns("peer")
        for ns in self.r, self.peer:
            ns.ipv6_at_once()
        lab.veth(self.r, "v-wan", self.peer, "e0")
        lab.veth(self.r, "v-lan", self.peer, "e1")
        self.peer.addr("e1", HOST[4] + "/24", HOST[6] + "/64")
        self.router = Router(self.r, the_config()).start()
        self.wire, self.mac, self.wan = Wire(self.peer, "e0"), self.peer.mac("e0"), self.r.mac("wan")
        self.seq = 0
        wait_for("the SAs", lambda: len(self.router.sas()) == 4)

    def number(self):
        self.seq += 1
        return self.seq

    def send(self, *packets):
        """In IP, as scapy or as bytes."""
        raw = [bytes(p) for p in packets]
        ethernet = {v: bytes(Ether(src=self.mac, dst=self.wan, type=t)) for v, t in ((4, 0x0800), (6, 0x86DD))}
        self.wire.send(*(ethernet[p[0] >> 4] + p for p in raw))

    def mark(self):
        return len(self.router.process.output())

    def line(self, mark, want):
        """Waits for the one line of these fields."""
        fields = "".join(f" {k}={v}" for k, v in want.items())
        line = f"audit:{fields}\n"
        wait_for(line, lambda: line in self.router.process.output()[mark:], 3)


@pytest.fixture(scope="module")
def site():
    with Lab("t-audit") as lab:
        s = Site(lab)
        yield s
        assert s.router.stop() == 0


def outer(family, payload, proto, **ip):
    if family == 6:
        return IPv6(src=PEER[6], dst=LOCAL[6], nh=proto, fl=FLOW, **ip) / Raw(payload)
    return IP(src=PEER[4], dst=LOCAL[4], proto=proto, **ip) / Raw(payload)


def inner(family, src=None):
    layer = IPv6(src=src or FAR[6], dst=HOST[6], fl=0x12345) if family == 6 else IP(src=src or FAR[4], dst=HOST[4])
    return bytes(layer / UDP(sport=1, dport=2) / Raw(bytes(20)))


def esp(family):
    return Esp(spi(family, "esp"), "gcm", KEY, 16)


def ah(family, seq):
    """AH with an ICV that nobody made."""
    length = Ah(spi(family, "ah"), "sha256", AH_KEY, False).length(b"\x60" if family == 6 else b"\x45")
    header = bytes([nh(family), length // 4 - 2, 0, 0]) + spi(family, "ah").to_bytes(4, "big") + seq.to_bytes(4, "big")
    return outer(family, header + bytes(length - len(header)) + inner(family), 51)


def nh(family):
    return 41 if family == 6 else 4


@pytest.mark.parametrize("family", [4, 6])
def test_events(site, family):
    """All that comes from outside: what it was, of which SA and number, who sent it to whom, in which flow, where."""
    flow = {"flow": f"0x{FLOW:05x}"} if family == 6 else {}
    ends = {"source": PEER[family], "destination": LOCAL[family], **flow, "port": "wan"}
    mine = f"0x{spi(family, 'esp'):08x}"

    def check(packets, reason, count, **want):
        mark = site.mark()
        with Drops(site.router) as d:
            site.send(*packets)
            d.expect({reason: count})
        site.line(mark, {**want, **ends})

    # An SPI that nobody has, by either protocol.
    check([outer(family, (0x99999).to_bytes(4, "big") + (5).to_bytes(4, "big") + bytes(40), 50)], "esp-no-sa", 1,
          event="unknown-spi", protocol="esp", spi="0x00099999", sqn=5)
    check([outer(family, bytes([4, 4, 0, 0]) + (0x88888).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes(40), 51)],
          "esp-no-sa", 1, event="unknown-spi", protocol="ah", spi="0x00088888", sqn=6)
    # The ICV.
    n = site.number()
    good = esp(family).seal(n, inner(family), nh(family))
    check([outer(family, good[:-1] + bytes([good[-1] ^ 1]), 50)], "esp-icv", 1,
          event="icv", protocol="esp", spi=mine, sqn=n)
    check([ah(family, 1)], "esp-icv", 1, event="icv", protocol="ah", spi=f"0x{spi(family, 'ah'):08x}", sqn=1)
    # Replay: of what came already, and left of the window.
    check([outer(family, good, 50), outer(family, good, 50)], "esp-replay", 1,
          event="replay", protocol="esp", spi=mine, sqn=n)
    site.seq += 100
    far = site.number()
    check([outer(family, esp(family).seal(far, inner(family), nh(family)), 50),
           outer(family, esp(family).seal(far - 64, inner(family), nh(family)), 50)], "esp-replay", 1,
          event="replay", protocol="esp", spi=mine, sqn=far - 64)
    # What does not fit: length, encapsulation, padding, next header.
    n = site.number()
    check([outer(family, good[:21], 50)], "esp-short", 1, event="malformed", protocol="esp", spi=mine, sqn=int.from_bytes(good[4:8], "big"))
    check([outer(family, esp(family).seal(n, inner(family), 0xFD), 50)], "esp-next-header", 1,
          event="malformed", protocol="esp", spi=mine, sqn=n)
    # Fragments: one that is not of whole blocks; two that contradict each other.
    if family == 4:
        odd = [outer(4, bytes(9), 50, id=9, flags="MF")]
        two = [outer(4, bytes(64), 50, id=10, flags="MF"), outer(4, bytes(64), 50, id=10, frag=4)]
    else:
        def piece(size, **more):
            return IPv6(src=PEER[6], dst=LOCAL[6], fl=FLOW) / IPv6ExtHdrFragment(nh=50, **more) / Raw(bytes(size))
        odd = [piece(9, id=9, m=1)]
        two = [piece(64, id=10, m=1), piece(64, id=10, offset=4)]
    check(odd, "fragment-invalid", 1, event="fragment", protocol="esp", spi="0x00000000", sqn=0)
    check(two, "fragment-overlap", 2, event="fragment", protocol="esp", spi="0x00000000", sqn=0)


@pytest.mark.parametrize("family", [4, 6])
def test_policies(site, family):
    """Of packets that are readable the audit has the addresses of what was refused."""
    flow = {"flow": "0x12345"} if family == 6 else {}
    n, stranger = site.number(), "10.9.0.9" if family == 4 else "2001:db8:9::9"
    mark = site.mark()
    with Drops(site.router) as d:
        site.send(outer(family, esp(family).seal(n, inner(family, stranger), nh(family)), 50))
        d.expect({"policy-mismatch": 1})
        site.send((IPv6 if family == 6 else IP)(inner(family)))
        d.expect({"policy-mismatch": 1, "policy-clear": 1})
    site.line(mark, {"event": "selector", "protocol": "esp", "spi": f"0x{spi(family, 'esp'):08x}", "sqn": n,
                     "source": stranger, "destination": HOST[family], **flow, "port": "wan"})
    site.line(mark, {"event": "clear", "protocol": 17, "spi": "0x00000000", "sqn": 0, "source": FAR[family],
                     "destination": HOST[family], **flow, "port": "wan"})


def test_ration(site):
    """A flood of one event fills no log and hides no other; how many were not told is told."""
    mark = site.mark()
    # Made before: scapy takes its time.
    flood = [bytes(outer(4, (0x77777).to_bytes(4, "big") + i.to_bytes(4, "big") + bytes(40), 50)) for i in range(1000)]
    start = time.monotonic()
    with Drops(site.router) as d:
        for n in range(0, 1000, 100):  # no more than the ring keeps for a worker that gets no cpu
            site.send(*flood[n:n + 100])
            wait_for("the drops", lambda n=n: d.since().get("esp-no-sa", 0) >= n + 100)
        site.send(IP(inner(4)))
        d.expect({"esp-no-sa": 1000, "policy-clear": 1}, 10)
    took = time.monotonic() - start
    wait_for("the other event", lambda: "audit: event=clear" in site.router.process.output()[mark:], 3)

    def told():
        return sum(int(n) for n in re.findall(r"audit: suppressed unknown-spi=(\d+)", site.router.process.output()[mark:]))

    def written():
        return site.router.process.output()[mark:].count("audit: event=unknown-spi")

    wait_for("the sum", lambda: written() + told() == 1000, 25)
    assert written() <= RATE * (took + 2)  # whole seconds, of which the first and the last are counted in part
    assert 0 < written() < 500
