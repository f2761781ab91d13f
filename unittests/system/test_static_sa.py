# SPDX-License-Identifier: BSD-3-Clause
"""Static SAs against scapy, which knows ESP by itself: sealed, opened, damaged, replayed."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab import Lab, wait_for
from router import Drops, Router, config, port
from wire import IP_ESP, IP_ICMP, IP_UDP, Wire, is_ip

WINDOW = 1024
LOCAL, PEER = "192.0.2.1", "192.0.2.2"
HOST = "10.1.0.2"
# One pair of SAs for each key length, and a network behind the peer that uses it.
BITS = {128: "10.2.1", 192: "10.2.2", 256: "10.2.3"}


def key(bits, direction):
    """Key and salt, as IKE gives them."""
    return bytes((bits + i * 7 + len(direction)) & 0xFF for i in range(bits // 8 + 4))


def spi(bits, direction):
    """No two differ in one bit: a flipped one names no SA."""
    return 0x51000000 + {128: 0x0000, 192: 0x3300, 256: 0x5500}[bits] + {"in": 0x11, "out": 0x22}[direction]


def static_config(mode, workers=1, crypto=1):
    sas, policies = [], []
    for bits, net in BITS.items():
        for direction in "in", "out":
            ends = (LOCAL, PEER) if direction == "out" else (PEER, LOCAL)
            sas.append({"name": f"{direction}-{bits}", "direction": direction, "spi": spi(bits, direction),
                        "source": ends[0], "destination": ends[1], "encryption": f"aes{bits}gcm16",
                        "key": "0x" + key(bits, direction).hex(), "reqid": bits, "insecure-test": True,
                        **({"replay-window": WINDOW} if direction == "in" else {})})
        for direction in "in", "out", "fwd":
            nets = ["10.1.0.0/24", f"{net}.0/24"]
            if direction != "out":
                nets.reverse()
            policies.append({"direction": direction, "action": "protect", "source": nets[0],
                             "destination": nets[1], "reqid": bits,
                             **({"spi": spi(bits, "out")} if direction == "out" else {})})
    return config([port("lan", ["10.1.0.1/24"], qpairs=workers), port("wan", [LOCAL + "/24"], qpairs=workers)],
                  workers=workers, crypto=crypto, mode=mode, ipsec={"static-only": True}, sas=sas, policies=policies)


class Site:
    """host -- router -- peer; host and peer answer ARP and nothing else."""

    def __init__(self, lab, conf):
        self.lab = lab
        self.r = lab.ns("r")
        self.r.no_ipv6()
        self.wires = {}
        for n, dev, a in ("host", "lan", HOST), ("peer", "wan", PEER):
            ns = lab.ns(n)
            ns.no_ipv6()
            lab.veth(self.r, f"v-{dev}", ns, "e0")
            ns.addr("e0", a + "/24")
            ns.run("nft", "add table inet mute; add chain inet mute in "
                          "{ type filter hook input priority 0; policy drop; }")
            self.wires[n] = Wire(ns, "e0")
            setattr(self, n, self.wires[n])
            setattr(self, n + "_mac", ns.mac("e0"))
        self.router = Router(self.r, conf).start()
        for net in BITS.values():
            self.r.route(f"{net}.0/24", "via", PEER, "dev", "wan")
        wait_for("routes", lambda: sum(x["prefix"].startswith("10.2.") for x in self.router.routes()) == len(BITS))
        self.lan_mac, self.wan_mac = self.r.mac("lan"), self.r.mac("wan")

    def sa(self, bits, direction):
        ends = (LOCAL, PEER) if direction == "out" else (PEER, LOCAL)
        return SecurityAssociation(ESP, spi=spi(bits, direction), crypt_algo="AES-GCM",
                                   crypt_key=key(bits, direction), tunnel_header=IP(src=ends[0], dst=ends[1]))

    def clear(self, bits, payload=b"x" * 64, back=False, ttl=64, **ip):
        """A packet of a host; back: one that comes from behind the peer."""
        far = BITS[bits] + ".9"
        src, dst = (far, HOST) if back else (HOST, far)
        return IP(bytes(IP(src=src, dst=dst, ttl=ttl, **ip) / UDP(sport=4000, dport=5000) / Raw(payload)))

    def to_router(self, packet, port_name):
        mac = {"lan": (self.host_mac, self.lan_mac), "wan": (self.peer_mac, self.wan_mac)}[port_name]
        return bytes(Ether(src=mac[0], dst=mac[1]) / packet)

    def seal(self, bits, seq, payload=b"y" * 64):
        """A frame for the router with a packet from behind the peer, and that packet."""
        inner = self.clear(bits, payload, back=True)
        return self.to_router(self.sa(bits, "in").encrypt(inner, seq_num=seq), "wan"), inner

    def works(self, seq, bits=128):
        """The router still forwards, both ways."""
        frame, inner = self.seal(bits, seq)
        self.peer.send(frame)
        got = self.host.recv(is_ip(IP_UDP, src=inner.src))
        assert got is not None and bytes(IP(got[14:])[UDP]) == bytes(inner[UDP])
        self.host.send(self.to_router(self.clear(bits), "lan"))
        assert self.peer.recv(is_ip(IP_ESP)) is not None

    def drain(self):
        for w in self.wires.values():
            w.drain()


@pytest.fixture(scope="module", params=["dedicated", "inline"])
def site(request):
    with Lab(f"t-static-{request.param}") as lab:
        s = Site(lab, static_config(request.param))
        s.seq = dict.fromkeys(BITS, 0)
        yield s
        assert s.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(site):
    site.drain()


def next_seq(site, bits, step=1):
    site.seq[bits] += step
    return site.seq[bits]


@pytest.mark.parametrize("bits", BITS)
def test_sealed_opens(site, bits):
    """Every length of padding; outer header, sequence numbers and the inner packet are right."""
    last = None
    for n in list(range(0, 40)) + [512, 1300, 1400]:
        clear = site.clear(bits, (bytes(range(256)) * 6)[:n], tos=0xB8, ttl=33)
        site.host.send(site.to_router(clear, "lan"))
        frame = site.peer.recv(is_ip(IP_ESP))
        assert frame is not None, f"nothing came for {n} bytes"
        outer = IP(frame[14:])
        assert (outer.src, outer.dst) == (LOCAL, PEER)
        assert outer.len == len(frame) - 14 and outer.proto == IP_ESP
        fresh = outer.copy()
        del fresh.chksum
        assert outer.chksum == IP(bytes(fresh)).chksum
        esp = outer[ESP]
        assert esp.spi == spi(bits, "out")
        assert last is None or esp.seq == last + 1
        last = esp.seq
        inner = site.sa(bits, "out").decrypt(outer)
        want = clear.copy()
        want.ttl = 32
        del want.chksum
        assert bytes(inner) == bytes(IP(bytes(want))), f"{n} bytes"


@pytest.mark.parametrize("bits", BITS)
def test_scapys_is_opened(site, bits):
    for n in list(range(0, 40)) + [512, 1300, 1400]:
        frame, inner = site.seal(bits, next_seq(site, bits), (bytes(range(256)) * 6)[:n])
        site.peer.send(frame)
        got = site.host.recv(is_ip(IP_UDP, src=inner.src))
        assert got is not None, f"nothing came for {n} bytes"
        want = inner.copy()
        want.ttl -= 1
        del want.chksum
        want = bytes(IP(bytes(want)))
        assert got[14:14 + len(want)] == want


def expected_reason(bit, seq, top):
    """The right reasons for a packet whose bit (from the IP header on) is flipped.

    None for a bit that makes a fragment of it: net_af_packet has the kernel put fragments together, so the
    router never sees one."""
    byte = bit // 8
    if (byte == 6 and bit % 8 >= 2) or byte == 7:
        return None
    if byte == 0:
        return ("ip4-version",) if bit < 4 else ("ip4-header-length", "ip4-short", "ip4-checksum")
    if byte in (2, 3):
        return ("ip4-short", "ip4-checksum")
    if byte < 20:
        return ("ip4-checksum",)
    if byte < 24:
        return ("esp-no-sa",)
    if byte < 28:
        flipped = seq ^ (1 << (31 - (bit - 24 * 8)))
        return ("esp-replay",) if flipped + WINDOW <= top or flipped == 0 else ("esp-icv",)
    return ("esp-icv",)


@pytest.mark.parametrize("bits", BITS)
def test_every_flipped_bit(site, bits):
    """One flipped bit anywhere from the IP header to the ICV: dropped, for the right reason, and no other."""
    top = next_seq(site, bits, 5000)
    frame, _ = site.seal(bits, top)
    site.peer.send(frame)
    assert site.host.recv(is_ip(IP_UDP)) is not None
    seq = next_seq(site, bits)
    frame, inner = site.seal(bits, seq)
    want, several, batch = {}, {}, []
    with Drops(site.router) as drops:
        for bit in range((len(frame) - 14) * 8):
            damaged = bytearray(frame)
            damaged[14 + bit // 8] ^= 0x80 >> (bit % 8)
            reasons = expected_reason(bit, seq, top)
            if reasons is None:
                continue
            if len(reasons) == 1:
                want[reasons[0]] = want.get(reasons[0], 0) + 1
                batch.append(damaged)
            else:
                several.setdefault(reasons, []).append(bytes(damaged))
        site.peer.send(*batch)
        drops.expect(want, timeout=10)
    for reasons, frames in several.items():
        with Drops(site.router) as drops:
            site.peer.send(*frames)
            wait_for("drops", lambda n=len(frames): sum(drops.since().values()) == n)
            assert set(drops.since()) <= set(reasons)
    assert site.host.recv(is_ip(IP_UDP), timeout=0.2) is None
    # None of that has moved the window: the true packet is still new.
    site.peer.send(frame)
    got = site.host.recv(is_ip(IP_UDP, src=inner.src))
    assert got is not None


def test_replay(site):
    """Each number once, also out of order; the whole window again, and what lies left of it: refused."""
    bits = 256
    base = next_seq(site, bits, 10000)
    order = [base + i for i in (5, 3, 4, 0, 100, 99, 1, 2, 700)]
    frames = [site.seal(bits, s)[0] for s in order]
    with Drops(site.router) as drops:
        site.peer.send(*frames)
        assert len(site.host.collect(len(frames), is_ip(IP_UDP))) == len(frames)
        assert drops.since() == {}
        site.peer.send(*frames)
        drops.expect({"esp-replay": len(frames)})
        top = base + 700
        site.peer.send(site.seal(bits, top - WINDOW)[0])  # just left of the window
        drops.expect({"esp-replay": len(frames) + 1})
        site.peer.send(site.seal(bits, top - WINDOW + 1)[0])  # its last place
        assert site.host.recv(is_ip(IP_UDP)) is not None
    site.seq[bits] = top


def test_bad_packets(site):
    """Truncated, oversized and garbage: each dropped for its reason, and the router goes on."""
    ip = site.clear(128)
    eth = site.to_router(ip, "lan")
    head = eth[:14]
    body = bytearray(eth[14:])

    def changed(at, value):
        b = bytearray(body)
        b[at:at + len(value)] = value
        return head + bytes(b)

    def summed(packet):
        packet = packet.copy()
        del packet.chksum
        return site.to_router(IP(bytes(packet)), "lan")

    cases = [
        (head + bytes(body[:10]).ljust(10, b"\0"), "ip4-short"),
        (changed(0, b"\x65"), "ip4-version"),
        (changed(0, b"\x44"), "ip4-header-length"),
        (changed(2, b"\x40\x00"), "ip4-short"),  # says it is longer than the frame
        (changed(2, b"\x00\x0a"), "ip4-short"),  # shorter than its header
        (changed(10, b"\xde\xad"), "ip4-checksum"),
        (summed(site.clear(128, ttl=1)), "ip4-ttl"),
        (summed(IP(src="224.0.0.9", dst="10.2.1.9") / UDP()), "ip4-source"),
        (summed(IP(src="127.0.0.1", dst="10.2.1.9") / UDP()), "ip4-source"),
        (summed(IP(src=HOST, dst="203.0.113.1") / UDP()), "no-route"),
        (eth[:12] + b"\x12\x34" + eth[14:], "ether-type"),
        (bytes(Ether(dst="02:00:00:99:99:99", src=site.host_mac) / ip), "ether-not-us"),
    ]
    for frame, reason in cases:
        with Drops(site.router) as drops:
            site.host.send(frame)
            drops.expect({reason: 1})
    assert site.peer.recv(is_ip(IP_ESP), timeout=0.2) is None
    site.works(next_seq(site, 128))


def test_bad_esp(site):
    good, _ = site.seal(128, next_seq(site, 128))
    packet = IP(good[14:])

    def again(p):
        del p.chksum, p.len
        return site.to_router(IP(bytes(p)), "wan")

    unknown = packet.copy()
    unknown[ESP].spi = 0x7654321
    short = IP(src=PEER, dst=LOCAL, proto=IP_ESP) / Raw(bytes(packet.payload)[:20])
    tiny = IP(src=PEER, dst=LOCAL, proto=IP_ESP) / Raw(b"\1\2\3")
    for p, reason in (unknown, "esp-no-sa"), (short, "esp-short"), (tiny, "esp-short"):
        with Drops(site.router) as drops:
            site.peer.send(again(p))
            drops.expect({reason: 1})
    site.works(next_seq(site, 128))


def test_inner_packet_must_match_its_policy(site):
    """Sealed by the right key, but what is in it belongs to another SA, or to none."""
    bits = 128
    for src in BITS[256] + ".9", "198.51.100.7":
        inner = IP(bytes(IP(src=src, dst=HOST) / UDP(sport=1, dport=2) / Raw(b"z" * 40)))
        with Drops(site.router) as drops:
            site.peer.send(site.to_router(site.sa(bits, "in").encrypt(inner, seq_num=next_seq(site, bits)), "wan"))
            drops.expect({"policy-mismatch": 1})
    assert site.host.recv(is_ip(IP_UDP), timeout=0.2) is None


def test_clear_is_refused(site):
    """What a policy protects does not come in in clear, and what none does is discarded by default."""
    with Drops(site.router) as drops:
        site.peer.send(site.to_router(site.clear(128, back=True), "wan"))
        drops.expect({"policy-clear": 1})
        other = IP(bytes(IP(src="198.51.100.7", dst=HOST) / UDP()))
        site.peer.send(site.to_router(other, "wan"))
        drops.expect({"policy-clear": 1, "policy-default": 1})
    assert site.host.recv(is_ip(), timeout=0.2) is None


def test_ttl_and_mtu_are_answered(site):
    site.host.send(site.to_router(site.clear(128, ttl=1), "lan"))
    got = site.host.recv(is_ip(IP_ICMP))
    assert got is not None and (IP(got[14:])[ICMP].type, IP(got[14:])[ICMP].code) == (11, 0)
    with Drops(site.router) as drops:
        site.host.send(site.to_router(site.clear(128, bytes(1460), flags="DF"), "lan"))
        got = site.host.recv(is_ip(IP_ICMP))
        assert got is not None
        icmp = IP(got[14:])[ICMP]
        assert (icmp.type, icmp.code) == (3, 4) and 1300 < icmp.nexthopmtu < 1488, icmp.nexthopmtu
        drops.expect({"ip4-mtu": 1})
    # What fits the MTU that was told passes.
    fits = site.clear(128, bytes(icmp.nexthopmtu - 28), flags="DF")
    assert len(fits) == icmp.nexthopmtu
    site.host.send(site.to_router(fits, "lan"))
    assert site.peer.recv(is_ip(IP_ESP)) is not None


def test_counters(site):
    """Packets and bytes of an SA are what went through it; a damaged packet is none of them."""
    def usage(direction):
        return next((s["packets"], s["bytes"]) for s in site.router.sas()
                    if int(s["spi"], 16) == spi(192, direction))
    before = usage("in"), usage("out")
    for _ in range(10):
        frame, inner = site.seal(192, next_seq(site, 192))
        bad = bytearray(site.seal(192, next_seq(site, 192))[0])
        bad[-1] ^= 1
        site.peer.send(frame, bad)
        site.host.send(site.to_router(site.clear(192), "lan"))
    assert len(site.host.collect(10, is_ip(IP_UDP))) == 10
    assert len(site.peer.collect(10, is_ip(IP_ESP))) == 10
    after = usage("in"), usage("out")
    assert [a[0] - b[0] for a, b in zip(after, before)] == [10, 10]
    assert after[0][1] - before[0][1] == 10 * len(inner)
