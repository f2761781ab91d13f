# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios after strongSwan's own that libipsec has no part in (transport mode, AH, ESN, ICMP types, plain ESP): moon and sun
are both cygnets.

    alice -- moon ======= sun -- bob
              dave (no IPsec)
"""

import re
import socket
import time

import pytest

from lab import PATIENCE, Lab, wait_for
from peers import Gateway, Host, Streams, Switch, Tcp, Watch, connection, counted, greets
from wire import kind

MOON, MOON2, SUN, DAVE = "192.168.0.1", "192.168.0.11", "192.168.0.2", "192.168.0.50"
ALICE, BOB = "10.1.0.10", "10.2.0.10"
NET, NET_SUN = "10.1.0.0/16", "10.2.0.0/16"
IDS = ("moon.strongswan.org", "sun.strongswan.org")


class Net:
    def __init__(self, lab, charon="", **conf):
        self.wan, moon_lan, sun_lan = (Switch(lab, n) for n in ("sw-wan", "sw-moon", "sw-sun"))
        self.moon = Gateway(lab, "moon", {"wan": (self.wan, [MOON + "/24", MOON2 + "/24"]), "lan": (moon_lan, ["10.1.0.1/16"])},
                            charon=f"prefer_best_path = yes\n\tinterfaces_use = wan\n\t{charon}", **conf).start()
        # Without interfaces_use sun would offer its LAN's address to MOBIKE as a further way to it.
        self.sun = Gateway(lab, "sun", {"wan": (self.wan, [SUN + "/24"]), "lan": (sun_lan, ["10.2.0.1/16"])},
                           charon=f"interfaces_use = wan\n\t{charon}", **conf).start()
        self.alice = Host(moon_lan, "alice", ALICE + "/16", gateway="10.1.0.1")
        self.bob = Host(sun_lan, "bob", BOB + "/16", gateway="10.2.0.1")
        self.dave = Host(self.wan, "dave", DAVE + "/24")
        for g in self.moon, self.sun:
            g.start_charon()
        self.moon.ns.sysctl("net.ipv4.conf.wan.promote_secondaries", 1)
        self.moon.ns.route(NET_SUN, "via", SUN, "dev", "wan")
        self.sun.ns.route(NET, "via", MOON, "dev", "wan")
        self.watch = Watch(self.wan, self.moon.plugs["wan"])

    def load(self, moon, sun, moon_more=None, **more):
        self.sun.load(gw=connection(IDS[1], IDS[0], sun, SUN, None, **more))
        self.moon.load(gw=connection(IDS[0], IDS[1], moon, MOON, SUN, **{**more, **(moon_more or {})}))

    def load_net(self, moon=None, sun=None, **more):
        self.load({"net": {"local_ts": NET, "remote_ts": NET_SUN, **(moon or {})}},
                  {"net": {"local_ts": NET_SUN, "remote_ts": NET, **(sun or {})}}, **more)

    def counted(self, pings, esp, source=None, to=None):
        """Those pings are answered; each is counted on both gateways, and is one packet of that kind for an observer."""
        def send():
            self.watch.frames()
            assert (source or self.alice.ns).ping(to or BOB, count=pings, interval=0.05) == pings
        assert counted((self.moon, self.sun), send) == [(pings, pings)] * 2
        kinds = self.watch.kinds()
        assert kinds.pop(esp) == 2 * pings
        assert set(kinds) <= {"ike", "arp"}, kinds


@pytest.fixture(scope="module")
def module_net():
    with Lab("t-hosts") as lab:
        made = Net(lab)
        yield made
        assert [g.charon.stop() for g in (made.moon, made.sun)] == [0, 0]
        assert [g.router.stop() for g in (made.moon, made.sun)] == [0, 0]


@pytest.fixture
def net(module_net):
    module_net.watch.frames()
    yield module_net
    for g in module_net.moon, module_net.sun:
        g.reset()


def test_net2net_esn(net):
    """moon can do with and without extended sequence numbers, sun insists."""
    net.load_net({"esp_proposals": "aes128gcm16-esn-noesn-x25519"}, {"esp_proposals": "aes128gcm16-esn-x25519"})
    net.moon.up("net")
    assert "ESN" in net.moon.charon.sas()
    for g in net.moon, net.sun:
        assert all("esn" in s["flags"] for s in g.sas()) and len(g.sas()) == 2
    net.counted(10, "esp")


def test_host2host_transport(net):
    """Between the gateways' own addresses, by Linux of both."""
    net.load({"host": {"mode": "transport"}}, {"host": {"mode": "transport"}})
    net.moon.up("host")
    assert all(s["mode"] == "transport" for s in net.moon.sas())
    net.counted(3, "esp", net.moon.ns, SUN)
    with Tcp(net.sun, SUN, 80):
        assert greets(net.moon, SUN, 80)
    kinds = net.watch.kinds()
    assert kinds.pop("esp") >= 4 and set(kinds) <= {"ike", "arp"}, kinds


@pytest.mark.parametrize("integrity", ["aesxcbc", "sha256"])
def test_host2host_ah(net, integrity):
    child = {"host": {"mode": "transport", "ah_proposals": f"{integrity}-x25519"}}
    net.load(child, child)
    net.moon.up("host")
    net.counted(3, "clear-51", net.moon.ns, SUN)


def test_force_udp_encap(net):
    """One side asks for it though there is no NAT, and nothing is ESP of its own."""
    net.load_net(moon_more={"encap": "yes"})
    mark = net.moon.log_mark()
    net.moon.up("net")
    net.moon.wait_log("faking NAT situation to enforce UDP encapsulation", mark)
    net.counted(3, "esp-udp")


def test_trap_any(net):
    """Traps in transport mode for whoever comes: the packet says who the peer is."""
    trap = {"mode": "transport", "start_action": "trap"}
    net.sun.load(any=connection(IDS[1], None, {"any": trap}, SUN, "%any"))
    net.moon.load(any=connection(IDS[0], None, {"any": {**trap, "remote_ts": SUN}}, MOON, "%any"))
    net.watch.frames()
    wait_for("a ping to sun", lambda: net.moon.ns.ping(SUN, 1, wait=0.3) == 1, 10)
    net.counted(2, "esp", net.moon.ns, SUN)
    # dave is not among those whom moon's trap is for.
    assert net.moon.ns.ping(DAVE, 2) == 2
    assert net.watch.kinds().pop("clear-icmp") == 4
    # But he is for sun, and nobody there speaks IKE: nothing goes in clear.
    seen = Watch(net.wan, net.dave.port)
    mark = net.sun.log_mark()
    assert net.sun.ns.ping(DAVE, 2, wait=0.3) == 0
    net.sun.wait_log(f"initiating IKE_SA any.* to {DAVE}", mark)
    ours = []

    def spoken():
        ours.extend(kind(f) for f in seen.frames() if f[26:30] == socket.inet_aton(SUN))
        return ours
    wait_for("a word of sun's", spoken)
    assert set(ours) == {"ike"}, ours  # dave himself says that the port is closed


def test_protoport_range(net):
    """Three CHILD_SAs of one peer: echo requests, echo replies, and TCP to a range of ports."""
    kinds = {"icmp-req": ("icmp/2048", "icmp/2048"), "icmp-rep": ("icmp/0", "icmp/0"),
             "ftp-ssh": ("tcp/32768-65535", "tcp/21-22")}
    net.load({n: {"local_ts": f"{NET}[{a}]", "remote_ts": f"{NET_SUN}[{b}]"} for n, (a, b) in kinds.items()},
             {n: {"local_ts": f"{NET_SUN}[{b}]", "remote_ts": f"{NET}[{a}]"} for n, (a, b) in kinds.items()})
    for n in kinds:
        net.moon.up(n)

    def counts():
        return {(s["reqid"], s["direction"]): s["packets"] for s in net.moon.sas()}
    assert len(counts()) == 6
    net.counted(2, "esp")
    icmp = {k: n for k, n in counts().items() if n}
    # The request left by one and the reply came by another.
    assert sorted(d for _, d in icmp) == ["in", "out"] and len({r for r, _ in icmp}) == 2
    with Tcp(net.bob, BOB, 22), Tcp(net.bob, BOB, 23):
        assert greets(net.alice, BOB, 22)
        assert not greets(net.alice, BOB, 23, 0.5)
    tcp = {k: n for k, n in counts().items() if n != icmp.get(k, 0)}
    assert sorted(d for _, d in tcp) == ["in", "out"] and len({r for r, _ in tcp}) == 1
    kinds = net.watch.kinds()
    assert set(kinds) <= {"esp", "ike", "arp"}, kinds


def path(net):
    return re.search(r"local\s+'[^']*' @ ([0-9.]+)\[", net.moon.charon.sas()).group(1)


def test_mobike_better_path(net):
    """moon's way to sun gets another source address while the old one still works: not one packet may be lost for long."""
    net.load_net()
    net.moon.up("net")
    net.counted(2, "esp")
    spis = {s["spi"] for s in net.moon.sas()}
    for _ in range(3):  # who gets no cpu between two steps of it closes the way for that long
        with Streams(net.alice, ALICE, net.bob, BOB) as s:
            net.moon.ns.run("ip", "route", "change", "192.168.0.0/24", "dev", "wan", "src", MOON2)
            try:
                wait_for("the change of the path", lambda: path(net) == MOON2, 10)
            finally:
                net.moon.ns.run("ip", "route", "change", "192.168.0.0/24", "dev", "wan", "src", MOON)
            wait_for("the way back", lambda: path(net) == MOON, 10)
        print(s.results)
        if s.closed_ms < 100:
            break
    assert s.closed_ms < 100, s.results
    assert {x["spi"] for x in net.moon.sas()} == spis  # the same SAs, with their numbers and windows
    net.counted(2, "esp")


def test_mobike(net):
    """The address that the tunnel used goes; charon waits 100 ms before it believes it."""
    net.load_net()
    net.moon.up("net")
    net.counted(2, "esp")
    spis = {s["spi"] for s in net.moon.sas()}
    with Streams(net.alice, ALICE, net.bob, BOB) as s:
        net.moon.ns.run("ip", "addr", "del", MOON + "/24", "dev", "wan")
        try:
            wait_for("the change of the path", lambda: path(net) == MOON2, 10)
            time.sleep(0.3)
        finally:
            net.moon.ns.run("ip", "addr", "add", MOON + "/24", "dev", "wan", check=False)
    print(s.results)
    assert {x["spi"] for x in net.moon.sas()} == spis
    assert s.closed_ms < 1000 * PATIENCE, s.results
    net.counted(2, "esp")
