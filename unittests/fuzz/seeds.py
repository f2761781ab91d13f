#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""seeds.py [DIRECTORY]: writes the seeds of the fuzzers that read packets and messages, one file each, into
DIRECTORY/TARGET (default: corpus/ beside this file). What an input of a target looks like says its .c file. Those of
config and ctl are texts; files named by a hash were learnt by the fuzzers ("ci/fuzz --keep")."""

import os
import re
import struct
import sys

from scapy.all import (
    AH,
    ARP,
    ESP,
    ICMP,
    IP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPOption_LSRR,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
    fragment,
)

HERE = os.path.dirname(os.path.abspath(__file__))
US, PEER, A, B, D = "192.0.2.1", "192.0.2.2", "10.1.0.2", "10.2.0.2", "10.3.0.2"
US6, PEER6, A6, B6 = "2001:db8:f::1", "2001:db8:f::2", "2001:db8:1::2", "2001:db8:2::2"
MAC, PORT_MAC = "02:00:00:00:01:01", "02:00:00:00:00:01"

ECHO, UDP4, UDP6 = ICMP(), UDP(sport=7, dport=7) / b"hello", UDP(sport=53, dport=53) / b"x"


def packets():
    ip, mended, ether, host, cut, time, frag = range(7)
    lan = 8  # and the port is LAN

    def one(how, packet):
        return struct.pack("!BH", how, len(bytes(packet))) + bytes(packet)

    us = IP(src=PEER, dst=US)
    us6 = IPv6(src=PEER6, dst=US6)
    vlan = Ether(src=MAC, dst=PORT_MAC) / Dot1Q(vlan=100)
    large = IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / (b"f" * 600)
    return {
        "udp": one(lan, IP(src=D, dst=A) / UDP(sport=1, dport=2) / (b"x" * 20)),
        "ttl": one(lan, IP(src=A, dst=D, ttl=1) / UDP4) + one(lan, IPv6(src=A6, dst=B6, hlim=1) / UDP6),
        "options": one(mended, IP(src=D, dst=A, options=[IPOption_LSRR(routers=[US])]) / UDP4),
        "big": one(lan | mended, IP(src=A, dst=B, flags="DF") / UDP4 / (b"b" * 1400)),
        "sealed": one(lan, IP(src=A, dst=B) / UDP4) + one(lan, IPv6(src=A6, dst=B6) / UDP6),
        "icmp": one(ip, us / ICMP(type=3, code=4, nexthopmtu=1400) / IP(src=US, dst=PEER) / ESP(spi=0x2002, seq=1)),
        "ike": one(ip, us / UDP(sport=500, dport=500) / (b"i" * 40)),
        "esp": one(ip, us / ESP(spi=0x1001, seq=1, data=b"e" * 60)),
        "esp6": one(ip, us6 / ESP(spi=0x3006, seq=1, data=b"e" * 60)),
        "ah": one(ip, us / AH(nh=4, spi=0x3004, seq=1, icv=b"a" * 12) / IP(src=B, dst=A) / ECHO),
        "ah6": one(ip, us6 / IPv6ExtHdrDestOpt(options=[PadN()]) / AH(nh=4, spi=0x3009, seq=1, icv=b"a" * 12) / UDP4),
        "natt": one(ip, us / UDP(sport=4500, dport=4500) / ESP(spi=0x3001, seq=1, data=b"e" * 40))
        + one(ip, us / UDP(sport=4500, dport=4500) / (b"\0" * 4 + b"i" * 30))
        + one(ip, us / UDP(sport=4500, dport=4500) / b"\xff")
        + one(ip, us6 / UDP(sport=4500, dport=4500) / ESP(spi=0x3008, seq=1, data=b"e" * 40)),
        "fragments": b"".join(one(frag, f) for f in fragment(us / ESP(spi=0x1001, seq=1, data=b"e" * 560), 200))
        + one(time, b"\1"),
        "fragments6": b"".join(
            one(ip, us6 / IPv6ExtHdrFragment(nh=50, id=7, offset=at // 8, m=at < 400) / (b"e" * 200)) for at in (0, 200, 400)
        ),
        "ip6": one(ip, IPv6(src=A6, dst=B6) / IPv6ExtHdrDestOpt(options=[PadN()]) / UDP6)
        + one(ip, IPv6(src="fe80::1", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=US6))
        + one(ip, us6 / ICMPv6EchoRequest()),
        "chain6": one(
            ip,
            us6
            / IPv6ExtHdrHopByHop(options=[RouterAlert()])
            / IPv6ExtHdrRouting(type=4, segleft=0, addresses=[US6])
            / IPv6ExtHdrDestOpt(options=[PadN()])
            / UDP6,
        ),
        "fragment6": one(lan, large),
        "arp": one(ether, Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=PEER, pdst=US)),
        "vlan": one(ether, vlan / us / ECHO)
        + one(ether, vlan / ARP(psrc=PEER, pdst=US))
        + one(ether, Ether(src=MAC, dst=PORT_MAC) / Dot1Q(vlan=0, prio=5) / us / ECHO)
        + one(ether, vlan / Dot1Q(vlan=7) / us / ECHO)
        + one(ether, bytes(vlan)[:15]),
        "host": one(host, Ether(dst=MAC) / IP(src=US, dst=PEER) / UDP(sport=500, dport=500) / b"x")
        + one(host, Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88CC) / b"lldp"),
        "cut": one(cut, IP(src=D, dst=A) / UDP4 / (b"c" * 200)) + one(cut, us / ESP(spi=0x1001, seq=1, data=b"e" * 60)),
    }


SAS = ["tunnel", "transport", "udp", "gmac", "esn", "tunnel6", "transport6", "udp6", "ah", "ah-transport", "ah6", "ah6-transport"]


def sealed():
    pad_, length_, next_ = 1, 2, 4

    def one(sa, inner, flags=0, pad=0, says=0, proto=0, options=b""):
        data = options + bytes(inner)
        return struct.pack("!BBBBBH", SAS.index(sa), flags, pad, says, proto, len(data)) + data

    inner, inner6 = IP(src=B, dst=A) / UDP4, IPv6(src=B6, dst=A6) / UDP6
    seeds = {}
    for sa in SAS:
        ah, mode = "ah" in sa, sa.removeprefix("ah6-").removeprefix("ah-").removesuffix("6")
        if mode == "transport":
            seeds[sa] = one(sa, b"upper" if ah else UDP6, flags=next_, proto=253 if ah else 17)
            continue
        for family, packet in (("", inner), ("-of6", inner6)):
            outer = packet.copy()
            if ah:
                outer.src = "10.2.1.2" if family == "" else "2001:db8:2:1::2"
            seeds[sa + family] = one(sa, outer, flags=next_, proto=4 if family == "" else 41)
    large = IP(src=B, dst=A) / UDP(sport=7, dport=7) / (b"x" * 900)
    seeds["padding"] = one("tunnel", inner, flags=pad_, pad=255) + one("tunnel", inner, flags=pad_ | length_, pad=14, says=200)
    seeds["dummy"] = one("tunnel", b"dummy", flags=next_, proto=59)
    seeds["local"] = one("tunnel", IP(src=B, dst="10.1.0.1") / ECHO)
    seeds["fragments"] = b"".join(one("tunnel", f) for f in fragment(large, 400))
    seeds["ttl"] = one("tunnel", IP(src=B, dst=A, ttl=1) / UDP4) + one("tunnel6", IPv6(src=B6, dst=A6, hlim=1) / UDP6, next_, proto=41)
    options = bytes([7, 5]) + b"route" + bytes([148, 0]) + bytes([68, 3]) + b"abc"
    seeds["ah-options"] = one("ah", IP(src="10.2.1.2", dst=A) / UDP4, pad=6, options=options)
    chain = bytes([0, 5, 2, 0, 0]) + bytes([1, 0x3E, 4]) + b"data" + bytes([0x1E, 2]) + b"ab" + b"\0" * 8
    seeds["ah6-chain"] = one("ah6-transport", b"upper", flags=next_, pad=7, proto=253, options=chain)
    seeds["ah6-mutable"] = one("ah6-transport", b"upper", flags=next_, pad=2, proto=253, options=bytes([1, 0x3E, 4]) + b"data")
    return seeds


def path_mtu():
    six, addresses, spi, udp = 1, 2, 4, 8

    def one(how, mtu, quoted):
        return struct.pack("!BHH", how, mtu, len(bytes(quoted))) + bytes(quoted)

    def esp(number, spi_=0x3001):
        return struct.pack("!II", spi_, number) + b"\0" * 32

    all_ = addresses | spi
    v4, v6 = IP(src=US, dst=PEER, proto=50, len=1460), IPv6(src=US6, dst=PEER6, nh=50, plen=1420)
    encap = IP(src=US, dst=PEER, len=1460) / UDP(sport=4500, dport=4500)
    chain = IPv6(src=US6, dst=PEER6, plen=1420) / IPv6ExtHdrFragment(nh=50, id=1)
    return {
        "esp4": one(all_, 1400, v4 / esp(999)),
        "esp4-old": one(all_, 0, v4 / esp(999)[:8]),
        "esp6": one(all_ | six, 1400, v6 / esp(999)),
        "udp4": one(all_ | udp, 1400, encap / esp(999, 0x3002)),
        "chain6": one(addresses | six, 1400, chain / esp(999)) + one(six, 1300, chain / esp(5000)),
        "later": one(all_, 1400, IP(src=US, dst=PEER, proto=50, len=1460, frag=100) / esp(999)),
    }


# Messages of ike/wire.h: as it has them, with its padding.
HELLO, GET_SPI, ADD_SA, UPDATE_SA, DEL_SA, QUERY_SA, ADD_POLICY, DEL_POLICY, QUERY_POLICY, BYPASS, DECAP, SYNCED = range(1, 13)
PING, ACQUIRE, EXPIRE, MAPPING, AGENT_UP = 14, 64, 65, 66, 128
IN, OUT, FWD = 1, 2, 3
ENCAP, UPDATE = 2, 4


def addr(text):
    version = 6 if ":" in text else 4
    packed = bytes(IPv6(dst=text))[24:40] if version == 6 else bytes(IP(dst=text))[16:20]
    return struct.pack("B3x16s", version, packed)


def sa_id(spi, src=PEER, dst=US):
    return addr(src) + addr(dst) + struct.pack("!I", spi) + struct.pack("<IB3x", 7, 50)


def add_sa(identity, way, flags=0):
    life = struct.pack("<4x6Q", 60, 120, 1000, 2000, 100, 200)
    numbers = struct.pack("<6I", flags, 64 if way == IN else 0, 0, 0, 0, 0) + struct.pack("!2H", 4500, 4500)
    return identity + life + numbers + struct.pack("<5H2B", 20, 36, 0, 0, 3, way, 2)


def update_sa(identity, src, dst, flags):
    return identity + addr(src) + addr(dst) + struct.pack("<I", flags) + struct.pack("!2H", 4501, 4500) + bytes(4)


def policy(way, spi=0, src="10.1.0.0", dst="10.2.0.0", plen=16):
    selector = addr(src) + addr(dst) + bytes(32) + struct.pack("<4B4H", plen, plen, 0, 0, 0, 65535, 0, 65535)
    ends = addr(US) + addr(PEER) if way == OUT else addr(PEER) + addr(US)
    return selector + ends + struct.pack("!I", spi) + struct.pack("<5I4B", 7, 1000, 0, 0, 0, way, 1, 2, 50)


def socket(text, port):
    return addr(text) + struct.pack("!H2x", port)


def channel():
    other_owner, time, death, no_key, raw = 2, 4, 8, 16, 1

    def one(kind, body=b"", flags=0):
        return bytes([kind, flags]) + body

    spi, there, back = 0x2002, sa_id(0x2002, US, PEER), sa_id(0x1001)
    sas = one(GET_SPI, sa_id(0)) + one(ADD_SA, add_sa(back, IN, ENCAP)) + one(ADD_SA, add_sa(there, OUT))
    policies = b"".join(one(ADD_POLICY, policy(way, spi if way == OUT else 0)) for way in (IN, FWD, OUT))
    six = policy(OUT, 0, "2001:db8:1::", "2001:db8:2::", 48)
    return {
        "negotiation": sas + policies + one(SYNCED) + one(QUERY_SA, back) + one(DEL_POLICY, policy(OUT, spi)) + one(DEL_SA, there),
        "update": sas + one(UPDATE_SA, update_sa(back, "192.0.2.9", US, ENCAP)) + one(QUERY_SA, sa_id(0x1001, "192.0.2.9")),
        "death": sas + policies + one(SYNCED, flags=death) + one(PING, flags=time) + one(ADD_SA, add_sa(back, IN), other_owner),
        "trap": one(ADD_POLICY, six) + one(QUERY_POLICY, six) + one(SYNCED, flags=time),
        "sockets": one(BYPASS, socket("0.0.0.0", 500)) + one(DECAP, socket("::", 4500)),
        "no-key": one(ADD_SA, add_sa(back, IN), no_key),
        "raw": one(34, message(PING), raw),
    }


def wire(name):
    with open(os.path.join(HERE, "../../ike/wire.h")) as f:
        return int(re.search(rf"#define {name} (\w+?)u?\s", f.read()).group(1), 0)


def message(kind, body=b"", status=0, seq=1):
    return (
        struct.pack("<IHHHhI", wire("IKE_WIRE_MAGIC"), wire("IKE_WIRE_VERSION"), kind, 32 + len(body), status, seq)
        + struct.pack("<QQ", 5, 1)
        + body
    )


def hello():
    return struct.pack("<32s6I", b"0.1.0", 77, 0xC0000000, 0xCFFFFFFF, 256, 256, 0)


def mapping():
    return addr(US) + addr("192.0.2.9") + struct.pack("!IHBx", 0x1001, 4501, 50)


def expire():
    return addr(US) + struct.pack("!IBB2x", 0x1001, 50, 1)


def acquire():
    return policy(OUT)[:84] + struct.pack("<I", 7)


def agent():
    forward, read, event = 0, 2, 3

    def one(what, packet):
        return struct.pack("!BH", what, len(packet)) + packet

    sa = message(ADD_SA, add_sa(sa_id(0x1001), IN))
    return {
        "add": one(forward, sa + bytes(36)) + one(forward, sa) + one(forward, message(DEL_SA, sa_id(0x1001), seq=7)),
        "policy": one(forward, message(ADD_POLICY, policy(OUT))) + one(forward, message(SYNCED)) + one(read, message(PING)),
        "events": one(event, message(EXPIRE, expire())) + one(event, message(MAPPING, mapping())) + one(event, message(ACQUIRE, acquire())),
    }


def plugin():
    def one(asked, packet, seq=1):
        return bytes([asked, seq]) + packet

    return {
        "ping": one(PING, message(PING)),
        "usage": one(QUERY_SA, message(QUERY_SA, bytes(24))),
        "spi": one(GET_SPI, message(GET_SPI, sa_id(0xC0000101))),
        "refused": one(ADD_SA, message(ADD_SA, status=-12)),
        "up": one(0, message(AGENT_UP, hello())),
        "acquire": one(0, message(ACQUIRE, acquire())),
        "expire": one(0, message(EXPIRE, expire())),
        "mapping": one(0, message(MAPPING, mapping())),
    }


def main():
    where = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
    for make in (agent, channel, packets, path_mtu, plugin, sealed):
        folder = os.path.join(where, make.__name__.replace("_", "-"))
        os.makedirs(folder, exist_ok=True)
        for name, data in make().items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)


main()
