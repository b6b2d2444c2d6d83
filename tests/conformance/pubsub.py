"""Google's own Python client of Pub/Sub against the broker at the address given, over gRPC and over REST."""

import os
import sys

endpoint = sys.argv[1]
os.environ["PUBSUB_EMULATOR_HOST"] = endpoint.removeprefix("http://")

from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient, SubscriberClient


def check(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r} instead of {expected!r}")


def refused(what, error, call):
    try:
        call()
    except error:
        return
    sys.exit(f"{what} was not refused")


# The hand-written client, over gRPC: it finds the broker by PUBSUB_EMULATOR_HOST.
publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
topic, name = publisher.topic_path("demo", "python"), subscriber.subscription_path("demo", "python-sub")
publisher.create_topic(name=topic)
refused("a second topic of that name", exceptions.AlreadyExists, lambda: publisher.create_topic(name=topic))
subscriber.create_subscription(name=name, topic=topic, ack_deadline_seconds=20)
ids = [publisher.publish(topic, f"report {number}".encode(), origin="lab").result(60) for number in range(10)]
check("distinct ids", len(set(ids)), 10)
seen = []
future = subscriber.subscribe(name, callback=lambda message: (seen.append(message.data), message.ack()))
for _ in range(600):
    if len(set(seen)) >= 10:
        break
    try:
        future.result(0.1)
    except TimeoutError:
        pass
future.cancel()
future.result()
check("streamed", sorted(set(seen)), sorted(f"report {number}".encode() for number in range(10)))
refused("an unknown topic", exceptions.NotFound, lambda: publisher.get_topic(topic=publisher.topic_path("demo", "nobody")))

# The generated client, over REST.
options = ClientOptions(api_endpoint=endpoint)
rest = {"transport": "rest", "client_options": options, "credentials": AnonymousCredentials()}
publisher, subscriber = PublisherClient(**rest), SubscriberClient(**rest)
name = "projects/demo/subscriptions/rest-sub"
subscriber.create_subscription(request={"name": name, "topic": topic, "retry_policy": {"minimum_backoff": "1s"}})
check("found", subscriber.get_subscription(subscription=name).retry_policy.minimum_backoff.total_seconds(), 1)
published = publisher.publish(topic=topic, messages=[{"data": b"\x00\xff", "attributes": {"kind": "bytes"}}])
pulled = subscriber.pull(subscription=name, max_messages=10).received_messages
check("pulled", [(one.message.data, one.message.message_id) for one in pulled], [(b"\x00\xff", published.message_ids[0])])
subscriber.modify_ack_deadline(subscription=name, ack_ids=[pulled[0].ack_id], ack_deadline_seconds=60)
subscriber.acknowledge(subscription=name, ack_ids=[pulled[0].ack_id])
check("listed", name in [one.name for one in subscriber.list_subscriptions(project="projects/demo")], True)
subscriber.delete_subscription(subscription=name)
refused("a deleted subscription", exceptions.NotFound, lambda: subscriber.get_subscription(subscription=name))
print("Python's clients publish, pull and acknowledge as Pub/Sub does")
