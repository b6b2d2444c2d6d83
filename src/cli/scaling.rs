//! How the local platform scales and routes, as it is typed.

use crate::commands::{AutoscalerKind, Routing, ScalingOptions};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct ScalingArgs {
    /// Whose autoscaler decides on the local platform
    #[arg(long, default_value = "cloud-run", value_parser = AutoscalerKind::NAMES)]
    autoscaler: String,
    /// Which instance gets a request there [default: least-loaded, or Knative's own]
    #[arg(long, value_parser = Routing::NAMES)]
    routing: Option<String>,
    /// Let Cloud Run's concurrency driver heed its 10-minute average too; the time factor divides it
    #[arg(long)]
    long_concurrency_window: bool,
}

impl From<ScalingArgs> for ScalingOptions {
    fn from(arguments: ScalingArgs) -> Self {
        let ScalingArgs { autoscaler, routing, long_concurrency_window } = arguments;
        // The parser has accepted these names only.
        let autoscaler = AutoscalerKind::from_name(&autoscaler).unwrap_or_default();
        Self { autoscaler, routing: routing.as_deref().and_then(Routing::from_name), long_concurrency_window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        scaling: ScalingArgs,
    }

    fn parsed(line: &str) -> Result<ScalingOptions, String> {
        let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        Ok(line.scaling.into())
    }

    #[test]
    fn what_is_typed_is_chosen_and_the_default_is_cloud_runs() {
        assert_eq!(parsed("platform"), Ok(ScalingOptions::default()));
        let chosen = ScalingOptions {
            autoscaler: AutoscalerKind::Knative,
            routing: Some(Routing::FillFirst),
            long_concurrency_window: false,
        };
        assert_eq!(parsed("platform --autoscaler knative --routing fill-first"), Ok(chosen));
        assert!(parsed("platform --long-concurrency-window").unwrap().long_concurrency_window);
        let refused = parsed("platform --routing random").unwrap_err();
        assert!(refused.contains("two-choices") && refused.contains("random"), "{refused}");
    }
}
