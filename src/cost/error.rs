//! What can be wrong with a price file, each with where and how to mend it.

/// Why there are no prices.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The file cannot be read.
    #[error(
        "failed to read the price file {file}: {cause}; give the path of a readable file, or none for the built-in prices"
    )]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is not a price file.
    #[error("{file}:{line}: {cause}; {mend}")]
    Invalid {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        cause: String,
        /// What to do about it.
        mend: String,
    },
    /// No tier holds the region.
    #[error(
        "the price file ({file}) has no region {region:?}; {likely}to price another region, write the price file that \
         `tidegate prices` prints to a file of your own, add the region to the tier that it belongs to, and give that file by --prices"
    )]
    NoRegion {
        /// The file.
        file: String,
        /// The region asked for.
        region: String,
        /// `did you mean "…"? ` or nothing.
        likely: String,
    },
}
