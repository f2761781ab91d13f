# SPDX-License-Identifier: BSD-3-Clause
"""A laboratory: network namespaces, links between them and processes in them, with a sure end.

What a lab makes is written down in its directory before it is used, so that the leftovers of a run that was
killed can be found and removed: cleanup() knows no more than that directory.
"""

import contextlib
import ctypes
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from echo import LATE, Echo

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CYGNET_BUILD", REPO / "build"))
BUILD_ASAN = Path(os.environ.get("CYGNET_BUILD_ASAN", REPO / "build-asan"))
STATE = Path("/var/lib/cygnet-lab")  # what is in it is root's alone, for keys lie there; a lab that lets others in can be reached
# Two runs on one machine need different ones, and so do pytest's workers, which run side by side.
PREFIX = os.environ.get("CYGNET_LAB", "cyg") + os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw") + "-"

# What is waited for comes when it comes: the time-outs are those of a quiet machine, and this one may have other things to do.
PATIENCE = 4

_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A command failed, or something did not happen in time."""


def run(cmd, check=True, timeout=30, **kw):
    """Runs a command; its output is in the result, and in the exception if it fails."""
    cmd = [str(c) for c in cmd]
    timeout *= PATIENCE
    try:
        p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=timeout, **kw)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{' '.join(cmd)}: not done after {timeout} s") from e
    if check and p.returncode != 0:
        raise Failed(f"{' '.join(cmd)}: exit code {p.returncode}\n{p.stdout}{p.stderr}")
    return p


def wait_for(what, condition, timeout=10.0, step=0.05):
    """Waits until condition() is true and returns what it gave."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {timeout:g} s")
        time.sleep(step)


def started(pid):
    """When a process was started, as the kernel counts: with the pid it names a process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def zombie(pid):
    """Whether it has ended, and nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def kill_known(pid, start, sig=signal.SIGKILL):
    """Signals a process, but not another one that got its pid."""
    if start is not None and started(pid) == start:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
            return True
    return False


class Process:
    """A process of a lab; its output goes to a file."""

    def __init__(self, lab, cmd, name, env=None):
        self.name = name
        self.log = lab.dir / f"{name}.log"
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen([str(c) for c in cmd], stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, start_new_session=True,
                                          env={**os.environ, **(env or {})})
        self.pid = self.popen.pid
        with open(lab.dir / "pids", "a") as f:
            f.write(f"{self.pid} {started(self.pid)}\n")

    def alive(self):
        return self.popen.poll() is None

    def wait(self, timeout=10):
        timeout *= PATIENCE
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{self.name} did not end within {timeout} s\n{self.tail()}") from e

    def send(self, sig):
        if self.alive():
            self.popen.send_signal(sig)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        """Ends it and returns its exit code."""
        self.send(sig)
        return self.wait(timeout)

    def kill(self):
        self.send(signal.SIGKILL)
        return self.wait()

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=25):
        return "\n".join(self.output().splitlines()[-lines:])


class Namespace:
    def __init__(self, lab, name):
        self.lab = lab
        self.short = name
        self.name = f"{lab.name}-{name}"
        run(["ip", "netns", "add", self.name])
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *cmd):
        return ["ip", "netns", "exec", self.name, *cmd]

    def run(self, *cmd, **kw):
        return run(self.command(*cmd), **kw)

    def start(self, *cmd, name=None, env=None):
        return self.lab.start(self.command(*cmd), name or f"{self.short}-{Path(str(cmd[0])).name}", env)

    def sysctl(self, key, value):
        self.run("sysctl", "-qw", f"{key}={value}")

    def no_ipv6(self):
        """No router solicitations and the like among the packets that a test counts."""
        for which in "all", "default":
            self.sysctl(f"net.ipv6.conf.{which}.disable_ipv6", 1)

    def ipv6_at_once(self):
        """Addresses are there when they are set: nobody asks first whether another has them."""
        for which in "all", "default":
            self.sysctl(f"net.ipv6.conf.{which}.accept_dad", 0)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace: sockets made meanwhile stay there."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if _libc.setns(there, 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            if _libc.setns(back, 0x40000000) != 0:
                os._exit(70)  # in the wrong namespace: nothing may go on
            os.close(back)
            os.close(there)

    def addr(self, dev, *addresses):
        for a in addresses:
            self.run("ip", "addr", "add", a, "dev", dev)

    def route(self, *args):
        self.run("ip", "route", "add", *args)

    def mac(self, dev):
        return self.run("cat", f"/sys/class/net/{dev}/address").stdout.strip()

    def ping(self, address, count=3, interval=0.2, wait=LATE, **kw):
        """Number of answers; wait: how long for the first one, which who expects none gives."""
        return Echo(self, address, interval, **kw).run(count, wait)


class Lab:
    """Use it as a context: at the end everything is gone, whatever happened."""

    def __init__(self, name):
        self.name = PREFIX + name
        self.dir = STATE / self.name
        self.processes = []
        self.namespaces = {}
        cleanup(self.name)
        STATE.mkdir(mode=0o711, parents=True, exist_ok=True)
        STATE.chmod(0o711)
        self.dir.mkdir(mode=0o700)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()

    def ns(self, name):
        self.namespaces[name] = Namespace(self, name)
        return self.namespaces[name]

    def start(self, cmd, name, env=None):
        p = Process(self, cmd, name, env)
        self.processes.append(p)
        return p

    def veth(self, a, dev_a, b, dev_b, mtu=1500):
        """A cable. No offloads: what one end sends is what a wire would carry."""
        run(["ip", "link", "add", dev_a, "mtu", mtu, "netns", a.name, "type", "veth",
             "peer", dev_b, "mtu", mtu, "netns", b.name])
        for ns, dev in (a, dev_a), (b, dev_b):
            ns.run("ethtool", "-K", dev, "rx", "off", "tx", "off", "sg", "off", "tso", "off", "gso", "off",
                   "gro", "off", check=False)
            ns.run("ip", "link", "set", dev, "up")

    def logs(self):
        """The ends of what processes have said, and of the files that charons write."""
        logs = [f"--- {p.name}\n{p.tail()}" for p in self.processes]
        for f in sorted(self.dir.glob("charon-*/log")):
            logs.append(f"--- {f.parent.name}\n" + "\n".join(f.read_text(errors="replace").splitlines()[-25:]))
        return "\n".join(logs)

    def end(self):
        for p in reversed(self.processes):
            p.send(signal.SIGTERM)
        end = time.monotonic() + 5
        for p in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.popen.wait(max(0.05, end - time.monotonic()))
        for p in self.processes:
            with contextlib.suppress(Failed):
                p.kill()
        cleanup(self.name)


def _netns():
    return [line.split()[0] for line in run(["ip", "netns", "list"]).stdout.splitlines() if line.strip()]


def huge_files(prefix):
    """The huge-page files of routers whose file prefix begins so."""
    return glob.glob(f"/dev/hugepages/{prefix}*map_*")


def dead_huge_mb():
    """Megabytes that dead processes have left in huge pages: EAL frees them when any of its processes starts."""
    locked = set(re.findall(r" FLOCK .*:(\d+) 0 EOF", Path("/proc/locks").read_text()))
    mb = 0
    for f in huge_files(""):
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(f)
            mb += there.st_blocks // 2048 if str(there.st_ino) not in locked else 0
    return mb


@contextlib.contextmanager
def keep_huge_files(prefix):
    """EAL removes the huge-page files of dead processes when any of its processes starts, but not what
    somebody holds locked."""
    with contextlib.ExitStack() as stack:
        for f in huge_files(prefix):
            fcntl.flock(stack.enter_context(open(f, "rb")), fcntl.LOCK_SH)
        yield


def cleanup(name):
    """Removes what a lab of that name, or those whose name begins with it and '*', left behind."""
    exact = not name.endswith("*")
    stem = name.rstrip("*")
    if not stem.startswith(PREFIX):
        raise ValueError(name)

    def ours(n):
        return n == stem or n.startswith(stem + "-") if exact else n.startswith(stem)

    killed = []
    for d in STATE.glob("*") if STATE.is_dir() else ():
        if not ours(d.name) or (exact and d.name != stem):
            continue
        if (d / "pids").exists():
            for line in (d / "pids").read_text().splitlines():
                pid, start = line.split()
                killed.append((int(pid), start))
                kill_known(*killed[-1])
        # What those have started in turn (charon's agent) lives in the lab's namespaces.
    for n in _netns():
        if not ours(n):
            continue
        for pid in run(["ip", "netns", "pids", n], check=False).stdout.split():
            killed.append((int(pid), started(pid)))
            kill_known(*killed[-1])
        run(["ip", "netns", "del", n], check=False)
    # The next lab wants their huge pages.
    end = time.monotonic() + 10
    while any(start is not None and started(pid) == start and not zombie(pid) for pid, start in killed) and time.monotonic() < end:
        time.sleep(0.02)
    for f in huge_files(stem):
        if ours(re.sub(r"map_\d+$", "", os.path.basename(f))):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f)
    for d in glob.glob(f"/run/dpdk/{stem}*"):
        if ours(os.path.basename(d)):
            shutil.rmtree(d, ignore_errors=True)
    for d in STATE.glob("*") if STATE.is_dir() else ():
        if ours(d.name) and (not exact or d.name == stem):
            shutil.rmtree(d, ignore_errors=True)


if __name__ == "__main__":
    # lab.py cleanup NAME: for ci/test and ci/quickstart
    if len(sys.argv) != 3 or sys.argv[1] != "cleanup":
        sys.exit("usage: lab.py cleanup NAME[*]")
    cleanup(sys.argv[2])
