# SPDX-License-Identifier: BSD-3-Clause
"""Every transform, with and without ESN, sealed and opened by implementations that are not cygnet."""

import pytest
from cryptography.exceptions import InvalidTag
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from esp_ref import INTEGRITY, Esp
from lab import Lab, wait_for
from router import Router, config, port
from wire import IP_ESP, IP_UDP, Wire, is_ip

LOCAL, PEER, HOST = "192.0.2.1", "192.0.2.2", "10.1.0.2"


class Case:
    def __init__(self, form, bits=0, icv=None, integrity=None, esn=False):
        self.form, self.bits, self.icv, self.integrity, self.esn = form, bits, icv, integrity, esn
        salt = {"ccm": 3, "cbc": 0, "null": 0}.get(form, 4)
        self.key_len = (bits // 8 + salt) if form != "null" else 0
        cipher = {"gcm": f"aes{bits}gcm{icv}", "ccm": f"aes{bits}ccm{icv}", "gmac": f"aes{bits}gmac",
                  "chacha": "chacha20poly1305", "cbc": f"aes{bits}", "ctr": f"aes{bits}ctr", "null": "null"}[form]
        self.encryption = cipher
        self.name = "-".join(filter(None, [cipher, integrity, "esn" if esn else None]))

    def keys(self, spi):
        enc = bytes((spi * 31 + i * 7 + 1) & 0xFF for i in range(self.key_len))
        n = INTEGRITY[self.integrity][1] if self.integrity else 0
        return enc, bytes((spi * 17 + i * 11 + 5) & 0xFF for i in range(n))

    def ref(self, spi):
        enc, integ = self.keys(spi)
        return Esp(spi, self.form, enc, self.icv, self.integrity, integ, self.esn)


def cases():
    v = [Case("gcm", b, i) for b in (128, 192, 256) for i in (16, 12, 8)]
    v += [Case("ccm", b, i) for b in (128, 192, 256) for i in (16, 12, 8)]
    v += [Case("gmac", b, 16) for b in (128, 192, 256)] + [Case("chacha", 256, 16)]
    v += [Case("cbc", b, integrity="sha256") for b in (128, 192, 256)]
    v += [Case("ctr", b, integrity="sha1") for b in (128, 192, 256)]
    v += [Case("cbc", 128, integrity=i) for i in INTEGRITY if i != "sha256"]
    v += [Case("null", integrity=i) for i in INTEGRITY]
    v += [Case(c.form, c.bits, c.icv, c.integrity, True) for c in v]
    return {c.name: c for c in v}


CASES = cases()
NET = {name: f"10.{100 + i // 200}.{i % 200}" for i, name in enumerate(CASES)}
SPI = {name: 0x61000000 + i * 0x1111 for i, name in enumerate(CASES)}


def the_config():
    sas, policies = [], []
    for i, (name, c) in enumerate(CASES.items()):
        for direction, spi in ("in", SPI[name]), ("out", SPI[name] + 7):
            ends = (LOCAL, PEER) if direction == "out" else (PEER, LOCAL)
            enc, integ = c.keys(spi)
            sas.append({"name": f"{direction}-{name}", "direction": direction, "spi": spi, "source": ends[0],
                        "destination": ends[1], "encryption": c.encryption, "reqid": i + 1, "insecure-test": True,
                        "esn": c.esn, **({"key": "0x" + enc.hex()} if enc else {}),
                        **({"integrity": c.integrity, "integrity-key": "0x" + integ.hex()} if integ else {}),
                        **({"replay-window": 64} if direction == "in" else {})})
        for direction in "in", "out", "fwd":
            nets = ["10.1.0.0/24", NET[name] + ".0/24"]
            if direction != "out":
                nets.reverse()
            policies.append({"direction": direction, "action": "protect", "source": nets[0], "destination": nets[1],
                             "reqid": i + 1, **({"spi": SPI[name] + 7} if direction == "out" else {})})
    return config([port("lan", ["10.1.0.1/24"]), port("wan", [LOCAL + "/24"])],
                  ipsec={"static-only": True}, sas=sas, policies=policies)


@pytest.fixture(scope="module")
def site():
    with Lab("t-trans") as lab:
        r = lab.ns("r")
        r.no_ipv6()
        wires, macs = {}, {}
        for n, dev, a in ("host", "lan", HOST), ("peer", "wan", PEER):
            ns = lab.ns(n)
            ns.no_ipv6()
            lab.veth(r, f"v-{dev}", ns, "e0")
            ns.addr("e0", a + "/24")
            ns.run("nft", "add table inet mute; add chain inet mute in "
                          "{ type filter hook input priority 0; policy drop; }")
            wires[n], macs[n] = Wire(ns, "e0"), ns.mac("e0")
        router = Router(r, the_config()).start()
        r.route("10.100.0.0/15", "via", PEER, "dev", "wan")
        wait_for("the route", lambda: any(x["prefix"] == "10.100.0.0/15" for x in router.routes()))
        macs["lan"], macs["wan"] = r.mac("lan"), r.mac("wan")
        yield wires, macs, dict.fromkeys(CASES, 0)
        assert router.stop() == 0


def exchange(site, name):
    wires, macs, seqs = site
    for w in wires.values():
        w.drain()
    return wires["host"], wires["peer"], macs, seqs


def clear(name, n, back=False):
    src, dst = (NET[name] + ".9", HOST) if back else (HOST, NET[name] + ".9")
    payload = bytes(i * 5 & 0xFF for i in range(n))
    return IP(bytes(IP(src=src, dst=dst, ttl=64) / UDP(sport=4000, dport=5000) / Raw(payload)))


@pytest.mark.parametrize("name", CASES)
def test_sealed_opens(site, name):
    host, peer, macs, _ = exchange(site, name)
    ref, ivs = CASES[name].ref(SPI[name] + 7), set()
    for n in (0, 1, 2, 3, 13, 14, 15, 16, 64, 1000, 1380):
        packet = clear(name, n)
        host.send(bytes(Ether(src=macs["host"], dst=macs["lan"]) / packet))
        frame = peer.recv(is_ip(IP_ESP))
        assert frame is not None, f"nothing came for {n} bytes"
        esp = bytes(IP(frame[14:]).payload)
        seq, inner, nh = ref.open(esp)
        want = packet.copy()
        want.ttl = 63
        del want.chksum
        assert (nh, inner) == (4, bytes(want))
        ivs.add(esp[8:8 + ref.iv_len])
    assert ref.iv_len == 0 or len(ivs) == 11, "an IV was given twice"


@pytest.mark.parametrize("name", CASES)
def test_opens_sealed(site, name):
    host, peer, macs, seqs = exchange(site, name)
    ref = CASES[name].ref(SPI[name])

    def send(esp):
        peer.send(bytes(Ether(src=macs["peer"], dst=macs["wan"]) / IP(src=PEER, dst=LOCAL, proto=50) / Raw(esp)))

    for n in (0, 1, 2, 3, 13, 14, 15, 16, 64, 1000, 1380):
        seqs[name] += 1
        packet = clear(name, n, back=True)
        good = ref.seal(seqs[name], bytes(packet), 4)
        for at in (4, 7, 8, len(good) // 2, len(good) - 1):
            send(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        send(good)
        frame = host.recv(is_ip(IP_UDP, src=packet.src))
        assert frame is not None, f"nothing came for {n} bytes"
        assert bytes(IP(frame[14:])[UDP]) == bytes(packet[UDP])
        assert host.recv(is_ip(IP_UDP, src=packet.src), timeout=0.02) is None, "a damaged packet came through"


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.esn and c.form in ("gcm", "cbc", "gmac", "ccm")])
def test_wrong_high_half_is_refused(site, name):
    """With ESN the number that is not in the packet is authenticated, too."""
    host, peer, macs, seqs = exchange(site, name)
    ref = CASES[name].ref(SPI[name])
    seqs[name] += 1
    packet = clear(name, 64, back=True)
    for seq, comes in ((1 << 32) + seqs[name], False), (seqs[name], True):
        esp = ref.seal(seq, bytes(packet), 4)
        peer.send(bytes(Ether(src=macs["peer"], dst=macs["wan"]) / IP(src=PEER, dst=LOCAL, proto=50) / Raw(esp)))
        assert (host.recv(is_ip(IP_UDP, src=packet.src), timeout=10 if comes else 0.3) is not None) == comes


SCAPY = {"gcm": "AES-GCM", "ccm": "AES-CCM", "cbc": "AES-CBC", "ctr": "AES-CTR", "null": "NULL"}
SCAPY_AUTH = {"sha1": "HMAC-SHA1-96", "sha256": "SHA2-256-128", "sha384": "SHA2-384-192", "sha512": "SHA2-512-256",
              "aescmac": "AES-CMAC-96"}


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.form in SCAPY and not c.esn and c.icv in (None, 16)
                                  and (c.integrity is None or c.integrity in SCAPY_AUTH)])
def test_scapy_agrees(site, name):
    """The reference itself against scapy's IPsec layer."""
    c, ref = CASES[name], CASES[name].ref(SPI[name])
    enc, integ = c.keys(SPI[name])
    sa = SecurityAssociation(ESP, spi=SPI[name], crypt_algo=SCAPY[c.form], crypt_key=enc or None,
                             auth_algo=SCAPY_AUTH.get(c.integrity), auth_key=integ or None,
                             tunnel_header=IP(src=PEER, dst=LOCAL))
    packet = clear(name, 100, back=True)
    assert ref.open(bytes(sa.encrypt(packet, seq_num=5)[ESP]))[1] == bytes(packet)
    damaged = bytearray(ref.seal(6, bytes(packet), 4))
    assert bytes(sa.decrypt(IP(bytes(IP(src=PEER, dst=LOCAL, proto=50) / Raw(bytes(damaged)))))) == bytes(packet)
    damaged[-1] ^= 1
    with pytest.raises(InvalidTag):
        ref.open(bytes(damaged))
