# SPDX-License-Identifier: BSD-3-Clause
"""A node from outside the tree, built against the installed headers, on an edge of the graph."""

import json
import os
import socket
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from lab import BUILD, run, wait_for
from router import Router, config, port
from wire import IP_UDP, Wire, is_ip

SOURCE = Path(__file__).parent / "node-plugin"


def telemetry(prefix, command):
    """Asks DPDK's telemetry socket of a router."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(5)
        s.connect(f"/run/dpdk/{prefix}/dpdk_telemetry.v2")
        s.recv(16384)  # who it is
        s.send(command.encode())
        return json.loads(s.recv(65536))[command]


@pytest.fixture
def plugin(lab):
    """The shared object, made by a build of its own from what `meson install` puts into place."""
    root, build = lab.dir / "root", lab.dir / "build"
    run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], env={**os.environ, "DESTDIR": str(root)},
        timeout=60)
    pc = next(root.rglob("cygnet-nodes.pc"))
    # What a package would leave at /usr is under a root of its own here.
    pc.write_text(pc.read_text().replace("prefix=/usr", f"prefix={root}/usr", 1))
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    run(["meson", "setup", build, SOURCE], env=env, timeout=60)
    run(["ninja", "-C", build], timeout=60)
    return build / "dscp_count.so"


def test_counts_by_dscp(lab, plugin):
    r, a, b = lab.ns("r"), lab.ns("a"), lab.ns("b")
    for ns, dev, addr in (a, "in", "10.1.0.2/24"), (b, "out", "10.2.0.2/24"):
        ns.no_ipv6()
        lab.veth(r, f"v-{dev}", ns, "e0")
        ns.addr("e0", addr)
        ns.run("nft", "add table inet mute; add chain inet mute in "
                      "{ type filter hook input priority 0; policy drop; }")
    router = Router(r, config(
        [port("in", ["10.1.0.1/24"], default_action="bypass"), port("out", ["10.2.0.1/24"], default_action="bypass")],
        ipsec={"static-only": True},
        plugins=[{"library": str(plugin), "node": "dscp-count", "edge": "ipsec-input-check -> ip4-lookup"}])).start()
    wire_a, wire_b = Wire(a, "e0"), Wire(b, "e0")
    eth = Ether(src=a.mac("e0"), dst=r.mac("in"))
    # The first has the neighbour resolved.
    wire_a.send(eth / IP(src="10.1.0.2", dst="10.2.0.2", tos=1 << 2) / UDP(sport=1, dport=2))
    assert wire_b.recv(is_ip(IP_UDP)) is not None
    assert telemetry(router.name, "/cygnet/dscp") == {"1": 1}
    sent = {46: 5, 10: 3, 0: 2}
    for dscp, n in sent.items():
        for _ in range(n):
            wire_a.send(eth / IP(src="10.1.0.2", dst="10.2.0.2", tos=dscp << 2) / UDP(sport=1, dport=2))
    assert len(wire_b.collect(10, is_ip(IP_UDP))) == 10
    want = {"1": 1, **{str(d): n for d, n in sent.items()}}
    wait_for(f"counts {want}", lambda: telemetry(router.name, "/cygnet/dscp") == want, 3)
    assert "dscp-count" in router.nodes()
    assert router.stop() == 0


def test_refuses_what_it_cannot_load(lab):
    r, far = lab.ns("r"), lab.ns("far")
    lab.veth(r, "v-in", far, "e0")
    for bad in ({"library": "/nonexistent/node.so", "node": "x", "edge": "ip4-lookup -> ip4-rewrite"},
                {"library": "/usr/lib/x86_64-linux-gnu/libm.so.6", "node": "no-such-node",
                 "edge": "ip4-lookup -> ip4-rewrite"}):
        router = Router(r, config([port("in", ["10.1.0.1/24"])], plugins=[bad]))
        router.start(wait=False)
        assert router.process.wait(20) in (1, 2)
        assert bad["library"] in router.process.output() or bad["node"] in router.process.output()
