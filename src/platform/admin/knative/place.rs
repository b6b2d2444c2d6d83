//! Where a v1 call is addressed to: a namespace is a project, and the region stands in the host's name.

use super::super::Books;
use super::super::service::Service;
use crate::platform::place::Place;
use crate::platform::status::Status;
use axum::extract::FromRequestParts;
use http::header::HOST;
use http::request::Parts;
use std::convert::Infallible;

/// The region of a new service when neither the host nor the service's labels name one.
const REGION_DEFAULT: &str = "us-central1";

/// The label that tells a service's region.
pub(super) const LOCATION_LABEL: &str = "cloud.googleapis.com/location";

/// The region that a call is sent to, if its host names one.
pub(super) struct Region(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Region {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        Ok(Self(parts.uri.host().or(host).and_then(region_of).map(str::to_owned)))
    }
}

impl Region {
    /// Where a new service is put; a label may name the region too.
    pub(super) fn place(&self, project: &str, label: Option<&str>) -> Place {
        let location = self.0.as_deref().or(label).unwrap_or(REGION_DEFAULT).to_owned();
        Place { project: project.to_owned(), location }
    }

    /// What a listing shows: the region's, or every region's.
    pub(super) fn listed(&self, project: &str) -> Place {
        Place { project: project.to_owned(), location: self.0.clone().unwrap_or_else(|| "-".to_owned()) }
    }

    /// The service of this name in the project, in the region if the host names one.
    pub(super) fn find<'a>(&self, books: &'a Books, project: &str, name: &str) -> Result<&'a Service, Status> {
        let asked = self.listed(project);
        let found = books.services.get(name).filter(|service| service.place.is_within(&asked));
        found.ok_or_else(|| Status::not_found(format!("resource 'namespaces/{project}/services/{name}' was not found")))
    }
}

/// `europe-west1` of `europe-west1-run.googleapis.com` and of `europe-west1-127.0.0.1:8900`, which is what clients make
/// of an address that they are told to use instead of Google's.
fn region_of(host: &str) -> Option<&str> {
    if let Some(region) = host.strip_suffix("-run.googleapis.com") {
        return Some(region);
    }
    let mut dashes = host.match_indices('-').map(|(place, _)| place);
    let (first, second) = (dashes.next()?, dashes.next()?);
    let (continent, place) = (&host[..first], &host[first + 1..second]);
    let letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    let numbered = letters(place.trim_end_matches(|digit: char| digit.is_ascii_digit()))
        && place.ends_with(|digit: char| digit.is_ascii_digit());
    (letters(continent) && numbered).then(|| &host[..second])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_stands_before_the_host() {
        for (host, region) in [
            ("europe-west1-run.googleapis.com", Some("europe-west1")),
            ("europe-west1-127.0.0.1:8900", Some("europe-west1")),
            ("northamerica-northeast2-localhost", Some("northamerica-northeast2")),
            ("run.googleapis.com", None),
            ("127.0.0.1:8900", None),
            ("my-own-host", None),
            ("-1-x", None),
            ("", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
