"""Google's own Python clients against the local platform: run_v2 over REST, monitoring_v3 over gRPC.

Usage: python clients.py ENDPOINT PROGRAM, where ENDPOINT is the platform's address (http://127.0.0.1:PORT, its times
divided so that a sample period is a second) and PROGRAM is tidegate, which serves the bundled shop. Ends with status 0
when everything is as on Cloud Run; an assertion or an exception of a client tells what is not.
"""

import sys
import time
import urllib.request

import grpc
from google.api import metric_pb2
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import monitoring_v3, run_v2
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
from google.protobuf import field_mask_pb2

PARENT = "projects/demo/locations/europe-west1"
NAME = f"{PARENT}/services/shop"
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


def client(kind, endpoint):
    transport = kind.get_transport_class("rest")
    host = endpoint.removeprefix("http://")
    return kind(transport=transport(host=host, url_scheme="http", credentials=AnonymousCredentials()))


def refused(error, call, **arguments):
    try:
        call(**arguments)
    except error as found:
        return found
    raise AssertionError(f"{error.__name__} was expected")


def mask(*paths):
    return field_mask_pb2.FieldMask(paths=paths)


def container(program):
    return run_v2.Container(
        image="tidegate/command",
        command=[program],
        args=["target-service", "shop"],
        resources=run_v2.ResourceRequirements(limits={"cpu": "1", "memory": "512Mi"}, cpu_idle=True),
    )


def deploy(services, program):
    """Creates the shop, and one that only is validated."""
    template = run_v2.RevisionTemplate(
        containers=[container(program)],
        max_instance_request_concurrency=8,
        timeout="20s",
        scaling=run_v2.RevisionScaling(min_instance_count=1, max_instance_count=3),
    )
    service = run_v2.Service(template=template, labels={"team": "a"})
    request = run_v2.CreateServiceRequest(parent=PARENT, service_id="other", service=service, validate_only=True)
    services.create_service(request).result(timeout=30)
    refused(exceptions.NotFound, services.get_service, name=f"{PARENT}/services/other")
    made = services.create_service(parent=PARENT, service_id="shop", service=service).result(timeout=60)
    assert made.name == NAME and made.uri.startswith("http://127.0.0.1:"), made
    assert made.terminal_condition.state == SUCCEEDED and not made.reconciling, made
    assert made.generation == made.observed_generation == 1, made
    assert made.latest_ready_revision == made.latest_created_revision, made
    assert services.get_service(name=NAME) == made
    refused(exceptions.Conflict, services.create_service, parent=PARENT, service_id="shop", service=service)
    return made


def change(services, made):
    """Patches by masks: one field, a traffic split with a tag, an old etag, a wrong field."""
    wish = run_v2.Service(name=NAME, etag=made.etag, template={"max_instance_request_concurrency": 4})
    paths = mask("template.max_instance_request_concurrency", "template.revision")
    second = services.update_service(
        run_v2.UpdateServiceRequest(service=wish, update_mask=paths)
    ).result(timeout=60)
    assert second.template.max_instance_request_concurrency == 4 and second.generation == 2, second
    assert second.template.containers == made.template.containers, "what the mask does not name stays"
    stale = run_v2.UpdateServiceRequest(service=wish, update_mask=paths)
    assert "stale" in str(refused(exceptions.Conflict, services.update_service, request=stale))
    old = made.latest_ready_revision.rsplit("/", 1)[1]
    split = run_v2.Service(
        name=NAME,
        traffic=[
            run_v2.TrafficTarget(type_=LATEST, percent=75),
            run_v2.TrafficTarget(type_=REVISION, revision=old, percent=25, tag="before"),
        ],
    )
    third = services.update_service(
        run_v2.UpdateServiceRequest(service=split, update_mask=mask("traffic"))
    ).result(timeout=60)
    assert third.latest_ready_revision == second.latest_ready_revision, "traffic makes no revision"
    tagged = [status for status in third.traffic_statuses if status.tag == "before"]
    assert len(tagged) == 1 and tagged[0].uri and tagged[0].uri != third.uri, third
    wrong = run_v2.UpdateServiceRequest(service=split, update_mask=mask("template.concurency"))
    assert "template.concurency" in str(refused(exceptions.BadRequest, services.update_service, request=wrong))
    return third, tagged[0].uri


def read_revisions(endpoint, services, third):
    revisions = client(run_v2.RevisionsClient, endpoint)
    listed = list(revisions.list_revisions(request={"parent": NAME, "page_size": 1}))
    assert [one.name for one in listed][0] == third.latest_ready_revision and len(listed) == 2, listed
    assert revisions.get_revision(name=listed[1].name) == listed[1]
    assert listed[0].max_instance_request_concurrency == 4
    busy = refused(exceptions.BadRequest, revisions.delete_revision, name=listed[1].name)
    assert "traffic" in str(busy)
    whole = run_v2.Service(name=NAME, traffic=[run_v2.TrafficTarget(type_=LATEST, percent=100)])
    services.update_service(
        run_v2.UpdateServiceRequest(service=whole, update_mask=mask("traffic"))
    ).result(timeout=60)
    gone = revisions.delete_revision(name=listed[1].name).result(timeout=60)
    assert gone.name == listed[1].name, gone
    assert len(list(revisions.list_revisions(parent=NAME))) == 1
    refused(exceptions.NotFound, revisions.get_revision, name=f"{NAME}/revisions/none")
    assert [one.name for one in services.list_services(request={"parent": PARENT, "page_size": 1})] == [NAME]


def use(uri, times):
    for _ in range(times):
        with urllib.request.urlopen(uri, timeout=30) as answer:
            assert answer.status == 200


def read_metrics(endpoint, revision, times):
    """Reads through gRPC until the requests are seen, then what else there is."""
    channel = grpc.insecure_channel(endpoint.removeprefix("http://"))
    metrics = monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
    name = "projects/demo"

    def series(metric, aggregation=None, view="FULL", more=""):
        now = int(time.time())
        interval = monitoring_v3.TimeInterval(start_time={"seconds": now - 300}, end_time={"seconds": now + 1})
        request = monitoring_v3.ListTimeSeriesRequest(
            name=name,
            filter=f'metric.type = "run.googleapis.com/{metric}" AND resource.type = "cloud_run_revision"{more}',
            interval=interval,
            aggregation=aggregation,
            view=getattr(monitoring_v3.ListTimeSeriesRequest.TimeSeriesView, view),
            page_size=5,
        )
        return list(metrics.list_time_series(request))

    total = monitoring_v3.Aggregation(
        alignment_period={"seconds": 600},
        per_series_aligner=monitoring_v3.Aggregation.Aligner.ALIGN_DELTA,
        cross_series_reducer=monitoring_v3.Aggregation.Reducer.REDUCE_SUM,
        group_by_fields=["metric.labels.response_code_class"],
    )

    def count():
        found = series("request_count", total)
        return sum(point.value.int64_value for one in found for point in one.points)

    until = time.monotonic() + 60
    while count() < times:
        assert time.monotonic() < until, f"{count()} of {times} requests are seen"
        time.sleep(0.5)
    assert count() == times, count()
    of_revision = f' AND resource.labels.revision_name = "{revision}"'
    billed = series("container/billable_instance_time", total_of(), more=of_revision)
    assert billed and billed[0].points[0].value.double_value > 0, billed
    latencies = series("request_latencies")
    distribution = latencies[0].points[0].value.distribution_value
    assert distribution.count > 0 and sum(distribution.bucket_counts) == distribution.count, distribution
    assert distribution.bucket_options.exponential_buckets.growth_factor > 1
    for metric in ("container/cpu/allocation_time", "container/memory/allocation_time"):
        assert series(metric, total_of()), metric
    assert series("request_latency/e2e_latencies", total)
    assert {one.metric.labels["driver"] for one in series("scaling/recommended_instances")} == {"cpu", "concurrency"}
    assert {one.metric.labels["container_name"] for one in series("container/containers")} == {"shop-1"}
    received = series("container/network/received_bytes_count", total_of(), more=of_revision)
    assert received[0].points[0].value.int64_value > 0 and received[0].metric.labels["kind"] == "internet", received
    probes = series("container/completed_probe_count", more=" AND metric.labels.is_healthy = true")
    assert {one.metric.labels["probe_type"] for one in probes} == {"STARTUP"}, probes
    usage = series("container/memory/usage", median(), more=of_revision)
    assert usage and usage[0].points[0].value.double_value > 2**20, usage
    headers = series("container/instance_count", view="HEADERS")
    assert {one.metric.labels["state"] for one in headers} == {"active", "idle"}, headers
    assert all(not one.points for one in headers)
    unfit = refused(exceptions.InvalidArgument, series, metric="request_latencies", aggregation=mean())
    assert unfit.details[0].field_violations[0].field == "aggregation.perSeriesAligner", unfit.details
    refused(exceptions.NotFound, series, metric="nothing")
    descriptors = list(metrics.list_metric_descriptors(request={"name": name, "page_size": 4}))
    kinds = {one.type: one for one in descriptors}
    billable = kinds["run.googleapis.com/container/billable_instance_time"]
    kind, value = metric_pb2.MetricDescriptor.MetricKind.DELTA, metric_pb2.MetricDescriptor.ValueType.DOUBLE
    assert (billable.unit, billable.metric_kind, billable.value_type) == ("s", kind, value), billable
    assert metrics.get_metric_descriptor(name=billable.name) == billable
    resources = list(metrics.list_monitored_resource_descriptors(name=name))
    assert [one.type for one in resources] == ["cloud_run_revision"], resources
    assert metrics.get_monitored_resource_descriptor(name=resources[0].name) == resources[0]


def total_of():
    return monitoring_v3.Aggregation(
        alignment_period={"seconds": 600}, per_series_aligner=monitoring_v3.Aggregation.Aligner.ALIGN_SUM
    )


def median():
    return monitoring_v3.Aggregation(
        alignment_period={"seconds": 60}, per_series_aligner=monitoring_v3.Aggregation.Aligner.ALIGN_PERCENTILE_50
    )


def mean():
    return monitoring_v3.Aggregation(
        alignment_period={"seconds": 60}, per_series_aligner=monitoring_v3.Aggregation.Aligner.ALIGN_MEAN
    )


def main(endpoint, program):
    services = client(run_v2.ServicesClient, endpoint)
    made = deploy(services, program)
    use(made.uri, 10)
    third, before = change(services, made)
    use(third.uri, 20)
    use(before, 5)
    read_metrics(endpoint, third.latest_ready_revision.rsplit("/", 1)[1], 35)
    read_revisions(endpoint, services, third)
    services.delete_service(name=NAME).result(timeout=60)
    refused(exceptions.NotFound, services.get_service, name=NAME)
    print("run_v2 over REST and monitoring_v3 over gRPC: as on Cloud Run")


main(*sys.argv[1:])
