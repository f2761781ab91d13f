# SPDX-License-Identifier: BSD-3-Clause
"""Which rows there are."""

from dataclasses import dataclass

from traffic import FLOWS

SIZES = (64, 512, 1400, "imix")
GCM = ("aes128-gcm", "aes256-gcm")
ALL = ("aes128-gcm", "aes256-gcm", "chacha20-poly1305", "aes128-cbc+sha1", "aes256-cbc+sha256", "null+sha1")


@dataclass(frozen=True)
class Row:
    direction: str
    size: object  # frame bytes without FCS, or imix
    transform: str
    mode: str = "inline"
    sas: int = 1
    packets: int = FLOWS
    peers: tuple = ()  # how ipsec-secgw is run beside it
    window: int = 0  # inbound, of its SAs
    esn: bool = False
    card: bool = False  # as from a network card, which writes payloads past the caches; else from net_pcap

    @property
    def name(self):
        sas = f" {self.sas} SAs" if self.sas > 1 else ""
        source = f" of {self.packets} packets" if self.packets not in (FLOWS, self.sas) else ""
        return f"{self.mode} {self.direction} {self.transform} {self.size}{sas}{source}{' of a card' if self.card else ''}"

    @property
    def title(self):
        """The name, and of inbound rows what their SAs check: it is no word to choose rows by."""
        if self.direction == "out":
            return self.name
        window = f"window {self.window}" if self.window else "no window"
        return f"{self.name}, {window}, {'' if self.esn else 'no '}ESN"


def plan(quick):
    if quick:
        return [Row(d, s, "aes128-gcm", peers=("lib", "cpu")) for d in ("out", "in") for s in (64, 1400)] + \
               [Row("out", 64, "aes128-gcm", "dedicated")]
    rows = []
    for transform in ALL:
        for direction in "out", "in":
            for size in SIZES:
                # Which way of ipsec-secgw is the fastest differs: all are run, the best is the one to beat.
                rows.append(Row(direction, size, transform, peers=("lib", "cpu", "legacy")))
                rows.append(Row(direction, size, transform, "dedicated"))
    rows += [Row("out", s, t, "dedicated", card=True) for t in GCM for s in SIZES]
    for size in 64, 512, 1400:
        for direction in "out", "in":
            rows.append(Row(direction, size, "aes128-gcm", sas=100, peers=("lib",) if direction == "out" else ()))
            rows.append(Row(direction, size, "aes128-gcm", sas=1000, packets=1000))
            rows.append(Row(direction, size, "aes128-gcm", sas=100000, packets=100000))
    return rows


def load_rows(quick):
    """Load, latency and overload; inbound with a live window."""
    if quick:
        return [Row("in", 64, "aes128-gcm", packets=4096, window=128)]
    rows = [Row(d, s, "aes128-gcm", mode, packets=16384, window=128 if d == "in" else 0)
            for mode in ("inline", "dedicated") for d in ("out", "in") for s in (64, 1400)]
    return rows + [Row("in", 64, "aes128-gcm", packets=16384, window=w, esn=esn)
                   for w, esn in ((128, True), (131072, False), (131072, True))]
