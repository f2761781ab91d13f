# SPDX-License-Identifier: BSD-3-Clause
"""What watches a router from outside: Prometheus and the service manager."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lab import REPO, run, wait_for
from router import CYGNET, Router, config, port

PORT = 9469


@pytest.fixture
def site(lab):
    ns = lab.ns("r")
    ns.no_ipv6()
    far = lab.ns("far")
    far.no_ipv6()
    lab.veth(ns, "v-lan", far, "e0")
    far.addr("e0", "10.1.0.2/24")
    ns.far = far
    return ns


def conf(**more):
    return config([port("lan", ["10.1.0.1/24"])], ipsec={"static-only": True}, **more)


def get(ns, url, accept="*/*"):
    with ns.inside():
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return reply.headers["Content-Type"], reply.read().decode()


def start_prometheus(ns, port):
    """A real one, with our rules, that asks the router in the namespace each second."""
    ns.lab.dir.joinpath("prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s"}, "rule_files": [str(REPO / "conf/prometheus/cygnet-rules.yaml")],
        "scrape_configs": [{"job_name": "cygnet", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]}))
    return ns.start("prometheus", "--config.file", ns.lab.dir / "prometheus.yml", "--storage.tsdb.path",
                    ns.lab.dir / "prometheus", "--web.listen-address", "127.0.0.1:9090", name="prometheus")


def scraped(ns, metric, label):
    """What it has of a metric: (label's value, value)."""
    try:
        reply = json.loads(get(ns, f"http://127.0.0.1:9090/api/v1/query?query={metric}")[1])
    except OSError:
        return None
    return [(r["metric"][label], r["value"][1]) for r in reply["data"]["result"]]


def metric(text, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)[1])


def test_metrics(site):
    """Both formats, as promtool reads them; the counters move with the packets; a Prometheus takes them."""
    router = Router(site, conf(metrics={"port": PORT})).start()
    url = f"http://127.0.0.1:{PORT}/metrics"
    kind, before = get(site, url)
    assert kind.startswith("text/plain; version=0.0.4")
    lint = run(["sh", "-c", f"promtool check metrics <<'END'\n{before}END\n"], check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert site.far.ping("10.1.0.1", count=5) == 5
    _, after = get(site, url)
    rx = 'cygnet_port_rx_packets_total{port="lan"}'
    assert metric(after, rx) >= metric(before, rx) + 5
    assert metric(after, "cygnet_policies_complete") == 1
    kind, text = get(site, url, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0") and text.endswith("# EOF\n")
    with pytest.raises(urllib.error.HTTPError):
        get(site, f"http://127.0.0.1:{PORT}/else")

    start_prometheus(site, PORT)
    wait_for("Prometheus to scrape", lambda: scraped(site, "cygnet_port_up", "port") == [("lan", "1")], 20, 0.5)
    assert router.stop() == 0


def test_metrics_are_off_and_local_by_default(site):
    router = Router(site, conf()).start()
    assert str(PORT) not in site.run("ss", "-Hltn").stdout
    assert router.stop() == 0
    router = Router(site, conf(metrics={"port": PORT})).start()
    assert f"127.0.0.1:{PORT}" in site.run("ss", "-Hltn").stdout
    assert router.stop() == 0


def test_metrics_without_ipv4(lab):
    """The namespace has IPv6 addresses alone, but for the loopback's."""
    ns, far = lab.ns("r"), lab.ns("far")
    ns.ipv6_at_once()
    lab.veth(ns, "v-lan", far, "e0")
    router = Router(ns, config([port("lan", ["2001:db8:1::1/64"])], metrics={"port": PORT})).start()
    assert "cygnet_" in get(ns, f"http://127.0.0.1:{PORT}/metrics")[1]
    router.conf["metrics"]["address"] = "2001:db8:1::1"
    router.write()
    assert router.ctl("reload").returncode == 0
    assert "cygnet_" in get(ns, f"http://[2001:db8:1::1]:{PORT}/metrics")[1]
    assert router.stop() == 0


def test_idle_clients_take_no_descriptors(site):
    """Many who connect, and say nothing or half a request: the router has a few of them at a time, and answers others."""
    router = Router(site, conf(metrics={"port": PORT})).start()

    def descriptors():
        return len(os.listdir(f"/proc/{router.process.pid}/fd"))
    before, idle = descriptors(), []
    with site.inside():
        for i in range(300):
            idle.append(socket.create_connection(("127.0.0.1", PORT)))
            idle[-1].send(b"GET /metrics HTTP/1.1\r\nHo"[:i % 30])
    wait_for("the router to drop most of them", lambda: descriptors() < before + 60)
    for _ in range(40):
        assert "cygnet_" in get(site, f"http://127.0.0.1:{PORT}/metrics")[1]
    for s in idle:
        s.close()
    wait_for("all of them to be gone", lambda: descriptors() <= before + 3)
    assert router.stop() == 0


@pytest.mark.parametrize("first", (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
                                   b"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), ids=("asks", "chunk"))
def test_a_client_that_sends_on_takes_no_memory(site, first):
    """One that asks and asks and takes no reply, and one whose line of a chunk's size never ends."""
    router = Router(site, conf(metrics={"port": PORT})).start()

    def kilobytes():
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{router.process.pid}/status").read_text())[1])
    before = kilobytes()
    with site.inside():
        s = socket.socket()
    with s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(5)
        s.connect(("127.0.0.1", PORT))
        with contextlib.suppress(OSError):
            s.sendall(first * (2000 if first.startswith(b"GET") else 1))
            for _ in range(100):
                s.sendall(b"0" * 1000000)
        assert kilobytes() < before + 20000
        assert "cygnet_" in get(site, f"http://127.0.0.1:{PORT}/metrics")[1]
    assert router.stop() == 0


def test_what_charon_says_has_no_holes(site):
    """It is more than a pipe takes, and the router does not read for a moment."""
    binary = site.lab.dir / "cygnet"
    shutil.copy(CYGNET, binary)
    program = site.lab.dir / "ctl/cygnetctl"
    program.parent.mkdir()
    program.write_text("""#!/usr/bin/python3
import os, signal, time
router = os.getppid()
os.kill(router, signal.SIGSTOP)
if os.fork() == 0:
    os.close(1)
    time.sleep(0.05)
    os.kill(router, signal.SIGCONT)
    os._exit(0)
for i in range(10000):
    try:
        os.write(1, b"cygnet_ike_number %029d\\n" % i)
    except BlockingIOError:
        pass  # as printf() does
time.sleep(0.2)
os.write(1, b"# EOF\\n")
""")
    program.chmod(0o755)
    router = Router(site, conf(metrics={"port": PORT, "vici": "/nowhere.vici"}))
    router.binary = binary
    router.start()
    numbers = wait_for("charon's", lambda: re.findall(r"^cygnet_ike_number (\d+)$", get(site, f"http://127.0.0.1:{PORT}/metrics")[1], re.M), 60)
    assert [int(n) for n in numbers] == list(range(10000))
    assert router.stop() == 0


def test_alert_rules():
    p = run(["promtool", "check", "rules", REPO / "conf/prometheus/cygnet-rules.yaml"])
    assert re.search(r"\b[1-9]\d* rules found", p.stdout)


def test_dashboard_asks_for_what_there_is(site):
    """Each metric that the dashboard and the alerts name is one that the router has."""
    router = Router(site, conf(metrics={"port": PORT, "vici": "/nowhere.vici"})).start()
    _, text = get(site, f"http://127.0.0.1:{PORT}/metrics")
    have = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    for file in "conf/grafana/cygnet.json", "conf/prometheus/cygnet-rules.yaml":
        named = set(re.findall(r"\bcygnet_[a-z_]+", REPO.joinpath(file).read_text()))
        # What charon says of itself is tried with one: test_ike_file.py.
        named = {n for n in named if not n.startswith("cygnet_ike_") or n == "cygnet_ike_daemon_up"}
        assert named and named <= have, (file, named - have)
    assert router.stop() == 0


def test_service_manager_does_not_read(site):
    """The control thread does not wait for it, and says that it is up when it can."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        path = str(site.lab.dir / "notify")
        s.bind(path)
        s.settimeout(10)
        others.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                others.sendto(b"others", path)
        router = Router(site, conf()).start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000"})
        assert router.json("lcores")
        while (said := s.recv(4096)) == b"others":
            pass
        assert "READY=1" in said.decode()
        assert s.recv(4096) == b"WATCHDOG=1"
        # It fills again, with signs of life.
        time.sleep(3)
        assert router.json("lcores")
        assert s.recv(4096) == b"WATCHDOG=1" == s.recv(4096)
        assert router.stop() == 0


def test_service_manager_is_told(site):
    """READY when it is up, WATCHDOG while the control thread turns, STOPPING at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = str(site.lab.dir / "notify")
        s.bind(path)
        s.settimeout(10)
        router = Router(site, conf()).start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
        assert "READY=1" in s.recv(4096).decode()
        assert s.recv(4096) == b"WATCHDOG=1" == s.recv(4096)
        router.process.send(signal.SIGTERM)
        while b"STOPPING" not in s.recv(4096):
            pass
        assert router.stop() == 0
