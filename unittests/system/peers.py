# SPDX-License-Identifier: BSD-3-Clause
"""What stands around a router in a scenario: switches, hosts, a NAT box, stock charons with libipsec, certificates."""

import datetime
import json
import re
import signal
import socket
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from charon import Charon
from lab import PATIENCE, Failed, wait_for
from router import Router, config, port
from stream import BURST
from wire import ETH_P_ALL, kind

# charon's timers, shortened: a scenario shall not wait for minutes.
QUICK = "delete_rekeyed_delay = 1\n\tretransmit_timeout = 1\n\tretransmit_base = 1.2\n\tretransmit_tries = 3\n\tkeep_alive = 1"


class Switch:
    """A bridge in a namespace of its own; what passes it can be looked at on each of its ports."""

    def __init__(self, lab, name):
        self.lab = lab
        self.ns = lab.ns(name)
        self.ns.no_ipv6()
        self.ns.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", 0)
        self.ns.run("ip", "link", "set", "br0", "up")

    def plug(self, ns, dev):
        """A cable to a namespace; the name of the switch's port."""
        end = f"p-{ns.short}-{dev}"[:15]
        self.lab.veth(ns, dev, self.ns, end)
        self.ns.run("ip", "link", "set", end, "master", "br0")
        return end


class Host:
    """A namespace with an interface eth0 and a way out."""

    def __init__(self, switch, name, *addresses, gateway=None, ipv6=False):
        self.ns = switch.lab.ns(name)
        self.ns.ipv6_at_once() if ipv6 else self.ns.no_ipv6()
        self.port = switch.plug(self.ns, "eth0")
        for a in addresses:
            self.ns.addr("eth0", a)
        for g in [gateway] if isinstance(gateway, str) else gateway or ():
            self.ns.run("ip", "-6" if ":" in g else "-4", "route", "add", "default", "via", g)

    def ping(self, address, count=2, **kw):
        return self.ns.ping(address, count=count, interval=kw.pop("interval", 0.05), **kw)


class Watch:
    """What passes a port of a switch, both ways, from the start or the last look on."""

    def __init__(self, switch, dev):
        with switch.ns.inside():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.sock.bind((dev, ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.sock.setblocking(False)

    def frames(self):
        got = []
        while True:
            try:
                got.append(self.sock.recv(65535))
            except BlockingIOError:
                return got

    def kinds(self):
        """Number of packets of each kind."""
        count = {}
        for f in self.frames():
            k = kind(f)
            count[k] = count.get(k, 0) + 1
        return count


class Pki:
    """A certification authority that lives as long as a test."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Laboratory CA")])
        self.cert = self._sign(self.name, self.key, x509.BasicConstraints(True, None))

    def _sign(self, subject, key, constraints, names=()):
        now = datetime.datetime.utcnow()
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
             .not_valid_after(now + datetime.timedelta(days=1)).add_extension(constraints, True))
        if names:
            b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        return b.sign(self.key, hashes.SHA256())

    def give(self, charon, name):
        """The CA's certificate, one for name and its key, where that charon's swanctl looks: beside its file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = serialization.Encoding.PEM
        files = {
            "x509ca/ca.pem": self.cert.public_bytes(pem),
            f"x509/{name}.pem": self._sign(subject, key, x509.BasicConstraints(False, None), [name]).public_bytes(pem),
            f"private/{name}.pem": key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL,
                                                     serialization.NoEncryption()),
        }
        for path, data in files.items():
            path = charon.dir / path
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)


def render(tree, depth=0):
    """swanctl.conf of nested dictionaries."""
    out = []
    for key, value in tree.items():
        pad = "\t" * depth
        if isinstance(value, dict):
            out += [f"{pad}{key} {{", render(value, depth + 1), f"{pad}}}"]
        else:
            out.append(f'{pad}{key} = "{value}"' if " " in str(value) else f"{pad}{key} = {value}")
    return "\n".join(out)


SECRET = "a secret of this laboratory"


def connection(me, peer, children, local=None, remote=None, auth="psk", **more):
    """One connection; me and peer are identities, local and remote addresses. Children get a proposal if they have none."""
    conn = {"version": 2, "proposals": "aes128gcm16-prfsha256-x25519", **more}
    if local:
        conn["local_addrs"] = local
    if remote:
        conn["remote_addrs"] = remote
    conn["local"] = {"auth": auth, "id": me, **({"certs": f"{me}.pem"} if auth == "pubkey" else {})}
    conn["remote"] = {"auth": auth, **({"id": peer} if peer else {})}
    conn["children"] = {n: {"esp_proposals": "aes128gcm16-x25519", **c} if "ah_proposals" not in c and
                        c.get("mode") not in ("pass", "drop") else c for n, c in children.items()}
    return conn


def swanctl_conf(pools=None, **connections):
    """The file for these connections; one secret for everybody who has a pre-shared key."""
    tree = {"connections": connections, "secrets": {"ike-all": {"secret": SECRET}}}
    if pools:
        tree["pools"] = pools
    return render(tree)


class Ike:
    """What cygnet gateways and stock peers have in common: a charon."""

    charon = None

    def load(self, pools=None, **connections):
        self.charon.load(swanctl_conf(pools, **connections))

    def up(self, child, check=True):
        p = self.charon.initiate(child, check=False)
        if check and p.returncode != 0:
            raise Failed(f"{child} at {self.ns.short}: {p.stdout[-1500:]}{p.stderr}\n{self.charon.tail()}")
        return p

    def log_mark(self):
        """A place in charon's log, for since()."""
        return len(self.charon.output())

    def since(self, mark):
        return self.charon.output()[mark:]

    def wait_log(self, pattern, mark=0, timeout=15):
        return wait_for(f"{pattern!r} in the log of {self.ns.short}", lambda: re.search(pattern, self.since(mark)),
                        timeout, 0.1)

    def children(self, name=""):
        """How many CHILD_SAs are installed, of that name or in all."""
        return len(re.findall(rf"^  {name or '[^ :]+'}: #\d+, reqid \d+, INSTALLED", self.charon.sas(), re.M))

    def forget(self):
        """Without a connection and without an SA, whatever the other end thinks of it."""
        self.charon.load("connections {\n}\n")
        for unique in re.findall(r"^\S+: #(\d+),", self.charon.sas(), re.M):
            self.charon.swanctl("--terminate", "--ike-id", unique, "--force", "--timeout", 1, check=False)
        # A trap that DPD has left.
        for child in re.findall(r"^(\S+), (?:TUNNEL|TRANSPORT)", self.charon.swanctl("--list-pols", "--trap").stdout, re.M):
            self.charon.swanctl("--uninstall", "--child", child.rpartition("/")[2], check=False)


class Gateway(Ike):
    """A cygnet with its charon. ports: name -> (switch, addresses)."""

    def __init__(self, lab, name, ports, charon="", ipv6=False, **conf):
        self.ns = lab.ns(name)
        self.lab = lab
        self.ns.ipv6_at_once() if ipv6 else self.ns.no_ipv6()
        self.plugs = {p: switch.plug(self.ns, f"v-{p}") for p, (switch, _) in ports.items()}
        self.router = Router(self.ns, config([port(p, a) for p, (_, a) in ports.items()], **conf))
        self.charon = Charon(self.ns, self.router.name, charon=f"{QUICK}\n\t{charon}")

    def start(self):
        self.router.start(wait=False)
        return self

    def start_charon(self):
        self.router.wait_ready()
        self.charon.start()
        wait_for(f"the plugin at {self.ns.short}", lambda: self.router.json("status")["policies_complete"], 15)
        return self

    def sas(self, direction=None):
        return [s for s in self.router.sas() if direction in (None, s["direction"])]

    def packets(self):
        """Packets in and out of the SAs that live."""
        return tuple(sum(s["packets"] for s in self.sas(d)) for d in ("in", "out"))

    def reset(self):
        self.forget()
        wait_for(f"{self.ns.short} to be empty", lambda: not self.router.sas() and not self.router.policies(), 10)


def counted(gateways, send):
    """How many packets in and out the SAs of each gateway count when send() is called. Once more where one came or went meanwhile: what
    it had counted is in no sum."""
    def spis():
        return [{s["spi"] for s in g.sas()} for g in gateways]
    for _ in range(10):
        had, before = spis(), [g.packets() for g in gateways]
        send()
        after = [g.packets() for g in gateways]
        if spis() == had:
            return [(a[0] - b[0], a[1] - b[1]) for a, b in zip(after, before)]
    raise Failed("SAs come and go all the time")


class Stock(Ike):
    """strongSwan as the distribution has it, with ESP (in UDP) in user space by kernel-libipsec, and perhaps a LAN behind it."""

    def __init__(self, switch, name, *addresses, lan=None, gateway=None, charon="", ipv6=False):
        self.lab = switch.lab
        self.host = Host(switch, name, *addresses, gateway=gateway, ipv6=ipv6)
        self.ns, self.port = self.host.ns, self.host.port
        self.ns.sysctl("net.ipv4.ip_forward", 1)
        self.ns.sysctl("net.ipv4.conf.all.rp_filter", 0)
        if ipv6:
            self.ns.sysctl("net.ipv6.conf.all.forwarding", 1)
        if lan:
            lan[0].plug(self.ns, "lan")
            self.ns.addr("lan", *lan[1])
        self.charon = Charon(self.ns, "none", backend="kernel-libipsec", charon=f"{QUICK}\n\t{charon}")

    def start_charon(self):
        self.charon.start()
        return self

    def ping(self, address, count=2, **kw):
        return self.host.ping(address, count, **kw)

    def reset(self):
        self.forget()


class NatBox:
    """A router with address and port translation between a LAN and the outside, as nftables has it."""

    def __init__(self, lab, name, outside, address, inside, inside_address):
        self.ns = lab.ns(name)
        self.ns.no_ipv6()
        self.ns.sysctl("net.ipv4.ip_forward", 1)
        self.port = outside.plug(self.ns, "out")
        inside.plug(self.ns, "in")
        self.ns.addr("out", address)
        self.ns.addr("in", inside_address)

    def nft(self, *commands):
        self.ns.run("nft", "; ".join(commands))

    def masquerade(self, ports):
        """UDP from inside leaves with one of these ports. What was known before is forgotten, as after a restart."""
        self.nft("add table ip nat", "flush table ip nat",
                 "add chain ip nat post { type nat hook postrouting priority 100; }",
                 f"add rule ip nat post oifname out ip protocol udp masquerade to :{ports}")
        routes = self.ns.run("ip", "-4", "route", "show", "dev", "out").stdout.splitlines()
        self.ns.run("ip", "link", "set", "out", "down")
        self.ns.run("ip", "link", "set", "out", "up")
        for r in routes:
            self.ns.run("ip", "route", "replace", *r.split(), "dev", "out")

    def plain(self):
        """A router and no more."""
        self.nft("delete table ip nat")

    def forward(self, port_number, to):
        """UDP to that port of the outside goes to a host inside."""
        self.nft("add table ip nat", "add chain ip nat pre { type nat hook prerouting priority -100; }",
                 f"add rule ip nat pre iifname out udp dport {port_number} dnat to {to}")


class Tcp:
    """A server that says its name and ends the connection."""

    def __init__(self, host, address, port):
        with host.ns.inside():
            self.sock = socket.create_server((address, port))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer, _ = self.sock.accept()
            except OSError:
                return
            with peer:
                peer.sendall(b"hello")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.shutdown(socket.SHUT_RDWR)  # or accept() would hold it open
        self.sock.close()


def greets(host, address, port, timeout=1.5):
    """Whether a server there greets."""
    with host.ns.inside():
        sock = socket.socket()
    with sock:
        sock.settimeout(timeout * PATIENCE)
        try:
            sock.connect((address, port))
            return sock.recv(16) == b"hello"
        except OSError:
            return False


class Streams:
    """Numbered UDP packets between two hosts, both ways: with Streams(…) as s: …; then s.lost, s.closed_ms and s.longest_ms."""

    def __init__(self, a, a_addr, b, b_addr, rate=1000, size=256):
        self.ends = ((a, a_addr, b_addr), (b, b_addr, a_addr))
        self.rate, self.size = rate, size

    def __enter__(self):
        self.processes = [h.ns.start("/usr/bin/python3", "-B", Path(__file__).with_name("stream.py"), me, peer, self.rate,
                                     self.size, name=f"stream-{h.ns.short}-{id(self):x}") for h, me, peer in self.ends]
        for p in self.processes:
            wait_for("a stream", lambda p=p: "ready" in p.output(), 5)
        time.sleep(0.2)
        return self

    def __exit__(self, *exc):
        for p in self.processes:
            p.send(signal.SIGINT)
        for p in self.processes:
            p.wait(10)
        if exc[0] is not None:
            return
        a, b = self.results = [json.loads(p.output().splitlines()[-1]) for p in self.processes]
        self.sent = a["sent"] + b["sent"]
        # The end that started first may have sent some before the other was there to take them.
        self.lost = sum(there["sent"] - here["received"] - here["first"] for here, there in ((a, b), (b, a)))
        self.longest_ms = max(a["longest_ms"], b["longest_ms"])
        # The longest time that the way was closed, by what was sent meanwhile: a host that got no cpu makes no gap, but for what it
        # sends at once afterwards.
        self.closed_ms = max(0, max(a["longest_gap"], b["longest_gap"]) - BURST) * 1000 / self.rate


class CutOff(Failed):
    """iperf3's control connection was lost in its own flood, and nobody knows what it carried."""


class Bulk:
    """iperf3 between two hosts, both ways, UDP of so many Mbit/s each: with Bulk(…) as b: …; then b.sent, b.lost (its packets are
    numbered), and b.unread, those among the lost that a host's socket had no room for. CutOff is for who would try again."""

    def __init__(self, a, b, b_addr, mbits, size=1200):
        self.a, self.b, self.b_addr, self.mbits, self.size = a, b, b_addr, mbits, size

    def unread_now(self):
        return sum(int(h.ns.run("awk", "/^Udp: [0-9]/ {print $6}", "/proc/net/snmp").stdout) for h in (self.a, self.b))

    def __enter__(self):
        self.unread = -self.unread_now()
        server = self.b.ns.start("iperf3", "-s", "-1", "-J", "-p", 5301, name=f"bulk-s-{id(self):x}")
        wait_for("iperf3", lambda: ":5301" in self.b.ns.run("ss", "-Hltn").stdout, 5)
        client = self.a.ns.start("iperf3", "-c", self.b_addr, "-p", 5301, "-u", "--bidir", "-J", "-t", 3600, "-b", f"{self.mbits}M",
                                 "-l", self.size, name=f"bulk-c-{id(self):x}")
        self.ends = (client, server)
        time.sleep(0.5)
        assert client.alive(), client.output()
        return self

    def __exit__(self, kind, *exc):
        client, server = self.ends
        client.send(signal.SIGINT)
        try:
            for p in self.ends:
                p.wait(10)
        except Failed as e:
            for p in self.ends:
                p.kill()
            if kind is None:
                raise CutOff(str(e)) from e
        if kind is not None:
            return
        self.unread += self.unread_now()
        try:
            # What follows the JSON is iperf3's warnings.
            reports = [json.JSONDecoder().raw_decode(p.output().lstrip())[0] for p in self.ends]
            here = [s["udp"] for r in reports for s in r["end"].get("streams", []) if not s["udp"]["sender"]]
        except (ValueError, KeyError):  # it failed before it had anything to report
            here = []
        if len(here) != 2:
            raise CutOff("\n".join(p.output() for p in self.ends))
        self.sent = sum(s["packets"] for s in here)
        self.lost = sum(s["lost_packets"] for s in here)
