"""So many requests a second over one TLS connection, for some seconds; prints how many there were."""
import http.client
import ssl
import sys
import time

host, port, certificate, rate, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
api = http.client.HTTPSConnection(host, port, context=ssl.create_default_context(cafile=certificate), timeout=20)
started, count = time.monotonic(), 0
while time.monotonic() - started < seconds:
    api.request("GET", "/unrelated")
    api.getresponse().read()
    count += 1
    time.sleep(max(0, started + count / rate - time.monotonic()))
print(count)
