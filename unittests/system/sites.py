# SPDX-License-Identifier: BSD-3-Clause
"""Two sites with a router and a charon each, and a host behind each: host-a -- site-a === site-b -- host-b."""

from charon import Charon, psk_connection
from ike import PSK, Ike, ike_file
from lab import Failed, wait_for
from router import Router, config, port

PLAN = {
    "a": {"wan": "192.0.2.1", "lan": "10.1.0.1", "net": "10.1.0.0/24", "host": "10.1.0.2"},
    "b": {"wan": "192.0.2.2", "lan": "10.2.0.1", "net": "10.2.0.0/24", "host": "10.2.0.2"},
}
# The same in IPv6, and one family in the other.
PLAN6 = {
    "a": {"wan": "2001:db8:f::1", "lan": "2001:db8:1::1", "net": "2001:db8:1::/64", "host": "2001:db8:1::2"},
    "b": {"wan": "2001:db8:f::2", "lan": "2001:db8:2::1", "net": "2001:db8:2::/64", "host": "2001:db8:2::2"},
}
PLAN_4IN6 = {k: {**PLAN[k], "wan": PLAN6[k]["wan"]} for k in PLAN}
PLAN_6IN4 = {k: {**PLAN6[k], "wan": PLAN[k]["wan"]} for k in PLAN}


def on_link(address):
    return address + ("/64" if ":" in address else "/24")


class Site:
    def __init__(self, lab, which, plan=PLAN, **conf):
        self.lab = lab
        self.me, self.peer = plan[which], plan["b" if which == "a" else "a"]
        self.ns = lab.ns(f"site-{which}")
        self.host = lab.ns(f"host-{which}")
        for ns in self.ns, self.host:
            if plan is PLAN:
                ns.no_ipv6()
            else:
                ns.ipv6_at_once()
        lab.veth(self.ns, "v-lan", self.host, "eth0")
        self.host.addr("eth0", on_link(self.me["host"]))
        self.host.route("default", "via", self.me["lan"])
        ports = [port("lan", [on_link(self.me["lan"])]), port("wan", [on_link(self.me["wan"])])]
        self.router = Router(self.ns, config(ports, **conf))
        self.charon = None

    def start_router(self, wait=True):
        self.router.start(wait=wait)

    def add_route(self):
        """What is behind the peer goes to the wan; where the gateway is of the other family, on the link."""
        same = (":" in self.peer["net"]) == (":" in self.peer["wan"])
        self.ns.route(self.peer["net"], *(["via", self.peer["wan"]] if same else []), "dev", "wan")

    def make_charon(self, charon="", plugin=""):
        self.charon = Charon(self.ns, self.router.name, charon=charon, plugin=plugin)
        return self.charon

    def load(self, **kw):
        self.charon.load(psk_connection("site", self.me["wan"], self.peer["wan"], self.me["net"],
                                        self.peer["net"], PSK, **kw))

    def load_file(self):
        """A tunnel from an ike file, which nothing but "ike up" brings up."""
        return Ike(self).load(ike_file(self.me, self.peer, {"ipsec-tunnel-1": {"start-action": "none"}})).stdout

    def wait_backend(self, timeout=15):
        """The plugin has found the router: before that charon can negotiate nothing."""
        wait_for(f"the plugin at {self.ns.short}",
                 lambda: self.charon.attached() and self.router.json("status")["policies_complete"], timeout)

    def usage(self, direction):
        """Packets and bytes of the SAs of a direction, as long as they live."""
        sas = [s for s in self.router.sas() if s["direction"] == direction]
        return sum(s["packets"] for s in sas), sum(s["bytes"] for s in sas)


class TwoSites:
    def __init__(self, lab, plan=PLAN, **conf):
        self.lab = lab
        self.a, self.b = Site(lab, "a", plan, **conf), Site(lab, "b", plan, **conf)
        lab.veth(self.a.ns, "v-wan", self.b.ns, "v-wan")

    def __iter__(self):
        return iter((self.a, self.b))

    def start(self, charon="", plugin="", load=True, **connection):
        for s in self:
            s.start_router(wait=False)
        for s in self:
            s.router.wait_ready()
            s.add_route()
            s.make_charon(charon, plugin)
        for s in self:
            s.charon.start()
            s.wait_backend()
        for s in self:
            if load:
                s.load(**connection)
        return self

    def up(self):
        p = self.a.charon.initiate(check=False)
        if p.returncode != 0:
            raise Failed(f"no tunnel: {p.stdout[-800:]}{p.stderr}\n{self.a.charon.tail()}")
        self.wait_sas()
        return self

    def wait_sas(self, timeout=10):
        """One SA for each direction in both routers."""
        wait_for("SAs in both routers", lambda: all(
            sorted(x["direction"] for x in s.router.sas()) == ["in", "out"] for s in self), timeout, 0.2)

    def ping(self, count=3, **kw):
        return self.a.host.ping(self.b.me["host"], count=count, **kw)

    def wait_ping(self, timeout):
        """Until the tunnel carries packets (again)."""
        wait_for("a ping through the tunnel", lambda: self.ping(1, wait=0.5) == 1, timeout, 0.2)

    def stop(self):
        """Exit codes of the charons and the routers."""
        return [s.charon.stop() for s in self], [s.router.stop() for s in self]
