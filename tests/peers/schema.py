"""Judges documents by JSON Schemas with jsonschema: a validator that is not ours.

Reads one JSON object from its standard input:
  {"schemas": {name: schema}, "documents": [{"schema": name, "document": …}]}
and prints a JSON list with a line for each document that its schema does not allow.
"""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker

asked = json.load(sys.stdin)
judges = {}
for name, schema in asked["schemas"].items():
    Draft202012Validator.check_schema(schema)
    judges[name] = Draft202012Validator(schema, format_checker=FormatChecker())
faults = []
for said in asked["documents"]:
    for fault in judges[said["schema"]].iter_errors(said["document"]):
        faults.append(f"{said['schema']} at {fault.json_path}: {fault.message}")
json.dump(faults, sys.stdout)
