# SPDX-License-Identifier: BSD-3-Clause
"""Echo requests whose answers all count, however late: ping(8) waits for its last ones no longer than twice the longest time that an
answer took, or than its interval, and whoever gets no cpu meanwhile has lost them."""

import itertools
import os
import select
import socket
import struct
import threading
import time

LATE = 5  # seconds that an answer may take where others came

_ids = itertools.count(os.getpid())


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class Echo:
    """From a namespace to an address; df: True and False as ping's -M do and dont."""

    def __init__(self, ns, address, interval=0.2, size=56, source=None, df=None):
        self.to, self.interval, self.size = (address, 0), interval, size
        self.id = next(_ids) & 0xFFFF
        self.v6 = ":" in address
        family, proto = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if self.v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
        with ns.inside():
            self.sock = socket.socket(family, socket.SOCK_RAW, proto)
            if source:
                self.sock.bind((source, 0))
        self.sock.setblocking(False)
        # Nothing but echo replies comes in: ICMP6_FILTER, and ICMP_FILTER of SOL_RAW.
        if self.v6:
            self.sock.setsockopt(proto, 1, struct.pack("=8I", *(0xFFFFFFFF ^ ((i == 129 // 32) << 129 % 32) for i in range(8))))
        else:
            self.sock.setsockopt(255, 1, struct.pack("=I", 0xFFFFFFFF ^ 1))
        if df is not None:  # IPV6_MTU_DISCOVER, IP_MTU_DISCOVER
            self.sock.setsockopt(socket.IPPROTO_IPV6 if self.v6 else socket.IPPROTO_IP, 23 if self.v6 else 10, 2 if df else 0)
        self.sent, self.answered = 0, set()
        self.ending = threading.Event()

    def _send(self):
        head = struct.pack("!HH", self.id, self.sent & 0xFFFF)
        data = head + bytes(self.size)
        kind = 128 if self.v6 else 8
        total = 0 if self.v6 else checksum(struct.pack("!BBH", kind, 0, 0) + data)  # of IPv6 the kernel makes it
        self.sent += 1
        try:
            self.sock.sendto(struct.pack("!BBH", kind, 0, total) + data, self.to)
        except OSError:
            pass  # no route, no neighbour, too large: one without an answer

    def _receive(self, timeout):
        """At most one answer."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return
        try:
            p = self.sock.recv(65535)
        except OSError:
            return
        kind, _, _, ident, number = struct.unpack_from("!BBHHH", p, 0 if self.v6 else (p[0] & 15) * 4)
        if (kind, ident) == (129 if self.v6 else 0, self.id):
            self.answered.add(number)

    @property
    def lost(self):
        return self.sent - len(self.answered)

    def run(self, count=None, wait=LATE):
        """Sends so many, or until the end is told; the number of answers. wait: seconds for the first of them, after the last request."""
        with self.sock:
            while self.sent != count and not self.ending.is_set():
                after = time.monotonic() + self.interval
                self._send()
                while self.sent != count and (left := after - time.monotonic()) > 0:
                    self._receive(left)
            end = time.monotonic()
            while self.lost > 0 and time.monotonic() < end + (max(LATE, wait) if self.answered else wait):
                self._receive(0.02)
        return len(self.answered)

    # with Echo(…) as e: a stream meanwhile; then e.sent and e.lost.

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.ending.set()
        self.thread.join()
