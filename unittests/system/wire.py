# SPDX-License-Identifier: BSD-3-Clause
"""Raw frames: a socket on an interface of a namespace, and captures."""

import select
import signal
import socket
import struct
import time

from lab import Failed, wait_for

ETH_P_ALL = 3
PACKET_OUTGOING = 4
ETH_IP, ETH_ARP, ETH_IP6 = 0x0800, 0x0806, 0x86DD
IP_ICMP, IP_TCP, IP_UDP, IP_ESP, IP_ICMP6 = 1, 6, 17, 50, 58


class Wire:
    """Sends and receives whole frames on an interface, beside its namespace's own stack."""

    def __init__(self, ns, dev):
        with ns.inside():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.sock.bind((dev, ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.sock.setblocking(False)

    def send(self, *frames):
        for i, f in enumerate(frames):
            f = bytes(f)
            if i % 64 == 63:
                time.sleep(0.005)  # a router that shares its cpus with its peers sleeps now and then
            while True:
                try:
                    self.sock.send(f)
                    break
                except (BlockingIOError, OSError) as e:
                    if getattr(e, "errno", None) not in (None, 11, 105):
                        raise
                    time.sleep(0.001)

    def drain(self):
        while self._recv(0) is not None:
            pass

    def _recv(self, timeout):
        end = time.monotonic() + timeout
        while True:
            left = max(0.0, end - time.monotonic())
            if not select.select([self.sock], [], [], left)[0]:
                return None
            frame, addr = self.sock.recvfrom(65535)
            if addr[2] != PACKET_OUTGOING:
                return frame

    def recv(self, match=lambda f: True, timeout=10.0):
        """The next frame that matches; None when none comes in time, which who expects none gives."""
        end = time.monotonic() + timeout
        while True:
            frame = self._recv(max(0.0, end - time.monotonic()))
            if frame is None or match(frame):
                return frame
            if time.monotonic() > end:
                return None

    def collect(self, n, match=lambda f: True, timeout=20.0):
        """Up to n frames that match."""
        end, frames = time.monotonic() + timeout, []
        while len(frames) < n:
            f = self.recv(match, max(0.0, end - time.monotonic()))
            if f is None:
                break
            frames.append(f)
        return frames

    def close(self):
        self.sock.close()


def is_ip(proto=None, src=None, dst=None):
    """A matcher for IPv4 frames."""
    src = socket.inet_aton(src) if src else None
    dst = socket.inet_aton(dst) if dst else None

    def match(f):
        return (len(f) >= 34 and f[12:14] == b"\x08\x00" and (proto is None or f[23] == proto)
                and (src is None or f[26:30] == src) and (dst is None or f[30:34] == dst))
    return match


def is_ip6(proto=None, src=None, dst=None):
    """A matcher for IPv6 frames; proto is what follows the first header. Neighbour discovery is none: it comes at any time."""
    src = socket.inet_pton(socket.AF_INET6, src) if src else None
    dst = socket.inet_pton(socket.AF_INET6, dst) if dst else None

    def match(f):
        return (len(f) > 54 and f[12:14] == b"\x86\xdd" and (proto is None or f[20] == proto)
                and not (f[20] == IP_ICMP6 and 133 <= f[54] <= 137)
                and (src is None or f[22:38] == src) and (dst is None or f[38:54] == dst))
    return match


def kind(frame):
    """What a frame is to an observer between two sites: esp, ike, arp, or what it shows in clear."""
    if len(frame) < 14:
        return "short"
    ethertype = struct.unpack_from("!H", frame, 12)[0]
    if ethertype == ETH_ARP:
        return "arp"
    if ethertype == ETH_IP and len(frame) >= 34:
        proto, l4 = frame[23], 14 + (frame[14] & 15) * 4
    elif ethertype == ETH_IP6 and len(frame) >= 54:
        proto, l4 = frame[20], 54
        if proto == 0 or (proto == IP_ICMP6 and len(frame) > 54 and 133 <= frame[54] <= 137):
            return "nd"  # and MLD, behind its router alert
    else:
        return f"ethertype-{ethertype:04x}"
    if proto == IP_ESP:
        return "esp"
    if proto == IP_UDP and len(frame) >= l4 + 8:
        ports = struct.unpack_from("!HH", frame, l4)
        if 500 in ports:
            return "ike"
        if 4500 in ports:
            return "ike" if frame[l4 + 8:l4 + 12] == bytes(4) or len(frame) < l4 + 12 else "esp-udp"
    return {IP_ICMP: "clear-icmp", IP_ICMP6: "clear-icmp", IP_TCP: "clear-tcp", IP_UDP: "clear-udp"}.get(proto, f"clear-{proto}")


class Capture:
    """tcpdump on an interface; direction is seen from there."""

    def __init__(self, ns, dev, direction="inout", snaplen=128):
        self.file = ns.lab.dir / f"{ns.short}-{dev}-{direction}.pcap"
        self.process = ns.start("tcpdump", "-i", dev, "-n", "-p", "-Q", direction, "-s", snaplen, "-B", 16384,
                                "-Z", "root", "-U", "--immediate-mode", "-w", self.file,
                                name=f"tcpdump-{ns.short}-{dev}-{direction}")
        wait_for(f"tcpdump on {dev}", lambda: "listening on" in self.process.output())

    def stop(self):
        """The frames, cut to the snap length, and how many the kernel lost."""
        self.process.stop(signal.SIGINT)
        lost = 0
        for line in self.process.output().splitlines():
            if line.endswith("dropped by kernel"):
                lost = int(line.split()[0])
        return list(read_pcap(self.file)), lost


def read_pcap(path):
    data = path.read_bytes()
    if len(data) < 24 or data[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        raise Failed(f"{path}: not a capture")
    at = 24
    while at + 16 <= len(data):
        caplen = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16:at + 16 + caplen]
        at += 16 + caplen
