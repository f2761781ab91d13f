# SPDX-License-Identifier: BSD-3-Clause
"""What is installed beside the programs: the plugin's options as described, as installed and as read; AppArmor; systemd's units; and
what ci/setup makes of a machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import REPO, run

PLUGIN = REPO / "ike" / "plugin"
SNIPPET = REPO / "conf" / "strongswan.d" / "charon" / "kernel-cygnet.conf"


def described():
    """Options of the .opt file with their defaults."""
    text = (REPO / "conf" / "kernel-cygnet.opt").read_text()
    found = re.findall(r"^charon\.plugins\.kernel-cygnet\.(\w+) =(.*)\n\t(\S.*)$", text, re.M)
    assert found and all(summary.endswith(".") for _, _, summary in found)
    return {name: value.strip() for name, value, _ in found}


def read():
    """Options that the code reads, with their defaults."""
    text = "".join(f.read_text() for f in PLUGIN.glob("*.c"))
    found = re.findall(r'OPTION_(?:STR|INT)\("(\w+)",\s*([^)]*)\)', text)
    assert found
    # Nobody reads one by another way.
    assert text.count("plugins.kernel-cygnet.") == 2
    return {name: value.strip('"') for name, value in found}


def test_options_are_described_as_they_are():
    opt, code = described(), read()
    assert opt.pop("load") == "10"  # strongSwan's own loader reads it
    assert set(opt) == set(code)
    for name, value in opt.items():
        want = {"CYGNET_AGENT": "/usr/libexec/cygnet/cygnet-agent", "NULL": ""}.get(code[name], code[name])
        assert value == want, name


def test_the_sample_has_each_option():
    sample = dict(re.findall(r"^ {4}(?:# )?(\w+) =(.*)$", SNIPPET.read_text(), re.M))
    opt = described()
    assert set(sample) == set(opt)
    for name, value in sample.items():
        if name != "file_prefix":  # the sample's own router
            assert value.strip() == opt[name], name


def test_options_are_in_order():
    names = list(described())
    assert names[0] == "load" and names[1:] == sorted(names[1:])


def test_apparmor_syntax(tmp_path):
    """The additions to Debian's profile, within a profile."""
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin")
    profile = tmp_path / "profile"
    profile.write_text("#include <tunables/global>\n/usr/lib/ipsec/charon flags=(attach_disconnected) {\n"
                       + (REPO / "conf" / "apparmor" / "charon").read_text() + "}\n")
    p = subprocess.run([parser, "-Q", "-K", str(profile)], capture_output=True, text=True, check=False)
    assert p.returncode == 0, p.stderr


UNITS = sorted(f.name for f in (REPO / "conf" / "systemd").iterdir())


def verify(tmp_path, name, text):
    """What systemd-analyze says of the unit, with programs that are there in place of ours."""
    for program in set(re.findall(r"/usr/(?:sbin|bin|libexec/cygnet)/cygnet[\w-]*", text)):
        text = re.sub(program + r"(?=\s)", "/usr/bin/true", text)
    assert "/true" in text
    unit = tmp_path / name.replace("@", "@site-a")
    unit.write_text(text)
    return subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, check=False)


@pytest.mark.parametrize("name", UNITS)
def test_units(tmp_path, name):
    """systemd knows each key and value of the unit; none need run for that."""
    text = (REPO / "conf" / "systemd" / name).read_text()
    p = verify(tmp_path, name, text)
    assert p.returncode == 0 and p.stderr == "", p.stderr
    # And it would say so.
    p = verify(tmp_path, name, text.replace("LimitCORE=0", "LimitCORE=none\nNoSuchKey=1"))
    assert "NoSuchKey" in p.stderr and "Failed to parse resource value" in p.stderr


@pytest.mark.parametrize("name", UNITS)
def test_units_after_a_boot(name):
    """/run is empty then. What a unit may write there systemd makes: it passes over a path with a "-" that is not there yet, and
    the path is read-only for the unit for ever."""
    text = (REPO / "conf" / "systemd" / name).read_text()
    paths = " ".join(re.findall(r"^ReadWritePaths=(.*)$", text, re.M)).split()
    assert not [p for p in paths if p.lstrip("+-").startswith(("/run", "/var/run"))]
    if "ProtectSystem=strict" in text:
        assert "dpdk" in re.search(r"^RuntimeDirectory=(.*)$", text, re.M).group(1).split()


def test_an_upgrade_restarts_each_unit():
    """A unit that goes on with the old program is refused by the new ones."""
    text = (REPO / "docs" / "operations.md").read_text()
    block = re.search(r"## Upgrades\n.*?```\n(.*?)```", text, re.S).group(1)
    restarted = re.findall(r"^systemctl restart ([\w-]+@)", block, re.M)
    assert sorted(restarted) == sorted(name.replace(".service", "") for name in UNITS)


def test_cache_is_where_setup_was_told(tmp_path):
    """CYGNET_CACHE of ci/setup counts for the build, too."""
    def setup(cache):
        return subprocess.run(["meson", "setup", tmp_path / f"build-{cache.name}", REPO, "-Dplugin_only=true", "-Dtests=false"],
                              capture_output=True, text=True, env={**os.environ, "CYGNET_CACHE": str(cache)}, check=False)
    p = setup(tmp_path / "empty")
    assert p.returncode != 0 and "no configured strongSwan tree" in p.stdout
    cache = tmp_path / "cache"
    cache.mkdir()
    there = Path(os.environ.get("CYGNET_CACHE", "/var/cache/cygnet"))
    (cache / "strongswan-5").symlink_to(sorted(there.glob("strongswan-*"))[-1])
    p = setup(cache)
    assert p.returncode == 0, p.stdout


def test_huge_pages_at_boot(tmp_path):
    """ci/setup --boot has them reserved, and changes what it wrote when told; other runs of ci/setup leave that alone."""
    def setup(*args, pages=None):
        p = run(["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/sysctl.d; shift; exec "$@"', "sh", tmp_path, REPO / "ci" / "setup", *args],
                timeout=120, env={**{k: v for k, v in os.environ.items() if k != "HUGEPAGES"}, **({"HUGEPAGES": str(pages)} if pages else {})})
        return p.stdout
    file = tmp_path / "90-cygnet.conf"
    # So many are there, and none need be reserved now.
    assert setup(pages=3) == "" and not file.exists()
    assert "3 huge pages of 2 MB at each boot" in setup("--boot", pages=3)
    assert file.read_text().endswith("\nvm.nr_hugepages = 3\n")
    assert setup("--boot", pages=3) == "" and setup("--boot") == "" and setup(pages=4) == ""
    assert file.read_text().endswith("\nvm.nr_hugepages = 3\n")
    assert setup("--boot", pages=4) != "" and file.read_text().endswith("\nvm.nr_hugepages = 4\n")
    # Others reserve more, or less: none are taken from them, unless so many are asked for.
    other = tmp_path / "10-database.conf"
    for theirs, ours in (4096, 4096), (7, 1024):
        file.unlink()
        other.write_text(f"vm.swappiness = 10\nvm.nr_hugepages={theirs}\n")
        assert f"{ours} huge pages of 2 MB at each boot" in setup("--boot")
        assert file.read_text().endswith(f"\nvm.nr_hugepages = {ours}\n")
    other.write_text("vm.nr_hugepages = 4096\n")
    assert "3 huge pages of 2 MB" in setup("--boot", pages=3)


def test_huge_pages_of_another_size():
    """Where systemd has mounted a hugetlbfs for the default size of 1 GB, those of 2 MB get one of their own."""
    if not Path("/sys/kernel/mm/hugepages/hugepages-1048576kB").exists():
        pytest.skip("this kernel has no huge pages of 1 GB")
    there = Path("/dev/hugepages-2M").exists()
    mounts = ("umount -a -t hugetlbfs && mount -t hugetlbfs -o mode=0700,pagesize=1G hugetlbfs /dev/hugepages && "
              '"$@" && "$@" && grep -c "hugetlbfs.*pagesize=2M" /proc/mounts')
    p = run(["unshare", "-m", "sh", "-c", mounts, "sh", REPO / "ci" / "setup"], timeout=120, env={**os.environ, "HUGEPAGES": "3"})
    assert p.stdout == "setup: mounted hugetlbfs at /dev/hugepages-2M\n1\n"
    if not there:
        os.rmdir("/dev/hugepages-2M")


STUBS = {
    # All are there but those of a file's list.
    "dpkg-query": """[ "$3" != '${db:Status-Status} ${Package}\\n' ] || { shift 3; printf '%s\\n' "$@" | grep -vxFf "$STUBS/missing" |
sed 's/^/installed /'; exit; }
exec /usr/bin/dpkg-query "$@"
""",
    "apt-get": """[ "$1" = install ] || exit 0
cp "$STUBS/policy-rc.d" "$STUBS/policy-then"
case $APT in cut) kill -KILL $PPID ;; *) exit $APT ;; esac
""",
    "systemctl": 'echo "$*" >>"$STUBS/systemctl-said"\n',
}


@pytest.mark.parametrize("apt, own", [("0", True), ("1", True), ("cut", True), ("1", False)])
def test_services_of_packages(tmp_path, apt, own):
    """What comes with the packages is neither started nor enabled, however ci/setup ended."""
    policy, said = tmp_path / "policy-rc.d", tmp_path / "systemctl-said"
    for name, text in STUBS.items():
        (tmp_path / name).write_text("#!/bin/sh\n" + text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "missing").write_text("strongswan-starter\napparmor\n")
    (tmp_path / "setup").write_text((REPO / "ci" / "setup").read_text().replace("/usr/sbin/policy-rc.d", str(policy)))
    if not own:
        policy.write_text("#!/bin/sh\nexit 101\n")

    def setup():
        return run(["bash", tmp_path / "setup"], check=False, timeout=120,
                   env={**os.environ, "HUGEPAGES": "3", "STUBS": str(tmp_path), "APT": apt, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    p = setup()
    assert p.returncode == {"0": 0, "1": 1, "cut": -9}[apt], p
    assert "exit 101" in (tmp_path / "policy-then").read_text()
    if apt == "cut":
        assert not said.exists() and os.access(policy, os.X_OK)
        (tmp_path / "missing").write_text("none\n")
        p = setup()
        assert p.returncode == 0 and "cut off" in p.stdout
    assert said.read_text() == "disable strongswan-starter.service\ndisable apparmor.service\n"
    assert policy.exists() != own
