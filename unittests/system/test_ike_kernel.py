# SPDX-License-Identifier: BSD-3-Clause
"""What charon expects of its kernel besides SAs: source routes, virtual IPs, acquires that name the packet."""

import re

import pytest

from charon import psk_child
from lab import wait_for
from sites import PLAN, TwoSites
from test_ike import NoClear


@pytest.fixture
def sites(lab):
    return TwoSites(lab)


def routes_220(site):
    return site.ns.run("ip", "route", "show", "table", "220", check=False).stdout


def start(sites, **kw):
    """As TwoSites.start(), and no route to the other site's network but what charon makes."""
    for s in sites:
        s.start_router(wait=False)
    for s in sites:
        s.router.wait_ready()
        s.make_charon(**kw).start()
        s.wait_backend()
        s.load()


def test_source_routes(sites):
    """The route comes and goes with the policy; hosts and the router itself reach the other site by it."""
    start(sites)
    assert sites.ping(1, wait=0.3) == 0
    sites.up()
    for s in sites:
        assert re.search(rf"^{s.peer['net']} via {s.peer['wan']} dev wan .*src {s.me['lan']}", routes_220(s), re.M)
    assert sites.ping(5, interval=0.05) == 5
    before = sites.a.usage("out")[0]
    assert sites.a.ns.ping(PLAN["b"]["host"], count=3) == 3  # no -I: the route says which source
    assert sites.a.usage("out")[0] == before + 3
    sites.a.charon.swanctl("--rekey", "--child", "net")
    wait_for("the rekeying", lambda: len(sites.a.router.sas()) > 2)
    assert PLAN["b"]["net"] in routes_220(sites.a)
    sites.a.charon.terminate("site")
    wait_for("the routes to go", lambda: not any(routes_220(s) for s in sites))
    assert sites.stop() == ([0, 0], [0, 0])


def test_no_source_routes(sites):
    """charon.install_routes = no."""
    start(sites, charon="install_routes = no")
    sites.up()
    assert not any(routes_220(s) for s in sites)
    assert sites.ping(1, wait=0.3) == 0  # sealed it would be, but no route leads there
    for s in sites:
        s.add_route()
    assert sites.ping() == 3


def test_virtual_ip(sites):
    """A road warrior: what it sends itself has its virtual IP as source and takes the tunnel."""
    for s in sites:
        s.start_router()
        s.make_charon()
        s.charon.conf.write_text(s.charon.conf.read_text().replace("install_virtual_ip = no", ""))
        s.charon.start()
        s.wait_backend()
    a, b = sites
    a.load(extra="vips = 0.0.0.0", children=psk_child("net", None, b.me["net"]))
    b.load(extra="pools = vips", children=psk_child("net", b.me["net"], None))
    b.charon.load(b.charon.swanctl_conf.read_text() + "pools {\n\tvips {\n\t\taddrs = 10.9.0.0/28\n\t}\n}\n")
    a.charon.initiate()
    assert "10.9.0.1" in a.ns.run("ip", "-4", "addr").stdout
    assert re.search(rf"^{b.me['net']} .*src 10\.9\.0\.1", routes_220(a), re.M), routes_220(a)
    assert a.ns.ping(b.me["host"], count=3) == 3
    assert a.usage("out")[0] == 3 and b.usage("in")[0] == 3
    a.charon.terminate("site")
    wait_for("the address to go", lambda: "10.9.0.1" not in a.ns.run("ip", "-4", "addr").stdout)
    assert not routes_220(a)


def test_acquire_names_the_packet(sites):
    """The peer narrows the tunnel to the host that the packet was for: it learns of it by the acquire."""
    start(sites)
    sites.a.load(start="trap")
    # The other site takes either half of its network, a tunnel each.
    conf = sites.b.charon.swanctl_conf.read_text()
    half = conf.replace(f"remote_ts = {PLAN['a']['net']}", f"remote_ts = {PLAN['a']['host']}/32")
    assert half != conf
    sites.b.charon.load(half)
    for s in sites:
        s.ns.run("ip", "route", "replace", s.peer["net"], "via", s.peer["wan"], "dev", "wan")
    assert sites.ping(1, wait=0.2) == 0
    sites.wait_sas()
    sites.wait_ping(5)
    assert f"{PLAN['a']['host']}/32" in sites.a.charon.sas()
    log = sites.b.charon.output() + sites.a.charon.output()
    assert re.search(rf"acquire.*{PLAN['a']['host']}/32\[icmp/8\] === {PLAN['b']['host']}/32\[icmp/8\]", log), log[-2000:]


def test_negotiation_before_the_agent(sites):
    """charon is asked for a tunnel as soon as it listens: the agent, on its way, is waited for."""
    for s in sites:
        s.start_router()
        s.add_route()
    for s in sites:
        s.make_charon()
    sites.b.charon.start()
    sites.b.wait_backend()
    sites.b.load()
    sites.a.charon.start(wait=False)
    wait_for("vici", sites.a.charon.listens, 10, 0.002)
    sites.a.load(start="start")
    sites.wait_sas()
    assert "no router is there" not in sites.a.charon.output()
    assert sites.ping() == 3


def test_policies_are_complete_when_the_configuration_is_loaded(sites):
    """Where clear packets may pass, none does between charon's start and its first policies."""
    for s in sites:
        for p in s.router.conf["ports"]:
            p["default-action"] = "bypass"
        s.router.write()
    with NoClear(sites):
        for s in sites:
            s.start_router(wait=False)
        for s in sites:
            s.router.wait_ready()
            s.add_route()
            s.make_charon(plugin="complete_delay = 60").start()
            wait_for("the plugin", s.charon.attached)
        assert sites.ping(5, wait=1) == 0
        assert not any(s.router.json("status")["policies_complete"] for s in sites)
        for s in sites:
            s.load(start="trap")
        for s in sites:
            s.wait_backend(5)
        sites.wait_ping(10)


def test_policies_are_complete_without_any(sites):
    """complete_delay passes, and what no policy names goes in clear, as configured."""
    for p in sites.a.router.conf["ports"]:
        p["default-action"] = "bypass"
    sites.a.router.write()
    sites.a.start_router()
    sites.a.make_charon(plugin="complete_delay = 1").start()
    sites.a.wait_backend(5)
