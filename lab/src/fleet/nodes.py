"""Fills a running Ironic's database with copies of its first node: nodes.py DATABASE COUNT.

Of each hundred 90 are active, 5 in clean wait with a good agent_url, 2 in wait call-back with a bad one, 3 have failed to
clean by a bad one, which only their history tells. Ironic sees them at once.
"""
import datetime
import json
import sqlite3
import sys
import uuid

SEED = "http://172.25.134.128%20uid%200:9999"
TEXT = (
    "Node failed to start the first cleaning step: Connection to agent failed: Failed to connect to the agent running on "
    "node {uuid} for invoking command clean.get_clean_steps. Error: HTTPConnectionPool(host='172.25.134.128%20uid%200', "
    "port=9999): Max retries exceeded with url: /v1/commands/?wait=true&agent_token=not-a-real-token-of-this-node (Caused "
    "by NameResolutionError(\"Failed to resolve '172.25.134.128%20uid%200' ([Errno -2] Name or service not known)\"))"
)
STEPS = [
    {"step": step, "priority": 10, "interface": "deploy", "abortable": True, "argsinfo": None, "requires_ramdisk": True}
    for step in ("erase_devices", "erase_devices_metadata", "burnin_cpu", "burnin_disk", "burnin_memory",
                 "burnin_network", "create_configuration", "delete_configuration", "erase_pstore")
]

database = sqlite3.connect(sys.argv[1], timeout=60)
database.row_factory = sqlite3.Row
template = dict(database.execute("select * from nodes order by id limit 1").fetchone())
columns = [name for name in template if name != "id"]
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat(sep=" ")
nodes, events = [], []
for number in range(int(sys.argv[2]) - 1):
    node = dict(template, uuid=str(uuid.uuid4()), name="rack%03d-u%02d" % (number // 40, number % 40),
                power_state="power on", provision_updated_at=now, reservation=None, last_error=None)
    heard = {"agent_version": "13.0.0", "agent_last_heartbeat": now.replace(" ", "T"), "agent_secret_token": "x" * 43,
             "agent_cached_clean_steps": {"deploy": STEPS}}
    kept = {"agent_cached_deploy_steps": {"deploy": STEPS}, "is_whole_disk_image": True, "root_uuid_or_disk_id": "0x1"}
    share = number % 100
    if share < 90:
        node["provision_state"], info = "active", kept
    elif share < 95:
        address = "10.%d.%d.%d" % (number >> 16 & 255, number >> 8 & 255, number & 255 or 1)
        node["provision_state"], info = "clean wait", dict(heard, agent_url="https://%s:9999" % address)
    elif share < 97:
        node["provision_state"], info = "wait call-back", dict(heard, agent_url=SEED)
    else:
        node["provision_state"], info = "clean failed", kept
        events.append((node["uuid"], TEXT.format(uuid=node["uuid"])))
    node["driver_internal_info"] = json.dumps(info)
    nodes.append([node[name] for name in columns])
marks = ",".join("?" * len(columns))
database.executemany("insert into nodes(%s) values(%s)" % (",".join(columns), marks), nodes)
ids = dict(database.execute("select uuid, id from nodes"))
database.executemany(
    "insert into node_history(uuid, node_id, conductor, event_type, severity, event, created_at, version) "
    "values(?, ?, 'testbed-conductor', 'cleaning', 'ERROR', ?, ?, '1.0')",
    [(str(uuid.uuid4()), ids[node], text, now) for node, text in events],
)
database.commit()
