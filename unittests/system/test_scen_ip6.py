# SPDX-License-Identifier: BSD-3-Clause
"""IPv6 scenarios after strongSwan's own: moon and sun are cygnets, both families are on the wire and behind the gateways."""

import pytest

from lab import Lab
from peers import Gateway, Host, Switch, Watch, connection, counted

MOON, SUN = "192.168.0.1", "192.168.0.2"
MOON6, SUN6 = "fec0::1", "fec0::2"
NETS = {4: ("10.1.0.0/16", "10.2.0.0/16"), 6: ("fec1::/64", "fec2::/64")}
HOSTS = {4: ("10.1.0.10", "10.2.0.10"), 6: ("fec1::10", "fec2::10")}
IDS = ("moon.strongswan.org", "sun.strongswan.org")


class Net:
    def __init__(self, lab):
        self.wan, moon_lan, sun_lan = (Switch(lab, n) for n in ("sw-wan", "sw-moon", "sw-sun"))
        self.gateways = []
        for i, (name, lan) in enumerate((("moon", moon_lan), ("sun", sun_lan)), 1):
            g = Gateway(lab, name, {"wan": (self.wan, [f"192.168.0.{i}/24", f"fec0::{i}/64"]),
                                    "lan": (lan, [f"10.{i}.0.1/16", f"fec{i}::1/64"])}, ipv6=True)
            self.gateways.append(g.start())
        self.moon, self.sun = self.gateways
        self.moon.router.wait_ready()
        if "ip6-input" not in self.moon.router.nodes():
            pytest.skip("the router has no IPv6 nodes")
        self.alice, self.bob = (Host(lan, name, f"10.{i}.0.10/16", f"fec{i}::10/64", gateway=[f"10.{i}.0.1", f"fec{i}::1"], ipv6=True)
                                for i, (name, lan) in enumerate((("alice", moon_lan), ("bob", sun_lan)), 1))
        for i, g in ((2, self.moon), (1, self.sun)):
            g.start_charon()
            g.ns.route(f"10.{i}.0.0/16", "via", f"192.168.0.{i}", "dev", "wan")
            g.ns.run("ip", "-6", "route", "add", f"fec{i}::/64", "via", f"fec0::{i}", "dev", "wan")
        self.watch = Watch(self.wan, self.moon.plugs["wan"])

    def up(self, outer, child):
        """A connection over that family; child is moon's, and turned around for sun."""
        ends = (MOON, SUN) if outer == 4 else (MOON6, SUN6)
        turned = {**child}
        if "local_ts" in child:
            turned.update(local_ts=child["remote_ts"], remote_ts=child["local_ts"])
        self.sun.load(gw=connection(IDS[1], IDS[0], {"net": turned}, ends[1], ends[0]))
        self.moon.load(gw=connection(IDS[0], IDS[1], {"net": child}, ends[0], ends[1]))
        self.moon.up("net")

    def counted(self, source, to, pings=3):
        def send():
            self.watch.frames()
            assert source.ping(to, pings) == pings
            assert source.ping(to, 1, size=1300) == 1
        assert counted(self.gateways, send) == [(pings + 1, pings + 1)] * 2
        kinds = self.watch.kinds()
        assert kinds.pop("esp") == 2 * (pings + 1)
        assert set(kinds) <= {"ike", "arp", "nd"}, kinds


@pytest.fixture(scope="module")
def module_net():
    with Lab("t-scen-ip6") as lab:
        made = Net(lab)
        yield made
        assert [g.charon.stop() for g in made.gateways] == [0, 0]
        assert [g.router.stop() for g in made.gateways] == [0, 0]


@pytest.fixture
def net(module_net):
    yield module_net
    for g in module_net.gateways:
        g.reset()


@pytest.mark.parametrize("outer, inner", [(6, 6), (4, 6), (6, 4)], ids=["net2net", "ip6-in-ip4", "ip4-in-ip6"])
def test_tunnel(net, outer, inner):
    net.up(outer, {"local_ts": NETS[inner][0], "remote_ts": NETS[inner][1]})
    net.counted(net.alice, HOSTS[inner][1])
    net.counted(net.bob, HOSTS[inner][0])


def test_transport(net):
    """Between the gateways' own IPv6 addresses."""
    net.up(6, {"mode": "transport"})

    class Self:
        @staticmethod
        def ping(to, count, **kw):
            return net.moon.ns.ping(to, count=count, interval=0.05, **kw)
    net.counted(Self, SUN6)
