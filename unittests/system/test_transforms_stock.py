# SPDX-License-Identifier: BSD-3-Clause
"""Every transform that stock strongSwan's kernel-libipsec has, negotiated by cygnet's charon and a stock one, and packets of both
families through each of them. One CHILD_SA a transform, between addresses of its own; ESP in UDP, tunnel mode, no ESN.

    bob -- sun (cygnet) ====== carol (stock)
"""

import pytest

from lab import Lab, wait_for
from peers import Gateway, Host, Stock, Switch, Watch, connection

SUN, CAROL = "192.168.0.1", "192.168.0.100"
IDS = ("sun.strongswan.org", "carol.strongswan.org")
# GMAC is not here: libipsec has none. What the router calls them: encryption, integrity.
PROPOSALS = {
    **{f"aes{b}{m}{icv}": (f"AES_{m.upper()}_{icv}-{b}", None) for m in ("gcm", "ccm") for b in (128, 192, 256)
       for icv in (16, 12, 8)},
    "chacha20poly1305": ("CHACHA20_POLY1305", None),
    **{f"aes{b}-sha1": (f"AES_CBC-{b}", "HMAC_SHA1_96") for b in (128, 192, 256)},
    "aes128-sha256": ("AES_CBC-128", "HMAC_SHA2_256_128"),
    "aes192-sha384": ("AES_CBC-192", "HMAC_SHA2_384_192"),
    "aes256-sha512": ("AES_CBC-256", "HMAC_SHA2_512_256"),
    "aes128-aesxcbc": ("AES_CBC-128", "AES_XCBC_96"),
    "aes256-aescmac": ("AES_CBC-256", "AES_CMAC_96"),
    **{f"aes{b}ctr-sha256": (f"AES_CTR-{b}", "HMAC_SHA2_256_128") for b in (128, 192, 256)},
    "null-sha256": ("NULL", "HMAC_SHA2_256_128"),
}
NUMBER = {p: i + 1 for i, p in enumerate(PROPOSALS)}
WINDOWS = (32, 0, 1024, 64)  # of the router's inbound SAs, in turn
LOAD = ("load = random nonce openssl aes sha1 sha2 hmac kdf gcm ccm ctr chapoly xcbc cmac pem pkcs1 x509 pubkey "
        "kernel-libipsec kernel-netlink socket-default vici")


def bob(i):
    return f"10.2.0.{i}", f"fd00:2::{i:x}"


def carol(i):
    return f"10.3.0.{i}", f"fd00:3::{i:x}"


def children(local, remote, start, **more):
    def ts(ends, i):
        return "{}/32, {}/128".format(*ends(i))
    return {f"c{i}": {"local_ts": ts(local, i), "remote_ts": ts(remote, i), "esp_proposals": p, "start_action": start,
                      **{k: v(i) for k, v in more.items()}} for p, i in NUMBER.items()}


class Net:
    def __init__(self, lab):
        wan, lan = Switch(lab, "sw-wan"), Switch(lab, "sw-lan")
        self.sun = Gateway(lab, "sun", {"wan": (wan, [SUN + "/24"]), "lan": (lan, ["10.2.0.254/24", "fd00:2::ff/64"])},
                           ipv6=True).start()
        plens = (24, 64)
        self.bob = Host(lan, "bob", *(f"{a}/{n}" for i in NUMBER.values() for a, n in zip(bob(i), plens)),
                        gateway=["10.2.0.254", "fd00:2::ff"], ipv6=True)
        self.carol = Stock(wan, "carol", CAROL + "/24", charon=LOAD, ipv6=True)
        for i in NUMBER.values():
            for a, n in zip(carol(i), (32, 128)):
                self.carol.ns.run("ip", "addr", "add", f"{a}/{n}", "dev", "lo", "nodad")
        for c in self.sun, self.carol:
            c.start_charon()
        self.sun.ns.route("10.3.0.0/24", "via", CAROL, "dev", "wan")
        self.sun.ns.route("fd00:3::/64", "dev", "wan")
        self.watch = Watch(wan, self.sun.plugs["wan"])
        self.sun.load(gw=connection(*IDS, children(bob, carol, "none", replay_window=lambda i: WINDOWS[i % len(WINDOWS)]),
                                    SUN, CAROL))
        self.carol.load(gw=connection(*IDS[::-1], children(carol, bob, "start"), CAROL, SUN))
        wait_for("all CHILD_SAs", lambda: self.carol.children() == len(PROPOSALS) == self.sun.children(), 30, 0.3)
        for family in 0, 1:  # routes and neighbours are there
            wait_for("a first ping", lambda f=family: self.ping(1, f), 15)

    def ping(self, i, family, size=16):
        """Whether bob's gets an answer through the SAs of a proposal."""
        return self.bob.ns.ping(carol(i)[family], count=1, wait=3, size=size, source=bob(i)[family]) == 1


@pytest.fixture(scope="module")
def net():
    with Lab("t-stock") as lab:
        made = Net(lab)
        yield made
        made.watch.frames()
        assert made.sun.router.stop() == 0


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_both_ways(net, proposal):
    """What the router seals, libipsec opens, and the other way round: each ping is one of both."""
    i = NUMBER[proposal]
    reqid = next(s["reqid"] for s in net.sun.sas() if (s["encryption"], s["integrity"]) == PROPOSALS[proposal]
                 and s["direction"] == "out")
    pair = [s for s in net.sun.sas() if s["reqid"] == reqid]
    assert {(s["encryption"], s["integrity"]) for s in pair} == {PROPOSALS[proposal]}
    assert all(s["encapsulation"]["type"] == "udp" and s["mode"] == "tunnel" for s in pair)
    assert [s["window"] for s in pair if s["direction"] == "in"] == [WINDOWS[i % len(WINDOWS)]]
    before = {s["spi"]: s["packets"] for s in pair}
    net.watch.frames()
    for family in 0, 1:
        for size in 16, 1001:
            assert net.ping(i, family, size)
    after = {s["spi"]: (s["packets"] - before[s["spi"]], s["errors"]) for s in net.sun.sas() if s["reqid"] == reqid}
    assert list(after.values()) == [(4, 0), (4, 0)], after
    kinds = net.watch.kinds()
    assert kinds.pop("esp-udp") == 8 and set(kinds) <= {"ike", "arp", "nd"}, kinds
