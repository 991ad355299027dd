"""A sync during a failover of Redis to a lagging replica: Redis's state is lost, acknowledged data is not."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

from afterimage.client import NewSource
from tests.e2e.sync.test_sync_crash import Catalogue, ended
from tests.support.servers.redis_server import watched_pair
from tests.support.servers.server import start_server
from tests.support.servers.shop import FETCHING, Shop


def test_a_fail_over_to_a_replica_that_lags_costs_nothing_but_time(tmp_path: Path, shop: Shop) -> None:
    catalogue = Catalogue(shop, random.Random(5))
    with watched_pair(tmp_path) as (master, replica, url):
        server = start_server(tmp_path, "--redis-url", url, environment=FETCHING)
        with server.client(server.key("acme")) as client:
            client.create_collection("c")
            catalogue.change()
            client.create_source(NewSource("feed", "c", f"{shop.address}/feed", max_delete_share=1.0))
            assert ended(client, client.start_run("feed").run_id).state == "succeeded"
            catalogue.change()
            alarm = shop.alarm(10)
            os.kill(replica.process.pid, signal.SIGSTOP)  # it hears nothing of the next run: no lease, no epoch
            master.connection().client_kill_filter(_type="replica")
            run_id = client.start_run("feed").run_id
            assert alarm.wait(60)
            shop.open.clear()
            master.stop()
            os.kill(replica.process.pid, signal.SIGCONT)
            while replica.connection().info("replication")["role"] != "master":
                threading.Event().wait(0.05)
            shop.open.set()
            assert ended(client, run_id).state == "succeeded"
            catalogue.check(client)
            catalogue.change()
            assert ended(client, client.start_run("feed").run_id).state == "succeeded"  # the epoch went on growing
            catalogue.check(client)
        assert replica.connection().info("replication")["role"] == "master"
        assert server.stop() == 0
