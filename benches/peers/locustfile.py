"""The journey of journey.yaml for Locust's FastHttpUser: the same extraction and expectations."""

import json
import random

from locust import FastHttpUser, constant, events, task


class Shopper(FastHttpUser):
    wait_time = constant(0)

    @task
    def purchase(self):
        listed = self.ask("GET", "/products", "list", 200)
        product, price = listed[2]["id"], listed[2]["price"]
        self.ask("GET", f"/detail/{product}", "detail", 200)["inventory_count"]
        token = self.ask("GET", "/token", "token", 200)["csrf_token"]
        headers = {"x-csrftoken": token}
        cart = self.ask("POST", "/cart", "cart", 200, headers, {"product": product, "quantity": 1, "price": price})["cart"]
        email = f"user-{random.getrandbits(32):08x}@example.com"
        self.ask("POST", "/order", "order", 201, headers, {"cart": cart, "email": email})["order"]

    def ask(self, method, path, name, expected, headers=None, body=None):
        with self.client.request(method, path, name=name, headers=headers, json=body, catch_response=True) as answer:
            if answer.status_code != expected:
                answer.failure(f"status {answer.status_code}, expected {expected}")
            return json.loads(answer.text)


@events.quitting.add_listener
def tell(environment, **_):
    total = environment.stats.total
    seconds = total.last_request_timestamp - total.start_time
    print(json.dumps({"count": total.num_requests, "rate": total.num_requests / seconds, "failures": total.num_failures}))
