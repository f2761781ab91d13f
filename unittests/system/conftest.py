# SPDX-License-Identifier: BSD-3-Clause
import re
import sys

import pytest

sys.dont_write_bytecode = True

from lab import Lab  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the ends of the logs of the lab's processes into the report of a failure."""
    report = (yield).get_result()
    if report.failed:
        for value in item.funcargs.values():
            lab = value if isinstance(value, Lab) else getattr(value, "lab", None)
            if isinstance(lab, Lab):
                report.sections.append(("processes", lab.logs()))
                break


def lab_name(name):
    """Short, for the names of network namespaces and sockets; a process runs one test at a time."""
    name = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("test_", ""))[:15]
    return "t-" + name.strip("-")


@pytest.fixture
def lab(request):
    with Lab(lab_name(request.node.name)) as made:
        yield made


@pytest.fixture(scope="module")
def module_lab(request):
    with Lab(lab_name(request.node.path.stem)) as made:
        yield made
