//! A plan as people read it.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shopkeeper_operator::plan::{Action, Change, Difference};

use crate::output::{BAD, GOOD, NEW, PLAIN, TITLE, Table, View, styled};

/// The longest value that is shown to people; programs get all of it.
const LONGEST_VALUE: usize = 160;

/// What would happen.
#[derive(Serialize)]
pub struct Planned {
    /// Namespace and name.
    pub shop: String,
    /// Whether it does not exist yet.
    pub new: bool,
    /// What changes in the Shop itself.
    pub fields: Vec<Difference>,
    /// What the operator would do.
    pub objects: Vec<Change>,
    /// What the plan does not know.
    pub notes: Vec<String>,
}

impl Planned {
    fn is_empty(&self) -> bool {
        !self.new && self.fields.is_empty() && self.objects.is_empty()
    }

    fn count(&self, is: impl Fn(&Action) -> bool) -> usize {
        self.objects.iter().filter(|change| is(&change.action)).count()
    }
}

impl View for Planned {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, _: Timestamp) -> String {
        let mut text = String::new();
        if self.is_empty() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}: no differences", styled(&self.shop, TITLE));
        } else {
            let state = if self.new { "is new" } else { "changes" };
            let _ = write!(text, "Shop {} {state}\n{}", styled(&self.shop, TITLE), fields(&self.fields));
            text.extend(self.objects.iter().map(object));
            let created = self.count(|action| *action == Action::Create);
            let deleted = self.count(|action| *action == Action::Delete);
            let taken = self.count(|action| *action == Action::Taken);
            let changed = self.objects.len() - created - deleted - taken;
            let _ =
                writeln!(text, "\n{created} to create, {changed} to change, {deleted} to delete. Nothing was written.");
            if taken > 0 {
                let _ = writeln!(
                    text,
                    "{taken} taken: the operator stops there until you rename or delete them, or nobody else controls them."
                );
            }
        }
        text.extend(self.notes.iter().map(|note| format!("{} {note}\n", styled("note:", NEW))));
        text
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.is_empty())
    }
}

fn object(change: &Change) -> String {
    let Change { kind, name, action, later } = change;
    let later = match action {
        _ if !later => "",
        Action::Delete if kind == "Secret" => "   (later: pods that use it come first)",
        Action::Change { .. } if kind == "Secret" => "   (later: the data that it opens comes first)",
        Action::Change { .. } if kind == "NetworkPolicy" => "   (later: pods of before need it as it is)",
        Action::Delete if ["Ingress", "HTTPRoute"].contains(&kind.as_str()) => {
            "   (later: the other route comes first)"
        }
        _ => "   (later: stores and migrations come first)",
    };
    match action {
        Action::Create => format!("{} {kind} {name}{later}\n", styled("+ create", GOOD)),
        Action::Delete => format!("{} {kind} {name}{later}\n", styled("- delete", BAD)),
        Action::Taken => {
            format!("{} {kind} {name}   (somebody else's, or controlled by somebody else)\n", styled("! taken ", BAD))
        }
        Action::Change { fields: changed } => {
            let restarts = changed.iter().any(|field| field.path.starts_with("spec.template."));
            let pods = if restarts { "   (replaces its pods)" } else { "" };
            format!("{} {kind} {name}{pods}{later}\n{}", styled("~ change", NEW), fields(changed))
        }
    }
}

fn fields(fields: &[Difference]) -> String {
    let mut table = Table::default();
    for field in fields {
        let change = format!("{} -> {}", short(field.old.as_ref()), short(field.new.as_ref()));
        table.row([(format!("    {}", field.path), PLAIN), (change, NEW)]);
    }
    table.text()
}

fn short(value: Option<&Value>) -> String {
    let text = match value {
        None => return "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    format!("{}...", text.chars().take(LONGEST_VALUE).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn planned(fields: Vec<Difference>, objects: Vec<Change>) -> Planned {
        Planned { shop: "oak/acorn".to_owned(), new: false, fields, objects, notes: vec!["a note".to_owned()] }
    }

    fn plain(view: &Planned) -> String {
        anstream::adapter::strip_str(&view.text(Timestamp::UNIX_EPOCH)).to_string()
    }

    #[test]
    fn a_plan_names_every_object_and_field_and_counts_them() {
        let field = |path: &str, old: Option<Value>, new: Option<Value>| Difference { path: path.to_owned(), old, new };
        let change = |kind: &str, name: &str, action: Action, later: bool| Change {
            kind: kind.to_owned(),
            name: name.to_owned(),
            action,
            later,
        };
        let image = field("spec.template.spec.containers[order].image", Some(json!("order:1")), Some(json!("order:2")));
        let replicas = field("spec.replicas", Some(json!(1)), Some(json!(2)));
        let (stays, goes) = (json!("none: it stays"), json!("Shop acorn: it goes with the Shop"));
        let owners = field("metadata.ownerReferences", Some(stays), Some(goes));
        let ways = field("spec.egress", Some(json!([5432, 6432])), Some(json!([6432])));
        let view = planned(
            vec![field("spec.host", Some(json!("a.test")), None)],
            vec![
                change("Deployment", "acorn-order", Action::Change { fields: vec![replicas, image] }, true),
                change("PodDisruptionBudget", "acorn-order", Action::Create, false),
                change("Job", "acorn-order-migrate-1", Action::Delete, false),
                change("Secret", "acorn-order-identity", Action::Delete, true),
                change("Secret", "acorn-credentials", Action::Change { fields: vec![owners] }, true),
                change("NetworkPolicy", "acorn-order", Action::Change { fields: vec![ways] }, true),
                change("Ingress", "acorn", Action::Delete, true),
                change("Service", "acorn-cart", Action::Taken, false),
            ],
        );
        let expected = "\
Shop oak/acorn changes
    spec.host   a.test -> (none)
~ change Deployment acorn-order   (replaces its pods)   (later: stores and migrations come first)
    spec.replicas                                1 -> 2
    spec.template.spec.containers[order].image   order:1 -> order:2
+ create PodDisruptionBudget acorn-order
- delete Job acorn-order-migrate-1
- delete Secret acorn-order-identity   (later: pods that use it come first)
~ change Secret acorn-credentials   (later: the data that it opens comes first)
    metadata.ownerReferences   none: it stays -> Shop acorn: it goes with the Shop
~ change NetworkPolicy acorn-order   (later: pods of before need it as it is)
    spec.egress   [5432,6432] -> [6432]
- delete Ingress acorn   (later: the other route comes first)
! taken  Service acorn-cart   (somebody else's, or controlled by somebody else)

1 to create, 3 to change, 3 to delete. Nothing was written.
1 taken: the operator stops there until you rename or delete them, or nobody else controls them.
note: a note
";
        assert_eq!(plain(&view), expected);
        assert_eq!(view.exit_code(), 1);
    }

    #[test]
    fn without_differences_it_says_so_and_ends_with_zero() {
        let view = planned(Vec::new(), Vec::new());
        assert_eq!(plain(&view), "oak/acorn: no differences\nnote: a note\n");
        assert_eq!(view.exit_code(), 0);
    }

    #[test]
    fn a_long_value_is_cut_for_people() {
        let long = short(Some(&json!("x".repeat(500))));
        assert_eq!(long.len(), LONGEST_VALUE + 3);
    }
}
