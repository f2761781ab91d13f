# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios after strongSwan's own with address translation: sun is a cygnet, those behind moon's NAT are stock charons with
kernel-libipsec (and in double-nat bob is a second cygnet, behind a NAT as well).

    alice, venus -- moon (NAT) ------ sun -- bob
"""

import re

import pytest

from lab import Lab, wait_for
from peers import Gateway, Host, NatBox, Pki, Stock, Switch, Watch, connection, counted

MOON, SUN, GATE = "192.168.0.1", "192.168.0.2", "192.168.0.3"
ALICE, VENUS, BOB = "10.1.0.10", "10.1.0.20", "10.2.0.10"
INNER = "10.7.0.10"
NET_SUN = "10.2.0.0/16"
IDS = {"sun": "sun.strongswan.org", "alice": "alice.strongswan.org", "venus": "venus.strongswan.org", "bob": "bob.strongswan.org"}


class Net:
    def __init__(self, lab):
        self.lab = lab
        self.wan, self.moon_lan, self.sun_lan = (Switch(lab, n) for n in ("sw-wan", "sw-moon", "sw-sun"))
        self.sun = Gateway(lab, "sun", {"wan": (self.wan, [SUN + "/24"]), "lan": (self.sun_lan, ["10.2.0.1/16"])}).start()
        self.moon = NatBox(lab, "moon", self.wan, MOON + "/24", self.moon_lan, "10.1.0.1/16")
        self.moon.masquerade("1024-1100")
        self.bob = Host(self.sun_lan, "bob", BOB + "/16", gateway="10.2.0.1")
        self.alice = Stock(self.moon_lan, "alice", ALICE + "/16", gateway="10.1.0.1", charon="install_virtual_ip = yes")
        self.venus = Stock(self.moon_lan, "venus", VENUS + "/16", gateway="10.1.0.1", charon="install_virtual_ip = yes")
        for c in self.sun, self.alice, self.venus:
            c.start_charon()
        # To those behind moon (an address that they keep, or one that sun gave them).
        for to in "10.1.0.0/16", "10.3.0.0/16":
            self.sun.ns.route(to, "via", MOON, "dev", "wan")
        self.watch = Watch(self.wan, self.sun.plugs["wan"])

    def load_sun(self, auth="psk", **more):
        """For those behind the NAT with their own addresses."""
        self.sun.load(nat=connection(IDS["sun"], None, {"nat": {"local_ts": NET_SUN, "remote_ts": "10.1.0.0/16"}}, SUN, auth=auth, **more))

    def load_rw(self, name, auth="psk", child=None, **more):
        getattr(self, name).load(nat=connection(IDS[name], IDS["sun"], {"nat": {"remote_ts": NET_SUN, **(child or {})}},
                                                None, SUN, auth=auth, **more))

    def counted(self, host, to, pings=2):
        def send():
            self.watch.frames()
            assert host.ping(to, pings) == pings
        assert counted([self.sun], send) == [(pings, pings)]
        kinds = self.watch.kinds()
        assert kinds.pop("esp-udp") == 2 * pings
        assert set(kinds) <= {"ike", "arp"}, kinds

    def remote_ports(self):
        """UDP ports of the peers, as sun's outbound SAs have them."""
        return sorted(s["encapsulation"]["destination_port"] for s in self.sun.sas("out"))


@pytest.fixture(scope="module")
def module_net():
    with Lab("t-nat") as lab:
        made = Net(lab)
        yield made
        assert made.sun.charon.stop() == 0
        assert made.sun.router.stop() == 0


@pytest.fixture
def net(module_net):
    module_net.watch.frames()
    yield module_net
    kinds = module_net.watch.kinds()
    for c in module_net.sun, module_net.alice, module_net.venus:
        c.reset()
    assert set(kinds) <= {"esp-udp", "ike", "arp"}, kinds


@pytest.mark.parametrize("auth", ["pubkey", "psk"])
def test_nat_rw(net, auth):
    """Two road warriors behind one address; keepalives hold the way back open. nat-rw, and nat-rw-psk."""
    if auth == "pubkey":
        pki = Pki()
        for n in "sun", "alice", "venus":
            pki.give(getattr(net, n).charon, IDS[n])
    mark = net.alice.log_mark()
    net.load_sun(auth)
    for n in "alice", "venus":
        net.load_rw(n, auth)
        getattr(net, n).up("nat")
    for host in net.alice, net.venus:
        net.counted(host, BOB)
    net.alice.wait_log("sending keep alive", mark)
    for to in ALICE, VENUS:
        net.counted(net.bob, to)
    assert len(set(net.remote_ports())) == 2 and all(1024 <= p <= 1100 for p in net.remote_ports())


def test_nat_virtual_ip(net):
    """A gateway behind which hosts are translated to the address that sun gives it."""
    net.sun.load({"pool": {"addrs": "10.3.0.0/28"}},
                 nat=connection(IDS["sun"], None, {"nat": {"local_ts": NET_SUN}}, SUN, pools="pool"))
    net.load_rw("alice", vips="0.0.0.0")
    net.alice.up("nat")
    vip = re.search(r"10\.3\.0\.\d+", net.alice.charon.sas()).group(0)
    net.counted(net.alice, BOB)
    net.counted(net.bob, vip)
    # A host for which alice is the gateway: the address that bob sees is the virtual one.
    net.alice.ns.run("nft", f"add table ip vip; add chain ip vip post {{ type nat hook postrouting priority 100; }}; "
                     f"add rule ip vip post oifname ipsec0 snat to {vip}")
    client = net.lab.ns("client")
    client.no_ipv6()
    net.lab.veth(net.alice.ns, "behind", client, "eth0")
    net.alice.ns.addr("behind", "10.9.0.1/24")
    client.addr("eth0", "10.9.0.2/24")
    client.route("default", "via", "10.9.0.1")
    seen = Watch(net.sun_lan, net.bob.port)
    before = net.sun.packets()
    try:
        assert client.ping(BOB, count=2, interval=0.05) == 2
    finally:
        net.alice.ns.run("nft", "delete table ip vip")
    assert tuple(b - a for a, b in zip(before, net.sun.packets())) == (2, 2)
    sources = {".".join(map(str, f[26:30])) for f in seen.frames() if f[12:14] == b"\x08\x00" and f[23] == 1}
    assert sources == {vip, BOB}


def test_mobike_nat_mappings(net):
    """The NAT box is started anew and gives other ports; alice notices by dead peer detection, and sun follows."""
    mark = net.sun.log_mark()
    net.sun.load({"pool": {"addrs": "10.3.0.0/28"}},
                 nat=connection(IDS["sun"], None, {"nat": {"local_ts": NET_SUN}}, SUN, pools="pool"))
    net.load_rw("alice", vips="0.0.0.0", dpd_delay="1s")
    net.alice.up("nat")
    vip = re.search(r"10\.3\.0\.\d+", net.alice.charon.sas()).group(0)
    net.counted(net.alice, BOB)
    spis, ports = {s["spi"] for s in net.sun.sas()}, net.remote_ports()
    net.alice.wait_log("parsed INFORMATIONAL response", net.alice.log_mark())
    net.moon.masquerade("5000-5100")
    try:
        net.sun.wait_log(r"remote endpoint changed from 192.168.0.1\[1...\] to 192.168.0.1\[5...\]", mark)
        wait_for("sun's new port", lambda: net.remote_ports() != ports and 5000 <= net.remote_ports()[0] <= 5100, 5)
        assert {s["spi"] for s in net.sun.sas()} == spis
        net.counted(net.alice, BOB)
        net.counted(net.bob, vip)
    finally:
        net.moon.masquerade("1024-1100")


def test_nat_mapping_without_mobike(net):
    """Without MOBIKE it is sun's router that sees authenticated packets come from elsewhere, and tells charon."""
    net.load_sun(mobike="no")
    net.load_rw("alice", mobike="no")
    net.alice.up("nat")
    net.counted(net.alice, BOB)
    net.moon.masquerade("5000-5100")
    try:
        assert net.alice.ping(BOB, 1, wait=0.2) in (0, 1)
        wait_for("sun's new port", lambda: net.alice.ping(BOB, 1, wait=0.3) == 1 and 5000 <= net.remote_ports()[0] <= 5100, 10)
        net.counted(net.alice, BOB)
        net.counted(net.bob, ALICE)
    finally:
        net.moon.masquerade("1024-1100")


def test_mobike(net):
    """alice is also on the outside, by a second interface that her tunnel uses; when it goes, she is behind moon (no NAT box
    this time), and the policies, which have her address, change with it."""
    net.moon.plain()
    net.wan.plug(net.alice.ns, "eth1")
    net.alice.ns.addr("eth1", "192.168.0.50/24")
    net.sun.load(nat=connection(IDS["sun"], None, {"nat": {"local_ts": NET_SUN}}, SUN))
    net.alice.load(nat=connection(IDS["alice"], IDS["sun"], {"nat": {"remote_ts": NET_SUN}}, "192.168.0.50", SUN))
    net.alice.up("nat")
    net.counted(net.alice, BOB)
    assert {s["destination"] for s in net.sun.sas("out")} == {"192.168.0.50"}
    mark = net.sun.log_mark()
    net.alice.ns.run("ip", "link", "del", "eth1")
    try:
        wait_for("the change", lambda: {s["destination"] for s in net.sun.sas("out")} == {ALICE}, 10)
        wait_for("a ping", lambda: net.alice.ping(BOB, 1, wait=0.3) == 1, 5)
        net.counted(net.alice, BOB)
        net.counted(net.bob, ALICE)
        # The same SAs went on with other addresses, and with the reqid of their new selectors (until alice made new ones:
        # libipsec cannot change an SA's addresses).
        net.sun.wait_log(r"replaced reqid \d+ with reqid \d+ for updated CHILD_SA", mark)
    finally:
        net.moon.masquerade("1024-1100")


def test_double_nat(net):
    """Both ends are behind a NAT: alice reaches bob's gateway, a cygnet, by a port that its NAT box forwards."""
    inner = Switch(net.lab, "sw-gate")
    gate = NatBox(net.lab, "gate", net.wan, GATE + "/24", inner, "10.7.0.1/16")
    gate.nft("add table ip nat", "add chain ip nat post { type nat hook postrouting priority 100; }",
             "add rule ip nat post oifname out masquerade")
    for p in 500, 4500:
        gate.forward(p, INNER)
    peer = Gateway(net.lab, "peer", {"wan": (inner, [INNER + "/16"])}).start().start_charon()
    peer.ns.route("default", "via", "10.7.0.1", "dev", "wan")
    watch = Watch(net.wan, gate.port)
    peer.load(nat=connection(IDS["bob"], None, {"nat": {"remote_ts": "10.1.0.0/16"}}, INNER))
    net.alice.load(nat=connection(IDS["alice"], IDS["bob"], {"nat": {"remote_ts": INNER}}, None, GATE))
    net.alice.up("nat")
    assert net.alice.ping(INNER, 3) == 3
    assert peer.packets() == (3, 3)
    assert peer.ns.ping(ALICE, count=3, interval=0.05) == 3
    assert peer.packets() == (6, 6)
    kinds = watch.kinds()
    assert kinds.pop("esp-udp") == 12 and set(kinds) <= {"ike", "arp"}, kinds
    assert peer.charon.stop() == 0 and peer.router.stop() == 0
