//! What was seen of the fields of a Shop.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// Everything that was seen so far.
#[derive(Default)]
pub struct Sights(RefCell<Vec<Sight>>);

/// One look at what runs. It can tell of several fields, of which none does what it should without the others.
struct Sight {
    fields: String,
    /// What is wrong, if anything is.
    wrong: Option<String>,
}

impl Sights {
    /// What `fields`, with spaces between them, came to, and what they should.
    pub fn same<T: PartialEq + Debug>(&self, fields: &str, seen: T, wanted: T) {
        let wrong = match (seen, wanted) {
            (seen, wanted) if seen == wanted => None,
            (seen, wanted) => Some(format!("{seen:?} instead of {wanted:?}")),
        };
        self.note(fields, wrong);
    }

    /// The same for what is only known roughly.
    pub fn within<T: PartialOrd + Debug + Copy>(&self, fields: &str, seen: T, wanted: &RangeInclusive<T>) {
        self.note(fields, (!wanted.contains(&seen)).then(|| format!("{seen:?} is not within {wanted:?}")));
    }

    fn note(&self, fields: &str, wrong: Option<String>) {
        self.0.borrow_mut().push(Sight { fields: fields.to_owned(), wrong });
    }

    /// Fails with everything that is not as it should be.
    pub fn check(&self) {
        let sights = self.0.borrow();
        let wrong = sights.iter().filter_map(|sight| Some(format!("{}: {}", sight.fields, sight.wrong.as_ref()?)));
        let wrong: Vec<String> = wrong.collect();
        assert!(wrong.is_empty(), "this does not show in what runs:\n{}", wrong.join("\n"));
    }

    /// The fields of which something was seen.
    pub fn fields(&self) -> BTreeSet<String> {
        self.0.borrow().iter().flat_map(|sight| sight.fields.split(' ')).map(str::to_owned).collect()
    }
}
