# SPDX-License-Identifier: BSD-3-Clause
"""Local traffic: transport mode between two routers protects BGP, and an attacker on their link gets nowhere with clear packets.

router 1 -- switch -- router 2; the attacker is on the switch. What listens on BGP's port is an echo server.
"""

import socket

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab import Lab, wait_for
from router import Drops, Router, config, port
from wire import Capture, Wire, kind

BGP = 179
ADDR = {1: {4: "192.0.2.1", 6: "2001:db8:f::1"}, 2: {4: "192.0.2.2", 6: "2001:db8:f::2"}}
STRANGER = {4: "192.0.2.66", 6: "2001:db8:f::66"}
ALL = {4: "0.0.0.0/0", 6: "::/0"}
KEYS = {4: {1: bytes(range(20)), 2: bytes(range(30, 50))}, 6: {1: bytes(range(60, 80)), 2: bytes(range(90, 110))}}

ECHO = """
import socket, threading
s = socket.create_server(("::", 179), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
def serve(c):
    while data := c.recv(65536):
        c.sendall(data)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""


def the_config(me):
    peer, sas, policies = 3 - me, [], []
    for f in 4, 6:
        for d, who in ("out", me), ("in", peer):
            sas.append({"name": f"{d}{f}", "direction": d, "spi": 0x21000000 + f * 16 + who, "mode": "transport",
                        "source": ADDR[who][f], "destination": ADDR[3 - who][f], "encryption": "aes128gcm16",
                        "key": "0x" + KEYS[f][who].hex(), "reqid": f, "insecure-test": True,
                        **({"replay-window": 64} if d == "in" else {})})
            for ports in "source-ports", "destination-ports":
                policies.append({"direction": d, "action": "protect", "source": ADDR[who][f],
                                 "destination": ADDR[3 - who][f], "protocol": "tcp", ports: str(BGP), "reqid": f,
                                 "mode": "transport", **({"spi": 0x21000000 + f * 16 + me} if d == "out" else {})})
        policies.append({"direction": "in", "action": "discard", "source": ALL[f], "destination": ALL[f],
                         "protocol": "tcp", "destination-ports": str(BGP), "priority": 5000})
    return config([port("wan", [f"{ADDR[me][4]}/24", f"{ADDR[me][6]}/64"])],
                  ipsec={"static-only": True, "audit-rate": 100}, sas=sas, policies=policies)


class Link:
    def __init__(self, lab):
        self.switch = lab.ns("switch")
        self.switch.no_ipv6()
        self.switch.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", 0)
        self.switch.run("ip", "link", "set", "br0", "up")
        self.ns, self.router, self.wire = {}, {}, {}
        for i in 1, 2:
            self.ns[i] = lab.ns(f"r{i}")
            self.ns[i].ipv6_at_once()
            lab.veth(self.ns[i], "v-wan", self.switch, f"s{i}")
            self.switch.run("ip", "link", "set", f"s{i}", "master", "br0")
        for i in 1, 2:
            self.router[i] = Router(self.ns[i], the_config(i)).start()
            self.wire[i] = Wire(self.switch, f"s{i}")
        self.mac = {i: self.ns[i].mac("wan") for i in (1, 2)}
        self.echo = self.ns[2].start("/usr/bin/python3", "-c", ECHO, name="echo")
        wait_for("the server", lambda: "listening" in self.echo.output())

    def attack(self, packet):
        """From somebody on the link, to router 1."""
        self.wire[1].send(bytes(Ether(src="02:66:66:66:66:66", dst=self.mac[1]) / packet))


@pytest.fixture(scope="module")
def link():
    with Lab("t-bgp") as lab:
        n = Link(lab)
        yield n
        assert all(r.stop() == 0 for r in n.router.values())


def exchange(conn, n):
    data = bytes(i * 7 & 0xFF for i in range(n))
    conn.sendall(data)
    got = b""
    while len(got) < n:
        got += conn.recv(65536)
    assert got == data


@pytest.mark.parametrize("family", [4, 6])
def test_session(link, family):
    """The session lives in ESP alone, whatever an attacker sends in its name."""
    me, peer = ADDR[1][family], ADDR[2][family]
    layer = IP if family == 4 else IPv6
    capture = Capture(link.switch, "s2")
    with link.ns[1].inside():
        conn = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    conn.settimeout(10)
    conn.connect((peer, BGP))
    exchange(conn, 50000)
    mine = conn.getsockname()[1]
    attacks = {"reset": layer(src=peer, dst=me) / TCP(sport=BGP, dport=mine, flags="R", seq=1),
               "data": layer(src=peer, dst=me) / TCP(sport=BGP, dport=mine, flags="PA") / Raw(bytes(19)),
               "open": layer(src=peer, dst=me) / TCP(sport=4000, dport=BGP, flags="S")}
    strangers = [layer(src=STRANGER[family], dst=me) / TCP(sport=4000, dport=BGP, flags="S")]
    if family == 6:  # it may be the stranger's; IPv4's never come: AF_PACKET has the kernel put them together
        strangers.append(IPv6(src=peer, dst=me) / IPv6ExtHdrFragment(nh=6, offset=10) / Raw(bytes(40)))
    with Drops(link.router[1]) as d:
        for n, packet in enumerate(attacks.values(), 1):
            link.attack(packet)
            d.expect({"policy-clear": n})
        for n, packet in enumerate(strangers, 1):
            link.attack(packet)
            d.expect({"policy-clear": len(attacks), "policy-discard": n})
        # ESP that somebody made without the key.
        esp = (0x21000000 + family * 16 + 2).to_bytes(4, "big") + (1000).to_bytes(4, "big") + bytes(60)
        link.attack((layer(src=peer, dst=me, proto=50) if family == 4 else layer(src=peer, dst=me, nh=50)) / Raw(esp))
        d.expect({"policy-clear": len(attacks), "policy-discard": len(strangers), "esp-icv": 1})
    exchange(conn, 50000)
    conn.close()
    frames, _ = capture.stop()
    assert {kind(f) for f in frames} <= {"esp", "arp", "nd"}, {kind(f) for f in frames}
    assert all(s["packets"] > 10 for s in link.router[1].sas() if s["reqid"] == family)
    for event in f"event=clear protocol=6 spi=0x00000000 sqn=0 source={peer} destination={me}", "event=icv protocol=esp":
        wait_for(event, lambda: event in link.router[1].process.output())
