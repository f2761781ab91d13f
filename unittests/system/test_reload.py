# SPDX-License-Identifier: BSD-3-Clause
"""cygnetctl reload: what changes in router.yaml while packets go, and what does not."""

import copy
import json
import signal
import socket
import time
from types import SimpleNamespace

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from lab import run, wait_for
from peers import Streams
from router import Router, config, port
from wire import Wire, is_ip

NETS = {"a": "10.1.0", "b": "10.2.0"}
WAN = {"a": "192.0.2.1", "b": "192.0.2.2"}
OTHER = {"a": "b", "b": "a"}


def key(n):
    return "0x" + bytes((n * 17 + i * 5) & 0xFF for i in range(32)).hex()


def pair(which, net, reqid):
    """SAs and policies of one site for a network behind each: 10.1.NET.0/24 and 10.2.NET.0/24."""
    sas, policies = [], []
    for direction in "out", "in":
        src, dst = (which, OTHER[which]) if direction == "out" else (OTHER[which], which)
        sas.append({"name": f"{direction}-{net}", "direction": direction, "reqid": reqid,
                    "spi": 0x51000000 + reqid * 4 + (src == "a"), "source": WAN[src], "destination": WAN[dst],
                    "encryption": "aes256", "integrity": "sha256", "key": key(reqid),
                    "integrity-key": key(reqid + 1), "replay-window": 1024 if direction == "in" else 0})
        if direction == "out":
            del sas[-1]["replay-window"]
    for direction in "out", "in", "fwd":
        nets = [f"{NETS[w][:-1]}{net}.0/24" for w in (which, OTHER[which])]
        policies.append({"direction": direction, "action": "protect", "reqid": reqid,
                         "source": nets[direction != "out"], "destination": nets[direction == "out"]})
    return sas, policies


def site(which):
    sas, policies = pair(which, 0, 1)
    return config([port("lan", [f"{NETS[which]}.1/24"]), port("wan", [f"{WAN[which]}/24"])],
                  ipsec={"static-only": True}, sas=sas, policies=policies)


@pytest.fixture
def net(lab):
    """left -- a === b -- right, by static SAs; numbered packets go both ways all the time."""
    ns = {n: lab.ns(n) for n in ("a", "b", "left", "right", "more")}
    for n in ns.values():
        n.no_ipv6()
    for host, which in ("left", "a"), ("right", "b"):
        lab.veth(ns[which], "v-lan", ns[host], "e0")
        ns[host].addr("e0", f"{NETS[which]}.2/24")
        ns[host].route("default", "via", f"{NETS[which]}.1")
    lab.veth(ns["a"], "v-wan", ns["b"], "v-wan")
    lab.veth(ns["a"], "v-more", ns["more"], "e0")
    routers = {w: Router(ns[w], site(w)) for w in "ab"}
    for r in routers.values():
        r.start(wait=False)
    for w, r in routers.items():
        r.wait_ready()
        ns[w].route(f"10.{2 if w == 'a' else 1}.0.0/16", "via", WAN[OTHER[w]], "dev", "wan")
    wait_for("the tunnel", lambda: ns["left"].ping("10.2.0.2", count=1, wait=1) == 1, 15)
    streams = Streams(SimpleNamespace(ns=ns["left"]), "10.1.0.2", SimpleNamespace(ns=ns["right"]), "10.2.0.2", 500, 200)
    with streams:
        yield SimpleNamespace(**ns, router=routers["a"], peer=routers["b"], r=ns["a"])
    assert streams.sent > 500 and streams.lost == 0, (streams.results, [r.drops() for r in routers.values()])
    assert [r.stop() for r in routers.values()] == [0, 0]


def reload(router, *args):
    return router.ctl("reload", *args, check=False)


def taps(ns):
    return {x["ifname"] for x in json.loads(ns.run("ip", "-j", "link").stdout)}


def mac(ns, dev):
    return next((x["address"] for x in json.loads(ns.run("ip", "-j", "link").stdout) if x["ifname"] == dev), "00:" * 5 + "00")


def spis(router):
    return {s["spi"] for s in router.sas()}


def test_ports(net):
    """Ports and VLANs come and go, twice with the same device; not a packet of the others is lost."""
    router, first = net.router, copy.deepcopy(net.router.conf)
    vlan = {"id": 7, "addresses": ["10.78.0.1/24"], "default-action": "bypass"}
    router.conf["ports"].insert(0, port("more", ["10.77.0.1/24"], default_action="bypass", vlans=[vlan]))
    router.conf["ports"][1]["default-action"] = "bypass"
    router.write()
    check = reload(router, "--check")
    assert check.returncode == 0 and "+ port more: net_af_packet_more,iface=v-more,qpairs=1" in check.stdout, check
    assert "+ port more.7: VLAN 7 of more" in check.stdout and "more" not in taps(net.r)
    net.more.addr("e0", "10.77.0.2/24")
    wire, arp = Wire(net.more, "e0"), ARP(psrc="10.78.0.2", pdst="10.78.0.1", hwsrc=net.more.mac("e0"))

    def vlan_answers():
        router_mac = bytes.fromhex(mac(net.r, "more").replace(":", ""))
        wire.drain()
        wire.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=arp.hwsrc) / Dot1Q(vlan=7) / arp)
        # The kernel may have taken the tag off.
        return wire.recv(lambda f: f[12:14] in (b"\x81\x00", b"\x08\x06") and bytes([0, 2]) + router_mac + bytes([10, 78, 0, 1])
                         in f, 0.5) is not None
    net.more.route("10.1.0.0/24", "via", "10.77.0.1")
    for _ in range(2):
        router.write()
        done = reload(router)
        assert done.returncode == 0 and "~ port lan: default-action discard -> bypass" in done.stdout, done
        wait_for("the new port", lambda: net.more.ping("10.77.0.1", count=1, wait=1) == 1)
        wait_for("its VLAN", vlan_answers)
        assert net.more.ping("10.1.0.2") == 3 and net.left.ping("10.77.0.2") == 3
        assert [p["name"] for p in router.json("port")] == ["more", "lan", "wan", "more.7"]
        assert reload(router).stdout.strip() == "Nothing differs."
        added, router.conf = router.conf, first
        router.write()
        done = reload(router)
        assert done.returncode == 0 and "- port more.7" in done.stdout, done
        assert not {"more", "more.7"} & taps(net.r) and [p["name"] for p in router.json("port")] == ["lan", "wan"]
        assert net.more.ping("10.77.0.1", count=1, wait=1) == 0 and not vlan_answers()
        assert "v-more" not in net.r.run("nft", "list", "tables").stdout
        router.conf = added


def test_outside(net):
    """A port that is outside, and then is not: what comes by it in clear with a source behind us is no tunnel's, then the tunnel's."""
    router, first = net.router, copy.deepcopy(net.router.conf)
    router.conf["ports"].append(port("more", ["10.77.0.1/24"], outside=True))
    router.write()
    assert reload(router).returncode == 0
    net.more.addr("e0", "10.77.0.2/24")
    wait_for("the new port", lambda: net.more.ping("10.77.0.1", count=1, wait=1) == 1)
    wire, far = Wire(net.more, "e0"), Wire(net.right, "e0")
    frame = Ether(dst=mac(net.r, "more"), src=net.more.mac("e0")) / IP(src="10.1.0.9", dst="10.2.0.2") / UDP(dport=9)
    wire.send(frame)
    wait_for("the drop", lambda: router.drops().get("policy-outside") == 1)
    router.conf["ports"][-1]["outside"] = False
    router.write()
    done = reload(router)
    assert done.returncode == 0 and "~ port more: outside true -> false" in done.stdout, done
    assert far.recv(is_ip(src="10.1.0.9"), 0) is None
    wire.send(frame)
    assert far.recv(is_ip(src="10.1.0.9")) and router.drops()["policy-outside"] == 1
    router.conf = first
    router.write()
    assert reload(router).returncode == 0


def test_sas(net):
    """Static SAs and policies come, change and go: those that stay are not touched."""
    before, first = spis(net.router), {w: copy.deepcopy(r.conf) for w, r in (("a", net.router), ("b", net.peer))}
    for which, r, host, ns in ("a", net.router, net.left, net.r), ("b", net.peer, net.right, net.b):
        sas, policies = pair(which, 5, 2)
        r.conf["sas"] = sas + r.conf["sas"]
        r.conf["policies"] += policies
        r.conf["ports"][0]["addresses"].append(f"10.{1 if which == 'a' else 2}.5.1/24")
        r.write()
        done = reload(r)
        assert done.returncode == 0 and "+ SA out-5: out" in done.stdout and "+ port lan: address 10." in done.stdout, done
        host.addr("e0", f"10.{1 if which == 'a' else 2}.5.2/24")

    def second(count, **kw):
        return net.left.ping("10.2.5.2", count, source="10.1.5.2", **kw)
    wait_for("the second tunnel", lambda: second(1, wait=1) == 1)
    assert second(3) == 3
    assert len(net.router.sas()) == 4 and before < spis(net.router)
    # In the place of one that runs, with a state file that was never made: the one that runs stays.
    there = net.router.conf["sas"][0]
    net.router.conf["sas"][0] = there | {"state-file": f"{net.router.file}.none"}
    net.router.write()
    done = reload(net.router)
    assert done.returncode == 1 and "is not there: if the key was never used" in done.stderr, done
    assert len(net.router.sas()) == 4 and second(1) == 1
    net.router.conf["sas"][0] = there
    # Another key at one end alone: its packets are not authentic there, and only those.
    net.router.conf["sas"][0]["key"] = key(99)
    net.router.write()
    assert "~ SA out-5: made anew" in reload(net.router).stdout
    assert second(2, wait=1) == 0
    assert sum(s["packets"] for s in net.router.sas() if s["spi"] in before) > 300
    for which, r in ("a", net.router), ("b", net.peer):
        r.conf = first[which]
        r.write()
        done = reload(r)
        assert done.returncode == 0 and "- SA in-5" in done.stdout and "- policies" in done.stdout, done
        assert len(r.sas()) == 2 and len(r.policies()) == 3
    assert spis(net.router) == before


def test_refused(net):
    """A file that is wrong, a port that cannot be made, a change that needs a restart: nothing changes."""
    router, first = net.router, copy.deepcopy(net.router.conf)

    def running():
        return [p["name"] for p in router.json("port")], spis(router), len(router.policies())
    was = running()
    router.conf["ports"].append(port("more", ["10.77.0.1/24"], mtu="huge"))
    router.write()
    done = reload(router)
    assert done.returncode == 1 and f"{router.file}:" in done.stderr and "ports[2].mtu: 'huge' is not a number" in done.stderr
    assert done.stderr.count("\n") == 1
    for change, said in [
            ({"devargs": "net_af_packet_more,iface=v-nothing"}, "there is no interface 'v-nothing'"),
            ({"devargs": "net_nosuch0"}, 'port more: device "net_nosuch0"'),
            ({"devargs": "0000:99:00.0"}, "a PCI device needs a restart"),
            ({"devargs": "net_null_more", "mtu": 9000}, "needs larger packet buffers: a restart"),
            ({"devargs": "crypto_openssl"}, 'port more: device "crypto_openssl": File exists'),
            ({"name": "v-more", "devargs": "net_null_more"}, "is not a plain tap")]:
        router.conf = copy.deepcopy(first)
        router.conf["ports"] += [port("fine", devargs="net_null_fine"), {**port("more", mtu=1500), **change}]
        router.write()
        done = reload(router)
        assert done.returncode in (1, 4) and said in done.stderr, done
        assert running() == was and "fine" not in taps(net.r)
    router.conf = copy.deepcopy(first)
    router.conf.update(limits={"sas": 8192}, **{"log-level": "debug"})
    router.conf["policies"].append({"direction": "fwd", "action": "bypass", "source": "10.9.0.0/16", "destination": "10.1.0.0/16"})
    router.write()
    done = reload(router)
    assert done.returncode == 4 and "! limits.sas: 4096 -> 8192 (needs a restart)" in done.stdout, done
    assert "+ policies[3]" in done.stdout and "nothing was changed" in done.stderr and running() == was
    done = reload(router, "--partial")
    assert done.returncode == 0 and len(router.policies()) == 4 and "waits for a restart" in done.stdout
    assert router.json("status")["counts"]["sas"]["limit"] == 4096
    # What runs of a port is what it began with: half a port, or the device of another, is nobody's.
    wan = first["ports"][1]
    for ports in [wan | {"rx-queues": 2, "devargs": wan["devargs"].replace("qpairs=1", "qpairs=2")}], [wan | {"mtu": 1400}], [wan | {"name": "other"}]:
        router.conf["ports"][1:] = ports
        router.write()
        for args in [], ["--partial"]:
            done = reload(router, *args)
            assert done.returncode == 4 and "nothing was changed" in done.stderr and running()[:2] == was[:2], done
    # SIGHUP does the same, and says so in the log.
    router.conf = first
    router.write()
    router.process.send(signal.SIGHUP)
    wait_for("SIGHUP", lambda: len(router.policies()) == 3)
    wait_for("the log", lambda: f"{router.file} is reloaded" in router.process.output())
    assert "reload: ~ log-level: debug -> info" in router.process.output()


def test_netdev_of_a_port_that_failed(lab):
    """It is as it was: deaf by an earlier run, and the operator's to give back. One with another name is not gone."""
    ns, far = lab.ns("r"), lab.ns("far")
    for n in ns, far:
        n.no_ipv6()
    for name in "lan", "more":
        lab.veth(ns, f"v-{name}", far, f"e-{name}")
    router = Router(ns, config([port("lan", ["10.1.0.1/24"])], ipsec={"static-only": True})).start()

    def tables():
        return ns.run("nft", "list", "tables", "netdev").stdout
    ns.run("nft", "add table netdev cygnet-v-more; add chain netdev cygnet-v-more ingress "
           '{ type filter hook ingress device "v-more" priority -500; policy drop; }')
    router.conf["ports"].append(port("more", ["10.77.0.1/24"], devargs="net_nosuch0", netdev="v-more"))
    router.write()
    done = reload(router)
    assert done.returncode == 1 and 'port more: device "net_nosuch0"' in done.stderr, done
    assert "cygnet-v-more" in tables()
    ns.run("nft", "delete", "table", "netdev", "cygnet-v-more")
    time.sleep(2.5)
    assert "cygnet-v-more" not in tables() and "v-more" not in done.stdout
    ns.run("ip", "link", "set", "v-lan", "name", "v-moved")
    wait_for("the log", lambda: "netdev v-lan is called v-moved now" in router.process.output(), 5)
    ns.run("ip", "link", "set", "v-moved", "name", "v-lan")
    ns.run("nft", "flush", "ruleset")
    wait_for("the filter", lambda: "cygnet-v-lan" in tables(), 5)
    assert "v-lan is gone" not in router.process.output() and "another interface" not in router.process.output()
    assert router.stop() == 0


def test_addresses_within_a_subnet(lab):
    """An address that takes another's place in its subnet, the first of two that goes, an IPv6 prefix that grows: the port has what
    the file says, and answers; what an administrator has added stays. A restart does the same."""
    ns, far = lab.ns("r"), lab.ns("far")
    ns.ipv6_at_once(), far.ipv6_at_once()
    lab.veth(ns, "v-lan", far, "e0")
    far.addr("e0", "10.1.0.9/24", "2001:db8::9/32")
    router = Router(ns, config([port("lan", ["10.1.0.1/24"])], ipsec={"static-only": True}))
    router.start()
    ns.addr("lan", "10.1.0.77/24")

    def addresses():
        return {f"{a['local']}/{a['prefixlen']}" for a in json.loads(ns.run("ip", "-j", "addr", "show", "lan").stdout)[0]["addr_info"]
                if a["scope"] == "global"}
    for wanted in (["10.1.0.2/24"], ["10.1.0.1/24", "10.1.0.3/24"], ["10.1.0.3/24"], ["10.1.0.3/25"], ["10.1.0.3/24", "2001:db8::1/64"],
                   ["2001:db8::1/48"], ["2001:db8::1/64", "10.1.0.1/24"]):
        router.conf["ports"][0]["addresses"] = wanted
        router.write()
        done = reload(router)
        assert done.returncode == 0, done
        assert addresses() == {*wanted, "10.1.0.77/24"}
        for a in wanted:
            wait_for(f"an answer of {a}", lambda a=a: far.ping(a.partition("/")[0], count=1, wait=1) == 1, 5)
    assert router.stop() == 0
    router.conf["ports"][0]["addresses"] = ["2001:db8::1/48", "10.1.0.1/24"]
    router.write()
    router.start()
    assert addresses() == {"2001:db8::1/48", "10.1.0.1/24", "10.1.0.77/24"}
    assert router.stop() == 0


def test_policy_of_another_reqid(lab):
    """A policy whose reqid changes has nothing of the SA that it had: that leads to another peer."""
    ns, far = lab.ns("r"), lab.ns("far")
    lab.veth(ns, "v-lan", far, "e0")
    sas, policies = pair("a", 0, 1)
    router = Router(ns, config([port("lan", ["10.1.0.1/24"])], sas=sas, policies=policies))
    router.start()

    def bound():
        return [p["sa"] != "trap" for p in router.policies() if p["direction"] == "out"]
    assert bound() == [True]
    for reqid, there in (9, False), (1, True):
        router.conf["policies"][0]["reqid"] = reqid
        router.write()
        assert reload(router).stdout.startswith("~ policies[0]\n") and bound() == [there]
    assert router.stop() == 0


def test_ah_with_another_key(lab):
    """An SA without encryption takes the place of another: it is tried on each crypto device first."""
    ns, far = lab.ns("r"), lab.ns("far")
    lab.veth(ns, "v-lan", far, "e0")
    ah = {"protocol": "ah", "direction": "out", "reqid": 1, "source": "10.1.0.1", "destination": "10.1.0.2",
          "integrity": "sha256", "integrity-key": key(1)}
    sas = [ah | {"name": f"ah-{spi}", "spi": spi} for spi in (0x1001, 0x1002)]
    router = Router(ns, config([port("lan", ["10.1.0.1/24"])], sas=sas)).start()
    router.conf["sas"][0]["integrity-key"] = key(2)
    router.write()
    done = reload(router)
    assert done.returncode == 0 and "~ SA ah-4097: made anew" in done.stdout, (done, router.process.tail())
    assert spis(router) == {"0x00001001", "0x00001002"}
    assert router.stop() == 0


def test_no_room_for_both(lab):
    """SAs that take the place of others need slots of their own for a moment: without them nothing is changed, again and again."""
    ns, far = lab.ns("r"), lab.ns("far")
    lab.veth(ns, "v-lan", far, "e0")
    sas = [s for n in range(5) for s in pair("a", n, n + 1)[0]]
    router = Router(ns, config([port("lan", ["10.1.0.1/24"])], sas=copy.deepcopy(sas), limits={"sas": 16}))
    router.start()
    was = spis(router)
    assert len(was) == 10
    more = pair("a", 5, 6)[0]
    for n in 8, 4:
        router.conf["sas"] = copy.deepcopy(sas[:n]) + sas[n:] + more
        for s in router.conf["sas"][:n]:
            s["key"] = key(99)
        router.write()
        done = reload(router)
        if n == 4:
            assert done.returncode == 0 and done.stdout.count(": made anew") == 4, done
            break
        for _ in range(2):
            assert done.returncode == 1 and "8 SAs take the place of others" in done.stderr and "room for 4" in done.stderr, done
            assert spis(router) == was
            wait_for("what was added to go", lambda: router.json("status")["counts"]["sas"].get("dying", 0) == 0)
            done = reload(router)
    assert spis(router) == was | {f"0x{s['spi']:08x}" for s in more}
    assert router.stop() == 0


def test_disk_that_makes_it_wait(lab):
    """While state files are taken the router does what else it has to do."""
    source, shim, gate = lab.dir / "slow.c", lab.dir / "slow.so", lab.dir / "gate"
    source.write_text("""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int fd)
{
    while (access(getenv("GATE"), F_OK) == 0) {
        close(open(getenv("REACHED"), O_CREAT | O_WRONLY, 0600));
        usleep(10000);
    }
    return syscall(SYS_fsync, fd);
}
""")
    run(["cc", "-shared", "-fPIC", "-o", shim, source])
    reached = lab.dir / "reached"
    ns, far = lab.ns("r"), lab.ns("far")
    lab.veth(ns, "v-lan", far, "e0")
    router = Router(ns, config([port("lan", ["10.1.0.1/24"])], sas=pair("a", 0, 1)[0]))
    router.start(env={"LD_PRELOAD": str(shim), "GATE": str(gate), "REACHED": str(reached)})
    # One that takes the place of another, and some that are new.
    router.conf["sas"][0]["key"] = key(99)
    for n in range(1, 4):
        router.conf["sas"] += pair("a", n, n + 1)[0][:1]
    for n, sa in enumerate(router.conf["sas"]):
        if sa["direction"] == "out":
            sa["state-file"] = str(lab.dir / f"{n}.state")
    router.write()
    ns.run(router.binary, "-c", router.file, "--create-state")
    gate.touch()
    router.process.send(signal.SIGHUP)
    wait_for("the disk", reached.exists, 30)
    assert len(router.sas()) == 2
    gate.unlink()
    wait_for("the reload", lambda: f"{router.file} is reloaded" in router.process.output(), 30)
    assert len(router.sas()) == 5
    assert router.stop() == 0


@pytest.mark.parametrize("why", ("metrics", "policies"))
def test_policy_stays_with_its_sa(net, why):
    """A reload that fails in the end: what the policies that were to change say does not change for a moment, or a packet would be
    lost, or go in clear."""
    router = net.router
    first = copy.deepcopy(router.conf)
    out = first["policies"][0]
    assert out["direction"] == "out"
    same = {k: out[k] for k in ("direction", "source", "destination")}
    with net.r.inside():
        busy = socket.socket()
    busy.bind(("127.0.0.1", 9999))
    busy.listen()
    # More that overlap than share a key.
    many = [{"direction": "out", "action": "discard", "source": "10.98.0.0/16", "destination": "10.99.0.0/16", "protocol": "udp",
             "source-ports": f"1-{1000 + i}"} for i in range(257)]
    for change in {**same, "action": "bypass"}, {**same, "action": "discard"}, {**out, "priority": 7}:
        router.conf = copy.deepcopy(first)
        router.conf["policies"][0] = change
        if why == "metrics":
            router.conf["metrics"] = {"port": 9999}
        else:
            router.conf["policies"] += many
        router.write()
        done = reload(router)
        said = {"metrics": "nobody can listen on 127.0.0.1 port 9999", "policies": "the policies do not fit"}[why]
        assert done.returncode == 1 and said in done.stderr, done
        assert [(p["action"], p["sa"] != "trap") for p in router.policies() if p["direction"] == "out"] == [("protect", True)]
        assert net.left.ping("10.2.0.2") == 3
    busy.close()


def test_end_meanwhile(lab):
    """The router is ended in the midst of a reload, whichever step it is at."""
    ns, far = lab.ns("r"), lab.ns("far")
    for n in ns, far:
        n.no_ipv6()
    for name in "lan", "more":
        lab.veth(ns, f"v-{name}", far, f"e-{name}")
    small = config([port("lan", ["10.1.0.1/24"])], ipsec={"static-only": True})
    large = config([port("lan", ["10.1.0.1/24"]), port("more", ["10.77.0.1/24"])], ipsec={"static-only": True})
    router = Router(ns, small)
    for before, after, wait in (small, large, 0), (small, large, 0.05), (large, small, 0.3), (large, small, 2.02):
        router.conf.update(before)
        router.write()
        router.start()
        router.conf.update(after)
        router.write()
        router.process.send(signal.SIGHUP)
        time.sleep(wait)
        assert router.stop() == 0, router.process.tail()
