//! Scaling and session affinity by the Admin API: targets of the drivers, a service's own counts, manual scaling.

use super::{SHOP, Stand, template};
use crate::autoscaler::{Target, Targets};
use crate::platform::spec::ServiceScaling;
use google_cloud_lro::Poller as _;
use google_cloud_run_v2::model::{Service, ServiceScaling as Wanted, service_scaling::ScalingMode};
use google_cloud_wkt::FieldMask;
use serde_json::{Value, json};

/// Patches one field of the template; `None` if the service still has the revision that it had.
async fn targets_after(stand: &Stand, scaling: Value) -> Option<Targets> {
    let before = stand.fake.specs.lock().unwrap().len();
    let mut wanted = template();
    wanted["scaling"] = scaling;
    stand.change("PATCH", &format!("/v2/{SHOP}?updateMask=template"), &json!({"template": wanted})).await;
    let specs = stand.fake.specs.lock().unwrap();
    (specs.len() > before).then(|| specs.last().unwrap().scaling_targets)
}

#[tokio::test]
async fn targets_make_a_revision_and_zero_switches_a_driver_off() {
    let stand = Stand::with_shop(1.0).await;
    let both = |cpu, concurrency| Some(Targets { cpu, concurrency });
    let set = targets_after(&stand, json!({"cpuUtilization": 0.8, "concurrencyUtilization": 0.5})).await;
    assert_eq!(set, both(Target::Share(0.8), Target::Share(0.5)));
    let off = targets_after(&stand, json!({"cpuUtilization": 0.0, "concurrencyUtilization": 0.5})).await;
    assert_eq!(off, both(Target::Off, Target::Share(0.5)));
    // Absent is not zero: this is another template.
    let default = targets_after(&stand, json!({"concurrencyUtilization": 0.5})).await;
    assert_eq!(default, both(Target::Default, Target::Share(0.5)));
    assert_eq!(targets_after(&stand, json!({"concurrencyUtilization": 0.5})).await, None);
    let read = stand.get(&format!("/v2/{SHOP}")).await;
    assert_eq!(read["template"]["scaling"], json!({"concurrencyUtilization": 0.5, "maxInstanceCount": 100}));
}

#[tokio::test]
async fn a_service_is_scaled_by_hand_without_a_new_revision() {
    let stand = Stand::with_shop(1.0).await;
    let services = stand.services().await;
    let patch = async |scaling: Wanted| {
        let service = Service::new().set_name(SHOP).set_scaling(scaling);
        let mask = FieldMask::default().set_paths(["scaling"]);
        services.update_service().set_service(service).set_update_mask(mask).poller().until_done().await.unwrap()
    };
    let manual = patch(Wanted::new().set_scaling_mode(ScalingMode::Manual).set_manual_instance_count(5)).await;
    assert_eq!(manual.scaling.unwrap().manual_instance_count, Some(5));
    let last = || *stand.fake.scalings.lock().unwrap().last().unwrap();
    assert_eq!(last(), ServiceScaling { manual_instances: Some(5), ..ServiceScaling::default() });
    patch(Wanted::new().set_scaling_mode(ScalingMode::Manual).set_manual_instance_count(0)).await;
    assert_eq!(last().manual_instances, Some(0));
    patch(Wanted::new().set_min_instance_count(2).set_max_instance_count(9)).await;
    assert_eq!(last(), ServiceScaling { min_instances: 2, max_instances: Some(9), manual_instances: None });
    assert_eq!(stand.fake.specs.lock().unwrap().len(), 1, "a service's own counts make no revision");
    // Each time the routes followed: with them it is in force.
    assert_eq!(stand.fake.routes.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn session_affinity_makes_a_revision() {
    let stand = Stand::with_shop(1.0).await;
    let mut wanted = template();
    wanted["sessionAffinity"] = true.into();
    stand.change("PATCH", &format!("/v2/{SHOP}?updateMask=template"), &json!({"template": wanted})).await;
    let specs = stand.fake.specs.lock().unwrap();
    assert_eq!(specs.iter().map(|spec| spec.session_affinity).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn what_google_refuses_of_scaling_is_refused() {
    let stand = Stand::with_shop(1.0).await;
    for (mask, body, part) in [
        (
            "template.scaling,template.revision",
            json!({"template": {"scaling": {"cpuUtilization": 0.95}}}),
            "0.1 to 0.9",
        ),
        (
            "template.scaling,template.revision",
            json!({"template": {"scaling": {"concurrencyUtilization": 1}}}),
            "0.1 to 0.95",
        ),
        (
            "template.scaling,template.revision",
            json!({"template": {"scaling": {"cpuUtilization": 0, "concurrencyUtilization": 0}}}),
            "one of them",
        ),
        ("scaling", json!({"scaling": {"scalingMode": "MANUAL"}}), "scaling.manualInstanceCount"),
        ("scaling", json!({"scaling": {"manualInstanceCount": 4}}), "scalingMode MANUAL"),
        ("scaling", json!({"scaling": {"scalingMode": "BY_HAND"}}), "scaling.scalingMode"),
        ("scaling", json!({"scaling": {"minInstanceCount": 3, "maxInstanceCount": 2}}), "scaling.minInstanceCount"),
    ] {
        let (status, answer) = stand.call("PATCH", &format!("/v2/{SHOP}?updateMask={mask}"), &body).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(part), "{body}: {status} {answer}");
    }
}
