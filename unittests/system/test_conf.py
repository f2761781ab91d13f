# SPDX-License-Identifier: BSD-3-Clause
"""What is installed beside the programs: the plugin's options as described, as installed and as read; AppArmor."""

import re
import shutil
import subprocess

import pytest

from lab import REPO

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
    if parser is None:
        pytest.skip("no apparmor_parser here (Debian's package apparmor)")
    profile = tmp_path / "profile"
    profile.write_text("#include <tunables/global>\n/usr/lib/ipsec/charon flags=(attach_disconnected) {\n"
                       + (REPO / "conf" / "apparmor" / "charon").read_text() + "}\n")
    p = subprocess.run([parser, "-Q", "-K", str(profile)], capture_output=True, text=True, check=False)
    assert p.returncode == 0, p.stderr
