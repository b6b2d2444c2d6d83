//! The house rules as a test: imports point down the layers, files and functions stay short, and nothing but one file
//! names the bundled service.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file before its tests.
const FILE_LINES_MAX: usize = 400;
/// Lines of a function, signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The layer of each module: the number of its blank-line group in `src/lib.rs`, lowest first.
fn layers() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut layers = BTreeMap::new();
    for (layer, group) in text.split("\n\n").filter(|group| group.contains("pub mod ")).enumerate() {
        for line in group.lines() {
            if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
                layers.insert(name.to_owned(), layer);
            }
        }
    }
    layers
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// The module a file of `src` belongs to: `src/driver/pacer.rs` and `src/driver.rs` belong to `driver`.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Code without its comments: a comment may speak of any module.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Code as [`code_lines`] gives it, with the lines of each `use` item joined into one, at the number of its first.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in code_lines(text) {
        match statements.last_mut() {
            Some((_, statement)) if open => statement.push_str(line.trim()),
            _ => {
                statements.push((number, line.to_owned()));
                open = is_use(line);
            }
        }
        open = open && !line.contains(';');
    }
    statements
}

/// Whether a line begins a `use` item, whoever may see it: `use`, `pub use`, `pub(in crate::driver) use`.
fn is_use(line: &str) -> bool {
    let line = line.trim_start();
    let rest = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(')').map_or(scope, |(_, rest)| rest),
        None => rest,
    });
    rest.trim_start().starts_with("use ")
}

/// Names after `crate::` in a statement, those of a braced import included.
fn modules_named(statement: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in statement.split("crate::").skip(1) {
        let candidates = part.strip_prefix('{').map_or_else(|| vec![part], branches);
        for candidate in candidates {
            names.push(candidate.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

/// The parts of a braced import after its opening brace, each with whatever braces it holds itself.
fn branches(inner: &str) -> Vec<&str> {
    let (mut branches, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                branches.push(&inner[start..at]);
                break;
            }
            ',' if depth == 0 => {
                branches.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches
}

#[test]
fn a_module_names_only_modules_of_lower_layers() {
    let layers = layers();
    assert!(layers.len() >= 13, "the groups of src/lib.rs could not be read: {layers:?}");
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let own = module_of(&file);
        let Some(own_layer) = layers.get(&own) else {
            assert!(own == "lib" || own == "main", "{} belongs to no module of src/lib.rs", file.display());
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for (number, statement) in statements(&text) {
            for name in modules_named(&statement).into_iter().filter(|name| *name != own) {
                if layers.get(&name).is_some_and(|layer| layer >= own_layer) {
                    wrong.push(format!("{}:{number}: {own} names {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports must point down the layers of src/lib.rs:\n{}", wrong.join("\n"));
}

#[test]
fn only_one_file_names_the_bundled_service() {
    let allowed = root().join("src/commands/bundled.rs");
    for file in rust_files(&root().join("src")).into_iter().filter(|file| *file != allowed) {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_lines(&text) {
            assert!(!line.contains("target_service::"), "{}:{number} names the crate target_service", file.display());
        }
    }
}

#[test]
fn the_lower_layers_have_no_clock_no_sockets_and_no_async() {
    let layers = layers();
    let trial = layers["trial"];
    for file in rust_files(&root().join("src")) {
        if layers.get(&module_of(&file)).is_none_or(|layer| *layer > trial) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_lines(&text) {
            for banned in ["tokio::", "std::net", "async fn", "::now()", "Timestamp::now", "rand::rng", "from_os_rng"] {
                assert!(!line.contains(banned), "{}:{number}: {banned} below layer 3", file.display());
            }
        }
    }
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for dir in ["src", "target-service/src"] {
        let in_product = |file: &PathBuf| !file.components().any(|part| part.as_os_str() == "tests");
        for file in rust_files(&root().join(dir)).into_iter().filter(in_product) {
            let text = fs::read_to_string(&file).unwrap();
            let before_tests = before_tests(&text);
            let lines = before_tests.lines().count();
            if lines > FILE_LINES_MAX {
                wrong.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", file.display()));
            }
            wrong.extend(long_functions(before_tests).into_iter().map(|text| format!("{}:{text}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "too long:\n{}", wrong.join("\n"));
}

/// What stands before a file's own tests. Tests in a file of their own are one line of this one, and end nothing.
fn before_tests(text: &str) -> &str {
    const TESTS: &str = "#[cfg(test)]\nmod ";
    let here =
        |(start, _): &(usize, &str)| text[start + TESTS.len()..].lines().next().is_some_and(|line| line.ends_with('{'));
    text.match_indices(TESTS).find(here).map_or(text, |(start, _)| &text[..start])
}

/// Functions over the limit, told by rustfmt's indentation: one ends at the first `}` that stands where it began.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.contains('(')).collect();
        let named = line.trim_start().starts_with("fn ") || words.contains(&"fn");
        if !named || line.trim_start().starts_with("//") || line.trim_end().ends_with(';') {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let Some(end) = lines[start..].iter().position(|line| *line == closing) else { continue };
        if end + 1 > FUNCTION_LINES_MAX {
            long.push(format!("{}: {} lines, at most {FUNCTION_LINES_MAX}", start + 1, end + 1));
        }
    }
    long
}

#[test]
fn the_rules_themselves_see_what_they_look_for() {
    assert_eq!(modules_named("use crate::{cost::Cost, trial};"), ["cost", "trial"]);
    assert_eq!(modules_named("let x = crate::driver::drive(crate::trial::Study::load());"), ["driver", "trial"]);
    let nested = "crate::x();\npub(crate) use crate::{\n    // A comment; crate::report.\n    cost::{Cost, Prices},\n    trial::{\n        \
                  Study,\n    },\n    driver,\n};\nlet y = 1;\n";
    let statements = statements(nested);
    assert_eq!(statements.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 10]);
    assert_eq!(modules_named(&statements[1].1), ["cost", "trial", "driver", ""]);
    let long = format!("    fn a() {{\n{}    }}\n", "        1;\n".repeat(FUNCTION_LINES_MAX));
    assert_eq!(long_functions(&long).len(), 1);
    assert!(long_functions("    fn a() {\n        1;\n    }\n").is_empty());
}
