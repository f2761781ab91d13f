# SPDX-License-Identifier: BSD-3-Clause
"""traceroute and path MTU discovery through a hub, by routers whose addresses no policy names (RFC 4301, 6.2).

    host-a -- site-a === hub === site-b -- router-b -- host-b        router-b is Linux; its link to host-b carries 1300
"""

import re

import pytest

from lab import wait_for
from router import Drops, Router, config, port

NETS = {"a": ("10.1.0.0/24", "2001:db8:1::/64"), "b": ("10.2.1.0/24", "2001:db8:21::/64")}
HOST = {"a": ("10.1.0.2", "2001:db8:1::2"), "b": ("10.2.1.2", "2001:db8:21::2")}
SITE_A = ("10.1.0.1/24", "2001:db8:1::1/64")
LINK_B = ("10.77.0.1/24", "2001:db8:77::1/64"), ("10.77.0.2/24", "2001:db8:77::2/64")
ROUTER_B = ("10.2.1.1/24", "2001:db8:21::1/64")
WAN = {"a": ("192.0.2.1", "192.0.2.2"), "b": ("198.51.100.1", "198.51.100.2")}  # the site, the hub
WAN6 = {"a": ("2001:db8:aa::1", "2001:db8:aa::2"), "b": ("2001:db8:bb::1", "2001:db8:bb::2")}
LESS = 1300


def half(site, at_hub):
    """SAs and policies of the tunnel between a site and the hub, of one end."""
    reqid = 1 if site == "a" else 2
    local, peer = reversed(WAN[site]) if at_hub else WAN[site]
    near, far = NETS[site], NETS["b" if site == "a" else "a"]
    if at_hub:
        near, far = far, near
    sas = []
    for d in "in", "out":
        way = 1 if (d == "out") == at_hub else 2  # to the site, or from it
        sas.append({"name": f"{site}-{d}", "direction": d, "spi": 0x1000 * reqid + way, "reqid": reqid,
                    "source": local if d == "out" else peer, "destination": peer if d == "out" else local,
                    "encryption": "aes128gcm16", "key": "0x" + bytes(range(way, way + 20)).hex(), "insecure-test": True})
    policies = [{"direction": d, "action": "protect", "source": (near if d == "out" else far)[i],
                 "destination": (far if d == "out" else near)[i], "reqid": reqid} for d in ("in", "out", "fwd") for i in (0, 1)]
    return sas, policies


class Hub:
    def __init__(self, lab):
        self.lab = lab
        n = {name: lab.ns(name) for name in ("host-a", "site-a", "hub", "site-b", "router-b", "host-b")}
        for ns in n.values():
            ns.ipv6_at_once()
        self.a, self.b = n["host-a"], n["host-b"]
        lab.veth(n["host-a"], "eth0", n["site-a"], "v-lan")
        lab.veth(n["site-a"], "v-wan", n["hub"], "v-wana")
        lab.veth(n["hub"], "v-wanb", n["site-b"], "v-wan")
        lab.veth(n["site-b"], "v-lan", n["router-b"], "eth0")
        lab.veth(n["router-b"], "eth1", n["host-b"], "eth0", mtu=LESS)
        for host, which in (self.a, "a"), (self.b, "b"):
            host.addr("eth0", HOST[which][0] + "/24", HOST[which][1] + "/64")
            for gateway in SITE_A if which == "a" else ROUTER_B:
                host.route("default", "via", gateway.split("/")[0])
        n["router-b"].addr("eth0", *LINK_B[1])
        n["router-b"].addr("eth1", *ROUTER_B)
        for key in "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding":
            n["router-b"].sysctl(key, 1)
        for gateway in LINK_B[0]:
            n["router-b"].route("default", "via", gateway.split("/")[0])
        self.routers = {}
        for name, ports in {
                "site-a": [port("lan", SITE_A), port("wan", [WAN["a"][0] + "/24", WAN6["a"][0] + "/64"])],
                "site-b": [port("lan", LINK_B[0]), port("wan", [WAN["b"][0] + "/24", WAN6["b"][0] + "/64"])],
                "hub": [port("wan" + s, [WAN[s][1] + "/24", WAN6[s][1] + "/64"]) for s in ("a", "b")]}.items():
            halves = [half(s, name == "hub") for s in ("a", "b") if name in ("hub", f"site-{s}")]
            conf = config(ports, mode="inline", ipsec={"static-only": True}, sas=sum((h[0] for h in halves), []),
                          policies=sum((h[1] for h in halves), []))
            self.routers[name] = Router(n[name], conf).start()
        for name, net, dev, link, end in (("site-a", "b", "wan", "a", 1), ("site-b", "a", "wan", "b", 1),
                                          ("hub", "a", "wana", "a", 0), ("hub", "b", "wanb", "b", 0)):
            n[name].route(NETS[net][0], "via", WAN[link][end], "dev", dev)
            n[name].route(NETS[net][1], "via", WAN6[link][end], "dev", dev)
        for i in (0, 1):
            n["site-b"].route(NETS["b"][i], "via", LINK_B[1][i].split("/")[0], "dev", "lan")
            wait_for("the way to host-b", lambda i=i: self.a.ping(HOST["b"][i], 1, wait=1) == 1, 20, 0.2)


@pytest.fixture(scope="module")
def hub(module_lab):
    h = Hub(module_lab)
    yield h
    assert [r.stop() for r in h.routers.values()] == [0, 0, 0]


def probe(hub, to, hops):
    """Who answers a packet of so many hops, and how."""
    out = hub.a.run("ping", "-n", "-c", 1, "-W", 1, "-t", hops, to, check=False).stdout
    m = re.search(r"[Ff]rom ([0-9a-f.:]+?):? icmp_seq=1 (.*)", out)
    return m.groups() if m else None


@pytest.mark.parametrize("family", (0, 1), ids=("ip4", "ip6"))
def test_traceroute(hub, family):
    """Each hop of the way says who it is: both sites, the hub, and a router that knows nothing of IPsec."""
    seen = []

    def hop(n):
        seen[n - 1:] = [probe(hub, HOST["b"][family], n)]
        return seen[n - 1] is not None

    for n in range(1, 6):
        wait_for(f"hop {n}", lambda n=n: hop(n), 20, 0.2)
    assert all("exceeded" in what or "Hop limit" in what for _, what in seen[:4]), seen
    assert len({who for who, _ in seen}) == 5, seen
    assert seen[0][0] == SITE_A[family].split("/")[0], seen
    assert seen[3][0] == LINK_B[1][family].split("/")[0], seen
    assert seen[4][0] == HOST["b"][family] and "ttl" in seen[4][1], seen


@pytest.mark.parametrize("family", (0, 1), ids=("ip4", "ip6"))
def test_path_mtu(hub, family):
    """A router behind the peer has a smaller link than the tunnel: the host learns of it."""
    size = LESS + 20 - (28, 48)[family]

    def learnt():
        hub.a.run("ping", "-n", "-c", 1, "-W", 1, "-M", "do", "-s", size, HOST["b"][family], check=False)
        route = hub.a.run("ip", "route", "get", HOST["b"][family]).stdout
        return f"mtu {LESS}" in route

    wait_for("the host's path MTU", learnt, 20, 0.2)
    assert hub.a.ping(HOST["b"][family], 2, size=size) == 2, "in pieces, or smaller"


def test_no_way_around(hub):
    """The router's own address is no policy's: what is no error about the tunnel's packets does not enter it."""
    with Drops(hub.routers["site-b"]) as drops:
        assert hub.lab.namespaces["router-b"].ping(HOST["a"][0], 2, wait=1) == 0
        drops.expect({"policy-default": 2})
