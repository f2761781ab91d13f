# SPDX-License-Identifier: BSD-3-Clause
"""Several workers and crypto lcores: every number once, each flow in order, nothing lost below capacity."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from lab import Lab
from router import Drops
from test_static_sa import BITS, HOST, Site, static_config
from wire import IP_ESP, IP_UDP, is_ip

FLOWS = 16
PACKETS = 100  # of each flow


@pytest.fixture(scope="module", params=[(2, 1), (2, 3), (1, 3)], ids=lambda p: f"{p[0]}w{p[1]}c")
def site(request):
    with Lab("t-workers") as lab:
        s = Site(lab, static_config("dedicated", *request.param))
        s.workers = request.param[0]
        yield s
        assert s.router.stop() == 0


def flow_packet(site, bits, flow, n, back):
    far = f"{BITS[bits]}.{flow + 1}"
    src, dst = (far, HOST) if back else (HOST, far)
    return IP(src=src, dst=dst) / UDP(sport=6000 + flow, dport=7000) / Raw(n.to_bytes(4, "big") + bytes(n % 200))


def in_order(packets):
    """Flow by flow, the numbers that the packets carry are 0, 1, 2, …"""
    seen = {}
    for p in packets:
        seen.setdefault(p[UDP].sport, []).append(int.from_bytes(bytes(p[UDP].payload)[:4], "big"))
    assert len(seen) == FLOWS
    for flow, numbers in seen.items():
        assert numbers == list(range(PACKETS)), f"flow {flow}: {numbers}"


def interleaved(site, bits, back):
    return [flow_packet(site, bits, f, n, back) for n in range(PACKETS) for f in range(FLOWS)]


def test_outbound(site):
    """One SA sealed by several workers: no sequence number twice, none left out, each flow in order."""
    bits = 128
    site.host.send(site.to_router(site.clear(bits), "lan"))  # neighbours are known
    assert site.peer.recv(is_ip(IP_ESP)) is not None
    with Drops(site.router) as drops:
        frames = [site.to_router(p, "lan") for p in interleaved(site, bits, False)]
        got = []
        for i in range(0, len(frames), 64):
            site.host.send(*frames[i:i + 64])
            got += site.peer.collect(len(frames[i:i + 64]), is_ip(IP_ESP))
        assert drops.since() == {}
    assert len(got) == len(frames)
    numbers = sorted(int.from_bytes(f[38:42], "big") for f in got)
    assert numbers == list(range(numbers[0], numbers[0] + len(frames)))
    sa = site.sa(bits, "out")
    in_order([sa.decrypt(IP(f[14:])) for f in got])


def test_inbound(site):
    bits = 256
    sa = site.sa(bits, "in")
    frames = [site.to_router(sa.encrypt(IP(bytes(p)), seq_num=i + 1), "wan")
              for i, p in enumerate(interleaved(site, bits, True))]
    site.peer.send(frames[0])
    assert site.host.recv(is_ip(IP_UDP)) is not None
    got = [flow_packet(site, bits, 0, 0, True)]
    with Drops(site.router) as drops:
        for i in range(1, len(frames), 64):
            site.peer.send(*frames[i:i + 64])
            got += [IP(f[14:]) for f in site.host.collect(len(frames[i:i + 64]), is_ip(IP_UDP))]
        assert drops.since() == {}
        in_order(got)
        site.peer.send(*frames[-500:])
        drops.expect({"esp-replay": 500})


def test_both_workers_work(site):
    """The kernel's fanout spreads the flows: else the tests above say less than they seem to."""
    rx = {}
    for lcore in site.router.json("graph", "stats"):
        for n in lcore["nodes"]:
            if n["node"] == "ip4-input":
                rx[lcore["lcore"]] = n["packets"]
    assert len(rx) == site.workers and min(rx.values()) > PACKETS, rx
