# SPDX-License-Identifier: BSD-3-Clause
"""MTU: what is too large is cut up or answered, and ESP in fragments is put together."""

import itertools
import random
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import checksum

from lab import Lab, wait_for
from router import Drops, Router, config, pcap_port
from wire import IP_ESP, IP_ICMP, Wire, is_ip

LOCAL, PEER, HOST, FAR = "192.0.2.1", "192.0.2.2", "10.1.0.2", "10.2.0.9"
KEYS = {"a": bytes(range(20)), "b": bytes(range(50, 70))}
SPI = {"a": 0x61000001, "b": 0x61000002}  # by who seals
AFTER = "10.3.0.9"  # behind the peer too, by an SA that fragments afterwards


def tunnel(name, local, peer, near, far, seals, reqid, **out):
    """SAs and policies of a tunnel: seals is whose key the outbound SA has."""
    opens = "b" if seals == "a" else "a"
    sa = {"encryption": "aes128gcm16", "reqid": reqid, "insecure-test": True}
    sas = [{**sa, "name": f"{name}-in", "direction": "in", "spi": SPI[opens] + reqid * 16, "source": peer,
            "destination": local, "key": "0x" + KEYS[opens].hex(), "replay-window": 1024},
           {**sa, "name": f"{name}-out", "direction": "out", "spi": SPI[seals] + reqid * 16, "source": local,
            "destination": peer, "key": "0x" + KEYS[seals].hex(), **out}]
    policies = [{"direction": d, "action": "protect", "source": near if d == "out" else far,
                 "destination": far if d == "out" else near, "reqid": reqid,
                 **({"spi": SPI[seals] + reqid * 16} if d == "out" else {})} for d in ("in", "out", "fwd")]
    return sas, policies


class Site:
    """host -- router -- peer; host and peer answer ARP and nothing else."""

    def __init__(self, lab):
        self.lab = lab
        self.r = lab.ns("r")
        self.r.no_ipv6()
        for n, dev, a in ("host", "lan", HOST), ("peer", "wan", PEER):
            ns = lab.ns(n)
            ns.no_ipv6()
            lab.veth(self.r, f"v-{dev}", ns, "e0")
            ns.addr("e0", a + "/24")
            ns.run("nft", "add table inet mute; add chain inet mute in { type filter hook input priority 0; policy drop; }")
            setattr(self, n, Wire(ns, "e0"))
            setattr(self, n + "_mac", ns.mac("e0"))
        before = tunnel("before", LOCAL, PEER, "10.1.0.0/24", "10.2.0.0/24", "a", 1)
        after = tunnel("after", LOCAL, PEER, "10.1.0.0/24", "10.3.0.0/24", "a", 2, fragment="after")
        conf = config([pcap_port("lan", ["10.1.0.1/24"], **{"default-action": "bypass"}),
                       pcap_port("wan", [LOCAL + "/24"], **{"default-action": "bypass"})],
                      ipsec={"static-only": True}, sas=before[0] + after[0], policies=before[1] + after[1])
        self.router = Router(self.r, conf).start()
        for net in "10.2.0.0/24", "10.3.0.0/24":
            self.r.route(net, "via", PEER, "dev", "wan")
        self.r.route("198.51.100.0/24", "via", PEER, "dev", "wan", "mtu", "1000")
        wait_for("routes", lambda: sum(x["prefix"].startswith(("10.2.", "10.3.", "198.")) for x in self.router.routes()) == 3)
        wait_for("the tunnel's MTU", lambda: self.mtu() is not None)
        self.lan_mac, self.wan_mac = self.r.mac("lan"), self.r.mac("wan")
        self.seq, self.id = 0, 0

    def mtu(self):
        return next(s for s in self.router.sas() if s["spi"] == f"0x{SPI['a'] + 16:08x}")["mtu"]

    def sa(self, who, reqid=1):
        ends = (LOCAL, PEER) if who == "a" else (PEER, LOCAL)
        return SecurityAssociation(ESP, spi=SPI[who] + reqid * 16, crypt_algo="AES-GCM", crypt_key=KEYS[who],
                                   tunnel_header=IP(src=ends[0], dst=ends[1]))

    def send(self, dst, size, **ip):
        """A packet of that size from the host; what it is one hop on."""
        self.id += 1
        p = IP(bytes(IP(src=HOST, dst=dst, id=self.id, **ip) / UDP(sport=1, dport=2) / Raw(data(size - 28))))
        assert len(p) == size
        self.host.send(bytes(Ether(src=self.host_mac, dst=self.lan_mac) / p))
        return once_forwarded(p)

    def sealed(self, size=1400):
        """ESP of the peer and what is in it."""
        self.seq += 1
        self.id += 1
        inner = IP(bytes(IP(src=FAR, dst=HOST, id=self.id) / UDP(sport=1, dport=2) / Raw(data(size - 28))))
        outer = self.sa("b").encrypt(inner, seq_num=self.seq)
        outer.id = self.id
        del outer.chksum
        return IP(bytes(outer)), once_forwarded(inner)

    def to_wan(self, *packets):
        self.peer.send(*(bytes(Ether(src=self.peer_mac, dst=self.wan_mac) / p) for p in packets))

    def arrives(self, want):
        got = self.host.recv(is_ip(src=FAR))
        assert got is not None and got[14:14 + len(want)] == want

    def mbufs(self):
        return self.router.json("status")["counts"]["mbufs"]["free"]


def data(n):
    return (bytes(range(256)) * (n // 256 + 1))[:n]


def once_forwarded(p):
    p = p.copy()
    p.ttl -= 1
    del p.chksum
    return bytes(p)


def join(packets):
    """The datagram that fragments make, by RFC 791; nothing may overlap or be missing."""
    packets = sorted(packets, key=lambda p: p.frag)
    payload = b""
    for p in packets:
        assert p.frag * 8 == len(payload) and (p.flags.MF == (p is not packets[-1])), [x.summary() for x in packets]
        payload += bytes(p.payload)
    first = packets[0].copy()
    first.remove_payload()
    first.flags, first.len = first.flags & ~1, None
    del first.chksum
    return bytes(IP(bytes(first / Raw(payload))))


@pytest.fixture(scope="module")
def site():
    with Lab("t-mtu") as lab:
        s = Site(lab)
        yield s
        assert s.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(request):
    if "site" in request.fixturenames:
        s = request.getfixturevalue("site")
        s.host.drain()
        s.peer.drain()


def ips(frames):
    return [IP(IP(f[14:]).build()) for f in frames]


@pytest.mark.parametrize("size", [996, 999, 1000, 1001, 1004, 1008, 1500])
def test_clear(site, size):
    """The route's MTU is 1000."""
    want = site.send("198.51.100.9", size)
    got = ips(site.peer.collect(1 if size <= 1000 else 2, is_ip(dst="198.51.100.9")))
    assert len(got) == (1 if size <= 1000 else 2) and all(p.len <= 1000 for p in got)
    assert join(got) == want
    site.send("198.51.100.9", size, flags="DF")
    if size <= 1000:
        assert site.peer.recv(is_ip(dst="198.51.100.9")) is not None
    else:
        got = site.host.recv(is_ip(IP_ICMP))
        icmp = IP(got[14:])[ICMP]
        assert (icmp.type, icmp.code, icmp.nexthopmtu) == (3, 4, 1000)
        assert site.peer.recv(is_ip(dst="198.51.100.9"), timeout=0.2) is None


def test_tunnel_before(site):
    """Up to the MTU that cygnetctl shows in one ESP packet; above it in two, each in itself whole."""
    mtu = site.mtu()
    assert mtu == 1446
    for size in mtu - 1, mtu, mtu + 1, 1500:
        want = site.send(FAR, size)
        n = 1 if size <= mtu else 2
        got = ips(site.peer.collect(n, is_ip(IP_ESP)))
        assert len(got) == n and all(p.len <= 1500 and not p.flags.MF and p.frag == 0 for p in got)
        assert join([site.sa("a").decrypt(p) for p in got]) == want
    site.send(FAR, mtu + 1, flags="DF")
    icmp = IP(site.host.recv(is_ip(IP_ICMP))[14:])[ICMP]
    assert (icmp.type, icmp.code, icmp.nexthopmtu) == (3, 4, mtu)


def test_tunnel_after(site):
    """The SA says so: the ESP packet is fragmented, and opens when it is put together."""
    for size in 1446, 1447, 1500:
        want = site.send(AFTER, size)
        n = 1 if size <= 1446 else 2
        got = ips(site.peer.collect(n, is_ip(IP_ESP)))
        assert len(got) == n and all(p.len <= 1500 for p in got)
        assert bytes(site.sa("a", 2).decrypt(IP(join(got)))) == want


def test_orders(site):
    """ESP in four pieces, in each order."""
    with Drops(site.router) as d:
        for order in itertools.permutations(range(4)):
            esp, want = site.sealed()
            pieces = fragment(esp, 400)
            assert len(pieces) == 4
            site.to_wan(*(pieces[i] for i in order))
            site.arrives(want)
        assert d.since() == {}


def test_interleaved(site):
    made = [site.sealed() for _ in range(20)]
    pieces = [p for esp, _ in made for p in fragment(esp, 400)]
    random.Random(1).shuffle(pieces)
    site.to_wan(*pieces)
    got = {f[14:14 + 1400] for f in site.host.collect(20, is_ip(src=FAR))}
    assert got == {want for _, want in made}


def test_duplicates(site):
    esp, want = site.sealed()
    a, b = fragment(esp, 800)
    with Drops(site.router) as d:
        site.to_wan(b, b, a)
        site.arrives(want)
        d.expect({"fragment-duplicate": 1})


def test_overlaps(site):
    """Refused whole, with what comes later; memory is back at once."""
    esp, _ = site.sealed()
    a, b, c = fragment(esp, 536)
    evil = b.copy()
    evil.frag -= 1
    del evil.chksum
    with Drops(site.router) as d:
        site.to_wan(a, b, evil, c, a)
        d.expect({"fragment-overlap": 5})
    assert site.host.recv(is_ip(src=FAR), timeout=0.3) is None


def test_tiny_first(site):
    esp, _ = site.sealed()
    with Drops(site.router) as d:
        site.to_wan(*fragment(esp, 8)[:1])
        d.expect({"fragment-invalid": 1})


def test_missing(site):
    """After two seconds nothing is left of what did not become whole."""
    time.sleep(2.2)
    free = site.mbufs()
    made = [fragment(site.sealed()[0], 400) for _ in range(4)]
    with Drops(site.router) as d:
        began = time.monotonic()
        site.to_wan(*(p for miss, pieces in enumerate(made) for i, p in enumerate(pieces) if i != miss))
        time.sleep(1)
        dropped = d.since()
        assert dropped == {} or time.monotonic() >= began + 2
        d.expect({"fragment-timeout": 12}, timeout=5)
    wait_for("the buffers", lambda: site.mbufs() == free, 5)


def test_flood(site):
    """First fragments from everywhere: the table is full all the time, and traffic goes on."""
    time.sleep(2.2)
    free, lost = site.mbufs(), 0
    rnd = random.Random(2)
    base = bytearray(bytes(Ether(src=site.peer_mac, dst=site.wan_mac) / IP(src="11.0.0.0", dst=LOCAL, proto=50, flags="MF")
                           / Raw(bytes(1200))))
    frames = []
    for _ in range(3000):
        # By hand: scapy takes milliseconds a packet.
        base[18:20] = rnd.randbytes(2)  # id
        base[26:30] = bytes([11, *rnd.randbytes(2), 1])  # source
        base[24:26] = bytes(2)
        base[24:26] = checksum(bytes(base[14:34])).to_bytes(2, "big")
        frames.append(bytes(base))
    with Drops(site.router) as d:
        began = time.monotonic()
        for burst in range(30):
            site.peer.send(*frames[burst * 100:burst * 100 + 50])
            esp, want = site.sealed()
            site.to_wan(*fragment(esp, 800))
            site.peer.send(*frames[burst * 100 + 50:burst * 100 + 100])
            # The last: when it is out the port's ring is empty, which has room for one burst.
            whole, want2 = site.sealed(600)
            site.to_wan(whole)
            got = {f[14:14 + len(w)] for w, f in zip((want, want2), site.host.collect(2, is_ip(src=FAR)))}
            lost += 2 - len(got)
            assert free - site.mbufs() < 256 + 1024, "the table holds more than its limit"
        took = time.monotonic() - began
        wait_for("all of them to be dropped", lambda: sum(d.since().values()) >= 3000)
        dropped = d.since()
    assert lost == 0
    assert set(dropped) <= {"fragment-full", "fragment-timeout"} and sum(dropped.values()) == 3000, dropped
    # The table has room for 256, each for two seconds: it was full all the time.
    assert dropped["fragment-timeout"] <= 256 * (took / 2 + 2)
    # All but what the thread between router and Linux has at hand.
    wait_for("the buffers", lambda: free - site.mbufs() < 16, 5)


@pytest.mark.parametrize("mode", ["before", "after"])
def test_large_ping(mode):
    """host-a -- site-a == site-b -- host-b: the hosts fragment 8,000 bytes, the sites once more."""
    with Lab(f"t-mtu-{mode}") as lab:
        ns = {n: lab.ns(n) for n in ("ha", "ra", "rb", "hb")}
        for n in ns.values():
            n.no_ipv6()
        lab.veth(ns["ra"], "v-wan", ns["rb"], "v-wan")
        routers = {}
        for k, here, there in ("a", 1, 2), ("b", 2, 1):
            lab.veth(ns["r" + k], "v-lan", ns["h" + k], "e0")
            ns["h" + k].addr("e0", f"10.{here}.0.2/24")
            ns["h" + k].route("default", "via", f"10.{here}.0.1")
            sas, policies = tunnel("t", f"192.0.2.{here}", f"192.0.2.{there}", f"10.{here}.0.0/24",
                                   f"10.{there}.0.0/24", k, 1)
            routers[k] = Router(ns["r" + k], config(
                [pcap_port("lan", [f"10.{here}.0.1/24"]), pcap_port("wan", [f"192.0.2.{here}/24"])],
                ipsec={"static-only": True, "fragment": mode}, sas=sas, policies=policies)).start()
            ns["r" + k].route(f"10.{there}.0.0/24", "via", f"192.0.2.{there}", "dev", "wan")
        ns["ha"].ping("10.2.0.2", count=3)  # neighbours
        assert ns["ha"].ping("10.2.0.2", count=20, interval=0.1, size=8000, df=False) == 20
        # Path MTU discovery: told once, then it fits.
        assert ns["ha"].ping("10.2.0.2", count=3, size=1400, df=True) == 3
        assert ns["ha"].ping("10.2.0.2", count=3, size=1472, df=True, wait=1) == 0
        wait_for("the path MTU", lambda: "mtu 1446" in ns["ha"].run("ip", "route", "get", "10.2.0.2").stdout)
        reassembled = {n["node"]: n["packets"] for lcore in routers["b"].json("graph", "stats") for n in lcore["nodes"]}
        assert (reassembled["ip4-reassembly"] >= 20) == (mode == "after")
        for r in routers.values():
            assert r.stop() == 0
