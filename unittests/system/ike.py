# SPDX-License-Identifier: BSD-3-Clause
"""cygnetctl ike: a site's tunnels from one YAML file."""

import json

import yaml

from lab import run
from router import CYGNETCTL

PSK = "quick-start-of-two-sites"


def ike_file(me, peer, tunnels=None, **policy):
    """The issue's file, for one site; tunnels: name to what differs of it."""
    tunnels = {"ipsec-tunnel-1": {}} if tunnels is None else tunnels
    return {"ipsec": {
        "ike-policies": [{
            "name": "ike-policy-1", "ike-version": "v2",
            "proposals": [{"encryption": "aes256-gcm", "integrity": "none", "prf": "sha384", "dh-group": "ecp384"}],
            "rekey-time": 14400, "mobike": False, "nat-traversal": False,
            "authentication": {"method": "pre-shared-key", "local-id": me["wan"], "remote-id": peer["wan"],
                               "pre-shared-key": PSK},
            **policy}],
        "child-policies": [{
            "name": "child-policy-1", "proposals": [{"encryption": "aes256-gcm", "dh-group": "ecp384", "esn": True}],
            "mode": "tunnel", "local-ts": [me["net"]], "remote-ts": [peer["net"]], "rekey-time": 3600,
            "life-bytes": "500G", "replay-window": 1024, "dpd-action": "restart"}],
        "gateways": [{"name": "ike-gw-1", "ike-policy": "ike-policy-1", "local-address": me["wan"],
                      "remote-address": peer["wan"], "connection-type": "unicast"}],
        "tunnels": [{"name": name, "gateway": "ike-gw-1", "child-policy": "child-policy-1", "enable": True, **more}
                    for name, more in tunnels.items()]}}


class Ike:
    """cygnetctl ike at a site."""

    def __init__(self, site):
        self.site = site
        self.file = site.lab.dir / f"ike-{site.ns.short}.yaml"

    def write(self, doc, mode=0o600):
        text = doc if isinstance(doc, str) else yaml.safe_dump(doc, sort_keys=False)
        self.file.touch(0o600)
        self.file.write_text(text)
        self.file.chmod(mode)

    def run(self, *words, check=True, **kw):
        return run([CYGNETCTL, "ike", *words, "--uri", self.site.charon.socket], check=check, timeout=60, **kw)

    def load(self, doc=None, *options, **kw):
        if doc is not None:
            self.write(doc)
        return self.run("load", self.file, *options, **kw)

    def status(self):
        return {t["tunnel"]: t for t in json.loads(self.run("--json", "status").stdout)}

    def spis(self):
        return {name: (t["spi_in"], t["spi_out"]) for name, t in self.status().items() if t["state"] == "up"}
