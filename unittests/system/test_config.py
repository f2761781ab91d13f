# SPDX-License-Identifier: BSD-3-Clause
"""Bad configurations: one clear line, exit code 2, nothing left behind."""

import glob
import os

import pytest
import yaml

from lab import huge_files
from router import CYGNET, Router, config, port

KEY = "0x" + "5a" * 36


def good():
    return config([port("lan", ["10.1.0.1/24"]), port("wan", ["192.0.2.1/24"])], ipsec={"static-only": True},
                  sas=[{"name": "out", "direction": "out", "spi": 0x1001, "source": "192.0.2.1",
                        "destination": "192.0.2.2", "encryption": "aes256gcm16", "key": KEY, "reqid": 1,
                        "insecure-test": True}],
                  policies=[{"direction": "out", "action": "protect", "source": "10.1.0.0/24",
                             "destination": "10.2.0.0/24", "reqid": 1}])


def edit(**paths):
    """A change of the good configuration: ports__1__name='lan' sets ports[1].name; None deletes."""
    def change(c):
        for path, value in paths.items():
            *way, last = [int(p) if p.isdigit() else p.replace("_", "-") for p in path.split("__")]
            at = c
            for step in way:
                at = at[step]
            if value is None:
                del at[last]
            else:
                at[last] = value
    return change


# What is wrong, how it comes about, and a word of the key that the message must name.
BAD = {
    "unknown key": (edit(colour="blue"), "colour"),
    "unknown key in a port": (edit(ports__0__colour="blue"), "ports[0].colour"),
    "wrong type": (edit(ports__0__mtu="large"), "ports[0].mtu"),
    "list where a value belongs": (edit(ports__0__mtu=[1500]), "ports[0].mtu"),
    "mtu too small": (edit(ports__1__mtu=60), "ports[1].mtu"),
    "two ports of one name": (edit(ports__1__name="lan"), "ports[1].name"),
    "port name too long": (edit(ports__0__name="a-name-of-17-bytes"), "ports[0].name"),
    "port name with a slash": (edit(ports__0__name="a/b"), "ports[0].name"),
    "port without devargs": (edit(ports__0__devargs=None), "ports[0].devargs"),
    "bad address": (edit(ports__0__addresses=["10.1.0.300/24"]), "ports[0].addresses"),
    "bad default action": (edit(ports__0__default_action="maybe"), "ports[0].default-action"),
    "worker that is none": (edit(ports__0__workers=[2]), "ports[0].workers"),
    "lcore in two roles": (edit(lcores__2__lcore=1), "lcores[2].lcore"),
    "unknown role": (edit(lcores__2__role="juggler"), "lcores[2].role"),
    "no worker": (edit(lcores__1__role="crypto"), "lcores"),
    "no crypto lcore": (edit(lcores__2__role="worker"), "crypto"),
    "unknown crypto mode": (edit(crypto__mode="sideways"), "crypto.mode"),
    "bad spi": (edit(sas__0__spi=0), "sas[0].spi"),
    "unknown cipher": (edit(sas__0__encryption="rot13"), "sas[0].encryption"),
    "key of a wrong length": (edit(sas__0__key="0x" + "5a" * 32), "sas[0].key"),
    "key that is no number": (edit(sas__0__key="hello"), "sas[0].key"),
    "counter mode without state": (edit(sas__0__insecure_test=None), "sas[0]"),
    "policy without its sa": (edit(policies__0__reqid=7), "policies[0]"),
    "bad prefix": (edit(policies__0__source="10.1.0.0/33"), "policies[0].source"),
    "families mixed": (edit(policies__0__source="2001:db8::/64"), "policies[0]"),
}


def leftovers(name):
    return (huge_files(name) + glob.glob(f"/run/dpdk/{name}*")
            + [i for i in os.listdir("/sys/class/net") if i in ("lan", "wan")])


def expect_refusal(router, proc, word):
    lines = proc.stderr.splitlines()
    assert proc.returncode == 2, (proc.returncode, lines)
    assert len(lines) == 1, lines
    assert word in lines[0] and str(router.file) in lines[0], lines[0]
    assert KEY[2:] not in proc.stdout + proc.stderr
    assert not router.socket.exists()
    assert not leftovers(router.name)
    links = router.ns.run("ip", "-o", "link").stdout
    assert " lan:" not in links and " wan:" not in links, links


@pytest.fixture(scope="module")
def site(module_lab):
    ns, far = module_lab.ns("r"), module_lab.ns("far")
    for n in "lan", "wan":
        module_lab.veth(ns, f"v-{n}", far, f"f-{n}")
    return ns


@pytest.mark.parametrize("what", BAD)
def test_refused(site, what):
    change, word = BAD[what]
    conf = good()
    change(conf)
    router = Router(site, conf)
    expect_refusal(router, router.check(), word)
    expect_refusal(router, site.run(CYGNET, "-c", router.file, check=False), word)


def test_line_number(site):
    """The line is the one on which the key stands."""
    router = Router(site, good())
    text = yaml.safe_dump(router.conf, sort_keys=False).replace("mtu: 1500", "mtu: 15", 1)
    router.write(text)
    line = 1 + next(i for i, s in enumerate(text.splitlines()) if "mtu: 15" == s.strip())
    proc = router.check()
    expect_refusal(router, proc, "ports[0].mtu")
    assert f":{line}:" in proc.stderr, proc.stderr


def test_missing_device(site):
    conf = good()
    conf["ports"][1]["devargs"] = "net_af_packet_wan,iface=nothing-here"
    router = Router(site, conf)
    expect_refusal(router, site.run(CYGNET, "-c", router.file, check=False), "nothing-here")
    expect_refusal(router, router.check(), "nothing-here")


def test_device_that_dpdk_refuses(site):
    conf = good()
    conf["ports"][1]["devargs"] = "net_nosuchdriver0"
    router = Router(site, conf)
    with router.reserve():
        proc = site.run(CYGNET, "-c", router.file, check=False)
    assert proc.returncode == 2 and "net_nosuchdriver0" in proc.stderr, proc.stderr
    assert not leftovers(router.name)


def test_not_a_file(site):
    router = Router(site, good())
    for path in "/nonexistent/router.yaml", "/etc", "/dev/null":
        proc = site.run(CYGNET, "-c", path, "--check", check=False)
        assert proc.returncode == 2 and len(proc.stderr.splitlines()) == 1 and path in proc.stderr, proc
    assert not leftovers(router.name)


@pytest.mark.parametrize("text", ["", "[", "a: b: c", "- 1\n- 2\n", "\t", "name: [1, 2\nports: {", "&a [*a]",
                                  "name: x\x00y\n", "ports: " + "[" * 5000])
def test_garbage(site, text):
    router = Router(site, good())
    router.write(text)
    expect_refusal(router, router.check(), "")


def test_plan(site):
    proc = Router(site, good()).check()
    assert proc.returncode == 0, proc.stderr
    for word in "control", "worker", "crypto", "lan", "wan", "NUMA":
        assert word.lower() in proc.stdout.lower(), proc.stdout
    assert KEY[2:] not in proc.stdout
