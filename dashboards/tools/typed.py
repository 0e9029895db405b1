"""Loads a dashboard into Grafana's typed model and writes it back: a key that is lost on the way is one that Grafana
does not know. Arguments: the files. Ends with 1 where a key was lost."""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(given, kept, path=""):
    """Every key of `given` that `kept` does not have, and every value that is another one there."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from lost(value, kept[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: no such key"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{path}[{index}]")
    elif given != kept:
        yield f"{path}: {given!r} became {kept!r}"


plugins.register_default_plugins()
bad = False
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        given = json.load(file)
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
    for complaint in lost(given, kept):
        print(f"{name}: {complaint}")
        bad = True
sys.exit(bad)
