//! Services and candidates that cannot be.

use super::refusal;

#[test]
fn services_and_candidates_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("bundled: shop", "bundled: shopp"), @r"
    shop.yaml:37:12: tidegate carries no service `shopp`

    hint: did you mean `shop`?
    ");
    insta::assert_snapshot!(refusal("bundled: shop", "bundled: shop\n  command: [./shop]"), @r"
    shop.yaml:37:3: `bundled` and `command` stand together

    hint: keep one of `bundled`, `command`
    ");
    insta::assert_snapshot!(refusal("bundled: shop", "command: []"), @r"
    shop.yaml:37:12: the command is empty

    hint: give the program and its arguments: `[./server, --verbose]`
    ");
    insta::assert_snapshot!(refusal("vcpu: 1", "vcpu: 3"), @r"
    shop.yaml:39:9: Cloud Run has no instances of 3 vCPU

    hint: give 0.08 to 1, or one of 2, 4, 6, 8; a smaller machine is modelled by `local: {host_cores_per_vcpu: …}`
    ");
    insta::assert_snapshot!(refusal("vcpu: 1", "vcpu: 0.5"), @r"
    shop.yaml:44:19: below 1 vCPU (here 0.5) Cloud Run allows no max concurrency above 1, and this candidate is 8

    hint: give the service at least 1 vCPU; a smaller machine is modelled by `local: {host_cores_per_vcpu: …}`
    ");
    insta::assert_snapshot!(refusal("memory: 512MiB", "memory: 8GiB"), @r"
    shop.yaml:40:11: Cloud Run has no instances of 1 vCPU with 8 GiB of memory

    hint: with 1 vCPU give at most 4 GiB
    ");
    insta::assert_snapshot!(refusal("memory: 512MiB", "memory: 512"), @r"
    shop.yaml:40:11: `512` is not a size

    hint: write a number with a unit: 512MiB or 2GiB
    ");
    insta::assert_snapshot!(refusal("max_instances: 30", "max_instances: 0"), @r"
    shop.yaml:41:18: `max_instances: 0` leaves no instance to answer

    hint: give at least 1
    ");
    insta::assert_snapshot!(refusal("max_instances: 30", "max_instances: 3\n  min_instances: 4"), @r"
    shop.yaml:42:18: min_instances 4 is above max_instances 3

    hint: lower the one or raise the other
    ");
    insta::assert_snapshot!(refusal("host_cores_per_vcpu: 0.05", "host_cores_per_vcpu: 0"), @r"
    shop.yaml:42:32: a vCPU cannot stand for 0 host cores

    hint: give a share of a core, above 0 and at most 1, such as 0.05
    ");
    insta::assert_snapshot!(refusal("time_factor: 12", "time_factor: 0.5"), @r"
    shop.yaml:42:51: the time factor 0.5 is out of range

    hint: give 1 (real time) to 1000; 12 makes a minute of the platform five seconds
    ");
    insta::assert_snapshot!(refusal("[1, 8, 80]", "[]"), @r"
    shop.yaml:44:15: there are no candidates

    hint: give the max-concurrency settings to try: [1, 2, 4, 8, 80]
    ");
    insta::assert_snapshot!(refusal("[1, 8, 80]", "[0, 1, 80, 1001]"), @r"
    shop.yaml:44:16: an instance cannot hold 0 requests at once

    hint: Cloud Run's max concurrency is 1 to 1000

    shop.yaml:44:26: an instance cannot hold 1001 requests at once

    hint: Cloud Run's max concurrency is 1 to 1000
    ");
    insta::assert_snapshot!(refusal("[1, 8, 80]", "[1, 80, 8, 80]"), @r"
    shop.yaml:44:26: the candidate 80 stands here twice

    hint: keep one of the two
    ");
    insta::assert_snapshot!(refusal("quick: [1, 80]", "quick: [1, 4]"), @r"
    shop.yaml:46:14: the quick candidate 4 is not among the candidates

    hint: add it to `candidates`, or leave it out here
    ");
    insta::assert_snapshot!(refusal("blocks: 2", "blocks: 0"), @r"
    shop.yaml:45:11: 0 blocks are out of range

    hint: give 1 to 100
    ");
}

#[test]
fn what_a_platform_sets_itself_is_refused_with_whose_it_is() {
    insta::assert_snapshot!(refusal("WAIT_MS: 90", "PORT: 90"), @r"
    shop.yaml:38:15: the platform itself sets `PORT`

    hint: leave it out
    ");
    insta::assert_snapshot!(refusal("WAIT_MS: 90", "HOST: 0.0.0.0"), @r"
    shop.yaml:38:15: the local platform itself sets `HOST`, to 127.0.0.1; Cloud Run leaves it to the service

    hint: leave it out; a service on Cloud Run keeps its own
    ");
}
