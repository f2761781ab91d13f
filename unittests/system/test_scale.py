# SPDX-License-Identifier: BSD-3-Clause
"""A small ci/scale: that it works, and that no tunnel fails. How fast it is, ci/scale says."""

import pytest

import scale
from lab import Lab


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    return scale.load_tester(tmp_path_factory.mktemp("load-tester"))


@pytest.mark.parametrize("backend", scale.BACKENDS)
def test_tunnels(lab, plugin, backend):
    """load-tester's tunnels, each an IKE_SA with a CHILD_SA and an address of its own; both routers have them all."""
    scale.tunnels(lab, backend, 100, plugin, memory=256)


def test_messages(lab):
    """The plugin's link and a router without charon; all calls succeed, and at the end nothing is left."""
    result = scale.messages(lab, 500, memory=256)
    for step in "filled", "probe", "emptied":
        assert all(v["failed"] == 0 for v in result[step].values() if isinstance(v, dict)), result
    assert result["probe"]["add_sa"]["calls"] == result["router_add_sa_us"]["calls"] == 2000


def test_events_while_the_agent_is_stopped():
    """More expiries than the router keeps for a stopped agent: its memory does not grow, and none is forgotten."""
    with Lab("t-silent") as lab:
        result = scale.silent_agent(lab, 1200, seconds=8, memory=256)
    assert result["lost_while_stopped"] > 0 and result["resyncs"] >= 1
