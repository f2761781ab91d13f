#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""stream.py ADDRESS PEER RATE SIZE: numbered UDP packets to a peer that runs the same, until SIGINT; then a second
for what is under way. Prints one line of JSON: packets sent, numbers received once and more than once, the longest time without
one in milliseconds, the first gaps of numbers, and how many the longest gap lacks."""

import json
import signal
import socket
import struct
import sys
import time

PORT = 7000
BURST = 64  # packets that may be sent at once: with more of them the sender would measure the rings on their way
LAST_TURNS = 500  # of the last second, at least: without a cpu for it nothing would have been read


def gaps(seen):
    """Runs of numbers between the first and the last that are not there."""
    out, last = [], None
    for n in sorted(seen):
        if last is not None and n != last + 1:
            out.append([last + 1, n - 1])
        last = n
    return out


def main(address, peer, rate, size):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    sock.bind((address, PORT))
    sock.setblocking(False)
    running = [True]
    signal.signal(signal.SIGINT, lambda *_: running.__setitem__(0, False))
    seen, again, sent, longest, last, refused = set(), 0, 0, 0.0, None, 0
    began, end = time.monotonic(), None
    print("ready", flush=True)
    late, turns = False, 0
    while not late:
        now = time.monotonic()
        late = end is not None and now > end and turns >= LAST_TURNS  # what has come by then is read below
        turns += end is not None
        if not running[0] and end is None:
            end = now + 1
        if (now - began) * rate - sent > BURST:  # no cpu for a while: what was not sent meanwhile never is
            began = now - (sent + BURST) / rate
        while end is None and sent < (now - began) * rate:
            try:
                sock.sendto(struct.pack("!Q", sent).ljust(size, b"."), (peer, PORT))
            except OSError:
                refused += 1
                break
            sent += 1
        try:
            while True:
                n = struct.unpack_from("!Q", sock.recv(65535))[0]
                at = time.monotonic()
                if last is not None and end is None:
                    longest = max(longest, at - last)
                last = at
                again += n in seen
                seen.add(n)
        except OSError:
            pass
        time.sleep(0.0005)
    missing = gaps(seen)
    print(json.dumps({"sent": sent, "received": len(seen), "again": again, "longest_ms": round(longest * 1000, 1),
                      "gaps": missing[:20], "longest_gap": max((b - a + 1 for a, b in missing), default=0),
                      "first": min(seen, default=None), "last": max(seen, default=None)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
