"""Keystone behind Python's own web server: server.py ADDRESS PORT."""
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

address, port = sys.argv[1], int(sys.argv[2])
sys.argv = ["keystone"]
from keystone.wsgi.api import application  # noqa: E402


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, form, *values):
        sys.stdout.write("%s\n" % (form % values))
        sys.stdout.flush()


make_server(address, port, application, Server, Handler).serve_forever()
