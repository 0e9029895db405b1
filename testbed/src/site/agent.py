"""What ironic-python-agent does as far as its callback URL depends on it: files, environment, proxy, routes, heartbeats.

TEST_AGE=2016 makes it the agent of that year: it takes its address from text, whatever its files say. TEST_NO_LOOKUP is
the node's UUID and its token: it has looked up long ago.
"""
import configparser
import http.client
import http.server
import ipaddress
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

# What oslo.config reads where no directory is given (oslo_config/cfg.py, find_config_dirs).
DIRECTORIES = ["/etc/ironic-python-agent/ironic-python-agent.conf.d", "/etc/ironic-python-agent.conf.d"]


def arguments(name):
    words = sys.argv[1:]
    apart = [value for word, value in zip(words, words[1:]) if word == name]
    return apart + [word.split("=", 1)[1] for word in words if word.startswith(name + "=")]


def option(name):
    """The arguments go first, then the environment, then the files; of those the last one counts."""
    given = arguments("--" + name.replace("_", "-")) + arguments("--" + name)
    if given:
        return given[-1]
    variable = "OS_DEFAULT__" + name.upper()
    if variable in os.environ:
        return os.environ[variable]
    found = None
    for directory in arguments("--config-dir") or DIRECTORIES:
        for file in sorted(pathlib.Path(directory).glob("*.conf")):
            parser = configparser.RawConfigParser()
            parser.read(file)
            found = parser.defaults().get(name, found)
    return found


def connect():
    """To Ironic, or to the proxy of the environment, as Python's requests."""
    there = urllib.parse.urlsplit(api)
    proxy = urllib.request.getproxies().get("http")
    if proxy is None or urllib.request.proxy_bypass(there.hostname):
        return http.client.HTTPConnection(there.hostname, there.port, timeout=30), ""
    proxy = urllib.parse.urlsplit(proxy)
    return http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=30), api


def request(method, path, version, body=None):
    """All on one connection, as IPA's."""
    headers = {"X-OpenStack-Ironic-API-Version": version, "Content-Type": "application/json"}
    try:
        connection.request(method, before_path + path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        raise
    if answer.status >= 400:
        raise OSError(f"{answer.status} {text}")
    return json.loads(text or b"null")


def macs():
    links = subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout
    return ",".join(link["address"] for link in json.loads(links) if link.get("link_type") == "ether")


def look_up():
    if "TEST_NO_LOOKUP" in os.environ:
        return (*os.environ["TEST_NO_LOOKUP"].split(), 300)
    while True:
        try:
            found = request("GET", "/v1/lookup?addresses=" + macs(), "1.62")
            config = found["config"]
            return found["node"]["uuid"], config["agent_token"], config["heartbeat_timeout"]
        except (OSError, http.client.HTTPException) as error:
            print("lookup:", error, file=sys.stderr)
            time.sleep(1)


def host():
    """Of the route's text (ironic_python_agent/agent.py): that of 2016 took what it found, the present one dies of it."""
    given = None if "TEST_AGE" in os.environ else option("advertise_host")
    if given is not None:
        return given
    there = urllib.parse.urlsplit(api).hostname
    text = subprocess.run(["ip", "route", "get", there], capture_output=True, check=True, text=True).stdout
    source = text.strip().split("\n")[0].split("src")[1].strip()
    return source if "TEST_AGE" in os.environ else str(ipaddress.ip_address(source.split()[0]))


class Status(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"started_at": started, "version": "13.0.0"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


started = time.time()
api = arguments("--api-url")[0]
connection, before_path = connect()
print("begun", flush=True)
uuid, token, timeout = look_up()
url = f"http://{host()}:9999"
threading.Thread(target=Server(("::", 9999), Status).serve_forever, daemon=True).start()
while True:
    try:
        beat = {"callback_url": url, "agent_token": token, "agent_version": "13.0.0"}
        request("POST", "/v1/heartbeat/" + uuid, "1.68", beat)
    except (OSError, http.client.HTTPException) as error:
        print("heartbeat:", error, file=sys.stderr)
    # The pauses of ironic_python_agent/agent.py, `min_jitter_multiplier` and `max_jitter_multiplier`.
    time.sleep(timeout * random.uniform(0.3, 0.6))
