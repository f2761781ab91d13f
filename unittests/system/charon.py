# SPDX-License-Identifier: BSD-3-Clause
"""strongSwan's charon, the distribution's own, in a namespace, with our plugin."""

import shutil
import socket
from pathlib import Path

from lab import BUILD, Failed, run, wait_for

CHARON = Path("/usr/lib/ipsec/charon")
SWANCTL = Path("/usr/sbin/swanctl")
PLUGINS = Path("/usr/lib/ipsec/plugins")
PLUGIN = BUILD / "ike" / "plugin" / "libstrongswan-kernel-cygnet.so"
AGENT = BUILD / "ike" / "agent" / "cygnet-agent"

STRONGSWAN_CONF = """\
charon {{
	load = random nonce openssl aes sha1 sha2 hmac kdf gcm pem pkcs1 x509 pubkey {backend} kernel-netlink socket-default vici
	install_virtual_ip = no
	retransmit_timeout = 1
	retransmit_base = 1.5
	{charon}
	plugins {{
		kernel-cygnet {{
			file_prefix = {prefix}
			agent = {agent}
			timeout = 10000
			{plugin}
		}}
		vici {{
			socket = unix://{socket}
		}}
	}}
	filelog {{
		log {{
			path = {log}
			flush_line = yes
			time_format = %T
			default = 1
			knl = 2
		}}
	}}
}}
swanctl {{
	load = pem pkcs1 x509 pubkey openssl random
}}
"""

# In its own mount namespace: charon has one pid file and one plugin directory, at fixed places.
MOUNTS = """\
set -e
mount --bind {plugins} /usr/lib/ipsec/plugins
mkdir -p /run/dpdk {run}/dpdk
mount --rbind /run/dpdk {run}/dpdk
mount --rbind {run} /run
exec {charon}
"""


def psk_child(name, local_ts, remote_ts, start="none", extra=""):
    """One child of psk_connection(); a traffic selector may be None: the address, or the virtual one."""
    ts = [f"{k} = {v}" for k, v in (("local_ts", local_ts), ("remote_ts", remote_ts)) if v]
    return "\n\t\t\t\t".join([f"{name} {{", *ts, "esp_proposals = aes256gcm16", f"start_action = {start}", extra]) + "\n\t\t\t}\n"


def psk_connection(name, local, remote, local_ts, remote_ts, psk, start="none", extra_child="", extra="", children=None):
    """swanctl.conf for one tunnel, or for those children, with a pre-shared key; site names are the addresses."""
    children = children or psk_child("net", local_ts, remote_ts, start, extra_child)
    return f"""
connections {{
	{name} {{
		version = 2
		local_addrs = {local}
		remote_addrs = {remote}
		proposals = aes256gcm16-prfsha384-ecp384
		{extra}
		local {{
			auth = psk
			id = {local}
		}}
		remote {{
			auth = psk
			id = {remote}
		}}
		children {{
			{children}
		}}
	}}
}}
secrets {{
	ike-{name} {{
		id-1 = {local}
		id-2 = {remote}
		secret = "{psk}"
	}}
}}
"""


class Charon:
    """prefix: the file prefix of the router that it shall key; backend: which kernel-ipsec comes first; plugin: options of ours, of
    which the time-out is ten times the usual one, for who has no cpu for a moment."""

    def __init__(self, ns, prefix, backend="kernel-cygnet", charon="", plugin=""):
        self.ns = ns
        self.lab = ns.lab
        self.dir = self.lab.dir / f"charon-{ns.short}"
        self.run = self.dir / "run"
        self.log = self.dir / "log"
        self.socket = self.run / "charon.vici"
        self.conf = self.dir / "strongswan.conf"
        self.swanctl_conf = self.dir / "swanctl.conf"
        self.process = None
        self.run.mkdir(parents=True, mode=0o700)
        self.conf.write_text(STRONGSWAN_CONF.format(
            backend=backend, prefix=prefix, agent=AGENT, socket="/run/charon.vici", log=self.log,
            charon=charon, plugin=plugin))
        plugins = self.dir / "plugins"
        shutil.copytree(PLUGINS, plugins)
        if backend == "kernel-cygnet":
            shutil.copy(PLUGIN, plugins)
        # AppArmor knows the programs by their path and would confine them to the system's directories.
        shutil.copy(CHARON, self.dir / "charon")
        shutil.copy(SWANCTL, self.dir / "swanctl")
        self.script = MOUNTS.format(plugins=plugins, run=self.run, charon=self.dir / "charon")
        self.env = {"STRONGSWAN_CONF": str(self.conf)}

    def start(self, wait=True):
        self.mark = len(self.output())
        self.process = self.ns.start("sh", "-c", self.script, name=f"charon-{self.ns.short}", env=self.env)
        if wait:
            def ready():
                if not self.process.alive():
                    raise Failed(f"charon ended with {self.process.popen.returncode}\n"
                                 f"{self.process.tail()}\n{self.tail()}")
                return self.socket.exists() and self.swanctl("--stats", check=False).returncode == 0
            wait_for("charon", ready, 20, 0.1)
        return self

    def attached(self):
        """Whether the plugin has found the router since charon was started last: before that it can negotiate nothing."""
        return "router is there" in self.output()[self.mark:]

    def listens(self):
        """Whether vici takes connections: its socket is there a moment earlier."""
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.socket)) == 0

    def swanctl(self, *args, check=True, timeout=30):
        """--uri stands behind the command, which must be swanctl's first argument."""
        env = {**self.env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return run([self.dir / "swanctl", args[0], "--uri", f"unix://{self.socket}", *args[1:]],
                   check=check, timeout=timeout, env=env)

    def load(self, conf):
        self.swanctl_conf.touch(0o600)
        self.swanctl_conf.write_text(conf)
        self.swanctl("--load-all", "--file", self.swanctl_conf)

    def initiate(self, child="net", timeout=20, check=True):
        return self.swanctl("--initiate", "--child", child, "--timeout", timeout, check=check,
                            timeout=timeout + 10)

    def terminate(self, ike, check=True):
        return self.swanctl("--terminate", "--ike", ike, "--timeout", 10, check=check)

    def sas(self):
        """swanctl's list of SAs, as text."""
        return self.swanctl("--list-sas").stdout

    def stop(self):
        return self.process.stop(timeout=15)

    def kill(self):
        """As a crash: with the pid file left, and the agent to notice by itself."""
        code = self.process.kill()
        (self.run / "charon.pid").unlink(missing_ok=True)
        return code

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=25):
        return "\n".join(self.output().splitlines()[-lines:])
