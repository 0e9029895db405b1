"""IPA's first exchanges, over http or https: lookup and heartbeat. It prints the statuses of the answers."""
import http.client
import json
import ssl
import sys
import time

scheme, port, mac, node, url = sys.argv[1:]
if scheme == "https":
    context = ssl._create_unverified_context()
    api = http.client.HTTPSConnection("10.0.2.2", int(port), context=context, timeout=60)
else:
    api = http.client.HTTPConnection("10.0.2.2", int(port), timeout=60)
headers = {"X-OpenStack-Ironic-API-Version": "1.68", "Content-Type": "application/json"}
api.request("GET", f"/v1/lookup?addresses={mac}", headers=headers)
lookup = api.getresponse()
token = json.load(lookup)["config"]["agent_token"]
body = json.dumps({"callback_url": url, "agent_token": token, "agent_version": "13.0.0"})
api.request("POST", f"/v1/heartbeat/{node}", body, headers)
beat = api.getresponse()
beat.read()
# IPA keeps its connection open. The kernel knows whose a connection is only as long as it is there.
time.sleep(3)
print(lookup.status, beat.status)
