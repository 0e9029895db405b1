"""Microseconds for one SSL_write of 1000 bytes, a line for each part. The TLS session stays in this process."""
import ssl
import sys
import time

certificate, key, parts, writes = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4])
to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = context.wrap_bio(to_server, to_client, server_side=True)
client = ssl.create_default_context(cafile=certificate).wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
done = set()
while len(done) < 2:
    for side in {client, server} - done:
        try:
            side.do_handshake()
            done.add(side)
        except ssl.SSLWantReadError:
            pass
text = b"x" * 1000
for part in range(parts + 1):
    started = time.perf_counter()
    for _ in range(writes):
        client.write(text)
        to_server.read()
    if part > 0:  # The first one warms up.
        print((time.perf_counter() - started) / writes * 1e6)
