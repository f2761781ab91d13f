# SPDX-License-Identifier: BSD-3-Clause
"""Manual pages say what the programs know, and are clean; the JSON Schema of ike files takes the good and refuses the bad."""

import json
import os
import re

import pytest
import yaml

from ike import ike_file
from lab import BUILD, REPO, run
from sites import PLAN

CTL = BUILD / "ctl" / "cygnetctl"
PAGES = {name: REPO / "docs" / f"{name}.8" for name in ("cygnet", "cygnetctl", "cygnetctl-ike", "cygnet-agent", "cygnet-site")}
MADE = {"cygnet-ike": BUILD / "ctl" / "cygnet-ike.5", "router.yaml": BUILD / "docs" / "router.yaml.5",
        "kernel-cygnet": BUILD / "docs" / "kernel-cygnet.5"}


def text(page):
    """What is to be read of a page, without what makes it look so."""
    return re.sub(r"\\f[BIRP]|\\-|\\&", lambda m: "-" if m[0] == r"\-" else "", page.read_text().replace(r"\(aq", "'"))


def lint(page):
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"}
    p = run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], env=env)
    return p.stderr


@pytest.mark.parametrize("name", [*PAGES, *MADE])
def test_page_is_clean(name):
    assert lint(PAGES.get(name) or MADE[name]) == ""


def test_what_is_not_clean_is_seen(tmp_path):
    page = tmp_path / "bad.8"
    page.write_text(".TH BAD 8\n.SH NAME\nbad \\- is\n.nosuch macro\n")
    assert "nosuch" in lint(page)


def words_of(*cmd):
    return [m[1] for m in re.finditer(r"^  (\w+(?: (?:stats|picture))?) ", run([*cmd, "--help"]).stdout, re.M)]


def helps():
    """(page, whose help, the help)"""
    yield "cygnet", "cygnet", run([BUILD / "cygnet", "--help"]).stdout
    yield "cygnet-agent", "cygnet-agent", run([BUILD / "ike" / "agent" / "cygnet-agent", "--help"]).stdout
    yield "cygnet-site", "cygnet-site", run([REPO / "conf" / "cygnet-site", "-h"]).stdout
    for words, page, cmd in ((words_of(CTL), "cygnetctl", [CTL]), (words_of(CTL, "ike"), "cygnetctl-ike", [CTL, "ike"])):
        assert len(words) > 8
        for word in words:
            if word != "ike":
                yield page, word, run([*cmd, *word.split(), "--help"]).stdout


def test_help_is_that_of_what_it_was_asked_of():
    for cmd in ([CTL], [CTL, "ike"]):
        for word in words_of(*cmd):
            said = run([*cmd, *word.split(), "--help"]).stdout
            who = " ".join(["ike"] * (len(cmd) > 1) + [word])
            assert re.match(rf"usage: cygnetctl (\[OPTION\.\.\.\] )?{who}\b", said), who
            assert run([*cmd, "--help", *word.split()]).stdout == said
    group = run([CTL, "graph", "--help"]).stdout
    assert group.startswith("usage: cygnetctl [OPTION...] graph ")
    assert words_of(CTL, "graph") == ["graph stats", "graph picture"]
    for words in (["nonsense"], ["ike", "nonsense"]):
        p = run([CTL, *words, "--help"], check=False)
        assert p.returncode == 2 and "'nonsense'" in p.stderr and p.stdout == ""


def test_each_option_is_in_its_page():
    missing = []
    for page, who, said in helps():
        options = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", "\n".join(
            line for line in said.splitlines() if re.match(r"\s+-", line)).replace("=", " ")))
        assert options, who
        # Of a line "-j, --json   print ..." what stands before the text.
        options = {o for line in said.splitlines() if re.match(r"\s+-", line)
                   for o in re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", re.split(r"\s{2,}", line.strip())[0])}
        if page != who and not re.search(rf"(?<![\w-]){re.escape(who)}(?![\w-])", text(PAGES[page])):
            missing.append((page, who))
        missing += [(page, who, o) for o in sorted(options)
                    if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", text(PAGES[page]))]
    assert missing == []


def test_each_key_of_the_router_is_in_its_page():
    keys = set(re.findall(r'^\t(?:STRING|STRING_OPT|MAP_OPT|LIST_OPT|LIFETIME)\("([\w-]+)"',
                          (REPO / "graph" / "config_schema.c").read_text(), re.M))
    assert len(keys) > 60
    page = text(MADE["router.yaml"])
    assert [k for k in sorted(keys) if not re.search(rf"(?<![\w-]){k}(?![\w-])", page)] == []


def test_each_option_of_the_plugin_is_in_its_page():
    opt = re.findall(r"^charon\.plugins\.kernel-cygnet\.(\w+) =", (REPO / "conf" / "kernel-cygnet.opt").read_text(), re.M)
    assert len(opt) > 5 and all(o in text(MADE["kernel-cygnet"]) for o in opt)


def broken(change):
    doc = ike_file(PLAN["a"], PLAN["b"])
    change(doc["ipsec"])
    return doc


BAD = {
    "unknown key": lambda i: i["tunnels"][0].update(nosuch=1),
    "a list that is none": lambda i: i.update(gateways={"name": "x"}),
    "no name": lambda i: i["gateways"][0].pop("name"),
    "a word that is none of them": lambda i: i["child-policies"][0].update(mode="tunel"),
    "a number that is text": lambda i: i["child-policies"][0].update({"replay-window": "many"}),
    "another method": lambda i: i["ike-policies"][0]["authentication"].update(method="magic"),
}


def test_schema():
    """An implementation of JSON Schema that is not ours takes what ike check takes, and refuses what it refuses."""
    jsonschema = pytest.importorskip("jsonschema", reason="Debian's python3-jsonschema is not installed")
    schema = json.loads(run([CTL, "ike", "schema"]).stdout)
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    check = validator(schema)
    good = [ike_file(PLAN["a"], PLAN["b"]), yaml.safe_load((REPO / "conf" / "router.ike.yaml").read_text()), {"ipsec": {}},
            *map(yaml.safe_load, re.findall(r"```yaml\n(ipsec:\n.*?)```", (REPO / "docs" / "ike.md").read_text(), re.S))]
    assert len(good) > 3
    for doc in good:
        assert [e.message for e in check.iter_errors(doc)] == []
    for name, change in BAD.items():
        assert list(check.iter_errors(broken(change))), name


@pytest.mark.parametrize("name", BAD)
def test_what_the_schema_refuses_check_refuses(name, tmp_path):
    file = tmp_path / "ike.yaml"
    file.touch(0o600)
    file.write_text(yaml.safe_dump(broken(BAD[name])))
    p = run([CTL, "ike", "check", file], check=False)
    assert p.returncode == 1 and f"{file}:" in p.stderr + p.stdout


def test_each_drop_reason_is_explained():
    """Those of nodes/drop.h are the rows of the document's table, each once."""
    known = re.findall(r'X\(\w+,\s*"([^"]+)"', (REPO / "nodes" / "drop.h").read_text())
    section = re.search(r"\n## Why packets are dropped\n(.*?)\n## ", (REPO / "docs" / "operations.md").read_text(), re.S).group(1)
    assert len(known) > 50
    assert sorted(re.findall(r"^\| ([a-z][a-z0-9-]+) \|", section, re.M)) == sorted([*known, "reason"])
