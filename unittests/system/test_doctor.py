# SPDX-License-Identifier: BSD-3-Clause
"""cygnetctl doctor beside a router that is well, and then is not."""

import json

import pytest

from lab import run, wait_for
from router import CYGNETCTL
from sites import TwoSites


@pytest.fixture
def site(lab):
    return TwoSites(lab).a


def doctor(site, *args):
    """Exit code, and the findings that are no "ok", by check."""
    p = site.ns.run(CYGNETCTL, "--socket", site.router.socket, "--json", "doctor", *args, check=False)
    found = {}
    for f in json.loads(p.stdout):
        assert f["state"] == "ok" or f.get("do") or f["state"] == "note"
        found.setdefault((f["check"], f["state"]), []).append(f["what"])
    assert p.returncode == any(state == "wrong" for _, state in found)
    return p.returncode, {k: v for k, v in found.items() if k[1] == "wrong"}


def test_doctor(site):
    code, wrong = doctor(site)
    assert code == 1 and "none answers" in wrong["router", "wrong"][0]
    site.start_router()
    code, wrong = doctor(site)
    assert set(wrong) == {("backend", "wrong"), ("policies", "wrong")}
    site.make_charon().start()
    site.wait_backend()
    assert doctor(site) == (0, {})
    text = site.ns.run(CYGNETCTL, "--socket", site.router.socket, "doctor", check=False)
    assert text.returncode == 0 and text.stdout.endswith("Nothing is wrong.\n")
    text = run([CYGNETCTL, "--socket", site.router.socket, "doctor"], check=False)
    assert text.returncode == 0 and "in another network namespace" in text.stdout, text.stdout

    ns = site.ns
    for break_it, mend, check, words in (
            (("ip", "link", "set", "v-wan", "arp", "on"), ("ip", "link", "set", "v-wan", "arp", "off"),
             "deaf ports", "wan: Linux answers ARP on v-wan"),
            (("ip", "addr", "add", "203.0.113.9/24", "dev", "v-lan"), ("ip", "addr", "del", "203.0.113.9/24", "dev", "v-lan"),
             "deaf ports", "lan: v-lan has an address"),
            (("ip", "link", "set", "v-wan", "mtu", "1300"), ("ip", "link", "set", "v-wan", "mtu", "1500"),
             "MTU", "wan believes in 1500 bytes, and its interface v-wan takes 1300"),
            (("ip", "link", "set", "v-wan", "down"), ("ip", "link", "set", "v-wan", "up"), "ports", "wan: its interface v-wan is down"),
            (("ip", "link", "set", "lan", "down"), ("ip", "link", "set", "lan", "up"), "taps", "lan: its tap is down"),
    ):
        ns.run(*break_it)
        wait_for(words, lambda c=check, s=words: any(s in w for w in doctor(site)[1].get((c, "wrong"), [])), 5)
        ns.run(*mend)
        wait_for(f"the end of {words}", lambda: doctor(site) == (0, {}), 5)
    site.charon.kill()
    wait_for("the orphan", lambda: "charon or its agent is gone" in doctor(site)[1].get(("backend", "wrong"), [""])[0], 5)
    ns.run("ip", "link", "del", "wan")
    wait_for("the tap to be missed", lambda: ("taps", "wrong") in doctor(site)[1], 5)
