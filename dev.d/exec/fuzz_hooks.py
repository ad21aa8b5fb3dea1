"""Lets most of Schemathesis's cases reach what is there: a random slug names nothing, and is a 404 each time."""

import json
import os
import random

import schemathesis

STATE = os.environ["SKEP_FUZZ_STATE"]

with open(os.path.join(STATE, "deployment"), encoding="utf-8") as file:
    DEPLOYMENT = json.load(file)["id"]

THERE = {
    "organization": "acme",
    "environment": "production",
    "app": "web",
    "deployment": DEPLOYMENT,
    "release": 1,
}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # The app has to stay for the cases that follow.
    removes_app = context.operation.label.startswith("DELETE") and context.operation.path.endswith("/apps/{app}")
    if path_parameters and not removes_app and random.random() < 0.9:
        for name, there in THERE.items():
            if name in path_parameters:
                path_parameters[name] = there
    return path_parameters
