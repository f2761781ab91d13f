# SPDX-License-Identifier: BSD-3-Clause
"""A scenario after strongSwan's own: two tunnels between the same networks, by marks. It has a file of its own, for huge pages are few and
it has two routers: those of other tests go first.

    moon-be, moon-ef -- moon ======= sun -- sun-be, sun-ef
"""

from peers import Gateway, Host, Switch, Watch, connection
from test_scen_hosts import IDS


def test_net2net_dscp(lab):
    """Two tunnels with the same selectors, one for best effort and one for expedited traffic: marks say which packet takes which,
    labels make both sides mean the same one. (cygnet's marks come with the port; strongSwan's scenario sets them by DSCP.)"""
    wan, classes = Switch(lab, "sw-wan"), {"be": 10, "ef": 20}
    gateways, hosts = [], {}
    for i, name in enumerate(("moon", "sun"), 1):
        ports = {"wan": (wan, [f"192.168.0.{i}/24"])}
        lans = {c: Switch(lab, f"sw-{name}-{c}") for c in classes}
        ports.update({c: (lans[c], [f"10.{i}.{n}.1/24"]) for n, c in enumerate(classes)})
        g = Gateway(lab, name, ports)
        for p in g.router.conf["ports"]:
            if p["name"] in classes:
                p["mark"] = classes[p["name"]]
        g.router.write()
        gateways.append(g.start())
        for n, c in enumerate(classes):
            hosts[name, c] = Host(lans[c], f"{name}-{c}", f"10.{i}.{n}.10/24", gateway=f"10.{i}.{n}.1")
    moon, sun = gateways
    for g, me, peer in (moon, 1, 2), (sun, 2, 1):
        g.start_charon()
        g.ns.route(f"10.{peer}.0.0/16", "via", f"192.168.0.{peer}", "dev", "wan")
        g.load(dscp=connection(IDS[me - 1], IDS[peer - 1], {c: {
            "local_ts": f"10.{me}.0.0/16", "remote_ts": f"10.{peer}.0.0/16", "mark_in": mark, "mark_out": mark,
            "set_mark_in": mark, "label": f"dscp-{c}"} for c, mark in classes.items()}, f"192.168.0.{me}", f"192.168.0.{peer}"))
    watch = Watch(wan, moon.plugs["wan"])
    for c in classes:
        moon.up(c)

    def used():
        return {(s["reqid"], s["direction"]): s["packets"] for s in moon.sas()}
    before = used()
    assert len(before) == 4
    seen = {}
    for n, c in enumerate(classes):
        assert hosts["moon", c].ping(f"10.2.{n}.10") == 2, [(g.router.drops(), g.router.policies(), g.sas()) for g in gateways]
        now = used()
        seen[c] = {k for k in now if now[k] - before[k] == 2}
        assert seen[c] == {k for k in now if now[k] != before[k]}
        assert len(seen[c]) == 2 and len({reqid for reqid, _ in seen[c]}) == 1  # both ways by the same tunnel
        before = now
    assert not seen["be"] & seen["ef"]
    kinds = watch.kinds()
    assert kinds.pop("esp") == 8 and set(kinds) <= {"ike", "arp"}, kinds
