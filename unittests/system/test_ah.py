# SPDX-License-Identifier: BSD-3-Clause
"""AH in transport and tunnel mode, with each integrity algorithm, against the reference of esp_ref.py."""

import pytest
from cryptography.exceptions import InvalidTag
from scapy.layers.inet import ICMP, IP, IPOption_NOP, IPOption_Router_Alert, UDP
from scapy.layers.ipsec import AH, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import INTEGRITY, Ah
from lab import wait_for
from router import Drops, Router, config, port
from wire import IP_UDP, Wire, is_ip

IP_AH = 51
LOCAL, PEER, HOST = "192.0.2.1", "192.0.2.2", "10.1.0.2"
CASES = {f"{i}{'-esn' if esn else ''}": (i, esn) for i in INTEGRITY for esn in (False, True)}
# Each case has a peer of its own in transport mode, and a network behind the peer in tunnel mode.
INDEX = {name: n for n, name in enumerate(CASES)}


def key(name, spi):
    return bytes((spi * 13 + i * 7 + 3) & 0xFF for i in range(INTEGRITY[CASES[name][0]][1]))


def spi(name, mode, direction):
    return 0x81000000 + INDEX[name] * 0x10000 + {"transport": 0x100, "tunnel": 0x200}[mode] + \
        {"in": 1, "out": 2}[direction]


def peer_of(name):
    return f"192.0.2.{100 + INDEX[name]}"


def net_of(name):
    return f"10.2.{INDEX[name]}"


def ref(name, mode, direction):
    s = spi(name, mode, direction)
    return Ah(s, CASES[name][0], key(name, s), CASES[name][1])


def the_config():
    sas, policies = [], []
    for name, (integrity, esn) in CASES.items():
        for mode in "transport", "tunnel":
            far = peer_of(name) if mode == "transport" else PEER
            reqid = INDEX[name] * 2 + (mode == "tunnel") + 1
            for direction in "in", "out":
                s = spi(name, mode, direction)
                ends = (LOCAL, far) if direction == "out" else (far, LOCAL)
                sas.append({"name": f"{mode}-{direction}-{name}", "protocol": "ah", "mode": mode,
                            "direction": direction, "spi": s, "source": ends[0], "destination": ends[1],
                            "integrity": integrity, "integrity-key": "0x" + key(name, s).hex(), "reqid": reqid,
                            "esn": esn, "insecure-test": True,
                            **({"replay-window": 64} if direction == "in" else {})})
            near, away = (LOCAL + "/32", far + "/32") if mode == "transport" else ("10.1.0.0/24", net_of(name) + ".0/24")
            for direction in ("in", "out") if mode == "transport" else ("in", "out", "fwd"):
                ends = (near, away) if direction == "out" else (away, near)
                policies.append({"direction": direction, "action": "protect", "source": ends[0],
                                 "destination": ends[1], "reqid": reqid, "mode": mode,
                                 **({"spi": spi(name, mode, "out")} if direction == "out" else {})})
    return config([port("lan", ["10.1.0.1/24"]), port("wan", [LOCAL + "/24"])], ipsec={"static-only": True},
                  sas=sas, policies=policies)


class Site:
    def __init__(self, lab):
        r = lab.ns("r")
        r.no_ipv6()
        self.wire, self.mac = {}, {}
        for n, dev, a in ("host", "lan", HOST), ("peer", "wan", PEER):
            ns = lab.ns(n)
            ns.no_ipv6()
            lab.veth(r, f"v-{dev}", ns, "e0")
            ns.addr("e0", a + "/24")
            if n == "peer":
                for name in CASES:
                    ns.addr("e0", peer_of(name) + "/24")
            ns.run("nft", "add table inet mute; add chain inet mute in "
                          "{ type filter hook input priority 0; policy drop; }")
            self.wire[n], self.mac[n] = Wire(ns, "e0"), ns.mac("e0")
        self.router = Router(r, the_config()).start()
        r.route("10.2.0.0/16", "via", PEER, "dev", "wan")
        wait_for("the route", lambda: any(x["prefix"] == "10.2.0.0/16" for x in self.router.routes()))
        self.mac["lan"], self.mac["wan"] = r.mac("lan"), r.mac("wan")
        self.seq = {}

    def number(self, *of):
        self.seq[of] = self.seq.get(of, 0) + 1
        return self.seq[of]

    def send(self, ip):
        self.wire["peer"].send(bytes(Ether(src=self.mac["peer"], dst=self.mac["wan"]) / ip))

    def recv(self, ah, timeout=10.0):
        """The next AH packet, checked: (outer header, payload, protocol)."""
        frame = self.wire["peer"].recv(is_ip(IP_AH), timeout)
        if frame is None:
            return None
        packet = IP(frame[14:])
        n = packet.ihl * 4
        _, rest, nh = ah.open(bytes(packet)[:n], bytes(packet)[n:])
        return packet, rest, nh


@pytest.fixture(scope="module")
def site(module_lab):
    s = Site(module_lab)
    yield s
    assert s.router.stop() == 0


@pytest.fixture(autouse=True)
def quiet(site):
    for w in site.wire.values():
        w.drain()


def with_ah(ah, seq, payload, proto, **ip):
    """An IPv4 packet of AH."""
    head = IP(proto=IP_AH, **ip)
    n = len(bytes(head))
    head.len = n + 12 + ah.icv_len + len(payload)
    raw = bytes(IP(bytes(head)))[:n]
    return IP(raw + ah.seal(seq, raw, payload, proto))


@pytest.mark.parametrize("name", CASES)
def test_transport(site, name):
    """Linux of the router answers a ping; every damaged byte is refused."""
    into, out, far = ref(name, "transport", "in"), ref(name, "transport", "out"), peer_of(name)
    for n in (0, 1, 57, 1300):
        echo = bytes(ICMP(type=8, id=n, seq=1) / Raw(bytes(n)))
        packet = with_ah(into, site.number(name, "transport"), echo, 1, src=far, dst=LOCAL, tos=0x28, ttl=9, id=7)
        raw = bytes(packet)
        for at in (4, 12, 20, 24, 28, 32, len(raw) - 1):
            bad = IP(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])
            del bad.chksum
            if at != 12:  # a source of its own would be another peer's
                site.send(IP(bytes(bad)))
        assert site.recv(out, 0.1) is None, "a damaged packet was answered"
        site.send(packet)
        got = site.recv(out)
        assert got is not None, f"no answer to {n} bytes"
        assert got[2] == 1 and ICMP(got[1]).type == 0 and ICMP(got[1]).id == n


@pytest.mark.parametrize("name", CASES)
def test_tunnel(site, name):
    into, out, far = ref(name, "tunnel", "in"), ref(name, "tunnel", "out"), net_of(name) + ".9"
    for n in (0, 1, 57, 1300):
        clear = IP(bytes(IP(src=HOST, dst=far, ttl=33, tos=0xB8) / UDP(sport=1, dport=2) / Raw(bytes(n))))
        site.wire["host"].send(bytes(Ether(src=site.mac["host"], dst=site.mac["lan"]) / clear))
        got = site.recv(out)
        assert got is not None
        outer, inner, nh = got
        want = clear.copy()
        want.ttl = 32
        del want.chksum
        assert nh == 4 and inner == bytes(want) and (outer.src, outer.dst) == (LOCAL, PEER)
        back = IP(bytes(IP(src=far, dst=HOST, ttl=33) / UDP(sport=2, dport=1) / Raw(bytes(n))))
        site.send(with_ah(into, site.number(name, "tunnel"), bytes(back), 4, src=PEER, dst=LOCAL, ttl=5))
        frame = site.wire["host"].recv(is_ip(IP_UDP, src=far))
        assert frame is not None and bytes(IP(frame[14:])[UDP]) == bytes(back[UDP])


def test_what_routers_change_does_not_count(site):
    """TTL, TOS and DF may differ; a Router Alert may not."""
    name = "sha256"
    into, out, far = ref(name, "transport", "in"), ref(name, "transport", "out"), peer_of(name)
    options = [IPOption_Router_Alert(), IPOption_NOP(), IPOption_NOP(), IPOption_NOP(), IPOption_NOP()]
    echo = bytes(ICMP(type=8, id=77, seq=1))
    packet = with_ah(into, site.number(name, "transport"), echo, 1, src=far, dst=LOCAL, options=options, ttl=60)
    changed = packet.copy()
    changed.ttl, changed.tos, changed.flags = 3, 0x04, "DF"
    del changed.chksum
    site.send(IP(bytes(changed)))
    assert site.recv(out) is not None
    packet = with_ah(into, site.number(name, "transport"), echo, 1, src=far, dst=LOCAL, options=options, ttl=60)
    raw = bytearray(bytes(packet))
    raw[23] ^= 1
    bad = IP(bytes(raw))
    del bad.chksum
    with Drops(site.router) as d:
        site.send(IP(bytes(bad)))
        wait_for("the drop", lambda: d.since().get("esp-icv") == 1)


def test_replay_and_length(site):
    name = "sha1"
    into, far = ref(name, "transport", "in"), peer_of(name)
    echo = bytes(ICMP(type=8, id=5, seq=1))
    packet = with_ah(into, site.number(name, "transport"), echo, 1, src=far, dst=LOCAL)
    with Drops(site.router) as d:
        site.send(packet)
        site.send(packet)
        wait_for("the replay", lambda: d.since().get("esp-replay") == 1)
        raw = bytearray(bytes(with_ah(into, site.number(name, "transport"), echo, 1, src=far, dst=LOCAL)))
        raw[21] += 1
        site.send(IP(bytes(raw)))
        short = IP(src=far, dst=LOCAL, proto=IP_AH) / Raw(bytes(raw[20:20 + 20]))
        site.send(IP(bytes(short)))
        wait_for("both", lambda: d.since().get("ah-malformed") == 2)


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512", "aescmac"])
def test_scapy_agrees(name):
    """The reference itself against scapy's."""
    algo = {"sha1": "HMAC-SHA1-96", "sha256": "SHA2-256-128", "sha384": "SHA2-384-192", "sha512": "SHA2-512-256",
            "aescmac": "AES-CMAC-96"}[name]
    s = spi(name, "transport", "in")
    sa = SecurityAssociation(AH, spi=s, auth_algo=algo, auth_key=key(name, s))
    packet = sa.encrypt(IP(src=PEER, dst=LOCAL, tos=4, ttl=9) / ICMP(type=8), seq_num=3)
    raw = bytes(packet)
    assert ref(name, "transport", "in").open(raw[:20], raw[20:])[2] == 1
    with pytest.raises(InvalidTag):
        ref(name, "transport", "in").open(raw[:20], raw[20:-1] + bytes([raw[-1] ^ 1]))
