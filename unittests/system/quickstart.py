# SPDX-License-Identifier: BSD-3-Clause
"""ci/quickstart's inside: the laboratory of the system tests, told as a story."""

import collections
import json
import signal
import sys
import time

from ike import Ike
from lab import PREFIX, Failed, Lab, cleanup, wait_for
from router import CYGNETCTL
from sites import TwoSites
from wire import Capture, kind

NAME = "quick"
IPERF_SECONDS = 2


class Story:
    def __init__(self):
        self.began = time.monotonic()
        self.failures = 0

    def title(self, text):
        print(f"\n{text}", flush=True)

    def check(self, what, good, detail=""):
        print(f"  {'ok    ' if good else 'FAILED'} {what}{f': {detail}' if detail else ''}", flush=True)
        self.failures += not good
        return good


def iperf(story, a, b, name, *args):
    p = a.host.run("iperf3", "-c", b.me["host"], "-t", IPERF_SECONDS, "-J", "--connect-timeout", 3000, *args,
                   check=False, timeout=IPERF_SECONDS + 20)
    try:
        end = json.loads(p.stdout)["end"]
        total = end.get("sum_received") or end["sum"]
        rate, moved = total["bits_per_second"] / 1e6, total["bytes"]
        detail = f"{rate:.0f} Mbit/s" + (f", {total['lost_percent']:.1f} % lost" if "-u" in args else "")
    except (ValueError, KeyError):
        moved, detail = 0, (p.stdout + p.stderr).strip()[-200:]
    story.check(f"iperf3 {name}", p.returncode == 0 and moved > 0, detail)


def no_leak(story, sites, when):
    """Pings find no way; the captures say at the end whether one packet of them was to be seen outside."""
    before = sum(sites.a.router.drops().values())
    got = sites.ping(3, wait=0.5)
    story.check(f"{when}, a ping gets no answer", got == 0, f"{got} answers")
    dropped = sum(sites.a.router.drops().values()) - before
    story.check(f"{when}, the router has dropped it", dropped >= 3, f"{dropped} drops counted")


def observe(story, captures):
    seen, lost = collections.Counter(), 0
    for c in captures:
        frames, missed = c.stop()
        seen.update(kind(f) for f in frames)
        lost += missed
    clear = {k: n for k, n in seen.items() if k not in ("esp", "ike", "arp")}
    story.check("between the sites there was ESP", seen["esp"] > 0, f"{seen['esp']} packets")
    story.check("and IKE", seen["ike"] > 0, f"{seen['ike']} packets")
    story.check("and ARP and nothing else: no packet of the hosts in clear", not clear,
                ", ".join(f"{n} {k}" for k, n in clear.items()))
    return seen["esp"], lost


def tell(story, lab):
    story.title("Two sites: host-a -- site-a === site-b -- host-b")
    sites = TwoSites(lab)
    a, b = sites
    # Each end sees what the other has sent.
    captures = [Capture(s.ns, "v-wan", "in") for s in sites]
    sites.start(load=False)
    story.check("two routers and two charons run", True)
    for s in sites:
        loaded = s.load_file()
        story.check(f"cygnetctl ike load at {s.ns.short}", "1 added" in loaded, loaded.strip().splitlines()[-1])

    story.title("Before the tunnel")
    no_leak(story, sites, "before the tunnel is up")

    story.title("IKEv2")
    p = Ike(a).run("up", "ipsec-tunnel-1", check=False)
    story.check("cygnetctl ike up: charon negotiates through the data plane's ports", p.returncode == 0,
                (p.stdout + p.stderr).strip())
    sites.wait_sas()

    story.title("Traffic through it")
    got = sites.ping(10, interval=0.05)
    story.check("ping from host-a to host-b", got == 10, f"{got} of 10 answers")
    counts = [s.usage(d)[0] for s in (a, b) for d in ("out", "in")]
    story.check("both sites count 10 packets out and 10 in", counts == [10] * 4, str(counts))
    a_out, b_in = a.usage("out"), b.usage("in")
    story.check("and the same number of bytes at both ends", a_out == b_in, f"{a_out[1]} and {b_in[1]}")
    server = b.host.start("iperf3", "-s", "--forceflush")
    wait_for("iperf3's server", lambda: "Server listening" in server.output())
    iperf(story, a, b, "TCP, a to b")
    iperf(story, a, b, "TCP, b to a", "-R")
    iperf(story, a, b, "UDP, a to b", "-u", "-b", "50M", "-l", "1200")
    iperf(story, a, b, "UDP, b to a", "-u", "-b", "50M", "-l", "1200", "-R")
    time.sleep(0.3)
    out = a.usage("out")[0] + b.usage("out")[0]
    received = a.usage("in")[0] + b.usage("in")[0]
    lost = sum(n for s in (a, b) for r, n in s.router.drops().items() if r.startswith("esp-") or r == "tx-full")
    story.check("what one site sealed the other opened", 0 < received <= out and lost == 0,
                f"{out} sealed, {received} opened, {lost} refused")

    story.title("What site-a knows")
    print(f"\n# cygnetctl ike status\n{Ike(a).run('status', '-H').stdout.rstrip()}")
    for command in ("sa",), ("policy",), ("port",), ("lcores",), ("graph", "stats"):
        print(f"\n# cygnetctl {' '.join(command)}")
        print(a.router.ctl(*command).stdout.rstrip())
    return sites, captures, out


def after(story, sites, captures, sealed):
    story.title("After the tunnel")
    too_big = sum(s.router.drops().get("ip4-mtu", 0) for s in sites)
    Ike(sites.a).run("down", "ike-gw-1")
    wait_for("the SAs to go", lambda: not any(s.router.sas() for s in sites), 10)
    no_leak(story, sites, "after the tunnel is down")
    esp, lost = observe(story, captures)
    # Until the way's MTU is learnt, a sealed packet can turn out to be too large for it.
    story.check("the capture holds as many ESP packets as the sites sealed", esp <= sealed <= esp + lost + too_big,
                f"{esp} of {sealed}, {too_big} dropped for the MTU" + (f", {lost} missed by tcpdump" if lost else ""))
    for s in sites:
        story.check(f"charon of {s.ns.short} ends", s.charon.stop() == 0)
        story.check(f"cygnet of {s.ns.short} ends", s.router.stop() == 0)


def stay(sites):
    a, b = sites
    ctl = f"{CYGNETCTL} --socket {a.router.socket}"
    print(f"""
It stays. Try:
  ip netns exec {a.host.name} ping {b.me['host']}
  {ctl} graph stats --watch
  {ctl} sa
  {CYGNETCTL} ike status --uri {a.charon.socket}
  ip netns exec {a.ns.name} ip route
  {a.charon.dir / 'swanctl'} --list-sas --uri unix://{a.charon.socket}
  ip netns exec {b.ns.name} tcpdump -ni v-wan
  ci/quickstart --down""")


def main(args):
    if args == ["--down"]:
        cleanup(PREFIX + NAME)
        print("quickstart: all gone")
        return 0
    story = Story()

    def interrupted(sig, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    lab = Lab(NAME)
    staying = False
    try:
        sites, captures, sealed = tell(story, lab)
        if args == ["--stay"]:
            observe(story, captures)
            staying = story.failures == 0
            if staying:
                stay(sites)
        else:
            after(story, sites, captures, sealed)
    except Failed as e:
        story.check(str(e), False)
    except KeyboardInterrupt:
        story.check("interrupted", False)
    except Exception as e:  # an answer of a form that nobody expected
        story.check(f"{type(e).__name__}: {e}", False)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if story.failures:
            print("\n" + lab.logs(), file=sys.stderr)
        if not staying:
            lab.end()
    took = time.monotonic() - story.began
    print(f"\n{'quickstart: all steps passed' if not story.failures else 'quickstart: %d steps failed' % story.failures}"
          f" ({took:.0f} s)")
    return 1 if story.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
