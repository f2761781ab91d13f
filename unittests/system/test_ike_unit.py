# SPDX-License-Identifier: BSD-3-Clause
"""The agent as a unit of its own, which the plugin reaches by a Unix socket: charon starts nothing."""

import os
import re
import signal
import stat

import pytest

from charon import AGENT
from lab import REPO, run, wait_for
from sites import TwoSites
from test_ike import NoClear, agents


@pytest.fixture
def sites(lab):
    return TwoSites(lab)


# What ProtectSystem=strict leaves of a machine that has just booted: of /run those directories alone may be written that systemd
# makes for the unit, and of which it tells. They lie in the lab, but for DPDK's, which is the router's too.
STRICT = """\
set -e
mkdir -p /run/dpdk {run}/dpdk
mount --rbind /run/dpdk {run}/dpdk
mount --rbind {run} /run
for dir in {writable}; do
	mkdir -p /run/$dir
	mount --bind /run/$dir /run/$dir
done
awk '{{print $5}}' /proc/self/mountinfo | while read -r at; do
	case $at in
	/dev | /dev/* | /proc | /proc/* | /sys | /sys/*) continue ;;
	esac
	for dir in {writable}; do
		[ "$at" != "/run/$dir" ] || continue 2
	done
	mount -o remount,bind,ro "$at" 2>/dev/null || true
done
if touch /run/cygnet-test 2>/dev/null; then exit 99; fi
export RUNTIME_DIRECTORY={told}
exec {agent} --file-prefix {prefix} --listen /run/cygnet-agent/{prefix}
"""


def listen_as_the_unit(site):
    """The same with no more to write to than cygnet-agent@.service gives, before there is a router; the path of its socket."""
    text = (REPO / "conf" / "systemd" / "cygnet-agent@.service").read_text()
    assert "ProtectSystem=strict\n" in text and "/cygnet-agent --file-prefix %i --listen /run/cygnet-agent/%i\n" in text
    where = site.lab.dir / f"unit-{site.ns.short}"
    where.mkdir()
    writable = re.search(r"^RuntimeDirectory=(.*)$", text, re.M).group(1).split()
    script = STRICT.format(run=where, agent=AGENT, prefix=site.router.name, writable=" ".join(writable),
                           told=":".join(f"/run/{d}" for d in writable))
    site.unit = site.ns.start("sh", "-c", script, name=f"unit-{site.ns.short}")
    path = where / "cygnet-agent" / site.router.name
    wait_for("its socket", path.exists, 5)
    return path


def listen(site):
    """Starts the agent of a site's router; the path of its socket."""
    path = site.lab.dir / f"agent-{site.ns.short}"
    site.unit = site.ns.start(AGENT, "--file-prefix", site.router.name, "--listen", path, name=f"unit-{site.ns.short}")
    wait_for("its socket", path.exists, 5)
    return path


def children(site):
    """The agents of the unit: it has one for each charon."""
    return run(["pgrep", "-P", str(site.unit.pid)], check=False).stdout.split()


def start(sites, **kw):
    for s in sites:
        s.start_router(wait=False)
    for s in sites:
        s.router.wait_ready()
        s.add_route()
        s.make_charon(plugin=f"agent_socket = {listen(s)}").start()
    for s in sites:
        s.wait_backend()
        s.load(**kw)


def test_lives(sites):
    """A tunnel; the unit's child, the whole unit, the router and charon are killed one after the other."""
    start(sites, start="start|trap")
    a = sites.a
    sites.wait_sas(20)
    assert sites.ping() == 3
    path = sites.lab.dir / "agent-site-a"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    # charon has no child.
    assert not run(["pgrep", "-P", str(a.charon.process.pid)], check=False).stdout.split()
    assert len(children(a)) == 1
    before = {x["spi"] for x in a.router.sas()}
    with NoClear(sites):
        os.kill(int(children(a)[0]), signal.SIGKILL)
        wait_for("another child", lambda: children(a) and a.charon.output().count("router is there") == 2, 10)
        assert {x["spi"] for x in a.router.sas()} == before
        a.unit.kill()
        wait_for("its child to go with it", lambda: not agents(a), 3)
        wait_for("the plugin to say so", lambda: re.search(r"no agent at \S+: Connection refused", a.charon.output()), 5)
        assert sites.ping(3, interval=0.05) == 3
        listen(a)  # the socket of the dead one is in its way, and is taken away
        wait_for("the plugin", lambda: a.charon.output().count("router is there") == 3, 10)
        assert {x["spi"] for x in a.router.sas()} == before
        attached = children(a)
        a.router.kill()
        # The next one, which waits for a router, is there soon.
        wait_for("the child to leave the dead router", lambda: not set(children(a)) & set(attached), 5)
        a.start_router()
        sites.wait_ping(30)
        assert not {x["spi"] for x in a.router.sas()} & before
    a.charon.kill()
    wait_for("the child to go with charon", lambda: not children(a), 5)
    assert sites.ping(3, interval=0.05) == 3  # orphans
    assert a.unit.alive()


def test_before_the_router(sites):
    """After a boot: the agent's unit is there first, and may write what it is given alone."""
    a = sites.a
    charon = a.make_charon(plugin=f"agent_socket = {listen_as_the_unit(a)}")
    a.start_router()
    charon.start()
    a.wait_backend()
    a.router.kill()
    a.router.start(env={"RUNTIME_DIRECTORY": str(sites.lab.dir)})  # a unit of somebody's own
    wait_for("the next router to have its charon", lambda: a.router.json("status")["policies_complete"], 20)


def test_who_may_connect(sites):
    """Root and the agent's own user alone; a second agent at the same socket is refused."""
    a = sites.a
    a.start_router()
    path = listen(a)
    os.chmod(path, 0o666)
    os.chmod(sites.lab.dir, 0o711)
    probe = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
             f"s.connect('{path}'); sys.exit(len(s.recv(16)))")
    assert run(["/usr/bin/python3", "-c", probe], timeout=5).returncode == 0  # it hangs up
    wait_for("a line about it", lambda: "of user 65534 refused" in a.unit.output(), 3)
    assert not children(a)
    second = run([AGENT, "--file-prefix", a.router.name, "--listen", path], check=False, timeout=5)
    assert second.returncode == 1 and "another agent listens there" in second.stderr
    other = sites.lab.dir / "file"
    other.write_text("precious")
    third = run([AGENT, "--file-prefix", a.router.name, "--listen", other], check=False, timeout=5)
    assert third.returncode == 1 and "is no socket" in third.stderr and other.read_text() == "precious"
