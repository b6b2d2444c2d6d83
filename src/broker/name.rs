//! Resource names: `projects/P/topics/T`, `projects/P/subscriptions/S`.

use super::refusal::Refusal;

/// What the topic of a subscription is called once the topic is deleted.
pub(super) const DELETED_TOPIC: &str = "_deleted-topic_";

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Topic,
    Subscription,
}

impl Kind {
    fn collection(self) -> &'static str {
        match self {
            Self::Topic => "topics",
            Self::Subscription => "subscriptions",
        }
    }
}

/// Holds a name to Pub/Sub's rules (`cloud.google.com/pubsub/docs/pubsub-basics#resource_names`): 3 to 255 characters, a
/// letter first, then letters, digits and `-._~+%`, not beginning with `goog`.
pub(super) fn check(kind: Kind, name: &str) -> Result<(), Refusal> {
    let collection = kind.collection();
    let parts: Vec<&str> = name.split('/').collect();
    let ["projects", project, found, id] = parts[..] else {
        return Err(wrong(name, &format!("it is written projects/PROJECT/{collection}/ID")));
    };
    if found != collection {
        return Err(wrong(name, &format!("it is written projects/PROJECT/{collection}/ID")));
    }
    check_project(project).map_err(|why| wrong(name, &why))?;
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "-._~+%".contains(letter);
    let why = if !(3..=255).contains(&id.len()) {
        "its last part has 3 to 255 characters"
    } else if !id.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        "its last part begins with a letter"
    } else if !id.chars().all(letters) {
        "its last part has letters, digits and -._~+% only"
    } else if id.starts_with("goog") {
        "its last part must not begin with \"goog\""
    } else {
        return Ok(());
    };
    Err(wrong(name, why))
}

fn wrong(name: &str, why: &str) -> Refusal {
    Refusal::invalid(format!("Invalid resource name given (name={name}): {why}."))
}

fn check_project(project: &str) -> Result<(), String> {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "-._:".contains(letter);
    if project.is_empty() || !project.chars().all(letters) {
        return Err(format!("{project:?} is no project id"));
    }
    Ok(())
}

/// The project's resource name out of a list request: `projects/P`.
pub(super) fn project(parent: &str) -> Result<&str, Refusal> {
    let project = parent.strip_prefix("projects/").filter(|project| !project.contains('/'));
    let project = project.ok_or_else(|| wrong(parent, "it is written projects/PROJECT"))?;
    check_project(project).map_err(|why| wrong(parent, &why))?;
    Ok(parent)
}

/// The id of a name's project.
pub(super) fn project_of(name: &str) -> &str {
    name.split('/').nth(1).unwrap_or_default()
}

/// The last part of a name.
pub(super) fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_pub_subs_rules() {
        for name in ["projects/p/topics/new-lab-report", "projects/a.b:c-1/topics/A._~+%1", "projects/p/topics/abc"] {
            assert_eq!(check(Kind::Topic, name), Ok(()), "{name}");
        }
        let long = format!("projects/p/topics/a{}", "b".repeat(255));
        for name in [
            "",
            "t",
            "projects/p/topics/ab",
            "projects/p/topics/1abc",
            "projects/p/topics/google-x",
            "projects/p/topics/a b c",
            "projects//topics/abc",
            "projects/p/subscriptions/abc",
            "projects/p/topics/abc/d",
            &long,
        ] {
            let refused = check(Kind::Topic, name).unwrap_err();
            assert_eq!(refused.code, tonic::Code::InvalidArgument);
            assert!(refused.message.contains(name), "{}", refused.message);
        }
        assert_eq!(check(Kind::Subscription, "projects/p/subscriptions/abc"), Ok(()));
        assert_eq!(project("projects/p"), Ok("projects/p"));
        assert!(project("projects/p/x").is_err() && project("p").is_err());
        assert_eq!((project_of("projects/p/topics/t"), id_of("projects/p/topics/t")), ("p", "t"));
    }
}
