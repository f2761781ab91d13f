#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""count.py meson|junit FILE: prints "passed failed skipped" of a test log. A log that is missing or that
cannot be read is one failure, and so is a program that ended before it counted its tests."""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree


def meson(path):
    passed = failed = skipped = 0
    for line in open(path):
        test = json.loads(line)
        # Check's own sum, one for each runner in the program.
        sums = re.findall(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", test.get("stdout", ""), re.M)
        bad = sum(int(f) + int(e) for _, f, e in sums)
        good = sum(int(n) for n, _, _ in sums) - bad
        if test["result"] == "SKIP":
            skipped += 1
        elif test["result"] in ("OK", "EXPECTEDFAIL") and bad == 0:
            passed += max(good, 1)
        else:
            passed += good
            failed += max(bad, 1)
    return passed, failed, skipped


def junit(path):
    suite = ElementTree.parse(path).getroot()
    suite = suite.find("testsuite") if suite.tag == "testsuites" else suite
    n = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
    bad = n["failures"] + n["errors"]
    return max(n["tests"] - bad - n["skipped"], 0), bad, n["skipped"]


if __name__ == "__main__":
    try:
        print(*{"meson": meson, "junit": junit}[sys.argv[1]](sys.argv[2]))
    except Exception as e:  # whatever it is, the suite cannot be called passed
        print(f"count.py: {sys.argv[1:]}: {e}", file=sys.stderr)
        print(0, 1, 0)
