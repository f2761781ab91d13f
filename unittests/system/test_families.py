# SPDX-License-Identifier: BSD-3-Clause
"""ESP and AH over and of both families, sealed and opened by the reference of esp_ref.py and by scapy.

The transforms themselves are tried by test_transforms.py, test_ah.py and test_transport.py over IPv4; here each pair
of families has a few of them.
"""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (HBHOptUnknown, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting)
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import Ah, Esp
from lab import wait_for
from router import Drops, Router, config, port
from wire import IP_ESP, IP_UDP, Wire, is_ip, is_ip6

ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8:f::1", "2001:db8:f::2")}
HOST = {4: "10.1.0.2", 6: "2001:db8:1::2"}
NET = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}
IP_AH = 51


class Case:
    """What is between the end points of family outer; a network of each family behind the peer."""

    def __init__(self, index, outer, form, udp=False, esn=False):
        self.outer, self.form, self.udp, self.esn, self.index = outer, form, udp, esn, index
        self.spi = {"in": 0x71000000 + index * 16 + 1, "out": 0x71000000 + index * 16 + 2}

    def keys(self, direction):
        s = self.spi[direction]
        enc = bytes((s * 31 + i * 7 + 1) & 0xFF for i in range({"gcm": 20, "cbc": 16, "gmac": 20, "ah": 0}[self.form]))
        return enc, bytes((s * 17 + i * 3) & 0xFF for i in range(32)) if self.form in ("cbc", "ah") else b""

    def ref(self, direction):
        enc, integ = self.keys(direction)
        if self.form == "ah":
            return Ah(self.spi[direction], "sha256", integ, self.esn)
        return Esp(self.spi[direction], self.form, enc, None if self.form == "cbc" else 16,
                   "sha256" if self.form == "cbc" else None, integ, self.esn)

    def net(self, family):
        return f"10.{100 + self.index}.0.0/24" if family == 4 else f"2001:db8:{100 + self.index:x}::/48"

    def far(self, family):
        return f"10.{100 + self.index}.0.9" if family == 4 else f"2001:db8:{100 + self.index:x}::9"

    def sa(self, direction):
        enc, integ = self.keys(direction)
        ends = ENDS[self.outer] if direction == "out" else ENDS[self.outer][::-1]
        cipher = {"gcm": "aes128gcm16", "cbc": "aes128", "gmac": "aes128gmac"}.get(self.form)
        return {"direction": direction, "spi": self.spi[direction], "source": ends[0], "destination": ends[1],
                "reqid": self.index + 1, "insecure-test": True, "esn": self.esn,
                "protocol": "ah" if self.form == "ah" else "esp",
                **({"encryption": cipher, "key": "0x" + enc.hex()} if enc else {}),
                **({"integrity": "sha256", "integrity-key": "0x" + integ.hex()} if integ else {}),
                **({"encapsulation": {}} if self.udp else {}),
                **({"replay-window": 64} if direction == "in" else {})}


CASES = {}
for _outer, _form, _udp, _esn in ((4, "gcm", False, False), (6, "gcm", False, False), (6, "cbc", False, False),
                                  (6, "gmac", False, True), (6, "gcm", True, False), (4, "cbc", True, False),
                                  (6, "ah", False, False), (6, "ah", False, True), (4, "ah", False, False)):
    _name = f"{_form}{'-udp' if _udp else ''}{'-esn' if _esn else ''}-over-{_outer}"
    CASES[_name] = Case(len(CASES), _outer, _form, _udp, _esn)
# Transport mode has end points of its own: 2001:db8:f::10 and so on.
TRANSPORT = {f: Case(40 + i, 6, f) for i, f in enumerate(("gcm", "cbc", "ah"))}


def peer_of(case):
    return f"2001:db8:f::{case.index:x}"


def the_config():
    sas, policies = [], []
    for name, c in CASES.items():
        for d in "in", "out":
            sas.append({"name": f"{name}-{d}", **c.sa(d)})
        for family in 4, 6:
            for d in "in", "out", "fwd":
                ends = (NET[family], c.net(family))
                policies.append({"direction": d, "action": "protect", "source": ends[d != "out"],
                                 "destination": ends[d == "out"], "reqid": c.index + 1,
                                 **({"spi": c.spi["out"]} if d == "out" else {})})
    for form, c in TRANSPORT.items():
        for d in "in", "out":
            ends = (ENDS[6][0], peer_of(c)) if d == "out" else (peer_of(c), ENDS[6][0])
            sas.append({"name": f"transport-{form}-{d}", **c.sa(d), "mode": "transport", "source": ends[0],
                        "destination": ends[1]})
            policies.append({"direction": d, "action": "protect", "source": ends[0], "destination": ends[1],
                             "reqid": c.index + 1, "mode": "transport",
                             **({"spi": c.spi["out"]} if d == "out" else {})})
    return config([port("lan", ["10.1.0.1/24", "2001:db8:1::1/64"]), port("wan", ["192.0.2.1/24", ENDS[6][0] + "/64"])],
                  ipsec={"static-only": True}, sas=sas, policies=policies)


class Site:
    """host -- router -- peer; host and peer answer ARP and neighbour discovery and nothing else."""

    def __init__(self, lab):
        self.r = lab.ns("r")
        self.r.ipv6_at_once()
        self.wire, self.mac = {}, {}
        for n, dev, addrs in (("host", "lan", [HOST[4] + "/24", HOST[6] + "/64"]),
                              ("peer", "wan", ["192.0.2.2/24", ENDS[6][1] + "/64"] +
                               [peer_of(c) + "/64" for c in TRANSPORT.values()])):
            ns = lab.ns(n)
            ns.ipv6_at_once()
            lab.veth(self.r, f"v-{dev}", ns, "e0")
            ns.addr("e0", *addrs)
            ns.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; policy drop; "
                          "}; add rule inet mute in icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept")
            self.wire[n], self.mac[n] = Wire(ns, "e0"), ns.mac("e0")
        self.router = Router(self.r, the_config()).start()
        self.r.route("10.64.0.0/10", "via", "192.0.2.2", "dev", "wan")
        self.r.route("2001:db8::/32", "via", ENDS[6][1], "dev", "wan")
        wait_for("routes", lambda: sum(x["prefix"] in ("10.64.0.0/10", "2001:db8::/32")
                                       for x in self.router.routes()) == 2)
        self.mac["lan"], self.mac["wan"] = self.r.mac("lan"), self.r.mac("wan")
        self.seq = {}

    def number(self, case):
        self.seq[case.index] = self.seq.get(case.index, 0) + 1
        return self.seq[case.index]

    def send(self, who, packet):
        port_name = {"host": "lan", "peer": "wan"}[who]
        self.wire[who].send(bytes(Ether(src=self.mac[who], dst=self.mac[port_name]) / packet))


@pytest.fixture(scope="module")
def site(module_lab):
    s = Site(module_lab)
    yield s
    assert s.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(site):
    for w in site.wire.values():
        w.drain()


def clear(case, family, n, back=False, **ip):
    src, dst = (case.far(family), HOST[family]) if back else (HOST[family], case.far(family))
    layer = (IP if family == 4 else IPv6)(src=src, dst=dst, **ip)
    return layer.__class__(bytes(layer / UDP(sport=4000, dport=5000) / Raw(bytes(i * 5 & 0xFF for i in range(n)))))


def once_forwarded(packet):
    p = packet.copy()
    if IPv6 in p:
        p.hlim -= 1
    else:
        p.ttl -= 1
        del p.chksum
    return bytes(p)


def split(frame):
    """A frame's IP packet: (header, its protocol, what follows)."""
    raw = frame[14:]
    if raw[0] >> 4 == 6:
        packet = IPv6(raw)
        return packet, raw[:40], packet.nh, raw[40:40 + packet.plen]
    packet = IP(raw)
    return packet, raw[:20], packet.proto, raw[20:packet.len]


def outer_packet(case, payload, proto, **ip):
    src, dst = ENDS[case.outer][::-1]
    if case.outer == 6:
        return IPv6(src=src, dst=dst, nh=proto, **ip) / Raw(payload)
    return IP(src=src, dst=dst, proto=proto, **ip) / Raw(payload)


def open_frame(case, frame):
    """(next header, what was in it) of a frame that the router sealed; every check of its outside."""
    packet, header, proto, rest = split(frame)
    assert (packet.src, packet.dst) == ENDS[case.outer]
    ref = case.ref("out")
    if case.form == "ah":
        assert proto == IP_AH
        _, inner, nh = ref.open(header, rest)
        return nh, inner
    if case.udp:
        assert proto == IP_UDP
        udp = packet[UDP]
        assert (udp.sport, udp.dport, udp.len) == (4500, 4500, len(rest))
        if case.outer == 6:  # RFC 8200, 8.1
            sent = udp.chksum
            fresh = IPv6(src=packet.src, dst=packet.dst) / UDP(sport=4500, dport=4500) / Raw(rest[8:])
            assert sent != 0 and IPv6(bytes(fresh))[UDP].chksum == sent
        rest = rest[8:]
    else:
        assert proto == IP_ESP
    _, inner, nh = ref.open(rest)
    return nh, inner


def seal_packet(case, seq, inner, nh):
    ref = case.ref("in")
    if case.form == "ah":
        bare = outer_packet(case, bytes(ref.length(b"\x60" if case.outer == 6 else b"\x45") + len(inner)), IP_AH)
        header = bytes(bare)[:40 if case.outer == 6 else 20]
        return outer_packet(case, ref.seal(seq, header, inner, nh), IP_AH)
    esp = ref.seal(seq, inner, nh)
    if not case.udp:
        return outer_packet(case, esp, IP_ESP)
    return outer_packet(case, bytes(UDP(sport=4500, dport=4500, len=8 + len(esp), chksum=0) / Raw(esp)), IP_UDP)


def is_clear(family, src):
    return is_ip6(IP_UDP, src=src) if family == 6 else is_ip(IP_UDP, src=src)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", CASES)
def test_sealed_opens(site, name, family):
    """Both families in one SA."""
    case = CASES[name]
    for n in (0, 1, 15, 16, 1000, 1300):
        packet = clear(case, family, n)
        site.send("host", packet)
        proto = IP_AH if case.form == "ah" else IP_UDP if case.udp else IP_ESP
        frame = site.wire["peer"].recv(is_ip6(proto) if case.outer == 6 else is_ip(proto))
        assert frame is not None, f"nothing came for {n} bytes: {site.router.drops()}"
        assert open_frame(case, frame) == (4 if family == 4 else 41, once_forwarded(packet))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", [n for n, c in CASES.items() if not c.udp])
def test_opens_sealed(site, name, family):
    """What the reference sealed comes out; damaged in any part it does not."""
    case = CASES[name]
    for n in (0, 1, 15, 16, 1000, 1300):
        packet = clear(case, family, n, back=True)
        good = seal_packet(case, site.number(case), bytes(packet), 4 if family == 4 else 41)
        raw = bytes(good)
        header = 40 if case.outer == 6 else 20
        for at in (header + 4, header + 9, header + 13, len(raw) // 2, len(raw) - 1):
            site.send("peer", good.__class__(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]))
        if case.form == "ah":  # the header too; what may change on its way may change
            bad = good.copy()
            bad.src = "2001:db8:f::77" if case.outer == 6 else "192.0.2.77"
            if case.outer == 4:
                del bad.chksum
            site.send("peer", bad)
            if case.outer == 6:
                good.tc, good.fl, good.hlim = 0x28, 0x12345, 9
        site.send("peer", good)
        frame = site.wire["host"].recv(is_clear(family, packet.src))
        assert frame is not None, f"nothing came for {n} bytes: {site.router.drops()}"
        got = bytearray(frame[14:14 + len(packet)])
        want = bytearray(once_forwarded(packet))
        assert got[header:] == want[header:] and len(got) == len(want)
        assert site.wire["host"].recv(is_clear(family, packet.src), timeout=0.03) is None, "a damaged one came through"


def test_scapy_agrees(site):
    """6 in 6 by scapy's own IPsec layer."""
    case = CASES["gcm-over-6"]
    enc, _ = case.keys("in")
    sa = SecurityAssociation(ESP, spi=case.spi["in"], crypt_algo="AES-GCM", crypt_key=enc,
                             tunnel_header=IPv6(src=ENDS[6][1], dst=ENDS[6][0]))
    packet = clear(case, 6, 100, back=True)
    site.send("peer", sa.encrypt(packet, seq_num=site.number(case)))
    frame = site.wire["host"].recv(is_ip6(IP_UDP, src=packet.src))
    assert frame is not None and frame[14:14 + len(packet)] == once_forwarded(packet)


def test_fragments(site):
    """ESP over IPv6 in fragments, in any order; a fragment alone is worth nothing."""
    case = CASES["cbc-over-6"]
    packet = clear(case, 6, 1000, back=True)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        seq = site.number(case)
        esp = case.ref("in").seal(seq, bytes(packet), 41)
        pieces = [IPv6(src=ENDS[6][1], dst=ENDS[6][0]) / IPv6ExtHdrFragment(nh=IP_ESP, offset=at // 8, m=at + 400 < len(esp),
                                                                           id=seq) / Raw(esp[at:at + 400])
                  for at in range(0, len(esp), 400)]
        assert len(pieces) == 3
        for i in order:
            site.send("peer", pieces[i])
        frame = site.wire["host"].recv(is_ip6(IP_UDP, src=packet.src))
        assert frame is not None and frame[14:14 + len(packet)] == once_forwarded(packet)


def test_too_big(site):
    """Told what fits, which then passes; and never less than every link carries."""
    case = CASES["gcm-over-6"]
    site.send("host", clear(case, 6, 1450))
    frame = site.wire["host"].recv(is_ip6(58))
    mtu = IPv6(frame[14:])[ICMPv6PacketTooBig].mtu
    assert mtu == next(s["mtu"] for s in site.router.sas() if s["spi"] == f"0x{case.spi['out']:08x}") == 1426
    site.send("host", clear(case, 6, mtu - 48))
    frame = site.wire["peer"].recv(is_ip6(IP_ESP))
    assert frame is not None and len(frame) == 1514


def test_spoofed(site):
    """Clear packets that a policy protects, and inner packets of another SA: neither comes through."""
    case, other = CASES["gcm-over-6"], CASES["cbc-over-6"]
    with Drops(site.router) as d:
        site.send("peer", clear(case, 6, 40, back=True))
        d.expect({"policy-clear": 1})
        site.send("peer", IPv6(src=case.far(6), dst=HOST[6]) / IPv6ExtHdrFragment(offset=10, nh=17, m=1) / Raw(bytes(64)))
        d.expect({"policy-clear": 2})
        site.send("peer", seal_packet(case, site.number(case), bytes(clear(other, 6, 40, back=True)), 41))
        d.expect({"policy-clear": 2, "policy-mismatch": 1})
        # Only a neighbour says where a neighbour is.
        na = IPv6(src=case.far(6), dst="2001:db8:1::1", hlim=255) / Raw(b"\x88\0\0\0\x60\0\0\0" + bytes(24))
        na.nh = 58
        site.send("peer", seal_packet(case, site.number(case), bytes(na), 41))
        d.expect({"policy-clear": 2, "policy-mismatch": 1, "ip6-scope": 1})
    assert site.wire["host"].recv(is_ip6(IP_UDP), timeout=0.2) is None


CHAINS = {"none": None, "hop-by-hop": IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x3e, optdata=b"moves"),
                                                                  HBHOptUnknown(otype=0x1e, optdata=b"stays")]),
          "routing": IPv6ExtHdrRouting(type=253, segleft=0, addresses=["2001:db8:f::1"])}


def transport_packet(case, chain, seq, payload, proto):
    head = IPv6(src=peer_of(case), dst=ENDS[6][0], tc=4)
    if chain is not None:
        head = head / chain.copy()
    last = head.lastlayer()
    ref = case.ref("in")
    last.nh = IP_AH if case.form == "ah" else IP_ESP
    n = len(bytes(head))
    if case.form == "ah":
        head.plen = n - 40 + ref.length(b"\x60") + len(payload)
        raw = bytes(head)
        body = ref.seal(seq, raw, payload, proto)
    else:
        body = ref.seal(seq, payload, proto)
        head.plen = n - 40 + len(body)
        raw = bytes(head)
    return raw + body


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("form", TRANSPORT)
def test_transport(site, form, chain):
    """Linux of the router answers a ping; AH covers the headers before it."""
    case = TRANSPORT[form]
    for n in (0, 1, 57, 1200):
        echo = IPv6(bytes(IPv6(src=peer_of(case), dst=ENDS[6][0]) / ICMPv6EchoRequest(id=n, data=bytes(n))))
        raw = transport_packet(case, CHAINS[chain], site.number(case), bytes(echo.payload), 58)
        for at in len(raw) - 1, len(raw) - 12:
            site.send("peer", IPv6(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]))
        if form == "ah" and chain == "hop-by-hop":
            at = raw.index(b"stays")
            site.send("peer", IPv6(raw[:at] + b"S" + raw[at + 1:]))
            raw = raw.replace(b"moves", b"moved")
        assert site.wire["peer"].recv(is_ip6(IP_AH if form == "ah" else IP_ESP, dst=peer_of(case)), timeout=0.05) is None
        site.send("peer", IPv6(raw[:7] + bytes([33]) + raw[8:]))
        frame = site.wire["peer"].recv(is_ip6(IP_AH if form == "ah" else IP_ESP, dst=peer_of(case)))
        assert frame is not None, f"no answer to {n} bytes: {site.router.drops()}"
        packet, header, _, rest = split(frame)
        ref = case.ref("out")
        _, inner, nh = ref.open(header, rest) if form == "ah" else ref.open(rest)
        assert nh == 58
        reply = IPv6(bytes(IPv6(src=packet.src, dst=packet.dst, nh=58) / Raw(inner)))
        assert ICMPv6EchoReply in reply and reply[ICMPv6EchoReply].id == n
        fresh = reply.copy()
        del fresh[ICMPv6EchoReply].cksum
        assert IPv6(bytes(fresh))[ICMPv6EchoReply].cksum == reply[ICMPv6EchoReply].cksum
