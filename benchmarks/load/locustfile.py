"""Users as `locust` has them, of a facade or of the balancer before several:

    locust -f benchmarks/load/locustfile.py --host http://localhost:8080 --users 8 --headless --run-time 60s

Each harmonizes the generated scene, by its words or by a mask as the server can, and now and then looks at what there
is. A user who is refused waits for as long as the answer says. `CONCORD_KEY` is the key, where one is asked for.
"""

import os
import time

from locust import HttpUser, between, task
from locust.exception import StopUser

from concord.scenes.encoded import scene, scene_jpeg, scene_mask

REFUSED = (429, 502, 503)
SIDE = 512


class Visitor(HttpUser):
    """Somebody who looks at each picture before the next."""

    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        """Learns what the server harmonizes by; ends the user where it harmonizes nothing."""
        if key := os.environ.get("CONCORD_KEY"):
            self.client.headers["Authorization"] = f"Bearer {key}"
        models = self.client.get("/v1/models").json()["data"]
        inputs = {each["name"] for model in models if model["task"] == "harmonize" for each in model["inputs"]}
        if not inputs:
            raise StopUser
        self.files = {"image": ("scene.jpg", scene_jpeg(SIDE, SIDE), "image/jpeg")}
        self.words = {"text": scene().expression} if "text" in inputs else {}
        if not self.words:
            self.files["mask"] = ("mask.png", scene_mask(SIDE, SIDE), "image/png")

    @task(9)
    def harmonize(self) -> None:
        with self.client.post(
            "/v1/harmonize", data=self.words, files=self.files, catch_response=True, name="/v1/harmonize"
        ) as answer:
            if answer.status_code in REFUSED:
                # A line of its own in the statistics: no failure of the server's, but a wait of the user's.
                answer.request_meta["name"] += ", told to wait"
                answer.success()
                # This user alone sleeps: Locust has put its own in the place of the clock's.
                time.sleep(float(answer.headers.get("Retry-After", 1)))
            elif answer.ok and not answer.headers["content-type"].startswith("image/"):
                answer.failure(f"no picture but {answer.headers['content-type']}")

    @task(1)
    def look(self) -> None:
        self.client.get("/v1/models")
