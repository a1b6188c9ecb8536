# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What existing tools are tried with: ten steps over a server that knows nothing yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from callers import Grpc, Http, Refused
from conftest import MODES, key
from server import Server


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("closed", [True, False], ids=["token", "open"])
@pytest.mark.parametrize("over", [Grpc, Http], ids=["grpc", "http"])
def test_ten_steps(tmp_path: Path, mode: str, closed: bool, over: type[Grpc | Http]) -> None:
    server = Server(tmp_path / "data", mode, closed)
    caller = over(server)
    call = caller.call
    clients = [{"name": f"client-{number}"} for number in range(4)]
    topics = ["plain", "plant/pressure", "plant/a b/ü", "/slash/"]
    # 1, 2: four clients, four topics
    for client in clients:
        assert call("NewClient", client=client, key=key(mode)) == {}
    for topic in topics:
        assert call("NewTopic", topic=topic) == {}
    first, topic = clients[0], topics[1]
    page = {"offset": 0, "count": 10}
    # 3, 4: attached, and listed from both sides
    assert call("NewTopicClient", client=first, topic=topic) == {}
    assert call("GetTopicsForClient", client=first, **page) == {"topics": [topic]}
    assert call("GetClientsForTopic", topic=topic, **page) == {"clients": [first]}
    assert call("CountTopicsForClient", client=first) == {"count": "1"}
    assert call("CountClientsForTopic", topic=topic) == {"count": "1"}
    # 5, 6: detached, and gone
    assert call("RemoveTopicClient", client=first, topic=topic) == {}
    assert call("GetTopicsForClient", client=first, **page) == {"topics": []}
    assert call("GetTopicsForClient", client=first, offset=0, count=0) == {"topics": []}
    assert call("GetClientsForTopic", topic=topic, **page) == {"clients": []}
    assert call("GetClientsForTopic", topic=topic, offset=0, count=0) == {"clients": []}
    assert call("CountTopicsForClient", client=first) == {"count": "0"}
    assert call("CountClientsForTopic", topic=topic) == {"count": "0"}
    # 7, 8: a topic is removed once
    assert call("RemoveTopic", topic=topic) == {}
    with pytest.raises(Refused) as refused:
        call("RemoveTopic", topic=topic)
    assert refused.value.code == "NOT_FOUND"
    assert refused.value.status in (None, 404)
    # 9, 10: three topics and four clients are left
    assert call("CountTopics") == {"count": "3"}
    left = call("GetTopics", **page)["topics"]
    assert sorted(left) == sorted(at for at in topics if at != topic)
    assert call("CountClients") == {"count": "4"}
    assert call("GetClients", **page) == {"clients": clients}
    assert call("GetClients", offset=0, count=0) == {"clients": []}
    caller.close()
    server.stop()
