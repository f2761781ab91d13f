# SPDX-License-Identifier: BSD-3-Clause
"""The log under systemd: a real journald, in a mount namespace of its own, keeps what the router says, with fields."""

import json

from lab import run
from router import Router, config, port

# journald wants the host's cgroups, which `ip netns exec` hides: the router alone is in the lab's namespace. Standard error is the journal's stream, and JOURNAL_STREAM says so, as systemd does it for a unit (systemd.exec(5)).
SERVICE = """
set -e
exec 9< "/run/netns/$5"
mount -t tmpfs tmpfs /run
mkdir -p /run/log/journal /run/systemd/journal
if [ ! -s /etc/machine-id ]; then
    tr -d - < /proc/sys/kernel/random/uuid > /run/machine-id
    mount --bind /run/machine-id /etc/machine-id
fi
/lib/systemd/systemd-journald &
journald=$!
trap "kill $journald" EXIT
until systemd-cat true 2>/dev/null; do kill -0 $journald; sleep 0.05; done
systemd-cat -t unit nsenter --net=/proc/$$/fd/9 sh -c 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"' sh "$1" -c "$2" &
router=$!
until [ -S "$3" ] || ! kill -0 $router; do sleep 0.05; done
kill $router
wait $router || echo "ended with $?" >&2
journalctl --sync 2>/dev/null || sleep 1
journalctl -D /run/log/journal -o json --no-pager _PID=$router > "$4"
"""


def test_lines_have_fields(lab):
    ns = lab.ns("r")
    router = Router(ns, config([port("lan", ["10.1.0.1/24"], devargs="net_null_lan,no-rx=1")], ipsec={"static-only": True}))
    lines = lab.dir / "journal.json"
    with router.reserve():
        run(["unshare", "-m", "bash", "-c", SERVICE, "bash", router.binary, router.file, router.socket, lines, ns.name], timeout=60)
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    ours = [e for e in entries if e.get("CYGNET_ROUTER") == router.name]
    assert ours, entries
    assert all(e["SYSLOG_IDENTIFIER"] == "cygnet" and e["PRIORITY"] in "34567" and e["_TRANSPORT"] == "journal"
               for e in ours), ours
    assert len({e["PRIORITY"] for e in ours}) > 1, ours
    assert any("Linux mirror" in e["MESSAGE"] for e in ours), [e["MESSAGE"] for e in ours]
    assert all(e["MESSAGE"] and "\n" not in e["MESSAGE"] for e in ours)
