# SPDX-License-Identifier: BSD-3-Clause
"""A static SA with a counter-mode cipher: its state file sees to it that no sequence number comes twice."""

import os
import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab import Lab, wait_for
from router import Router, config, port
from wire import Wire, IP_ESP, is_ip

KEY = "000102030405060708090a0b0c0d0e0f10111213"


def site_conf(state):
    sa = {"name": "out", "direction": "out", "spi": 0x1001, "source": "192.0.2.1", "destination": "192.0.2.2",
          "encryption": "aes128gcm16", "key": KEY, "reqid": 1, "state-file": str(state)}
    back = {**sa, "name": "in", "direction": "in", "spi": 0x1002, "source": "192.0.2.2", "destination": "192.0.2.1",
            "key": KEY[::-1]}
    del back["state-file"]
    policy = {"action": "protect", "source": "10.1.0.0/24", "destination": "10.2.0.0/24", "reqid": 1}
    return config([port("lan", ["10.1.0.1/24"]), port("wan", ["192.0.2.1/24"])], mode="inline",
                  ipsec={"static-only": True}, sas=[sa, back], policies=[{**policy, "direction": "out"}])


class Site:
    def __init__(self, lab):
        self.r, self.h, self.p = lab.ns("r"), lab.ns("h"), lab.ns("p")
        for ns in self.r, self.h, self.p:
            ns.no_ipv6()
        lab.veth(self.r, "v-lan", self.h, "eth0")
        lab.veth(self.r, "v-wan", self.p, "eth0")
        self.p.addr("eth0", "192.0.2.2/24")
        self.state = lab.dir / "out.state"
        self.router = Router(self.r, site_conf(self.state))
        self.host, self.peer = Wire(self.h, "eth0"), Wire(self.p, "eth0")

    def start(self):
        self.router.start()
        self.r.run("ip", "route", "replace", "10.2.0.0/24", "via", "192.0.2.2")
        self.frame = Ether(dst=self.r.mac("lan"), src=self.h.mac("eth0")) / IP(src="10.1.0.2", dst="10.2.0.2") / \
            UDP(sport=1, dport=2) / Raw(b"x" * 40)

    def numbers(self, n):
        """The sequence numbers of n packets that come out."""
        def sealed():
            self.host.send(self.frame)
            return self.peer.recv(is_ip(IP_ESP), timeout=0.3)
        first = wait_for("a sealed packet", sealed, 10)
        self.host.send(*[self.frame] * (n - 1))
        return [struct.unpack_from("!I", f, 38)[0] for f in [first, *self.peer.collect(n - 1, is_ip(IP_ESP))]]

    def refused(self):
        """The last line of a start that must fail."""
        self.router.start(wait=False)
        assert self.router.process.wait(30) != 0
        lines = [x for x in self.router.process.output().splitlines() if "state file" in x]
        assert len(lines) > 0, self.router.process.tail()
        return lines[-1]


@pytest.fixture(scope="module")
def site():
    with Lab("t-state") as lab:
        yield Site(lab)


def test_state_file(site):
    assert "--create-state" in site.refused()
    out = site.r.run(site.router.binary, "-c", site.router.file, "--create-state").stdout
    assert "created" in out
    assert "left as it is" in site.r.run(site.router.binary, "-c", site.router.file, "--create-state").stdout

    seen = set()
    for turn in range(4):
        site.start()
        site.peer.drain()
        numbers = site.numbers(300)
        assert len(numbers) >= 250
        assert not seen & set(numbers) and len(set(numbers)) == len(numbers), f"start {turn}"
        seen |= set(numbers)
        assert site.router.sas()[0]["sequence_left"] > 0
        site.router.kill()

    # Ended as told nothing is skipped: the next number follows.
    site.start()
    last = max(site.numbers(20))
    site.router.stop()
    site.start()
    site.peer.drain()
    numbers = site.numbers(20)
    assert last < min(numbers) < last + 1000
    assert not seen & set(numbers)

    # Another router with the same file.
    other = Router(site.r, {**site_conf(site.state), "ports": [port("x", ["10.9.0.1/24"], devargs="net_null0")]},
                   name=site.router.name + "-two")
    other.file, other.socket = site.router.lab.dir / "two.yaml", site.router.lab.dir / "two.sock"
    other.conf["socket"] = str(other.socket)
    other.conf["ports"][0]["devargs"] = "net_null0"
    other.write()
    other.start(wait=False)
    assert other.process.wait(30) != 0
    assert "in use by another SA or router" in other.process.output()
    site.router.stop()


def test_damaged_and_foreign_files(site):
    good = site.state.read_text()
    site.state.write_text(good.replace("reserved ", "reserved 9"))
    assert "damaged" in site.refused()
    site.state.write_text("")
    assert "damaged" in site.refused()
    site.state.write_text(good)
    site.router.conf["sas"][0]["key"] = "ff" * 20
    site.router.write()
    assert "another SPI or key" in site.refused()
    assert os.stat(site.state).st_mode & 0o077 == 0
