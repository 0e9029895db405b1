"""A client of the API over TLS. It prints its pid, and the plain text of each connection as libssl had it."""
import asyncio
import base64
import http.client
import json
import os
import ssl
import sys

how, ca, port, requests = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
sent, received = bytearray(), bytearray()


class Recorded(ssl.SSLSocket):
    def send(self, data, flags=0):
        count = super().send(data, flags)
        sent.extend(memoryview(data)[:count])
        return count

    def recv_into(self, buffer, nbytes=None, flags=0):
        count = super().recv_into(buffer, nbytes, flags)
        received.extend(memoryview(buffer)[:count])
        return count


def blocking(context):
    context.sslsocket_class = Recorded
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    for method, path, body in requests:
        connection.request(method, path, None if body is None else b"b" * body, {"X-Openstack": "1.62"})
        connection.getresponse().read()
    connection.close()


async def in_memory(context):
    """asyncio speaks TLS through ssl.MemoryBIO."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    for method, path, body in requests:
        text = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {body or 0}\r\n\r\n".encode()
        for part in (text, b"b" * (body or 0)):
            if part:
                writer.write(part)
                await writer.drain()
                sent.extend(part)
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        received.extend(head + await reader.readexactly(int(lengths[0].split(b":")[1])))
    writer.close()
    await writer.wait_closed()


context = ssl.create_default_context(cafile=ca)
if how == "blocking":
    blocking(context)
else:
    asyncio.run(in_memory(context))
print(json.dumps({
    "pid": os.getpid(),
    "sent": base64.b64encode(sent).decode(),
    "received": base64.b64encode(received).decode(),
}))
