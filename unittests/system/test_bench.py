# SPDX-License-Identifier: BSD-3-Clause
"""ci/bench: which rows there are, what is played, what the tables say, and one row measured. How fast, ci/bench says."""

import json
import shutil
import struct
import sys
from pathlib import Path

import pytest

from lab import REPO, run

sys.path.append(str(REPO / "bench"))

import report  # noqa: E402
import rows  # noqa: E402
import traffic  # noqa: E402
import transforms  # noqa: E402


def test_plan():
    plan = rows.plan(False)
    names = [r.name for r in plan]
    assert len(set(names)) == len(names)
    basic = {(r.direction, r.size, r.transform, r.mode) for r in plan if r.sas == 1 and r.packets == traffic.FLOWS}
    assert basic == {(d, s, t, m) for d in ("out", "in") for s in (64, 512, 1400, "imix")
                     for t in transforms.TRANSFORMS for m in ("inline", "dedicated")}
    for n in 100, 1000, 100000:
        assert {(r.direction, r.size) for r in plan if r.sas == n} == {(d, s) for d in ("out", "in") for s in (64, 512, 1400)}
    quick = {r.name for r in rows.plan(True)}
    assert quick <= set(names)


def test_load_rows_name_window_and_esn():
    load = rows.load_rows(False)
    assert {(r.mode, r.direction, r.size) for r in load} == \
        {(m, d, s) for m in ("inline", "dedicated") for d in ("out", "in") for s in (64, 1400)}
    assert {(r.window, r.esn) for r in load if r.direction == "in"} == \
        {(128, False), (128, True), (131072, False), (131072, True)}
    assert rows.Row("in", 64, "aes128-gcm", window=128, esn=True).title.endswith("64, window 128, ESN")
    assert rows.Row("in", 64, "aes128-gcm").title.endswith("64, no window, no ESN")
    assert rows.Row("out", 64, "aes128-gcm").title == "inline out aes128-gcm 64"


def frames_of(path):
    data, at = path.read_bytes(), 24
    while at < len(data):
        n = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16:at + 16 + n]
        at += 16 + n


def test_capture_in_clear(tmp_path):
    path = traffic.capture(tmp_path / "c.pcap", "out", "imix", 100, transforms.TRANSFORMS["aes128-gcm"], 240)
    frames = list(frames_of(path))
    assert len(frames) == 240
    assert {n: sum(len(f) == n for f in frames) for n in (64, 570, 1400)} == {64: 140, 570: 80, 1400: 20}
    assert len({f[30:34] for f in frames}) == 100


@pytest.mark.parametrize("esn", (False, True))
@pytest.mark.parametrize("name", transforms.TRANSFORMS)
def test_capture_sealed(tmp_path, name, esn):
    """Numbers rise from 1 for each SA, and what is inside is the frame of that size without its Ethernet header."""
    t = transforms.TRANSFORMS[name]
    last = {}
    for frame in frames_of(traffic.capture(tmp_path / "s.pcap", "in", 64, 3, t, 30, esn)):
        esp = frame[34:]
        spi, seq = struct.unpack_from(">II", esp)
        assert seq == last.get(spi, 0) + 1
        last[spi] = seq
        clear, next_header = t.esp(spi, esn).open(esp)[-2:]
        assert (len(clear), next_header) == (50, 4)
    assert last == {traffic.SPI + i: 10 for i in range(3)}


def program(cycles):
    return {"cycles": cycles, "median": cycles + 5, "spread": 3.0, "mpps": 2100 / cycles, "gbps": 1.0,
            "nodes": {"port-tx": 20.0, "crypto-submit": 100.0}}


def entry(row, **programs):
    return {"row": row.__dict__, "name": row.name, "title": row.title, "programs": {k: program(v) for k, v in programs.items()}}


def result_of(entries):
    return {"rows": entries, "floor": {}, "crypto": {"aes128-gcm out 64": 50.0}, "load": [], "fixed": {},
            "machine": {"tsc_ghz": 2.1}}


def test_table_and_targets():
    row = rows.Row("out", 64, "aes128-gcm")
    dedicated = rows.Row("out", 64, "aes128-gcm", "dedicated")
    result = result_of([entry(row, cygnet=200.0, **{"secgw-lib": 300.0, "secgw-cpu": 250.0}),
                        entry(dedicated, cygnet=160.0, **{report.INLINE: 210.0})])
    lines = report.table(result).splitlines()
    assert lines[0].split()[:2] == ["row", "cycles"]
    assert lines[1].startswith("inline out aes128-gcm 64 ") and lines[1].split()[-2:] == ["250", "1.25"]
    assert {what: (wanted, round(got, 3)) for what, wanted, got in report.targets(result)} == {
        "inline out aes128-gcm 64 against secgw-cpu": (1.2, 1.25),
        # The slower of inline - crypto + 40 and 1.1 x crypto + 40, by what inline spent on crypto at the same time.
        "dedicated out aes128-gcm 64 against its limit": (0.85, round(150 / 160, 3)),
    }


def test_many_sas_against_one():
    """In one row, so at one time."""
    row = rows.Row("out", 64, "aes128-gcm", sas=100)
    result = result_of([entry(row, cygnet=250.0, **{report.ONE: 200.0}), entry(rows.Row("in", 512, "aes128-gcm", sas=1000), cygnet=1.0)])
    assert report.targets(result) == [("inline out aes128-gcm 64 100 SAs against one SA", 0.85, 0.8)]


def test_plots(tmp_path):
    if shutil.which("gnuplot") is None:
        pytest.skip("no gnuplot: ci/setup --bench installs it")
    entries = [entry(rows.Row("out", size, "aes128-gcm"), cygnet=200.0) for size in (64, 1400)]
    report.plot(result_of(entries), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"size.svg", "lcores.svg"}
    assert all(b"</svg>" in p.read_bytes() for p in tmp_path.iterdir())


def test_a_row(tmp_path):
    """A real router, seal and open: every node that a packet passes has its cycles."""
    out = tmp_path / "b.json"
    run([REPO / "ci" / "bench", "--quick", "--only", "aes128-gcm 64", "--no-peers", "--polite", "--intervals", "4", "--seconds", "0.2",
         "--json", out],
        timeout=120)
    result = json.loads(Path(out).read_text())
    assert {e["name"] for e in result["rows"]} == {"inline out aes128-gcm 64", "inline in aes128-gcm 64",
                                                   "dedicated out aes128-gcm 64"}
    for e in result["rows"]:
        ours = e["programs"]["cygnet"]
        assert ours["intervals"] > 0 and ours["cycles"] > 0
        assert {"port-tx", "esp-encrypt" if e["row"]["direction"] == "out" else "esp-decrypt"} <= ours["nodes"].keys()
    (load,) = result["load"]
    assert load["row"]["window"] == 128 and load["overload"]["left"] > 0
