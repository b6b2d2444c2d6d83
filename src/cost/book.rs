//! The dated price file: tidegate's own, built in, or one of the user's in the same form.

use super::PriceError;
use super::prices::{ModePrices, Prices};
use crate::units::Usd;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

const BUILT_IN_TEXT: &str = include_str!("prices.json");
const BUILT_IN_NAME: &str = "built in";

/// A dated price list of all regions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceBook {
    /// Where it was read from; not part of the file.
    #[serde(skip)]
    file: String,
    /// Day on which the prices were read, `YYYY-MM-DD`.
    dated: String,
    /// Addresses of the prices, with what was read there.
    sources: Vec<String>,
    /// Share (0 to 1) taken off every rate under a commitment; 0 for list prices.
    #[serde(default)]
    committed_use_discount: f64,
    /// Name of the tier at whose prices the free tier is valued.
    free_tier_valued_at: String,
    /// What is free in a month and billing account.
    free_per_month: Modes<Free>,
    /// The tiers with their rates and regions.
    tiers: Vec<Tier>,
}

/// One of each billing mode.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Modes<T> {
    /// Request-based billing.
    request: T,
    /// Instance-based billing.
    instance: T,
}

/// What is free in a month.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Free {
    /// Active vCPU-seconds.
    vcpu_seconds: f64,
    /// Active GiB-seconds.
    gib_seconds: f64,
    /// Requests.
    requests: f64,
}

/// Regions with the same rates.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    /// Name, unique in the file.
    name: String,
    /// Rates under request-based billing.
    request: Rates,
    /// Rates under instance-based billing.
    instance: Rates,
    /// Its regions; no region stands in two tiers.
    regions: Vec<String>,
}

/// Rates of one tier and billing mode.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    /// One vCPU for one billable second.
    vcpu_second: Usd,
    /// One GiB for one billable second.
    gib_second: Usd,
    /// One vCPU of an idle min instance for one second.
    idle_vcpu_second: Usd,
    /// One GiB of an idle min instance for one second.
    idle_gib_second: Usd,
    /// A million requests.
    million_requests: Usd,
}

impl PriceBook {
    /// The prices that tidegate carries.
    ///
    /// # Panics
    /// Never: the text is part of the program, and a test reads it.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse(BUILT_IN_TEXT, BUILT_IN_NAME).expect("the text is part of the program, and a test reads it")
    }

    /// The text of the prices that tidegate carries: what a user's own file starts from.
    #[must_use]
    pub fn embedded_text() -> &'static str {
        BUILT_IN_TEXT
    }

    /// Reads a price file.
    pub fn load(path: &Path) -> Result<Self, PriceError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(cause) => Err(PriceError::Read { file, cause }),
        }
    }

    /// The prices that apply in `region`.
    pub fn prices(&self, region: &str) -> Result<Prices, PriceError> {
        let tier = self.tiers.iter().find(|tier| tier.regions.iter().any(|name| name == region));
        let Some(tier) = tier else {
            return Err(PriceError::NoRegion {
                file: self.file.clone(),
                region: region.to_owned(),
                likely: self.likely(region).map(|name| format!("did you mean {name:?}? ")).unwrap_or_default(),
            });
        };
        // A valid book has the tier; a book changed in memory may not, and then nothing is free.
        let valued = self.tiers.iter().find(|tier| tier.name == self.free_tier_valued_at);
        let mode = |rates: &Rates, valued: Option<&Rates>, free: &Free| ModePrices {
            vcpu_second: rates.vcpu_second,
            gib_second: rates.gib_second,
            idle_vcpu_second: rates.idle_vcpu_second,
            idle_gib_second: rates.idle_gib_second,
            million_requests: rates.million_requests,
            free_cpu: valued.map(|rates| rates.vcpu_second * free.vcpu_seconds).unwrap_or_default(),
            free_memory: valued.map(|rates| rates.gib_second * free.gib_seconds).unwrap_or_default(),
            free_requests: free.requests,
        };
        Ok(Prices {
            dated: self.dated.clone(),
            file: self.file.clone(),
            sources: self.sources.clone(),
            region: region.to_owned(),
            tier: tier.name.clone(),
            committed_use_discount: self.committed_use_discount,
            request: mode(&tier.request, valued.map(|tier| &tier.request), &self.free_per_month.request),
            instance: mode(&tier.instance, valued.map(|tier| &tier.instance), &self.free_per_month.instance),
        })
    }

    /// The known region whose name is nearest to `region`, if any is near.
    fn likely(&self, region: &str) -> Option<&str> {
        let asked = region.to_lowercase();
        self.tiers
            .iter()
            .flat_map(|tier| &tier.regions)
            .map(|name| (strsim::damerau_levenshtein(&asked, name), name.as_str()))
            .min()
            .filter(|(distance, _)| *distance <= 4)
            .map(|(_, name)| name)
    }

    fn parse(text: &str, file: &str) -> Result<Self, PriceError> {
        let mut book: Self = serde_json::from_str(text).map_err(|error| {
            let said = error.to_string();
            // The position is told once, in front.
            let cause = said.rsplit_once(" at line ").map_or(said.as_str(), |(cause, _)| cause).to_owned();
            let mend = "see the built-in price file for the form".to_owned();
            PriceError::Invalid { file: file.to_owned(), line: error.line(), cause, mend }
        })?;
        file.clone_into(&mut book.file);
        match book.fault() {
            None => Ok(book),
            Some(Fault { near, nth, cause, mend }) => {
                let mend = mend.to_owned();
                Err(PriceError::Invalid { file: file.to_owned(), line: line_of(text, &near, nth), cause, mend })
            }
        }
    }

    /// What is wrong with a book whose form is right.
    fn fault(&self) -> Option<Fault> {
        if self.dated.parse::<jiff::civil::Date>().is_err() {
            let cause = format!("{:?} is no day", self.dated);
            return Some(Fault::at("dated", 0, cause, "write the day the prices were read as YYYY-MM-DD"));
        }
        if !(0.0..1.0).contains(&self.committed_use_discount) {
            let cause = format!("a discount of {} is no share", self.committed_use_discount);
            return Some(Fault::at("committed_use_discount", 0, cause, "write 17 % as 0.17, and no discount as 0"));
        }
        if !self.tiers.iter().any(|tier| tier.name == self.free_tier_valued_at) {
            let cause = format!("there is no tier {:?}", self.free_tier_valued_at);
            return Some(Fault::at("free_tier_valued_at", 0, cause, "name one of the tiers of this file"));
        }
        self.negative().or_else(|| self.twice())
    }

    fn negative(&self) -> Option<Fault> {
        let Modes { request, instance } = &self.free_per_month;
        for (key, nth, value) in [request, instance].into_iter().enumerate().flat_map(|(nth, free)| {
            [("vcpu_seconds", free.vcpu_seconds), ("gib_seconds", free.gib_seconds), ("requests", free.requests)]
                .map(|(key, value)| (key, nth, value))
        }) {
            if value < 0.0 {
                return Some(Fault::at(key, nth, format!("{key} is {value}"), "nothing free is 0, never less"));
            }
        }
        let modes = self.tiers.iter().flat_map(|tier| [&tier.request, &tier.instance]);
        for (nth, rates) in modes.enumerate() {
            for (key, rate) in rates.by_name() {
                if rate.0 < 0.0 {
                    return Some(Fault::at(key, nth, format!("{key} is {}", rate.0), "write a price of 0 or more"));
                }
            }
        }
        None
    }

    fn twice(&self) -> Option<Fault> {
        let mut tier_of = BTreeMap::new();
        for tier in &self.tiers {
            for region in &tier.regions {
                if let Some(first) = tier_of.insert(region, &tier.name) {
                    let cause = format!("region {region:?} stands in {first:?} and again in {:?}", tier.name);
                    return Some(Fault::at(region, 1, cause, "keep it in the tier that it belongs to"));
                }
            }
        }
        None
    }
}

impl Rates {
    fn by_name(&self) -> [(&'static str, Usd); 5] {
        [
            ("vcpu_second", self.vcpu_second),
            ("gib_second", self.gib_second),
            ("idle_vcpu_second", self.idle_vcpu_second),
            ("idle_gib_second", self.idle_gib_second),
            ("million_requests", self.million_requests),
        ]
    }
}

/// What is wrong with a book, and the JSON string next to which it is found.
struct Fault {
    near: String,
    nth: usize,
    cause: String,
    mend: &'static str,
}

impl Fault {
    fn at(near: &str, nth: usize, cause: String, mend: &'static str) -> Self {
        Self { near: near.to_owned(), nth, cause, mend }
    }
}

/// The line (from 1) of the `nth` (from 0) JSON string `word`; the first line when it is not written so.
fn line_of(text: &str, word: &str, nth: usize) -> usize {
    let quoted = format!("{word:?}");
    text.match_indices(&quoted).nth(nth).map_or(1, |(at, _)| text[..at].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        PriceBook::parse(text, "mine.json").unwrap_err().to_string()
    }

    /// The built-in file with the first `from` replaced.
    fn changed(from: &str, to: &str) -> String {
        assert!(BUILT_IN_TEXT.contains(from), "{from}");
        BUILT_IN_TEXT.replacen(from, to, 1)
    }

    #[test]
    fn every_region_has_the_prices_of_its_tier() {
        let book = PriceBook::embedded();
        for (region, tier, vcpu_second) in [
            ("us-central1", "Tier 1", 0.000_024),
            ("europe-west1", "Tier 1", 0.000_024),
            ("europe-west3", "Tier 2", 0.000_033_6),
            ("southamerica-west1", "Tier 2", 0.000_033_6),
        ] {
            let prices = book.prices(region).unwrap();
            assert_eq!((prices.tier.as_str(), prices.request.vcpu_second), (tier, Usd(vcpu_second)), "{region}");
        }
        assert_eq!(book.tiers.iter().map(|tier| tier.regions.len()).collect::<Vec<_>>(), [21, 23]);
    }

    #[test]
    fn the_free_tier_is_worth_the_same_dollars_in_every_tier() {
        for region in ["us-central1", "europe-west3"] {
            let prices = PriceBook::embedded().prices(region).unwrap();
            let worth = (prices.request.free_cpu + prices.request.free_memory).to_string();
            assert_eq!(worth, "$5.22", "{region}");
            assert_eq!(
                (prices.instance.free_cpu.to_string(), prices.instance.free_memory.to_string()),
                ("$4.32".into(), "$0.9000".into())
            );
        }
    }

    #[test]
    fn a_region_that_is_not_there_gets_the_likely_one_and_the_mend() {
        let said = PriceBook::embedded().prices("europe-west-1").unwrap_err().to_string();
        assert_eq!(
            said,
            "the price file (built in) has no region \"europe-west-1\"; did you mean \"europe-west1\"? to price another \
             region, write the price file that `tidegate prices` prints to a file of your own, add the region to the tier \
             that it belongs to, and give that file by --prices"
        );
        let said = PriceBook::embedded().prices("moon").unwrap_err().to_string();
        assert!(!said.contains("did you mean"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_mend() {
        assert_eq!(
            refused(&changed("\"vcpu_second\": 0.000018", "\"vcpu_second\": -0.000018")),
            "mine.json:24: vcpu_second is -0.000018; write a price of 0 or more"
        );
        assert_eq!(
            refused(&changed("\"us-west2\"", "\"us-east1\"")),
            "mine.json:91: region \"us-east1\" stands in \"Tier 1\" and again in \"Tier 2\"; keep it in the tier that it belongs to"
        );
        assert_eq!(
            refused(&changed("2025-08-19", "August")),
            "mine.json:2: \"August\" is no day; write the day the prices were read as YYYY-MM-DD"
        );
        assert_eq!(
            refused(&changed("discount\": 0.0", "discount\": 17")),
            "mine.json:7: a discount of 17 is no share; write 17 % as 0.17, and no discount as 0"
        );
        assert_eq!(
            refused(&changed("valued_at\": \"Tier 1\"", "valued_at\": \"Tier 3\"")),
            "mine.json:8: there is no tier \"Tier 3\"; name one of the tiers of this file"
        );
        assert_eq!(
            refused(&changed("\"requests\": 0 ", "\"requests\": -1 ")),
            "mine.json:11: requests is -1; nothing free is 0, never less"
        );
        let said = refused(&changed("\"gib_second\":", "\"gb_second\":"));
        assert!(said.starts_with("mine.json:18: unknown field `gb_second`, expected one of"), "{said}");
        let said = refused(&changed("0.000024,", "\"cheap\","));
        assert!(said.starts_with("mine.json:17: invalid type: string \"cheap\", expected f64"), "{said}");
        assert!(refused("").starts_with("mine.json:1: EOF while parsing a value; see the built-in"), "{}", refused(""));
    }

    #[test]
    fn a_file_of_the_users_own_prices_takes_the_place_of_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.json");
        let text = changed("\"us-west2\",", "\"us-west2\", \"moon-1\",").replace("discount\": 0.0", "discount\": 0.17");
        std::fs::write(&path, text).unwrap();
        let prices = PriceBook::load(&path).unwrap().prices("moon-1").unwrap();
        assert_eq!((prices.tier.as_str(), prices.committed_use_discount), ("Tier 2", 0.17));
        assert_eq!(prices.file, path.display().to_string());
        let said = PriceBook::load(&folder.path().join("none.json")).unwrap_err().to_string();
        assert!(said.contains("none.json") && said.contains("or none for the built-in prices"), "{said}");
    }

    #[test]
    fn what_a_study_keeps_is_small_and_comes_back_whole() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        let text = serde_json::to_string(&prices).unwrap();
        assert!(text.len() < 1500, "{}", text.len());
        assert_eq!(serde_json::from_str::<Prices>(&text).unwrap(), prices);
    }
}
