# SPDX-License-Identifier: BSD-3-Clause
"""What cygnet is measured against, on the same ports in the same minutes: DPDK's own programs.

ipsec-secgw is built from the source of the distribution's DPDK with one line changed: it asks its ports for
receive checksum offload, which net_pcap does not have.
"""

import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import meter
import traffic
from lab import run

CACHE = Path(os.environ.get("CYGNET_CACHE", "/var/cache/cygnet"))
EXAMPLE = ("parser.c ipsec.c esp.c sp4.c sp6.c sa.c sad.c rt.c ipsec_process.c ipsec-secgw.c ipsec_worker.c "
           "event_helper.c flow.c").split()


def dpdk_version():
    v = run(["dpkg-query", "-W", "-f", "${source:Version}", "libdpdk-dev"]).stdout
    return v.split(":")[-1].rsplit("-", 1)[0]


def secgw(cpu):
    """Path of ipsec-secgw, built for the processor (as -march names it) that cygnet is built for."""
    binary = CACHE / f"ipsec-secgw-{dpdk_version()}-{cpu}"
    if binary.exists():
        return binary
    tree = CACHE / f"dpdk-{dpdk_version()}" / "examples" / "ipsec-secgw"
    if not tree.exists():
        raise meter.Failed(f"no source of DPDK in {tree.parents[1]}: run ci/setup --bench")
    work = CACHE / "secgw-build"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(tree.parent, work)
    main = work / "ipsec-secgw" / "ipsec-secgw.c"
    text, n = re.subn(r"\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM", ".offloads = 0", main.read_text())
    if n != 1:
        raise meter.Failed("ipsec-secgw.c is not what it was: its port configuration was not found")
    main.write_text(text)
    flags = {k: run(["pkg-config", f"--{k}", "libdpdk"]).stdout.split() for k in ("cflags", "libs")}
    run(["cc", "-O3", *flags["cflags"], f"-march={cpu}", "-DALLOW_EXPERIMENTAL_API", "-w", "-I../common", *EXAMPLE,
         "-o", binary, *flags["libs"]], cwd=work / "ipsec-secgw", timeout=300)
    shutil.rmtree(work)
    return binary


def eal(prefix, cpu, memory, capture):
    return ["--lcores", f"0@{cpu}", "--file-prefix", prefix, "--no-pci", "--socket-mem", str(memory),
            "--force-max-simd-bitwidth=512", "--log-level", "lib.eal:warning",
            "--vdev", f"net_pcap0,rx_pcap={capture},infinite_rx=1", "--vdev", "net_null0,no-rx=1"]


def secgw_config(direction, sas, transform, style):
    kind = " type cpu-crypto" if style == "cpu" else ""
    src, dst = traffic.OUTER_SRC, traffic.OUTER_DST
    lines = []
    for d in ("out", "in"):
        a, b = (src, dst) if d == "out" else (dst, src)
        n = sas if d == direction else 1
        for i in range(n):
            host = f"{traffic.far(i)}/32" if n > 1 else "20.0.0.0/8"
            # Its SAs are numbered in one space; SPIs of both directions must differ.
            spi = traffic.SPI + i if d == direction else traffic.SPI + 0x100000
            where = f"dst {host}" if d == "out" else f"src {host}"
            lines += [f"sp ipv4 {d} esp protect {spi} pri {i + 1} {where} sport 0:65535 dport 0:65535",
                      f"sa {d} {spi} {transform.secgw_sa()} mode ipv4-tunnel src {a} dst {b}{kind}"]
    if direction == "out":
        lines += [f"rt ipv4 dst {dst}/32 port 1", "rt ipv4 dst 10.1.0.0/16 port 0"]
    else:
        lines += ["rt ipv4 dst 10.1.0.0/16 port 1", f"rt ipv4 dst {dst}/32 port 0"]
    lines.append("neigh port 1 02:00:00:00:00:02")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def program(lab, name, cmd, lcore=None):
    """Runs a DPDK program; yields the meter of its second port. lcore: the working thread, if not the main one."""
    prefix = cmd[cmd.index("--file-prefix") + 1]
    p = lab.start(cmd, name)
    try:
        telemetry = meter.Telemetry(prefix, p)
        meter.prefer(telemetry.pid)
        tids = meter.threads(telemetry.pid, [lcore]) if lcore else [telemetry.pid]
        m = meter.Meter(telemetry, 1, tids)
        try:
            m.wait_for_packets()
        except (meter.Failed, OSError, ValueError, KeyError) as e:
            raise meter.Failed(f"{name}: {e}\n{p.tail()}") from e
        yield p, m, None
        telemetry.close()
    finally:
        p.send(signal.SIGCONT)
        with contextlib.suppress(Exception):
            p.stop(timeout=5)
        with contextlib.suppress(Exception):
            p.kill()
        lab.processes.remove(p)
        for f in Path("/dev/hugepages").glob(f"{prefix}map_*"):
            f.unlink()
        shutil.rmtree(f"/run/dpdk/{prefix}", ignore_errors=True)


def running_secgw(lab, binary, cpu, direction, capture, sas, transform, style, packets):
    """style: legacy, lib (librte_ipsec), cpu (librte_ipsec with synchronous crypto)."""
    name = f"secgw-{style}"
    file = lab.dir / f"{name}.cfg"
    file.write_text(secgw_config(direction, sas, transform, style))
    unprotected = "0x2" if direction == "out" else "0x1"
    mbufs = ["-s", str(packets + 16384)] if packets > 4096 else []
    return program(lab, name, [
        binary, *eal(f"{lab.name}-{name}", cpu, 128 + packets * 3 // 1024, capture), "--vdev", f"{transform.device}0", "--",
        "-p", "0x3", "-u", unprotected, "-P", "-f", file, "--config", "(0,0,0),(1,0,0)", *mbufs,
        *([] if style == "legacy" else ["-l"])])


def running_floor(lab, cpu, capture, packets):
    """testpmd: receive and send, nothing between."""
    rest = sorted(os.sched_getaffinity(0))[0]
    args = eal(f"{lab.name}-floor", cpu, 128 + packets * 3 // 1024, capture)
    args[1] = f"0@{rest},1@{cpu}"
    return program(lab, "testpmd", [
        "dpdk-testpmd", *args, "--", "--forward-mode=io", "--auto-start", "--nb-cores=1", "--stats-period=60",
        "--no-mlockall", f"--total-num-mbufs={16384 + packets}", "--burst=64"], "rte-worker-1")


def crypto_perf(transform, direction, size, cpu):
    """The device alone, by dpdk-test-crypto-perf: cycles an operation."""
    rest = sorted(os.sched_getaffinity(0))[0]
    n = (size - 14 + 2 + 15) // 16 * 16 if transform.form == "cbc" else (size - 14 + 2 + 3) // 4 * 4
    op = "encrypt" if direction == "out" else "decrypt"
    cmd = ["dpdk-test-crypto-perf", "--lcores", f"0@{rest},1@{cpu}", "--no-pci", "--in-memory", "-m", "256",
           "--no-telemetry", "--log-level", "lib.eal:error", "--vdev", f"{transform.device}0", "--",
           "--devtype", transform.device, "--ptest", "throughput", "--silent", "--csv-friendly", "--burst-sz", "32",
           "--buffer-sz", str(n), "--total-ops", "3000000" if size < 600 else "1000000", "--desc-nb", "256",
           "--pool-sz", "1024"]
    if transform.integrity:
        cipher = "null" if transform.form == "null" else "aes-cbc"
        iv = 0 if transform.form == "null" else 16
        cmd += ["--optype", "cipher-then-auth" if op == "encrypt" else "auth-then-cipher", "--cipher-algo", cipher,
                "--cipher-op", op, "--cipher-iv-sz", str(iv), "--cipher-key-sz", str(transform.key_len),
                "--auth-algo", transform.secgw_auth, "--auth-key-sz", "64",
                "--auth-op", "generate" if op == "encrypt" else "verify",
                "--digest-sz", "12" if "sha1" in transform.name else "16"]
    else:
        algo = "chacha20-poly1305" if transform.form == "chacha" else "aes-gcm"
        cmd += ["--optype", "aead", "--aead-algo", algo, "--aead-op", op, "--aead-key-sz", str(transform.key_len - 4),
                "--aead-iv-sz", "12", "--aead-aad-sz", "8", "--digest-sz", "16"]
    out = run(cmd, check=False, timeout=60)
    rows = [line.split(",") for line in out.stdout.splitlines() if re.match(r"\s*\d+,\d+,", line.strip())]
    if not rows:
        raise meter.Failed(f"dpdk-test-crypto-perf: {out.stdout[-300:]}{out.stderr[-300:]}")
    return float(rows[-1][-1])
