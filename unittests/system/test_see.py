# SPDX-License-Identifier: BSD-3-Clause
"""What operators look at: packet traces and captures, between two sites with a tunnel."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time

import pytest
from scapy.all import ARP, ICMP, IP, Ether, RawPcapNgReader, raw
from scapy.layers.ipsec import ESP, SecurityAssociation

from lab import Failed, run, wait_for
from router import CYGNETCTL
from sites import PLAN, TwoSites

HOST_A, HOST_B = PLAN["a"]["host"], PLAN["b"]["host"]


@pytest.fixture(scope="module")
def sites(module_lab):
    two = TwoSites(module_lab)
    two.b.router.conf["ipsec"] = {**two.b.router.conf.get("ipsec", {}), "keep-keys": "insecure"}
    two.b.router.write()
    two.start().up()
    two.lab = module_lab
    two.wait_ping(10)
    return two


class Looking:
    """with Looking(router, "trace", …) as l: … once it looks; l.out and l.err are what it printed until it ended."""

    def __init__(self, router, *args):
        self.cmd = [str(a) for a in (CYGNETCTL, "--socket", router.socket, *args)]

    def __enter__(self):
        self.p = subprocess.Popen(self.cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.first = self.p.stderr.readline().decode()
        if self.first not in ("waiting for packets\n", "capturing\n"):
            raise Failed(f"{self.cmd}: {self.first}")
        return self

    def __exit__(self, *exc):
        try:
            out, err = self.p.communicate(timeout=60)
        finally:
            if self.p.poll() is None:
                self.p.kill()
                self.p.communicate()
        self.out, self.err, self.code = out, err.decode(), self.p.returncode

    def records(self):
        return [json.loads(line) for line in self.out.decode().splitlines()]


def nodes_of(records, packet=1):
    return [r["node"] for r in sorted(records, key=lambda r: r["ns"]) if r["packet"] == packet]


OUTBOUND = ["port-rx", "ether-input", "ip4-input", "ipsec-input-check", "ip4-lookup", "ipsec-output", "esp-encrypt",
            "crypto-submit", "crypto-enqueue", "crypto-dequeue", "crypto-complete", "esp-encrypt-finish",
            "ip4-rewrite", "port-tx"]


def test_trace_follows_a_packet_through_the_tunnel(sites):
    """Every node of its way in order, over the crypto lcore, with the SPI and the number that the wire shows."""
    sa = next(s for s in sites.a.router.sas() if s["direction"] == "out")
    with Looking(sites.a.router, "trace", "--json", f"icmp and src host {HOST_A}") as t:
        sites.ping(1)
    assert t.code == 0
    assert nodes_of(t.records()) == OUTBOUND
    by_node = {r["node"]: r for r in t.records()}
    assert by_node["port-rx"]["in_port"] == "lan" and by_node["port-tx"]["out_port"] == "wan"
    assert by_node["crypto-enqueue"]["role"] == by_node["crypto-dequeue"]["role"] == "crypto"
    assert by_node["crypto-submit"]["spi"] == sa["spi"]
    sealed = Ether(bytes.fromhex(by_node["port-tx"]["head"]))
    assert sealed[ESP].spi == int(sa["spi"], 16)
    assert sealed[ESP].seq == by_node["crypto-submit"]["sequence"]
    assert IP(bytes.fromhex(by_node["ip4-lookup"]["head"])).src in (HOST_A, PLAN["a"]["wan"])


def test_trace_of_many_packets_at_once(sites):
    """As many as a trace may have, in one burst: all nodes of all of them."""
    sites.ping(1)  # all neighbours are known, and the SAs are up
    with Looking(sites.a.router, "trace", "--json", "-n", "200", "-d", "10", f"icmp and src host {HOST_A}") as t:
        sites.a.host.run("ping", "-q", "-c", "200", "-l", "200", "-W", "2", HOST_B, check=False)
    records = t.records()
    ways = [nodes_of(records, n + 1) for n in range(200)]
    assert t.code == 0 and "lost" not in t.err
    assert [w for w in ways if w != OUTBOUND] == [], sites.a.router.drops()


@contextlib.contextmanager
def played(sites, name, count):
    """cygnetctl trace of a router that the test plays: the process, and what sends lines to it."""
    path = sites.lab.dir / f"{name}.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        p = subprocess.Popen([CYGNETCTL, "--socket", path, "trace", "-n", str(count)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        c, _ = s.accept()
        c.recv(65536)

        def tell(*lines):
            for line in lines:
                c.sendall(json.dumps(line).encode() + b"\n")
        tell({"data": {"count": count}}, {"ready": True})
        yield p, tell
        c.close()


def played_record(node, ns, **more):
    return {"packet": 1, "lcore": 1, "role": "worker", "node": node, "ns": ns, "burst": 1, "length": 60, "entry": False,
            "frame": True, "in_port": "lan", "flags": [], "head": ""} | more


def test_trace_tells_what_was_lost(sites):
    """A router that loses records: the client says how many, and does not wait for packets that it has not heard of."""
    with played(sites, "lossy", 2) as (p, tell):
        tell(played_record("port-rx", 0, entry=True), {"lost": 3}, {"lost": 17})
        out, err = p.communicate(timeout=15)
    assert p.returncode == 0 and b"packet 1\n" in out
    assert b"17 records were lost" in err and b"1 of 2 packets came" in err


def test_trace_waits_for_what_the_crypto_lcore_did(sites):
    """A router that is slow to tell: lcores are read in turn, and the client knows that something is still to come."""
    with played(sites, "slow", 1) as (p, tell):
        tell(played_record("port-rx", 0, entry=True), played_record("crypto-submit", 100), played_record("crypto-complete", 400),
             played_record("port-tx", 500))
        time.sleep(0.5)
        tell(*(played_record(node, ns, lcore=2, role="crypto") for node, ns in (("crypto-enqueue", 200), ("crypto-dequeue", 300))))
        out, _ = p.communicate(timeout=15)
    nodes = re.findall(rb"(?:worker|crypto) \d +([\w-]+)", out)
    assert p.returncode == 0 and nodes == [b"port-rx", b"crypto-submit", b"crypto-enqueue", b"crypto-dequeue", b"crypto-complete",
                                           b"port-tx"], out


def test_trace_of_what_a_tunnel_brings(sites):
    """ESP is followed into clear; a filter for what is inside finds it when it is opened."""
    with Looking(sites.a.router, "trace", "-n", "1", "--json", "esp and dst host", PLAN["a"]["wan"]) as t:
        with Looking(sites.b.router, "trace", "-n", "1", "icmp and", "dst host", HOST_B) as inner:
            sites.ping(1)
    assert nodes_of(t.records()) == ["port-rx", "ether-input", "ip4-input", "esp-decrypt", "crypto-submit",
                                     "crypto-enqueue", "crypto-dequeue", "crypto-complete", "esp-decrypt-finish",
                                     "ipsec-input-check", "ip4-lookup", "ipsec-output", "ip4-rewrite", "port-tx"]
    lines = inner.out.decode().splitlines()
    assert lines[0] == "packet 1"
    assert re.search(rf"ipsec-input-check +out of SA 0x[0-9a-f]+: {HOST_A} > {HOST_B} ICMP echo request", lines[1])
    assert re.search(r"port-tx +sent by port lan: .*, 98 bytes$", lines[-1])


def test_trace_says_why_a_packet_is_dropped(sites):
    with Looking(sites.a.router, "trace", "udp") as t:
        sites.a.host.run("/usr/bin/python3", "-c", "import socket\n"
                         f"socket.socket(2, 2).sendto(b'x', ('{PLAN['b']['wan']}', 9))")
    last = t.out.decode().splitlines()[-1]
    assert re.search(r"drop +dropped: policy-default \(no policy, and the default action is discard\)$", last)


def test_trace_of_what_linux_sends(sites):
    # Hosts doubt their neighbours now and then, and ask.
    with Looking(sites.a.router, "trace", "--json", f"arp and dst host {PLAN['b']['wan']}") as t:
        sites.a.ns.run("ip", "neigh", "flush", "dev", "wan")
        sites.a.ns.ping(PLAN["b"]["wan"], 1, wait=1)
    records = t.records()
    assert nodes_of(records) == ["host-rx", "port-tx"]
    assert Ether(bytes.fromhex(records[0]["head"]))[ARP].pdst == PLAN["b"]["wan"]


def test_off_again_the_nodes_are_their_own(sites):
    """Many short traces and captures under traffic: nothing is lost or stuck by turning them on and off."""
    with Looking(sites.a.router, "trace", "-n", "200", "-d", "4", "icmp"):
        refused = sites.a.router.ctl("trace", check=False)
        assert refused.returncode == 1 and "somebody else" in refused.stderr
    for _ in range(10):
        run([CYGNETCTL, "--socket", sites.a.router.socket, "trace", "-d", "0.1"])
    assert sites.ping(5, interval=0.05) == 5


@pytest.mark.parametrize("args,code,text", [
    (["trace", "no such word"], 2, "the filter: "),
    (["trace", "-n", "0"], 2, "the count is a number from 1 to 200, not '0'"),
    (["capture", "-w", "/dev/null", "-i", "nowhere"], 1, "there is no port 'nowhere'"),
    (["capture", "--keys"], 1, "the keys of SAs are not kept: ipsec: {keep-keys: insecure}"),
    (["capture", "-w", "/nowhere/x", "-c", "1"], 1, "/nowhere/x: No such file or directory"),
])
def test_errors(sites, args, code, text):
    p = sites.a.router.ctl(*args, check=False)
    assert p.returncode == code
    assert text in p.stderr


def pings(sites):
    """A steady stream, once it flows."""
    before = sites.a.usage("in")[0]
    ping = sites.a.host.start("ping", "-q", "-i", "0.02", HOST_B, name="ping")
    wait_for("the pings", lambda: sites.a.usage("in")[0] > before + 5)
    return ping


def test_top(sites):
    """Screens in plain text, with what flows meanwhile; the terminal's own shows the same."""
    ping = pings(sites)
    out = sites.a.router.ctl("top", "-b", "-n", "6", "-d", "0.7").stdout
    screens = out.split(f"{sites.a.router.name}  cygnet ")[1:]
    assert len(screens) == 6

    def rates(page):
        return [int(n) for n in re.search(r"^wan +up +(\d+) +\S+ +0 +(\d+) ", page, re.M).groups()]
    # In 0.7 s without a cpu there is no ping, and more of them in the next.
    page = next((p for p in screens[1:] if all(1 <= n <= 100 for n in rates(p))), None)
    assert page, out
    assert "2 SAs, 3 policies (complete), 1 charon" in page
    assert re.search(r"^ +1  worker +\d+ +[\d.]+% +[\d.]+%  \[[#. ]{30}\]$", page, re.M)
    spi = {s["direction"]: s["spi"] for s in sites.a.router.sas()}
    assert re.search(rf"^out  {spi['out']}  192\.0\.2\.2 +1 +[1-9]\d* ", page, re.M)
    assert re.search(r"^ +1  port-tx +[1-9]\d* ", page, re.M)
    assert page.rstrip().endswith("none")
    assert max(map(len, page.splitlines())) <= 80
    # A terminal of the usual width has room for the router's state, line by line.
    assert max(map(len, sites.a.router.ctl("status").stdout.splitlines()[6:])) <= 80
    script = f"stty cols 100 rows 40; {CYGNETCTL} --socket {sites.a.router.socket} top -n 1 -d 0.5"
    drawn = run(["script", "-qec", script, "/dev/null"], env={**os.environ, "TERM": "xterm"}).stdout
    assert "port-tx" in drawn and "q quit" in drawn
    ping.stop()
    # Without anybody to press keys it waits all the same.
    script = f"TIMEFORMAT='cpu %U %S'; time {CYGNETCTL} --socket {sites.a.router.socket} top -n 1 -d 4 </dev/null"
    drawn = run(["script", "-qec", script, "/dev/null"], env={**os.environ, "TERM": "xterm", "SHELL": "/bin/bash"}).stdout
    used = re.search(r"cpu (\S+) (\S+)", drawn)
    assert float(used[1]) + float(used[2]) < 1, used[0]


def test_graph_picture(sites):
    """Lcores as groups, edges with what the ping's packets took, and the way between the lcores."""
    ping = pings(sites)
    path = sites.lab.dir / "graph"
    sites.a.router.ctl("graph", "picture", "-o", f"{path}.dot")
    sites.a.router.ctl("graph", "picture", "-a", "-o", f"{path}.svg")
    ping.stop()
    dot, svg = (path.with_suffix(s).read_text() for s in (".dot", ".svg"))
    assert 'subgraph "cluster_1"' in dot and 'subgraph "cluster_2"' in dot
    edges = {(a, b): int(n) for a, b, n in re.findall(r'"(\S+)" -> "(\S+)" \[label=" (\d+)/s"', dot)}
    for a, b in zip(OUTBOUND[1:7], OUTBOUND[2:8]):
        assert edges[f"1:{a}", f"1:{b}"] > 0, (a, b)
    assert edges["1:crypto-submit", "2:crypto-enqueue"] > 0
    assert edges["2:crypto-enqueue", "1:crypto-complete"] > 0
    assert ("1:ip4-input", "1:drop") not in edges
    assert "<svg" in svg and "icmp4&#45;error" in svg


def read_pcapng(path):
    """[(interface, direction flags, comment, frame)]: by hand, for scapy keeps no options."""
    data, at, packets, interfaces = path.read_bytes(), 0, [], []

    def options(body):
        found = {}
        while len(body) >= 4:
            code, n = int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little")
            if code == 0:
                break
            found[code] = body[4:4 + n]
            body = body[4 + (n + 3) // 4 * 4:]
        return found

    while at < len(data):
        kind, size = int.from_bytes(data[at:at + 4], "little"), int.from_bytes(data[at + 4:at + 8], "little")
        body = data[at + 8:at + size - 4]
        assert data[at + size - 4:at + size] == data[at + 4:at + 8]
        if kind == 1:
            interfaces.append(options(body[8:])[2].decode())
        elif kind == 6:
            n = int.from_bytes(body[12:16], "little")
            o = options(body[20 + (n + 3) // 4 * 4:])
            packets.append((interfaces[int.from_bytes(body[:4], "little")], int.from_bytes(o.get(2, b""), "little"),
                            o.get(1, b"").decode(), Ether(body[20:20 + n])))
        at += size
    return packets


def test_capture_of_ports(sites):
    """Port, direction and bytes, as tcpdump sees the same packets on the wire; scapy reads the file, too."""
    path = sites.lab.dir / "ports.pcapng"
    with Looking(sites.a.router, "capture", "-w", path, "-c", "8", "-d", "10", "icmp or esp"):
        for _ in range(2):
            sites.ping(1)
    packets = read_pcapng(path)
    lan, wan = [p for p in packets if p[0] == "lan"], [p for p in packets if p[0] == "wan"]
    assert [p[1] for p in lan] == [1, 2, 1, 2] and [p[1] for p in wan] == [2, 1, 2, 1]
    assert all(p[3][ICMP].type == (8 if p[1] == 1 else 0) for p in lan)
    assert all(ESP in p[3] for p in wan)
    assert len(list(RawPcapNgReader(str(path)))) == 8
    assert "ESP(spi=" in run(["tcpdump", "-n", "-r", path]).stdout
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_capture_is_its_owners_alone(sites):
    """Also where the file was there before; a link, and another user's file, are not written at all."""
    old, other, link = (sites.lab.dir / n for n in ("old.pcapng", "other.pcapng", "link.pcapng"))
    for path in old, other:
        path.write_text("precious" * 1000)
        path.chmod(0o644)
    os.chown(other, 65534, -1)
    link.symlink_to(old)
    for path, why in (other, "is another user's file"), (link, "is a symbolic link"):
        p = sites.a.router.ctl("capture", "-w", path, "-d", "0.1", check=False)
        assert p.returncode == 1 and f"{path}: {why}" in p.stderr
        assert path.read_text() == "precious" * 1000 and path.stat().st_mode & 0o777 == 0o644
    # Not even with a reader there.
    pipe = sites.lab.dir / "pipe"
    os.mkfifo(pipe, 0o666)
    os.chown(pipe, 65534, -1)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    p = sites.a.router.ctl("capture", "-w", pipe, "-d", "0.1", check=False)
    assert p.returncode == 1 and "is another user's file" in p.stderr and os.read(reader, 1) == b""
    os.chown(pipe, 0, -1)
    sites.a.router.ctl("capture", "-w", pipe, "-d", "0.1")
    assert os.read(reader, 4) == bytes.fromhex("0a0d0d0a")
    os.close(reader)
    # Who has the old one open does not read the new one.
    with open(old, "rb") as held:
        sites.a.router.ctl("capture", "-w", old, "-d", "0.1")
        assert held.read() == b"precious" * 1000
    assert old.stat().st_mode & 0o777 == 0o600 and b"precious" not in old.read_bytes()
    read_pcapng(old)
    # Descriptors that the shell has opened.
    out = sites.lab.dir / "shell.pcapng"
    for path in f"/dev/stdout > {out}", f"/dev/fd/7 7> {out}", f">(cat > {out})":
        run(["bash", "-c", f"{CYGNETCTL} --socket {sites.a.router.socket} capture -d 0.1 -w {path}; wait $!"])
        read_pcapng(out)
        assert out.stat().st_size > 0
        out.unlink()
    sites.a.router.ctl("capture", "-w", "/dev/null", "-d", "0.1")


def test_capture_of_one_port_cut_short(sites):
    path = sites.lab.dir / "short.pcapng"
    with Looking(sites.a.router, "capture", "-w", path, "-i", "wan", "--in", "-l", "40", "-c", "2", "-d", "10"):
        sites.ping(2)
    packets = read_pcapng(path)
    assert {p[:2] for p in packets} == {("wan", 1)}
    assert all(len(raw(p[3])) <= 40 for p in packets)


def test_capture_inside_the_tunnel(sites):
    """In clear, with the SPI, to a pipe; the same packets that the hosts see."""
    path = sites.lab.dir / "inner.pcapng"
    with Looking(sites.a.router, "capture", "--inner", "-w", "-", "-c", "2", "-d", "10", "icmp") as c:
        sites.ping(1)
    path.write_bytes(c.out)
    spi = {s["direction"]: s["spi"] for s in sites.a.router.sas()}
    packets = read_pcapng(path)
    assert [p[:3] for p in packets] == [("inner", 2, f"SPI {spi['out']}"), ("inner", 1, f"SPI {spi['in']}")]
    assert [(p[3][IP].src, p[3][IP].dst, p[3][ICMP].type) for p in packets] == [(HOST_A, HOST_B, 8), (HOST_B, HOST_A, 0)]
    assert "2 packets" in c.err


def test_a_paused_reader_goes_on(sites):
    """A viewer that stops reading for longer than the router waits for answers to be read loses packets, not its capture."""
    unread = 0

    def flood():
        sites.a.host.run("ping", "-f", "-q", "-c", "400", "-s", "1300", "-w", "5", HOST_B, check=False)

    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(sites.a.router.socket))
        # By then the router has found out that it has nothing to write to it.
        time.sleep(0.5)
        s.sendall(b'{"command": "capture", "args": {"places": ["rx", "tx"]}}\n')
        assert b'"ok"' in s.recv(65536)
        for _ in range(3):
            flood()
        time.sleep(13)
        s.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while data := s.recv(65536):
                unread += len(data)
        # More than the socket holds: the router waited. It is still there.
        assert unread > 1 << 20
        flood()
        assert s.recv(65536) != b""


def test_capture_with_keys(sites):
    """scapy opens the wire's packets with what the file's comments say, and nobody else is told."""
    path = sites.lab.dir / "keys.pcapng"
    with Looking(sites.b.router, "capture", "--keys", "-i", "wan", "-w", path, "-c", "2", "-d", "10", "esp"):
        sites.ping(1)
    assert path.stat().st_mode & 0o777 == 0o600
    said = re.findall(rb"SA esp (\S+) > (\S+) SPI 0x(\w+) encryption AES_GCM_16-256 key 0x(\w+) integrity - key -",
                      path.read_bytes())
    keys = {int(spi, 16): (src.decode(), bytes.fromhex(key.decode())) for src, _, spi, key in said}
    assert len(keys) == 2 and set(keys) == {int(s["spi"], 16) for s in sites.b.router.sas()}
    opened = []
    for _, _, _, frame in read_pcapng(path):
        src, key = keys[frame[ESP].spi]
        assert frame[IP].src == src
        sa = SecurityAssociation(ESP, spi=frame[ESP].spi, crypt_algo="AES-GCM", crypt_key=key,
                                 tunnel_header=IP(src=frame[IP].src, dst=frame[IP].dst))
        inner = sa.decrypt(frame[IP])
        opened.append((inner.src, inner.dst, inner[ICMP].type))
    assert opened == [(HOST_A, HOST_B, 8), (HOST_B, HOST_A, 0)]
    assert not any(key.hex() in json.dumps(sites.b.router.sas()) for _, key in keys.values())
    assert "keep-keys is insecure" in sites.b.router.process.output()
    assert "keeps the keys of SAs" in sites.b.router.ctl("doctor", check=False).stdout


def test_capture_has_the_keys_of_sas_that_come(sites):
    """Rekeyed while it runs: the new SA's packets can be opened too, and each key is there once."""
    path = sites.lab.dir / "rekeyed.pcapng"

    def keys():
        return [int(spi, 16) for spi in re.findall(rb"SA esp \S+ > \S+ SPI 0x(\w+) encryption", path.read_bytes())]

    def spis():
        return {int(s["spi"], 16) for s in sites.b.router.sas()}

    with Looking(sites.b.router, "capture", "--keys", "-i", "wan", "-w", path, "-c", "4", "-d", "15", "esp") as c:
        old = spis()
        assert set(keys()) == old
        sites.ping(1)
        sites.a.charon.swanctl("--rekey", "--child", "net")
        wait_for("new SAs", lambda: len(spis() - old) == 2, 10)
        new = spis() - old
        wait_for("their keys", lambda: new <= set(keys()), 5)
        sites.ping(1)
    assert c.code == 0 and "4 packets" in c.err and "asked again" not in c.err
    assert set(keys()) == old | new and len(keys()) == 4
    packets = read_pcapng(path)
    assert len(packets) == 4 and packets[3][3][ESP].spi in new


def test_capture_of_drops(sites):
    path = sites.lab.dir / "drops.pcapng"
    with Looking(sites.a.router, "capture", "--drops", "-w", path, "-c", "1", "-d", "10", "udp port 9"):
        sites.a.host.run("/usr/bin/python3", "-c", "import socket\n"
                         f"socket.socket(2, 2).sendto(b'x', ('{PLAN['b']['wan']}', 9))")
    assert [p[:3] for p in read_pcapng(path)] == [("drop", 0, "dropped: policy-default")]


def test_others_than_root_see_nothing(sites):
    """Neither by the socket's mode nor, where somebody opened it, by asking."""
    ask = ["setpriv", "--reuid=65534", "--clear-groups", CYGNETCTL, "--socket", sites.a.router.socket, "capture",
           "--inner", "-w", "-"]
    p = run(ask, check=False)
    assert p.returncode == 1 and p.stdout == ""
    os.chmod(sites.a.router.socket, 0o666)
    os.chmod(sites.lab.dir, 0o711)
    try:
        p = run(ask, check=False)
        assert p.returncode == 1 and p.stdout == "" and "only root" in p.stderr
    finally:
        os.chmod(sites.a.router.socket, 0o600)
        os.chmod(sites.lab.dir, 0o700)


def test_the_router_survives_a_reader_that_is_gone(sites):
    """A capture whose reader stops reading, and one that is killed, end; the next one begins."""
    for sig in ("STOP", "KILL"):
        p = subprocess.Popen([CYGNETCTL, "--socket", sites.a.router.socket, "capture", "-w", "/dev/null"],
                             stderr=subprocess.PIPE)
        assert p.stderr.readline() == b"capturing\n"
        p.send_signal(getattr(__import__("signal"), f"SIG{sig}"))
        assert sites.ping(2) == 2
        p.kill()
        p.communicate()
    wait_for("a capture", lambda: sites.a.router.ctl("capture", "-w", "/dev/null", "-d", "0.1", check=False).returncode == 0,
             5)
