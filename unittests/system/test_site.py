# SPDX-License-Identifier: BSD-3-Clause
"""cygnet-site: a site by one command."""

import os
import signal

from ike import Ike, ike_file
from lab import REPO, run, wait_for
from router import CYGNET, CYGNETCTL
from sites import PLAN, TwoSites


def doc(which, tunnels=None):
    return ike_file(PLAN[which], PLAN["b" if which == "a" else "a"], tunnels)


def test_one_command_starts_a_site(lab):
    """cygnet-site: router, charon and tunnels from two files, and all of it ends with it."""
    sites = TwoSites(lab)
    a, b = sites
    b.start_router()
    b.add_route()
    b.make_charon().start()
    b.wait_backend()
    Ike(b).load(doc("b"))
    charon, ike = a.make_charon(), Ike(a)
    ike.write(doc("a"))
    a.router.socket = lab.dir / "site a #1.sock"
    a.router.conf["socket"] = str(a.router.socket)
    a.router.write()
    # On a busy machine everything takes longer, and it is killed after 30 seconds all the same.
    slow = lab.dir / "slow"
    slow.mkdir()
    (slow / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 1\n")
    (slow / "sleep").chmod(0o755)
    command = lab.dir / "site.sh"
    command.write_text(f"""#!/bin/sh
PATH={slow}:$PATH
export CYGNET={CYGNET} CYGNETCTL={CYGNETCTL} CHARON={charon.dir / "charon"}
exec env --default-signal=INT {REPO}/conf/cygnet-site -r {a.router.file} -k {ike.file} -u /run/charon.vici
""")
    command.chmod(0o755)
    charon.script = charon.script.replace(f"exec {charon.dir / 'charon'}", f"exec {command}")
    with a.router.reserve():
        charon.start(wait=False)
        wait_for("the tunnel to be loaded", lambda: "1 added" in charon.process.output(), 40)
    a.add_route()
    sites.wait_ping(20)
    # What does not end by itself does not hold up the rest.
    os.kill(int(run(["pgrep", "-f", f"ike run {ike.file}"]).stdout), signal.SIGSTOP)
    # Ctrl-C goes to all processes of the terminal; the peer still hears that the tunnel ends, by the router.
    os.killpg(charon.process.pid, signal.SIGINT)
    assert charon.process.wait(30) == 0 and "does not end, and is killed" in charon.process.output()
    wait_for("the peer's SAs to go", lambda: not b.router.sas(), 3)
    assert a.router.ctl("status", check=False).returncode == 3 and not ike_answers(ike)
    # A wrong file starts nothing.
    ike.write(doc("a", {"t": {"gateway": "nobody"}}))
    p = run([command], check=False)
    assert p.returncode == 2 and "gateways has no 'nobody'" in p.stderr


def ike_answers(ike):
    return ike.run("status", check=False).returncode == 0
