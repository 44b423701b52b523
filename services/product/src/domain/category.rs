//! Categories are a forest.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

/// One category.
#[derive(Clone, Debug)]
pub struct Category {
    /// Its id.
    pub id: Uuid,
    /// Unique among its siblings.
    pub name: String,
    /// None of a root.
    pub parent_id: Option<Uuid>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A category with everything below it.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// In the order they came.
    pub children: Vec<Node>,
}

/// The forest of `categories`, siblings in the order they came.
#[must_use]
pub fn forest(categories: Vec<Category>) -> Vec<Node> {
    let mut by_parent: HashMap<Option<Uuid>, Vec<Category>> = HashMap::new();
    for category in categories {
        by_parent.entry(category.parent_id).or_default().push(category);
    }
    below(None, &mut by_parent)
}

fn below(parent: Option<Uuid>, by_parent: &mut HashMap<Option<Uuid>, Vec<Category>>) -> Vec<Node> {
    let children = by_parent.remove(&parent).unwrap_or_default();
    children
        .into_iter()
        .map(|Category { id, name, parent_id: _, created_at: _ }| Node {
            id,
            name,
            children: below(Some(id), by_parent),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(id: u128, name: &str, parent: Option<u128>) -> Category {
        Category {
            id: Uuid::from_u128(id),
            name: name.to_owned(),
            parent_id: parent.map(Uuid::from_u128),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn children_hang_below_their_parents_whatever_order_they_come_in() {
        let categories = vec![
            category(3, "boots", Some(2)),
            category(2, "shoes", Some(1)),
            category(4, "food", None),
            category(1, "wear", None),
        ];
        let forest = forest(categories);
        let names: Vec<_> = forest.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["food", "wear"]);
        assert_eq!(forest[1].children[0].children[0].name, "boots");
    }
}
