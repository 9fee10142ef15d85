"""The locustfile is load as users make it, and the facade answers it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_users_of_the_locustfile_are_answered(facade):
    command = ["-f", "benchmarks/load/locustfile.py", "--headless", "--json", "--host", facade.url]
    command += ["--users", "2", "--spawn-rate", "2", "--run-time", "6s", "--stop-timeout", "60s"]
    ran = subprocess.run([sys.executable, "-m", "locust", *command], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    asked = {each["name"]: each for each in json.loads(ran.stdout)}
    assert asked["/v1/harmonize"]["num_requests"] > 0
    assert not any(each["num_failures"] for each in asked.values())
