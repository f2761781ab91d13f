# SPDX-License-Identifier: BSD-3-Clause
"""ESP written from its RFCs on Python's cryptography: an implementation that is not cygnet, for what scapy lacks.

RFC 4303 with 4106 (GCM), 4309 (CCM), 4543 (GMAC), 7634 (ChaCha20-Poly1305), 3602 (CBC), 3686 (CTR), 2410 (NULL),
2404 and 4868 (HMAC), 3566 (XCBC), 4494 (CMAC).
"""

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.cmac import CMAC


def aes_ecb(key, block):
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return e.update(block) + e.finalize()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xcbc(key, data):
    k1, k2, k3 = (aes_ecb(key, bytes([i]) * 16) for i in (1, 2, 3))
    blocks = [data[i:i + 16] for i in range(0, len(data), 16)] or [b""]
    e = bytes(16)
    for b in blocks[:-1]:
        e = aes_ecb(k1, xor(e, b))
    last = blocks[-1]
    if len(last) == 16:
        return aes_ecb(k1, xor(xor(e, last), k2))
    return aes_ecb(k1, xor(xor(e, last + b"\x80" + bytes(15 - len(last))), k3))


def cmac(key, data):
    c = CMAC(algorithms.AES(key))
    c.update(data)
    return c.finalize()


def hm(name):
    return lambda key, data: hmac.new(key, data, name).digest()


# name: function, key bytes, ICV bytes
INTEGRITY = {
    "sha1": (hm("sha1"), 20, 12),
    "sha256": (hm("sha256"), 32, 16),
    "sha256_96": (hm("sha256"), 32, 12),
    "sha384": (hm("sha384"), 48, 24),
    "sha512": (hm("sha512"), 64, 32),
    "aesxcbc": (xcbc, 16, 12),
    "aescmac": (cmac, 16, 12),
}


class Esp:
    """One SA. form: gcm, ccm, gmac, chacha, cbc, ctr, null; key as IKE gives it, salt at its end."""

    def __init__(self, spi, form, key, icv_len=None, integrity=None, integrity_key=b"", esn=False):
        self.spi, self.form, self.esn = spi, form, esn
        salt = {"ccm": 3, "cbc": 0, "null": 0}.get(form, 4)
        self.key, self.salt = key[:len(key) - salt], key[len(key) - salt:]
        self.iv_len = {"cbc": 16, "null": 0}.get(form, 8)
        self.align = 16 if form == "cbc" else 4
        self.mac = None
        if integrity:
            self.mac, _, icv_len = INTEGRITY[integrity]
            self.mac_key = integrity_key
        self.icv_len = icv_len

    def _aad(self, seq):
        return struct.pack(">IQ", self.spi, seq) if self.esn else struct.pack(">II", self.spi, seq & 0xFFFFFFFF)

    def _gcm(self, iv, aad, data, tag=None):
        c = Cipher(algorithms.AES(self.key), modes.GCM(self.salt + iv, tag, min_tag_length=4))
        c = c.encryptor() if tag is None else c.decryptor()
        c.authenticate_additional_data(aad)
        out = c.update(data) + c.finalize()
        return out if tag is not None else (out, c.tag[:self.icv_len])

    def _cipher(self, iv, data, seal):
        if self.form == "null":
            return data
        mode = modes.CBC(iv) if self.form == "cbc" else modes.CTR(self.salt + iv + b"\0\0\0\1")
        c = Cipher(algorithms.AES(self.key), mode)
        c = c.encryptor() if seal else c.decryptor()
        return c.update(data) + c.finalize()

    def _icv(self, seq, covered):
        return self.mac(self.mac_key, covered + (struct.pack(">I", seq >> 32) if self.esn else b""))[:self.icv_len]

    def seal(self, seq, payload, next_header, iv=None, extra=b""):
        """ESP packet: header, IV, payload with trailer, ICV."""
        head = struct.pack(">II", self.spi, seq & 0xFFFFFFFF)
        iv = os.urandom(self.iv_len) if iv is None else iv
        payload += extra
        pad = -(len(payload) + 2) % self.align
        clear = payload + bytes(range(1, pad + 1)) + bytes([pad, next_header])
        aad = self._aad(seq)
        if self.form == "gcm":
            data, icv = self._gcm(iv, aad, clear)
        elif self.form == "gmac":
            _, icv = self._gcm(iv, aad + iv + clear, b"")
            data = clear
        elif self.form == "ccm":
            out = AESCCM(self.key, self.icv_len).encrypt(self.salt + iv, clear, aad)
            data, icv = out[:len(clear)], out[len(clear):]
        elif self.form == "chacha":
            out = ChaCha20Poly1305(self.key).encrypt(self.salt + iv, clear, aad)
            data, icv = out[:len(clear)], out[len(clear):]
        else:
            data = self._cipher(iv, clear, True)
            icv = self._icv(seq, head + iv + data)
        return head + iv + data + icv

    def open(self, packet, high=0):
        """(64-bit number, payload, next header); InvalidTag when the ICV is wrong."""
        spi, low = struct.unpack(">II", packet[:8])
        assert spi == self.spi
        seq = high << 32 | low
        iv, data, icv = packet[8:8 + self.iv_len], packet[8 + self.iv_len:-self.icv_len], packet[-self.icv_len:]
        aad = self._aad(seq)
        if self.form == "gcm":
            clear = self._gcm(iv, aad, data, icv)
        elif self.form == "gmac":
            self._gcm(iv, aad + iv + data, b"", icv)
            clear = data
        elif self.form == "ccm":
            clear = AESCCM(self.key, self.icv_len).decrypt(self.salt + iv, data + icv, aad)
        elif self.form == "chacha":
            clear = ChaCha20Poly1305(self.key).decrypt(self.salt + iv, data + icv, aad)
        else:
            if not hmac.compare_digest(self._icv(seq, packet[:-self.icv_len]), icv):
                raise InvalidTag
            clear = self._cipher(iv, data, False)
        pad, nh = clear[-2], clear[-1]
        payload = clear[:len(clear) - 2 - pad]
        assert clear[len(payload):-2] == bytes(range(1, pad + 1)), "padding is 1, 2, 3, ..."
        return seq, payload, nh


def immutable4(ip):
    """RFC 4302, 3.3.3.1.1: the header, with all that may change on its way zero."""
    ip = bytearray(ip)
    ip[1] = ip[6] = ip[7] = ip[8] = ip[10] = ip[11] = 0
    at = 20
    while at < len(ip) and ip[at] != 0:
        if ip[at] == 1:
            at += 1
            continue
        n = ip[at + 1]
        if ip[at] not in (130, 133, 134, 148, 149):
            ip[at:at + n] = bytes(n)
        at += n
    return bytes(ip)


def immutable6(ip):
    """RFC 4302, 3.3.3.1.2: class, flow label, hop limit, and the options whose type says that they change."""
    ip = bytearray(ip)
    ip[0:4] = b"\x60\0\0\0"
    ip[7] = 0
    nh, at = ip[6], 40
    while at < len(ip):
        end = at + (ip[at + 1] + 1) * 8
        if nh in (0, 60):
            o = at + 2
            while o < end:
                if ip[o] == 0:
                    o += 1
                    continue
                if ip[o] & 0x20:
                    ip[o + 2:o + 2 + ip[o + 1]] = bytes(ip[o + 1])
                o += 2 + ip[o + 1]
        else:
            assert nh == 43 and ip[at + 3] == 0, "a routing header at its end"
        nh, at = ip[at], end
    return bytes(ip)


class Ah:
    """One SA of AH, RFC 4302, over IPv4 or IPv6. ip: the IP header with its options or extension headers."""

    def __init__(self, spi, integrity, key, esn=False):
        self.spi, self.key, self.esn = spi, key, esn
        self.mac, _, self.icv_len = INTEGRITY[integrity]

    def length(self, ip):
        unit = 8 if ip[0] >> 4 == 6 else 4
        return (12 + self.icv_len + unit - 1) // unit * unit

    def _icv(self, ip, header, rest, seq):
        """header: AH without its ICV and padding."""
        still = immutable6(ip) if ip[0] >> 4 == 6 else immutable4(ip)
        high = struct.pack(">I", seq >> 32) if self.esn else b""
        return self.mac(self.key, still + header + bytes(self.length(ip) - 12) + rest + high)[:self.icv_len]

    def seal(self, seq, ip, rest, next_header):
        """What stands behind the IP header, which says AH and the new length already."""
        head = struct.pack(">BBHII", next_header, self.length(ip) // 4 - 2, 0, self.spi, seq & 0xFFFFFFFF)
        return head + self._icv(ip, head, rest, seq).ljust(self.length(ip) - 12, b"\0") + rest

    def open(self, ip, packet, high=0):
        """(number, what AH protects, next header)."""
        n = self.length(ip)
        nh, words, zero, spi, low = struct.unpack(">BBHII", packet[:12])
        assert (words + 2) * 4 == n and zero == 0 and spi == self.spi
        seq = high << 32 | low
        icv, rest = packet[12:12 + self.icv_len], packet[n:]
        if not hmac.compare_digest(self._icv(ip, packet[:12], rest, seq), icv):
            raise InvalidTag
        return seq, rest, nh
