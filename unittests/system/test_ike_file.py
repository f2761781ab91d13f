# SPDX-License-Identifier: BSD-3-Clause
"""cygnetctl ike: tunnels from one YAML file, with real charons."""

import contextlib
import copy
import datetime
import fcntl
import json
import re
import signal
import socket
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from charon import psk_connection
from ike import Ike, ike_file
from lab import REPO, run, wait_for
from router import CYGNETCTL
from sites import PLAN, PSK, TwoSites
from test_see_metrics import PORT, get, metric, scraped, start_prometheus


# The plugins of charon.py, and EAP-TLS.
EAP = ("load = random nonce openssl aes sha1 sha2 hmac kdf gcm pem pkcs1 x509 pubkey eap-identity eap-tls "
       "kernel-cygnet kernel-netlink socket-default vici counters")


def many(n, which, changed=(), first=0):
    """n tunnels between two addresses, with a net each; A starts them."""
    own, other = ("local-ts", "remote-ts") if which == "a" else ("remote-ts", "local-ts")
    tunnels = {}
    for i in range(first, n):
        tunnels[f"t{i}"] = {own: f"10.1.{i}.0/24", other: f"10.2.{i}.0/24",
                            "start-action": "start" if which == "a" else "none"}
        if f"t{i}" in changed:
            tunnels[f"t{i}"][other] = f"10.2.{i}.128/25"
    return tunnels


def doc(which, tunnels=None, **policy):
    other = "b" if which == "a" else "a"
    return ike_file(PLAN[which], PLAN[other], tunnels, **policy)


@pytest.fixture(scope="module")
def sites(module_lab):
    sites = TwoSites(module_lab)
    for s in sites:
        s.start_router(wait=False)
    for s in sites:
        s.router.wait_ready()
        s.add_route()
        s.make_charon(charon=EAP)
    for s in sites:
        s.charon.start()
        s.wait_backend()
    return sites


@pytest.fixture
def ends(sites):
    """cygnetctl at both sites, with nothing loaded after a test."""
    pair = Ike(sites.a), Ike(sites.b)
    yield pair
    for end in pair:
        end.load({"ipsec": {}}, "--quiet")
    wait_for("all SAs to go", lambda: not any(s.router.sas() for s in sites), 15, 0.2)


def test_the_file_of_the_manual_brings_up_a_tunnel(sites, ends):
    a, b = ends
    assert "ipsec-tunnel-1" in a.load(doc("a")).stdout
    b.load(doc("b"))
    assert a.status()["ipsec-tunnel-1"]["state"] == "waiting"
    # start-action is trap: the first packet makes charon negotiate.
    sites.wait_ping(15)
    assert sites.ping(5) == 5
    row = a.status()["ipsec-tunnel-1"]
    assert row["state"] == "up" and row["peer"] == PLAN["b"]["wan"] and "AES_GCM_16-256 ESN" == row["algorithms"]
    assert {row["spi_in"], row["spi_out"]} == {s["spi"] for s in sites.a.router.sas()}
    assert row["bytes_out"] > 0 and row["bytes_in"] > 0 and 0 < row["rekey_in"] <= 3600 and "error" not in row
    # What was loaded is what swanctl shows.
    listed = sites.a.charon.swanctl("--list-conns").stdout
    assert "ike-gw-1: IKEv2" in listed and "ipsec-tunnel-1: TUNNEL" in listed
    # To load it again does nothing.
    again = a.load(doc("a"))
    assert "0 added, 0 changed, 0 removed, 1 unchanged" in again.stdout
    assert a.run("diff", a.file).stdout == "tunnels: 0 added, 0 changed, 0 removed, 1 unchanged\n"
    assert a.status()["ipsec-tunnel-1"]["spi_in"] == row["spi_in"]


def test_metrics_of_charon(sites, ends):
    """The router's metrics have charon's states while it answers; what dashboard and alerts name is there; Prometheus has it."""
    a, b = ends
    a.load(doc("a")), b.load(doc("b"))
    sites.wait_ping(15)
    site, url = sites.a, f"http://127.0.0.1:{PORT}/metrics"
    site.router.conf["metrics"] = {"port": PORT, "vici": str(site.charon.socket)}
    site.router.write()
    assert "metrics.vici: none ->" in site.router.ctl("reload").stdout
    prometheus = start_prometheus(site.ns, PORT)
    tunnel = 'cygnet_ike_tunnel_up{connection="ike-gw-1",tunnel="ipsec-tunnel-1"}'
    for accept in "*/*", "application/openmetrics-text":
        wait_for(f"charon's metrics as {accept}", lambda a=accept: tunnel in get(site.ns, url, a)[1], 15, 0.3)
        text = get(site.ns, url, accept)[1]
        assert metric(text, tunnel) == 1 and metric(text, "cygnet_ike_daemon_up") == 1
        assert metric(text, 'cygnet_ike_sas{state="established"}') == 1 and metric(text, "cygnet_ike_half_open") == 0
        assert metric(text, 'cygnet_ike_child_sas{state="installed"}') == 1 and text.count("# EOF") == (accept != "*/*")
    lint = run(["sh", "-c", f"promtool check metrics <<'END'\n{get(site.ns, url)[1]}END\n"], check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    a.run("rekey", "ipsec-tunnel-1")
    wait_for("the rekeying to be counted", lambda: metric(get(site.ns, url)[1], 'cygnet_ike_rekeys_total{kind="child"}') >= 1,
             15, 0.3)
    have = set(re.findall(r"^# TYPE (\S+) ", get(site.ns, url)[1], re.M))
    for file in "conf/grafana/cygnet.json", "conf/prometheus/cygnet-rules.yaml":
        assert set(re.findall(r"\bcygnet_ike_[a-z_]+", REPO.joinpath(file).read_text())) <= have
    wait_for("Prometheus to have them", lambda: scraped(site.ns, "cygnet_ike_tunnel_up", "tunnel") == [("ipsec-tunnel-1", "1")],
             20, 0.5)
    prometheus.stop()
    # A charon that hangs holds up nobody.
    site.charon.process.send(signal.SIGSTOP)
    for _ in range(20):
        assert site.router.json("status")["name"] == site.router.name
        assert "cygnet_ike_daemon_up" in get(site.ns, url)[1]
    site.charon.process.send(signal.SIGCONT)
    del site.router.conf["metrics"]
    site.router.write()
    assert "metrics.vici" in site.router.ctl("reload").stdout


def test_a_nat_that_there_shall_not_be_is_reported(sites, ends):
    """The peer makes charon believe in a NAT: ESP travels in UDP, and the status says that this was not wanted."""
    a, b = ends
    a.load(doc("a")), b.load(doc("b", **{"nat-traversal": "force"}))
    sites.wait_ping(15)
    row = a.status()["ipsec-tunnel-1"]
    assert row["state"] == "up" and row["udp"] is True
    assert row["error"] == "a NAT is on the way, and nat-traversal is false"
    assert "error" not in b.status()["ipsec-tunnel-1"]


def test_more_tunnels_than_fit_a_gateway(ends):
    """vici's messages end, also those that list what is up: all of the file is refused with one line, and charon keeps what it has."""
    a, _ = ends
    a.load(doc("a"))
    for n in 3000, 1300:
        tunnels = {f"t{i}": {"local-ts": f"10.1.{i >> 8}.{i & 255}/32", "remote-ts": f"10.2.{i >> 8}.{i & 255}/32"} for i in range(n)}
        p = a.load(doc("a", tunnels), check=False)
        assert p.returncode == 1 and f"gateway 'ike-gw-1' has {n} tunnels, which is more than fits" in p.stderr
        assert list(a.status()) == ["ipsec-tunnel-1"]


def test_one_changed_of_a_hundred_leaves_ninety_nine(sites, ends):
    a, b = ends
    b.load(doc("b", many(100, "b")))
    out = a.load(doc("a", many(100, "a"))).stdout
    assert "100 added" in out
    wait_for("100 tunnels", lambda: len(a.spis()) == 100, 40, 0.5)
    # One changes; the peer's charon renews it at once, ours when its own file is loaded.
    old = a.spis()["t7"]
    b.load(doc("b", many(100, "b", changed=("t7",))))
    wait_for("100 tunnels again", lambda: len(a.spis()) == 100 and a.spis()["t7"] != old, 20, 0.3)
    before = a.spis()
    diff = a.write(doc("a", many(100, "a", changed=("t7",)))) or a.run("diff", a.file, check=False)
    assert diff.returncode == 4 and "~ tunnel t7 (gateway ike-gw-1)" in diff.stdout
    assert "remote-ts: 10.2.7.0/24 -> 10.2.7.128/25" in diff.stdout and "99 unchanged" in diff.stdout
    assert a.spis() == before  # diff changes nothing
    a.load()
    wait_for("the changed tunnel", lambda: len(a.spis()) == 100, 20, 0.3)
    after = a.spis()
    assert [n for n in before if before[n] != after[n]] == ["t7"]
    # Some leave the file.
    out = a.load(doc("a", many(100, "a", changed=("t7",), first=2))).stdout
    assert "2 removed, 98 unchanged" in out
    assert sorted(set(after) - set(a.spis())) == ["t0", "t1"]
    assert {n: s for n, s in a.spis().items()} == {n: s for n, s in after.items() if n not in ("t0", "t1")}


def test_keep(sites, ends):
    """Changed tunnels keep their SAs, but not those that charon is to start: it begins them anew, and load says so."""
    a, b = ends
    tunnels, changed = {}, {}
    for i, action in enumerate(("trap", "start")):
        tunnels[f"t{i}"] = {"local-ts": f"10.1.{i}.0/24", "remote-ts": f"10.2.{i}.0/24", "start-action": action}
        changed[f"t{i}"] = {**tunnels[f"t{i}"], "priority": 77}
    b.load(doc("b", {n: {"local-ts": t["remote-ts"], "remote-ts": t["local-ts"], "start-action": "none"}
                     for n, t in tunnels.items()}))
    a.load(doc("a", tunnels))
    a.run("up", "t0")
    wait_for("both tunnels", lambda: len(a.spis()) == 2, 20, 0.2)
    before = a.spis()
    said = a.load(doc("a", changed), "--keep").stderr
    assert said == ("cygnetctl: --keep keeps no tunnel with start-action start: charon has closed t1, and begins anew\n")
    wait_for("the other tunnel", lambda: len(a.spis()) == 2 and a.spis()["t1"] != before["t1"], 20, 0.2)
    assert a.spis()["t0"] == before["t0"]


def test_a_broken_file_changes_nothing(sites, ends):
    a, b = ends
    b.load(doc("b"))
    a.load(doc("a"))
    a.run("up", "ipsec-tunnel-1")
    before = a.spis()
    broken = doc("a")
    broken["ipsec"]["tunnels"][0]["child-policy"] = "child-polisy-1"
    p = a.load(broken, check=False)
    assert p.returncode == 1 and "did you mean 'child-policy-1'?" in p.stderr and a.file.name in p.stderr
    assert a.spis() == before
    # What only charon can refuse: the connection behind it, and a new one before it, stay away.
    refused = doc("a", {"ipsec-tunnel-1": {"priority": 5}})
    refused["ipsec"]["gateways"].append({"name": "new", "ike-policy": "p2", "remote-address": "192.0.2.77"})
    refused["ipsec"]["ike-policies"].append({
        "name": "p2", "authentication": {"pre-shared-key": PSK},
        "proposals": ["aes256gcm16-prfsha384-ecp384-ke1_mlkem768"]})
    refused["ipsec"]["tunnels"].append({"name": "t2", "gateway": "new", "child-policy": "child-policy-1",
                                        "remote-ts": "10.9.0.0/16"})
    p = a.load(refused, check=False)
    assert p.returncode == 1 and "gateway 'new': mlkem768 is not in this charon" in p.stderr
    assert "nothing has changed" in p.stderr
    assert a.spis() == before and set(a.status()) == {"ipsec-tunnel-1"}
    assert "new" not in sites.a.charon.swanctl("--list-conns").stdout
    # What fails after secrets and the like were loaded: they are taken back.
    refused = doc("a")
    refused["ipsec"]["ike-policies"][0]["authentication"]["pre-shared-key"] = "another-secret-of-this-test"
    refused["ipsec"]["pools"] = [{"name": "good", "addresses": "10.66.0.0/24"}, {"name": "v", "addresses": "nonsense"}]
    p = a.load(refused, check=False)
    assert p.returncode == 1 and "pool 'v'" in p.stderr and "nothing has changed" in p.stderr
    assert "good" not in sites.a.charon.swanctl("--list-pools").stdout and a.spis() == before
    a.write(doc("a"))
    assert a.run("diff", a.file).returncode == 0


def test_an_interrupted_load_changes_nothing(sites, ends, module_lab):
    a, _ = ends
    a.load(doc("a"))
    big = doc("a")
    for i in range(3000):
        big["ipsec"]["gateways"].append({"name": f"g{i}", "ike-policy": "ike-policy-1",
                                         "local-address": PLAN["a"]["wan"],
                                         "remote-address": f"198.18.{i // 256}.{i % 256}"})
        big["ipsec"]["tunnels"].append({"name": f"t{i}", "gateway": f"g{i}", "child-policy": "child-policy-1",
                                        "remote-ts": f"10.128.{i // 256}.{i % 256}/32"})
    a.write(big)
    p = module_lab.start([CYGNETCTL, "ike", "load", a.file, "--uri", a.site.charon.socket], "ike-load")
    # Beyond the half of the steps connections are loaded in earnest.
    wait_for("much of the file to be loaded", lambda: re.search(r"\b(5[2-9]|[67]\d) %", p.output()), 40, 0.02)
    p.send(signal.SIGINT)
    assert p.wait(40) == 1 and "interrupted; nothing has changed" in p.output()
    assert set(a.status()) == {"ipsec-tunnel-1"}
    assert "0 added, 0 changed, 0 removed, 1 unchanged" in a.load(doc("a")).stdout


def test_up_says_in_plain_words_why_not(sites, ends):
    a, b = ends
    b.load(doc("b"))
    wrong = doc("a")
    wrong["ipsec"]["ike-policies"][0]["authentication"]["pre-shared-key"] = "another-secret-of-this-test"
    a.load(wrong)
    p = a.run("up", "ipsec-tunnel-1", check=False)
    assert p.returncode == 1 and "does not accept who we are" in p.stderr
    assert "AUTHENTICATION_FAILED" in a.status()["ipsec-tunnel-1"]["error"]
    # The right key alone is changed, and then it works.
    out = a.load(doc("a")).stdout
    assert "+ pre-shared key of gateway ike-gw-1" in out and "- pre-shared key of gateway ike-gw-1" in out
    assert "ipsec-tunnel-1 is up" in a.run("up", "ipsec-tunnel-1").stdout
    assert "error" not in a.status()["ipsec-tunnel-1"]
    spi = a.spis()
    assert "gets new keys" in a.run("rekey", "ipsec-tunnel-1").stdout
    wait_for("new SPIs", lambda: a.spis() and a.spis() != spi, 10, 0.2)
    assert "is down" in a.run("down", "ike-gw-1").stdout
    wait_for("no SAs", lambda: not sites.a.router.sas(), 10, 0.2)
    assert a.run("down", "ipsec-tunnel-1", check=False).returncode == 1
    p = a.run("up", "nobody", check=False)
    assert p.returncode == 1 and "no tunnel and no gateway 'nobody'" in p.stderr
    # Other proposals at the peer.
    b.load(doc("b", proposals=["aes128-sha256-modp2048"]))
    p = a.run("up", "ipsec-tunnel-1", check=False)
    assert p.returncode == 1 and "accepts none of the proposals" in p.stderr


def test_down_by_force(sites, ends):
    """The peer is silent: the gateway is closed at once; tunnels cannot be forced, and that is said."""
    a, b = ends
    b.load(doc("b"))
    a.load(doc("a"))
    a.run("up", "ipsec-tunnel-1")
    sites.b.charon.process.send(signal.SIGSTOP)
    try:
        p = a.run("down", "--force", "ipsec-tunnel-1", check=False)
        assert p.returncode == 1 and "ipsec-tunnel-1 is a tunnel of gateway ike-gw-1, and" in p.stderr
        start = time.monotonic()
        assert a.run("down", "--force", "ike-gw-1").stdout == "ike-gw-1 is down\n"
        assert time.monotonic() - start < 15  # what waits for the peer takes 20 s and more
        wait_for("no SAs", lambda: not sites.a.router.sas(), 5, 0.2)
    finally:
        sites.b.charon.process.send(signal.SIGCONT)
    b.run("down", "--force", "ike-gw-1", check=False)


def say_at_both(sites, ends, a_says, b_says):
    for end, says in zip(ends, (a_says, b_says)):
        if says:
            wait_for(says, lambda end=end, says=says: says in end.status()["ipsec-tunnel-1"].get("error", ""), 15, 0.2)
    row = ends[0].status()["ipsec-tunnel-1"]
    assert row["state"] != "up" and abs(time.time() - row["error_time"]) < 120


@pytest.mark.parametrize("case", ["key", "ike-proposals", "selectors", "proposals", "no-peer"])
def test_status_says_why_a_tunnel_failed_by_itself(sites, ends, case):
    """A tunnel is negotiated since it is loaded, or since a packet wants it: nobody asked cygnetctl to."""
    a, b = ends
    tunnel = {"ipsec-tunnel-1": {"start-action": "start"}}
    bad, peer = doc("a", tunnel), doc("b")
    said = {"key": ("does not accept who we are", "the pre-shared keys differ"),
            "ike-proposals": ("accepts none of the proposals", "the peer's proposals are none of ours"),
            "selectors": ("does not want these selectors", "the peer's selectors do not fit ours"),
            "proposals": ("accepts none of the tunnel's proposals", "the peer's proposals are none of ours"),
            "no-peer": ("the peer has not answered yet", None)}[case]
    policy, child = bad["ipsec"]["ike-policies"][0], bad["ipsec"]["child-policies"][0]
    if case == "key":
        policy["authentication"]["pre-shared-key"] = "another-secret-of-this-test"
    elif case == "ike-proposals":
        policy["proposals"] = ["aes128-sha256-modp2048"]
    elif case == "selectors":
        child["remote-ts"] = ["10.77.0.0/16"]
    elif case == "proposals":
        child["proposals"] = ["aes128-sha256-modp2048"]
        del bad["ipsec"]["tunnels"][0]["start-action"]  # the first packet does it
    else:
        bad["ipsec"]["gateways"][0]["remote-address"] = "192.0.2.77"
    b.load(peer)
    a.load(bad)
    if case == "proposals":
        sites.ping(count=1, wait=1)
    say_at_both(sites, ends, *said)
    assert f"{said[0]}" in a.run("status", "--wide").stdout
    # Mended, it comes up, and has no error any more.
    a.load(doc("a", tunnel))
    if case == "key":
        a.run("up", "ipsec-tunnel-1")  # nothing but a secret has changed: nothing was started anew
    wait_for("the tunnel", lambda: all(end.status()["ipsec-tunnel-1"]["state"] == "up" for end in ends), 20, 0.2)
    assert not any("error" in end.status()["ipsec-tunnel-1"] for end in ends)


def test_a_failed_rekeying_is_the_error_of_its_tunnel_alone(sites, ends):
    """Groups that differ are seen at the first rekeying: the first keys come with IKE's own."""
    def two(which, own, other, group, action):
        made = doc(which, {name: {own: f"10.1.{net}.0/24", other: f"10.2.{net}.0/24", "start-action": action}
                           for name, net in (("t1", 1), ("t2", 2))})
        policies = made["ipsec"]["child-policies"]
        policies.append({**copy.deepcopy(policies[0]), "name": "plain", "proposals": ["aes256gcm16"]})
        policies[0]["proposals"] = [f"aes256gcm16-{group}"]
        made["ipsec"]["tunnels"][1]["child-policy"] = "plain"
        return made

    a, b = ends
    b.load(two("b", "remote-ts", "local-ts", "modp2048", "none"))
    a.load(two("a", "local-ts", "remote-ts", "ecp384", "start"))
    wait_for("both tunnels", lambda: set(a.spis()) == {"t1", "t2"}, 20, 0.2)
    a.run("rekey", "t1")
    wait_for("the error", lambda: "NO_PROPOSAL_CHOSEN" in a.status()["t1"].get("error", ""), 15, 0.2)
    assert {n: (t["state"] in ("up", "rekeying"), "error" in t) for n, t in a.status().items()} == {
        "t1": (True, True), "t2": (True, False)}
    assert "2 of 2 up, 1 with errors" in a.run("status").stdout


def test_connections_of_others_are_left_alone(sites, ends):
    a, _ = ends
    sites.a.charon.load(psk_connection("site", "192.0.2.1", "192.0.2.99", "10.1.0.0/24", "10.99.0.0/24", PSK))
    assert "1 connection of others left alone" in a.load(doc("a")).stdout
    assert "site: IKEv2" in sites.a.charon.swanctl("--list-conns").stdout
    taken = doc("a")
    taken["ipsec"]["gateways"][0]["name"] = taken["ipsec"]["tunnels"][0]["gateway"] = "site"
    p = a.load(taken, check=False)
    assert p.returncode == 1 and "--take-over" in p.stderr
    a.load(taken, "--take-over")
    assert a.status()["ipsec-tunnel-1"]["gateway"] == "site"
    assert "10.99.0.0" not in sites.a.charon.swanctl("--list-conns").stdout


def test_watch_and_run(sites, ends, module_lab):
    a, b = ends
    b.load(doc("b"))
    a.write(doc("a"))
    watch = module_lab.start([CYGNETCTL, "ike", "watch", "--json", "--uri", a.site.charon.socket], "ike-watch")
    service = module_lab.start([CYGNETCTL, "ike", "run", a.file, "--uri", a.site.charon.socket], "ike-run")
    wait_for("the file to be loaded", lambda: "1 added" in service.output(), 10)
    sites.wait_ping(15)
    wait_for("the event", lambda: "tunnel ipsec-tunnel-1 up: 192.0.2.2" in service.output(), 5)
    wait_for("the event as JSON", lambda: any(json.loads(x)["event"] == "child-updown"
                                              for x in watch.output().rpartition("\n")[0].splitlines()), 5)
    # Another file at SIGHUP.
    a.write(doc("a", {"ipsec-tunnel-1": {}, "t2": {"local-ts": "10.8.0.0/16"}}))
    service.send(signal.SIGHUP)
    wait_for("the new tunnel", lambda: "t2" in a.status(), 10)
    # swanctl unloads what its own file does not have, and so does --load-creds with secrets.
    sites.a.charon.load("")
    assert "ike-gw-1" not in sites.a.charon.swanctl("--list-conns").stdout
    wait_for("notice", lambda: "charon has lost gateway 'ike-gw-1' (swanctl --load-all" in service.output(), 15)
    wait_for("both tunnels again", lambda: set(a.status()) == {"ipsec-tunnel-1", "t2"}, 5)
    sites.a.charon.swanctl("--load-creds", "--file", sites.a.charon.swanctl_conf)
    wait_for("notice", lambda: "charon has lost a pre-shared key" in service.output(), 15)
    sites.wait_ping(15)
    # charon forgets all, and gets it again.
    sites.a.charon.stop()
    wait_for("notice", lambda: "waiting" in service.output(), 10)
    sites.a.charon.start()
    wait_for("both tunnels again", lambda: set(a.status()) == {"ipsec-tunnel-1", "t2"}, 15, 0.3)
    sites.a.wait_backend()
    assert service.stop() == 0
    assert watch.wait() == 3  # that one knows no charon but its own
    sites.wait_ping(30)


@contextlib.contextmanager
def told_to_systemd(lab):
    """A socket for NOTIFY_SOCKET, and what came there so far."""
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        path = lab.dir / "notify"
        heard.bind(str(path))
        heard.setblocking(False)

        def hear():
            with contextlib.suppress(BlockingIOError):
                while True:
                    told.append(heard.recv(128).decode())
            return told

        yield str(path), hear
    path.unlink()


def test_run_whose_output_takes_no_more(sites, ends, module_lab):
    """It goes on, and does not load anew for it: systemd would hear of each load."""
    a, b = ends
    b.load(doc("b"))
    a.write(doc("a"))
    with told_to_systemd(module_lab) as (path, hear):
        service = module_lab.start(["sh", "-c", 'exec "$@" >/dev/full', "sh", CYGNETCTL, "ike", "run", a.file, "--uri",
                                    a.site.charon.socket], "ike-run-full", {"NOTIFY_SOCKET": path})
        told = ["READY=1\nSTATUS=waiting for charon", "READY=1\nSTATUS=the file is loaded"]
        wait_for("the file to be loaded", lambda: hear() == told, 10)
        sites.wait_ping(15)  # which is an event
        time.sleep(3)
        assert hear() == told and service.alive()
        service.stop(timeout=5)


def test_run_without_charon(lab):
    """The unit has started: a boot does not wait for a charon that does not come. But a wrong file is an error."""
    file = lab.dir / "ike.yaml"
    file.touch(0o600)
    command = [CYGNETCTL, "ike", "run", file, "--uri", f"unix://{lab.dir}/no-charon"]
    with told_to_systemd(lab) as (path, hear):
        file.write_text("ipsec: {bogus: 1}")
        service = lab.start(command, "ike-run-wrong", {"NOTIFY_SOCKET": path})
        assert service.wait(10) == 1 and "bogus" in service.output() and hear() == []
        file.write_text("ipsec: {}")
        service = lab.start(command, "ike-run-alone", {"NOTIFY_SOCKET": path})
        wait_for("systemd to hear of it", lambda: hear() == ["READY=1\nSTATUS=waiting for charon"], 10)
        assert service.alive()
        assert service.stop(timeout=5) == 0


def test_run_does_not_wait_for_a_load(ends, module_lab):
    """Another's load may take its time, or stand still: run ends all the same."""
    a, _ = ends
    a.write(doc("a"))
    service = module_lab.start([CYGNETCTL, "ike", "run", a.file, "--uri", a.site.charon.socket], "ike-run-beside")
    wait_for("the file to be loaded", lambda: "1 added" in service.output(), 10)
    with open(f"{a.site.charon.socket}.cygnet-lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(13)  # every ten seconds it looks whether charon has lost something
        assert service.stop(timeout=3) == 0


def test_a_load_forgets_what_is_nowhere(ends):
    """A name that only the state has (a load that was cut off before charon heard of it) is not missed for ever."""
    a, _ = ends
    a.load(doc("a"))
    path = a.site.charon.run / "charon.vici.cygnet-loaded"
    state = json.loads(path.read_text())
    state["conns"]["ghost"] = {"config": {}}
    state.setdefault("pools", {})["ghost"] = {}
    state["secrets"].append("cygnet-ike-ghost-00")
    path.write_text(json.dumps(state))
    assert "0 added, 0 changed, 0 removed, 1 unchanged" in a.load(doc("a")).stdout
    assert "ghost" not in path.read_text() and "ike-gw-1" in path.read_text()


def test_secrets_appear_nowhere(sites, ends):
    a, _ = ends
    secret = "never-to-be-seen-outside-4711"
    d = doc("a")
    d["ipsec"]["ike-policies"][0]["authentication"]["pre-shared-key"] = secret
    a.write(d)
    told = "".join(p.stdout + p.stderr for p in (
        a.run("check", a.file), a.run("export", a.file), a.run("diff", a.file, check=False), a.load(),
        a.run("load", a.file, "--json"), a.run("status", "--json")))
    assert secret not in told
    assert secret in a.run("export", a.file, "--with-secrets").stdout
    beside = [f for f in sites.a.charon.run.iterdir() if "cygnet" in f.name and not f.is_socket()]
    assert beside
    for f in beside:
        assert secret not in f.read_text() and f.stat().st_mode & 0o077 == 0
    assert (sites.a.charon.run / "charon.vici.cygnet-failures").stat().st_mode & 0o007 == 0
    assert secret not in sites.a.charon.output()
    a.write(d, 0o644)
    p = a.run("load", a.file, check=False)
    assert p.returncode == 1 and "opens it to others" in p.stderr
    assert a.run("load", a.file, "--allow-open-files").returncode == 0


def test_a_peer_cannot_pose_as_another(sites, ends):
    """Of two branches each has a key of its own: with it one is not let in as the other."""
    a, b = ends
    keys = {f"branch-{i}": f"the-key-of-branch-{i}-alone" for i in (1, 2)}

    def branch(name, key):
        d = doc("a", {"ipsec-tunnel-1": {"local-ts": f"10.1.{name[-1]}.0/24"}})
        d["ipsec"]["ike-policies"][0]["authentication"].update(
            {"local-id": name, "remote-id": "hub", "pre-shared-key": keys[key]})
        return d

    hub = doc("b", {n: {"gateway": n, "start-action": "none", "remote-ts": f"10.1.{n[-1]}.0/24"} for n in keys})
    hub["ipsec"]["gateways"] = [
        {"name": n, "ike-policy": "ike-policy-1", "local-address": PLAN["b"]["wan"], "connection-type": "responder",
         "authentication": {"local-id": "hub", "remote-id": n, "pre-shared-key": key}} for n, key in keys.items()]
    b.load(hub)
    a.load(branch("branch-2", "branch-1"))
    p = a.run("up", "ipsec-tunnel-1", check=False)
    assert "authentication of 'branch-2' with pre-shared key successful" not in sites.b.charon.output()
    assert p.returncode == 1 and "does not accept who we are" in p.stderr
    for name in keys:
        a.load({"ipsec": {}})
        a.load(branch(name, name))
        a.run("up", "ipsec-tunnel-1")
        assert b.status()[name]["state"] == "up"


def test_export_is_what_load_loads(sites, ends):
    """swanctl itself, fed with the export, makes charon list the same connection."""
    a, _ = ends
    a.load(doc("a"))
    ours = sites.a.charon.swanctl("--list-conns", "--raw").stdout
    assert "ike-gw-1" in ours
    exported = a.run("export", a.file, "--with-secrets").stdout
    a.load({"ipsec": {}})
    assert "ike-gw-1" not in sites.a.charon.swanctl("--list-conns").stdout
    sites.a.charon.load(exported)
    assert sites.a.charon.swanctl("--list-conns", "--raw").stdout == ours
    sites.a.charon.load("")


def make_certificates(directory, key_a=None):
    """An authority and two ends, and a stranger whom nobody signed."""
    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def write(stem, key, cert):
        (directory / f"{stem}.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        path = directory / f"{stem}.key"
        path.touch(0o600)
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))

    now = datetime.datetime.utcnow()
    ca_key = ec.generate_private_key(ec.SECP384R1())
    for stem, signer, issuer in ("ca", None, "ca"), ("a", ca_key, "ca"), ("b", ca_key, "ca"), ("stranger", None, "b"):
        key = ca_key if stem == "ca" else key_a if key_a and stem == "a" else ec.generate_private_key(ec.SECP384R1())
        cert = (x509.CertificateBuilder().subject_name(name("b" if stem == "stranger" else stem))
                .issuer_name(name(issuer)).public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=9))
                .add_extension(x509.BasicConstraints(ca=stem == "ca", path_length=None), critical=True)
                .sign(signer or key, hashes.SHA384()))
        write(stem, key, cert)


def certificate_doc(which, stem=None):
    d = doc(which)
    d["ipsec"]["ike-policies"][0]["authentication"] = {
        "method": "certificate", "certificate": f"{stem or which}.pem", "private-key": f"{stem or which}.key",
        "ca-certificates": "ca.pem", "remote-id": "CN=b" if which == "a" else "CN=a"}
    return d


def test_certificates(sites, ends, module_lab):
    a, b = ends
    make_certificates(module_lab.dir)
    b.load(certificate_doc("b", "stranger"))
    a.load(certificate_doc("a"))
    p = a.run("up", "ipsec-tunnel-1", check=False)
    assert p.returncode == 1 and "whom we trust" in p.stderr
    out = b.load(certificate_doc("b")).stdout
    assert "certs: other contents" in out or "certs: stranger.pem -> b.pem" in out
    assert "+ private key" in out and "- private key" in out
    a.run("up", "ipsec-tunnel-1")
    assert "0 changed, 0 removed, 1 unchanged" in a.load().stdout


def test_an_authority_that_has_left(sites, ends, module_lab):
    """charon itself forgets none: the gateway says whom it trusts, by default the authorities of the file."""
    a, b = ends
    old = module_lab.dir / "old"
    old.mkdir()
    make_certificates(old)
    make_certificates(module_lab.dir)
    mine = certificate_doc("a")
    auth = mine["ipsec"]["ike-policies"][0]["authentication"]
    auth["ca-certificates"] = "old/ca.pem"
    b.load(certificate_doc("b", "old/b"))
    a.load(mine)
    a.run("up", "ipsec-tunnel-1")
    a.run("down", "ike-gw-1")
    del auth["ca-certificates"]
    mine["ipsec"]["authorities"] = [{"name": "ca", "certificate": "ca.pem"}]
    a.load(mine)
    p = a.run("up", "ipsec-tunnel-1", check=False)
    assert p.returncode == 1, p.stdout
    b.load(certificate_doc("b"))
    a.run("up", "ipsec-tunnel-1")


def test_credentials_that_swanctl_cleared(sites, ends, module_lab):
    """charon tells of no certificates: they come again with the key."""
    a, b = ends
    make_certificates(module_lab.dir)
    b.load(certificate_doc("b"))
    a.load(certificate_doc("a"))
    a.run("up", "ipsec-tunnel-1")
    spis = a.spis()
    empty = module_lab.dir / "empty.conf"
    empty.write_text("")
    sites.a.charon.swanctl("--load-creds", "--clear", "--file", empty)
    assert "+ private key" in a.load().stdout and a.spis() == spis
    a.run("down", "ike-gw-1")
    a.run("up", "ipsec-tunnel-1")


@pytest.mark.parametrize("kind", ["ecdsa-pkcs8", "rsa-traditional", "rsa-der"])
def test_private_keys_with_a_passphrase(sites, ends, module_lab, kind):
    """Encrypted files as openssl and others write them; charon is given what is inside."""
    a, b = ends
    make_certificates(module_lab.dir, rsa.generate_private_key(65537, 2048) if "rsa" in kind else None)
    path = module_lab.dir / "a.key"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(
        serialization.Encoding.DER if "der" in kind else serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL if "trad" in kind else serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame")))
    d = certificate_doc("a")
    auth = d["ipsec"]["ike-policies"][0]["authentication"]
    p = a.load(d, check=False)
    assert p.returncode == 1 and "a.key has a passphrase" in p.stderr
    auth["private-key-passphrase"] = "open barley"
    p = a.load(d, check=False)
    assert p.returncode == 1 and "does not open with its passphrase" in p.stderr and "barley" not in p.stderr
    secret = module_lab.dir / "passphrase"
    secret.touch(0o600)
    secret.write_text("open sesame\n")
    del auth["private-key-passphrase"]
    auth["private-key-passphrase-file"] = secret.name
    b.load(certificate_doc("b"))
    assert "sesame" not in a.load(d).stdout + a.run("export", a.file, "--with-secrets").stdout
    a.run("up", "ipsec-tunnel-1")
    assert "0 changed, 0 removed, 1 unchanged" in a.load().stdout


def test_a_private_key_in_other_bytes(sites, ends, module_lab):
    """The key is the same, and so is its id in charon: the new file's is not thrown out with the old one's."""
    a, b = ends
    make_certificates(module_lab.dir)
    b.load(certificate_doc("b"))
    a.load(certificate_doc("a"))
    path = module_lab.dir / "a.key"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL,
                                       serialization.NoEncryption()))
    out = a.load().stdout
    assert "+ private key" in out and "- private key" in out
    a.run("up", "ipsec-tunnel-1")
    # A load that is taken back, with the key in its old bytes, leaves it, too.
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))
    refused = certificate_doc("a")
    refused["ipsec"]["pools"] = [{"name": "v", "addresses": "nonsense"}]
    p = a.load(refused, check=False)
    assert p.returncode == 1 and "nothing has changed" in p.stderr
    a.run("down", "ike-gw-1")
    a.run("up", "ipsec-tunnel-1")


def test_eap_tls(sites, ends, module_lab):
    a, b = ends
    make_certificates(module_lab.dir)
    client, server = certificate_doc("a"), certificate_doc("b")
    client["ipsec"]["ike-policies"][0]["authentication"].update({
        "method": "eap-tls", "remote-method": "certificate", "local-id": "CN=a"})
    server["ipsec"]["ike-policies"][0]["authentication"].update({
        "remote-method": "eap-tls", "eap-id": "%any", "local-id": "CN=b"})
    b.load(server)
    a.load(client)
    a.run("up", "ipsec-tunnel-1", "--log")
    assert "EAP method EAP_TLS succeeded" in sites.b.charon.output()
    assert sites.ping(3) == 3


def test_virtual_address_transport_and_ah(sites, ends):
    a, b = ends
    client, server = doc("a"), doc("b")
    server["ipsec"]["pools"] = [{"name": "v", "addresses": "10.3.0.0/24", "dns": "10.3.0.1"}]
    server["ipsec"]["gateways"][0].update({"pools": "v", "connection-type": "responder"})
    del server["ipsec"]["child-policies"][0]["remote-ts"]
    client["ipsec"]["gateways"][0]["virtual-ips"] = "0.0.0.0"
    del client["ipsec"]["child-policies"][0]["local-ts"]
    client["ipsec"]["tunnels"][0]["start-action"] = "none"
    b.load(server)
    a.load(client)
    a.run("up", "ipsec-tunnel-1")
    assert "10.3.0.1/32" in sites.a.charon.sas() and "pool" not in a.run("diff", a.file).stdout
    # charon does not drop a pool while a peer has an address from it; a later load does.
    without = copy.deepcopy(server)
    del without["ipsec"]["pools"], without["ipsec"]["gateways"][0]["pools"]
    assert "charon keeps pool 'v' while peers have addresses" in b.load(without, "--keep").stderr
    assert "- pool v" in b.run("diff", b.file, check=False).stdout
    a.run("down", "ike-gw-1")
    wait_for("the address to be free", lambda: re.search(r"^v +\S+ +0 /", sites.b.charon.swanctl("--list-pools").stdout, re.M))
    assert "- pool v" in b.load().stdout and "v" not in sites.b.charon.swanctl("--list-pools").stdout.split()
    b.load(server)
    a.run("up", "ipsec-tunnel-1")
    # Another kind of tunnel between the same two: AH in transport mode, for one protocol.
    for end, which in (a, "a"), (b, "b"):
        d = doc(which)
        d["ipsec"]["child-policies"][0] = {
            "name": "child-policy-1", "protocol": "ah", "mode": "transport", "start-action": "none",
            "proposals": [{"integrity": ["sha256", "sha512"]}], "local-ts": "dynamic[udp/7]",
            "remote-ts": [{"prefix": "dynamic", "protocol": "udp"}]}
        end.load(d)
    a.run("up", "ipsec-tunnel-1")
    row = a.status()["ipsec-tunnel-1"]
    assert row["mode"] == "TRANSPORT" and row["algorithms"] == "HMAC_SHA2_256_128"
    assert [s["protocol"] for s in sites.a.router.sas()] == ["ah", "ah"]


def test_bypass_and_discard(sites, ends):
    """They are policies of the router from when they are loaded, on a gateway that only answers, too; up negotiates the others."""
    a, b = ends
    shunts = {"open": ("bypass", "10.8.0.0/16"), "shut": ("discard", "10.9.0.0/16")}

    def with_shunts(which, **gateway):
        d = doc(which, {"ipsec-tunnel-1": {}, **{n: {"child-policy": n} for n in shunts}})
        d["ipsec"]["gateways"][0].update(gateway)
        d["ipsec"]["child-policies"] += [{"name": n, "mode": mode, "local-ts": "10.7.0.0/16", "remote-ts": ts}
                                         for n, (mode, ts) in shunts.items()]
        return d

    def policies(site):
        return {(p["action"], p["destination"]) for p in site.router.json("policy") if p["direction"] == "out"}

    b.load(with_shunts("b", **{"connection-type": "responder"}))
    a.load(with_shunts("a"))
    for end, site in zip(ends, sites):
        assert {shunts[n] for n in shunts} <= policies(site)
        assert [end.status()[n]["state"] for n in shunts] == ["bypass", "discard"]
    assert a.run("up", "ike-gw-1").stdout == "ipsec-tunnel-1 is up\n"
    # No alert waits for a CHILD_SA of what never has one.
    assert re.findall(r'^cygnet_ike_tunnel_up\{.*tunnel="(.*)"\} (.*)$', a.run("metrics").stdout, re.M) == [("ipsec-tunnel-1", "1")]
    p = a.run("up", "open", check=False)
    assert p.returncode == 1 and "nothing of it is negotiated" in p.stderr
    b.load(doc("b"))
    assert not {shunts[n] for n in shunts} & policies(sites.b)


def test_tunnels_get_other_names(sites, ends):
    """They say the same as before: charon has them under the new names, also one that it is to start; and what leaves is gone."""
    a, b = ends
    net = {"local-ts": "10.1.5.0/24", "remote-ts": "10.2.5.0/24", "start-action": "start"}

    def named(tunnel, bypass):
        d = doc("a", {tunnel: net, **({bypass: {"child-policy": "open", "remote-ts": "10.8.0.0/16"}} if bypass else {})})
        d["ipsec"]["child-policies"].append({"name": "open", "mode": "bypass", "local-ts": "10.7.0.0/16"})
        return d

    def bypassed():
        return "10.8.0.0/16" in {p["destination"] for p in sites.a.router.json("policy")}

    b.load(doc("b", {"t": {"local-ts": net["remote-ts"], "remote-ts": net["local-ts"], "start-action": "none"}}))
    a.load(named("t1", "by1"))
    wait_for("the tunnel", lambda: "t1" in a.spis(), 15, 0.2)
    a.load(named("t2", "by2"))
    assert bypassed() and "by2" in sites.a.charon.swanctl("--list-pols").stdout
    wait_for("the tunnel under its new name", lambda: list(a.spis()) == ["t2"], 15, 0.2)
    a.load(named("t2", None))
    assert not bypassed() and "by" not in sites.a.charon.swanctl("--list-pols").stdout
    assert list(a.spis()) == ["t2"]


def test_what_charon_does_not_compare_arrives(sites, ends):
    """A connection that differs in dpd-timeout alone (or dscp) is, for charon, the one that it has."""
    a, _ = ends
    for seconds in 60, 90:
        a.load(doc("a", **{"ike-version": "v1", "dpd-timeout": seconds}))
        assert f"dpd_timeout={seconds}" in sites.a.charon.swanctl("--list-conns", "--raw").stdout


def test_without_charon(module_lab):
    p = run([CYGNETCTL, "ike", "status", "--uri", module_lab.dir / "nowhere"], check=False)
    assert p.returncode == 3 and "charon does not answer at" in p.stderr
    p = run([CYGNETCTL, "ike", "load"], check=False)
    assert p.returncode == 2 and "usage: cygnetctl ike load FILE" in p.stderr
    # A router may be called ike.
    for option in "-n", "--name":
        p = run([CYGNETCTL, option, "ike", "sa"], check=False)
        assert p.returncode == 3 and "no router answers at" in p.stderr and "/ike.sock" in p.stderr
