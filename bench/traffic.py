# SPDX-License-Identifier: BSD-3-Clause
"""What arrives: capture files that net_pcap plays in a circle.

A size is that of the Ethernet frame without its FCS. Every packet is a flow of its own (source address and
port), so that nothing is gained by remembering the last one.
"""

import socket
import struct

MAC_FROM = bytes.fromhex("020000000001")
MAC_PCAP = bytes.fromhex("027063617000")  # net_pcap gives its first port this one
FLOWS = 256
IMIX = [64] * 7 + [570] * 4 + [1400]  # 7:4:1
SPI = 0xC0000000  # where charon's SPIs begin
OUTER_SRC, OUTER_DST = "192.0.2.1", "192.0.2.2"


def far(i):
    """Host behind the other gateway, of SA i."""
    return f"20.{i >> 16}.{i >> 8 & 255}.{i & 255}"


def near(i):
    return f"10.1.{128 + (i >> 8 & 127)}.{i & 255}"


def checksum(data):
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    s = (s & 0xFFFF) + (s >> 16)
    return ~(s + (s >> 16)) & 0xFFFF


def ip4(src, dst, proto, payload_len):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + payload_len, 0, 0, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:]


def udp_packet(src, dst, flow, size):
    """An IPv4 packet of size bytes."""
    n = size - 28
    return ip4(src, dst, 17, n + 8) + struct.pack(">HHHH", 1024 + flow % 60000, 2000, n + 8, 0) + bytes(n)


def sizes(size, n):
    return [IMIX[i % len(IMIX)] if size == "imix" else size for i in range(n)]


def packets_for(sas):
    return max(FLOWS, sas)


def clear(size, sas, n):
    """For sealing: to hosts behind n SAs in turn."""
    for i, s in enumerate(sizes(size, n)):
        yield MAC_PCAP + MAC_FROM + b"\x08\x00" + udp_packet(near(i), far(i % sas), i, s - 14)


def sealed(size, sas, n, transform, esn=False):
    """For opening: the same packets the other way, each in ESP; the frame inside would have had that size."""
    last = {}
    for i, s in enumerate(sizes(size, n)):
        k = i % sas
        if k not in last:
            last[k] = [transform.esp(SPI + k, esn), 0]
        last[k][1] += 1
        seq = last[k][1]
        iv = None if transform.form == "cbc" else struct.pack(">Q", seq)[:last[k][0].iv_len]
        esp = last[k][0].seal(seq, udp_packet(far(k), near(i), i, s - 14), 4, iv=iv)
        yield MAC_PCAP + MAC_FROM + b"\x08\x00" + ip4(OUTER_DST, OUTER_SRC, 50, len(esp)) + esp


def write_pcap(path, frames):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            f.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


def capture(path, direction, size, sas, transform, n=None, esn=False):
    """Writes the file unless it is there. n: packets, when not as many as the SAs want."""
    n = n or packets_for(sas)
    if not path.exists():
        frames = clear(size, sas, n) if direction == "out" else sealed(size, sas, n, transform, esn)
        part = path.with_suffix(".part")
        write_pcap(part, frames)
        part.rename(path)
    return path
