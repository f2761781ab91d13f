# SPDX-License-Identifier: BSD-3-Clause
"""What is left of an SA, a key or an agent when a process of the chain goes at the wrong moment."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from charon import AGENT, CHARON, PLUGIN, psk_child
from lab import PATIENCE, REPO, huge_files, keep_huge_files, run, wait_for
from router import CYGNET
from sites import TwoSites
from wire import Capture, kind
from test_ike import NoClear, agents, holders, in_files, negotiated_keys, wait_gone


@pytest.fixture
def sites(lab):
    return TwoSites(lab)


def own_agent(site, source=AGENT):
    """Lets a site's charon start an agent of its own, which a test can take away."""
    agent = site.charon.dir / "cygnet-agent"
    shutil.copy(source, agent)
    site.charon.conf.write_text(site.charon.conf.read_text().replace(f"agent = {AGENT}", f"agent = {agent}"))
    return agent


def quiet(site):
    """The plugin's lines for the operator alone."""
    site.charon.conf.write_text(site.charon.conf.read_text().replace("knl = 2", "knl = 1"))


def start_with_own_agent(sites, source=AGENT):
    for s in sites:
        s.start_router(wait=False)
    for s in sites:
        s.router.wait_ready()
        s.add_route()
        s.make_charon()
    agent = own_agent(sites.a, source)
    quiet(sites.a)
    for s in sites:
        s.charon.start()
    return agent


def build_agent(path, version):
    """The agent of another version, from the sources."""
    flags = [run(["pkg-config", what, "libdpdk"]).stdout.split() for what in ("--cflags", "--libs")]
    run(["cc", "-O1", "-D_GNU_SOURCE=", "-DALLOW_EXPERIMENTAL_API", f'-DCYGNET_VERSION="{version}"',
         f"-I{REPO}/ike", *flags[0], *sorted((REPO / "ike" / "agent").glob("*.c")), *flags[1], "-lpthread", "-o", path],
        timeout=60)


def knl(site):
    """The plugin's lines in charon's log."""
    return [line for line in site.charon.output().splitlines() if "[KNL]" in line and "cygnet" in line]


def test_sas_deleted_while_no_agent_is_there(sites):
    """The router lives on: it must not keep what charon deleted meanwhile."""
    agent = start_with_own_agent(sites)
    for s in sites:
        s.wait_backend()
        s.load()
    sites.up()
    agent.rename(agent.with_suffix(".away"))
    for pid in agents(sites.a):
        os.kill(pid, signal.SIGKILL)
    wait_for("the plugin to notice", lambda: "does not start" in sites.a.charon.output(), 5)
    sites.a.charon.terminate("site")
    assert len(sites.a.router.sas()) == 2
    time.sleep(3)
    # Not one line each time that it fails to start.
    assert len([line for line in knl(sites.a) if "does not start" in line]) == 1
    agent.with_suffix(".away").rename(agent)
    wait_for("the SAs to go", lambda: not sites.a.router.sas() and not sites.a.router.policies(), 10)
    sites.up()
    assert sites.ping() == 3


def test_a_rekeying_whose_sas_cannot_be_added(sites):
    """charon destroys the new CHILD_SA, with policies that are the old one's: that must go on, and so must what replaces it."""
    sites.start(plugin="timeout = 2000").up()
    old = {s["spi"] for s in sites.a.router.sas()}
    # The SPI is there, and the peer's answer is still to come, when the agent falls silent.
    mine, mark = agents(sites.a), len(sites.a.charon.output())
    sites.b.charon.process.send(signal.SIGSTOP)
    try:
        sites.a.charon.swanctl("--rekey", "--child", "net", check=False)
        wait_for("the request", lambda: "generating CREATE_CHILD_SA request" in sites.a.charon.output()[mark:], 10)
        for pid in mine:
            os.kill(pid, signal.SIGSTOP)
    finally:
        sites.b.charon.process.send(signal.SIGCONT)
    try:
        wait_for("a rekeying that fails", lambda: re.search("unable to install .*IPsec SA", sites.a.charon.output()[mark:]), 20)
    finally:
        for pid in mine:
            os.kill(pid, signal.SIGCONT)
    wait_for("its SAs to go", lambda: {s["spi"] for s in sites.a.router.sas()} == old, 15)
    sites.wait_ping(10)
    assert sites.ping() == 3
    # The next one, and the old SA goes after five seconds.
    sites.a.charon.swanctl("--rekey", "--child", "net", check=False)
    wait_for("the next one alone", lambda: len(now := {s["spi"] for s in sites.a.router.sas()}) == 2 and not now & old, 40)
    assert sites.ping() == 3
    assert not sites.a.router.drops().get("policy-mismatch")


def test_router_dies_under_traffic(sites):
    """kill -9 and a start at once, as a service manager does it; how long the tunnel is away is printed."""
    sites.start(start="start|trap").wait_sas(20)
    assert sites.ping() == 3
    with NoClear(sites):
        stream = sites.a.host.start("ping", "-n", "-q", "-i", "0.02", "10.2.0.2")
        time.sleep(0.5)
        sites.a.router.kill()
        began = time.monotonic()
        sites.a.start_router()
        started = time.monotonic() - began
        sites.wait_ping(30)
        print(f"router up after {started:.1f} s, tunnel after {time.monotonic() - began:.1f} s")
        stream.stop(signal.SIGINT)
    assert sites.a.charon.process.alive() and len(agents(sites.a)) == 1
    lines = [line for line in knl(sites.a) if "router is there" in line]
    assert len(lines) == 2


def test_charon_ends_while_its_agent_hangs(sites):
    """SIGTERM does not wait for a stopped agent, and the agent does not stay."""
    sites.a.start_router()
    sites.a.make_charon(plugin="timeout = 1000").start()
    sites.a.wait_backend()
    pids = agents(sites.a)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert sites.a.charon.stop() == 0
    assert time.monotonic() - began < 6 * PATIENCE
    wait_for("the agent to go", lambda: not agents(sites.a), 3)
    assert sites.a.router.stop() == 0


def test_a_service_manager_ends_charon(sites):
    """systemd sends SIGTERM to all processes of a unit at once, the agent among them: charon still takes its SAs back, and the next
    one's tunnel is not that of an orphan whose peer knows it no more."""
    sites.start().up()
    a = sites.a
    assert sites.ping() == 3
    os.kill(agents(a)[0], signal.SIGTERM)
    assert a.charon.stop() == 0
    assert not a.router.sas() and not a.router.policies()
    wait_for("the agent to go", lambda: not agents(a), 3)
    a.charon.start()
    a.wait_backend()
    a.load(start="trap")
    sites.wait_ping(10)


def test_the_next_charon_has_other_reqids(sites):
    """kill -9: until its successor negotiates, the orphans serve the new policies, in both directions."""
    sites.start().up()
    assert sites.ping() == 3
    a = sites.a
    a.charon.kill()
    a.charon.start()
    a.wait_backend()
    a.load(children=psk_child("net", a.me["net"], a.peer["net"], "trap", "reqid = 77"))
    wait_for("its policies alone", lambda: {p["reqid"] for p in a.router.policies() if p["action"] == "protect"} == {77}, 10)
    assert sites.ping(5, interval=0.05) == 5
    assert sites.b.host.ping(a.me["host"], count=5, interval=0.05) == 5
    assert {x["owner_state"] for x in a.router.sas()} == {"orphan"}
    assert "policy-mismatch" not in a.router.drops()


def test_charon_killed_while_its_agent_hangs(sites):
    """kill -9: the stopped agent dies with it, and does not hold up the next router."""
    sites.a.start_router()
    sites.a.make_charon().start()
    sites.a.wait_backend()
    for pid in agents(sites.a):
        os.kill(pid, signal.SIGSTOP)
    sites.a.charon.kill()
    wait_for("the agent to go", lambda: not agents(sites.a), 3)
    sites.a.router.kill()
    sites.a.start_router()


def test_agent_leaves_while_it_waits_for_the_router(sites):
    """A stopped router that is killed: the agent, in the midst of a request, goes at once, so that the next can start."""
    sites.start().up()
    router, pids = sites.a.router, agents(sites.a)
    router.process.send(signal.SIGSTOP)
    asking = subprocess.Popen([sites.a.charon.dir / "swanctl", "--list-sas", "--uri", f"unix://{sites.a.charon.socket}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**sites.a.charon.env, "PATH": "/usr/sbin:/usr/bin"})
    time.sleep(0.2)
    router.kill()
    wait_gone(sites.a, pids)
    asking.wait(30)
    sites.a.start_router()
    sites.a.wait_backend()
    sites.wait_sas(20)
    sites.wait_ping(10)


@pytest.mark.parametrize("which", ["agent", "router"])
def test_versions_refuse_each_other(sites, which):
    """Another version of agent or router is refused with one line, not once a second."""
    version = run([CYGNET, "--version"]).stdout.split()[-1]
    changed = "9" + version[1:]
    other = sites.lab.dir / "other"
    if which == "agent":
        build_agent(other, changed)
    else:
        # The router's version is a constant of the program: another one of the same length takes its place.
        other.write_bytes(CYGNET.read_bytes().replace(version.encode() + b"\0", changed.encode() + b"\0"))
        other.chmod(0o700)
    assert run([other, "--version"]).stdout.split()[-1] == changed
    if which == "router":
        sites.a.router.binary = other
        sites.a.start_router()
        sites.a.make_charon()
        quiet(sites.a)
        sites.a.charon.start()
    else:
        start_with_own_agent(sites, other)
    wait_for("the refusal", lambda: any("refused" in line for line in knl(sites.a)), 10)
    time.sleep(4)
    lines = [line for line in knl(sites.a) if "refused" in line]
    assert len(lines) == 1 and version in lines[0] and changed in lines[0], lines
    assert not sites.a.router.json("status")["policies_complete"]
    assert len(re.findall("refused", sites.a.router.process.output())) <= 1
    assert sites.a.charon.swanctl("--stats").returncode == 0


def test_keys_after_cleanup(lab):
    """kill -9 leaves keys in huge-page files; `cygnet --cleanup` removes them."""
    sites = TwoSites(lab)
    for s in sites:
        s.start_router(wait=False)
    for s in sites:
        s.router.wait_ready()
        s.add_route()
        s.make_charon()
        s.charon.conf.write_text(s.charon.conf.read_text().replace("knl = 2", "knl = 2\n\t\tchd = 4"))
        s.charon.start()
        s.wait_backend()
        s.load()
    sites.up()
    assert sites.ping() == 3
    keys = set(negotiated_keys(sites.a.charon))
    assert len(keys) == 2
    a = sites.a.router
    assert holders(a.process.pid, keys) == keys
    pids = agents(sites.a)
    with keep_huge_files(a.name):
        a.kill()
        wait_gone(sites.a, pids)
        assert in_files(a.name, keys) == keys
    assert sites.a.ns.run(CYGNET, "-c", a.file, "--cleanup").returncode == 0
    assert not in_files(a.name, keys) and not huge_files(a.name)
    assert not holders(sites.a.charon.process.pid, keys)


def load_many(site, n, start):
    """So many CHILD_SAs, one of which is that of the sites' hosts."""
    mine, theirs = site.me["net"].rsplit(".", 2)[0], site.peer["net"].rsplit(".", 2)[0]
    children = "".join(psk_child(f"net{i}", f"{mine}.{i}.0/24", f"{theirs}.{i}.0/24", start) for i in range(n))
    site.load(children=children)


def spis(site):
    return {x["spi"].removeprefix("0x").zfill(8) for x in site.router.sas()}


def believed(site):
    """SPIs of the SAs that charon has."""
    return set(re.findall(r"^\s+(?:in|out)\s+([0-9a-f]{8}),", site.charon.sas(), re.M))


def no_nonce_twice(frames):
    """Of AES-GCM: the IV that follows SPI and sequence number, for each key one key's nonce."""
    seen = set()
    for f in frames:
        if kind(f) != "esp":
            continue
        nonce = bytes(f[34:38]), bytes(f[42:50])
        assert nonce not in seen, nonce
        seen.add(nonce)
    return len(seen)


def test_router_is_killed_with_a_hundred_tunnels(sites):
    """Each is negotiated anew, and both ends agree; no nonce is used twice, nothing leaks."""
    n = 100
    sites.start()
    load_many(sites.b, n, "none")
    began = time.monotonic()
    load_many(sites.a, n, "start|trap")
    wait_for("the tunnels", lambda: all(len(s.router.sas()) == 2 * n for s in sites), 60, 0.5)
    first = time.monotonic() - began
    before = spis(sites.a)
    captures = [Capture(s.ns, "v-wan", "in") for s in sites]
    stream = sites.a.host.start("ping", "-n", "-q", "-i", "0.02", "10.2.0.2")
    sites.wait_ping(5)
    sites.a.router.kill()
    sites.a.start_router()
    began = time.monotonic()
    wait_for("the tunnels, anew", lambda: len(sites.a.router.sas()) >= 2 * n and not spis(sites.a) & before, 30, 0.1)
    took = time.monotonic() - began
    print(f"{n} tunnels in {first:.1f} s, {took:.1f} s after the router was back")
    wait_for("old SAs to go", lambda: all(spis(s) == believed(s) and len(spis(s)) == 2 * n for s in sites), 20, 0.5)
    assert spis(sites.a) == spis(sites.b)
    sites.wait_ping(5)
    stream.stop(signal.SIGINT)
    frames = [f for c in captures for f in c.stop()[0]]
    assert {kind(f) for f in frames} <= {"esp", "ike", "arp"}
    assert no_nonce_twice(frames) > 10
    assert took < PATIENCE * max(15, 3 * first)  # 3 s on a machine of its own


def test_orphans_go_after_their_grace_time(lab):
    """charon does not come back: its SAs go, its policies discard, nothing leaks; a new charon mends it."""
    sites = TwoSites(lab, ipsec={"orphan-grace": 10})
    sites.start().up()
    assert sites.ping() == 3
    a = sites.a
    with NoClear(sites):
        a.charon.kill()
        assert sites.ping(3, interval=0.05) == 3
        wait_for("orphans", lambda: {x["owner_state"] for x in a.router.sas()} == {"orphan"}, 2)
        wait_for("the orphans to go", lambda: not a.router.sas(), 20)
        assert {p["action"] for p in a.router.policies()} == {"discard"}
        assert sites.ping(2, wait=0.3) == 0
        wait_for("the drops", lambda: "policy-discard" in a.router.drops())
        a.charon.start()
        a.wait_backend()
        a.load()
        sites.b.charon.terminate("site", check=False)
        a.charon.initiate()
        sites.wait_ping(10)


def test_plugin_of_another_strongswan(sites):
    """Refused with one line that names both versions. As the sample configuration has it ("kernel-cygnet!") charon then does not
    start; without the mark it goes on with another backend."""
    sites.a.start_router()
    c = sites.a.make_charon()
    running = re.search(rb"5\.9\.\d+|6\.\d+\.\d+", run([CHARON, "--version"]).stdout.encode()).group()
    other = running[:-1] + (b"1" if running[-1:] != b"1" else b"2")
    so = c.dir / "plugins" / PLUGIN.name
    so.write_bytes(so.read_bytes().replace(running, other))

    def refused():
        lines = [line for line in (c.output() + c.process.output()).splitlines() if "refused" in line]
        return len(set(line.split("cygnet:")[1] for line in lines)) == 1 and \
            f"for strongSwan {other.decode()}, the daemon is {running.decode()}" in lines[0]
    c.start()
    assert refused() and c.swanctl("--stats").returncode == 0
    assert not agents(sites.a)
    assert c.stop() == 0
    c.log.unlink(missing_ok=True)
    c.conf.write_text(c.conf.read_text().replace(" kernel-cygnet kernel-netlink", " kernel-cygnet! kernel-netlink"))
    c.start(wait=False)
    wait_for("charon to end", lambda: not c.process.alive(), 10)
    assert c.process.popen.returncode == 66  # SS_RC_INITIALIZATION_FAILED
    assert refused() and "loading critical plugin 'kernel-cygnet' failed" in c.output()


def test_installed_sample_is_critical(sites):
    """The same with load_modular, as Debian has it, and the very file that is installed."""
    c = sites.a.make_charon()
    text = re.sub(r"load = random .* vici\n", "load_modular = yes\n", c.conf.read_text())
    sample = (REPO / "conf" / "strongswan.d" / "charon" / "kernel-cygnet.conf").read_text()
    sample = sample.replace("file_prefix = site-a", f"file_prefix = {sites.a.router.name}\nagent = {AGENT}")
    others = "".join(f"{p} {{\nload = yes\n}}\n" for p in ("random nonce openssl aes sha1 sha2 hmac kdf gcm pem pkcs1 x509 pubkey "
                                                          "kernel-netlink socket-default").split())
    text = text.replace("vici {", "vici {\nload = yes", 1)
    c.conf.write_text(re.sub(r"plugins \{\n\t\tkernel-cygnet \{.*?\}\n", lambda m: "plugins {\n" + sample + others, text, flags=re.S))
    sites.a.start_router()
    c.start()
    sites.a.wait_backend()
    assert re.search(r"loaded plugins: charon kernel-cygnet ", c.output())
    assert c.stop() == 0
    (c.dir / "plugins" / PLUGIN.name).unlink()
    c.start(wait=False)
    wait_for("charon to end", lambda: not c.process.alive(), 10)
    assert c.process.popen.returncode == 66
