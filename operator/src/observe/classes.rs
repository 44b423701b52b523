//! Pure: the class of an Ingress that names none.

use std::cmp::Reverse;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::crd::Shop;

/// Marks the class of an Ingress that names none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// As the API server chooses where several are marked: the newest one, the first by name of the same second.
pub(super) fn default_class(classes: &[IngressClass]) -> Option<String> {
    let marked = classes.iter().filter(|class| class.annotations().get(DEFAULT_CLASS).is_some_and(|is| is == "true"));
    let age = |class: &&IngressClass| (Reverse(class.creation_timestamp().map(|time| time.0)), class.name_any());
    marked.min_by_key(age).map(ResourceExt::name_any)
}

/// While the mark moves from one class to another there may be none, and a route that is served stays so.
pub(super) fn class_in_use(ingresses: &[Ingress], classes: &[IngressClass]) -> Option<String> {
    let named = ingresses.iter().find_map(|ingress| ingress.spec.as_ref()?.ingress_class_name.clone());
    named.filter(|name| classes.iter().any(|class| class.name_any() == *name))
}

/// The classes that are named, for somebody to whom it is not shown which ones there are.
pub(super) fn named_classes(shop: &Shop, ingresses: &[Ingress]) -> Vec<IngressClass> {
    let in_use = ingresses.iter().filter_map(|ingress| ingress.spec.as_ref()?.ingress_class_name.clone());
    let named = in_use.chain(shop.spec.ingress.class_name.clone());
    let class = |name| ObjectMeta { name: Some(name), ..ObjectMeta::default() };
    named.map(|name| IngressClass { metadata: class(name), ..IngressClass::default() }).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::crd::ShopSpec;

    fn class(name: &str, second: i64, is_default: &str) -> IngressClass {
        let mut class = IngressClass::default();
        class.metadata.name = Some(name.to_owned());
        class.metadata.creation_timestamp = Timestamp::from_second(second).ok().map(Time);
        class.annotations_mut().insert(DEFAULT_CLASS.to_owned(), is_default.to_owned());
        class
    }

    #[test]
    fn the_newest_of_the_classes_that_are_marked_as_default_is_it() {
        let (old, new, newer) = (class("acorn", 1, "true"), class("beech", 2, "true"), class("cedar", 3, "false"));
        assert_eq!(default_class(&[old.clone(), new, newer.clone()]).as_deref(), Some("beech"));
        assert_eq!(default_class(&[class("birch", 1, "true"), old]).as_deref(), Some("acorn"));
        assert_eq!(default_class(&[newer]), None);
    }

    #[test]
    fn a_class_in_use_is_kept_as_long_as_it_exists() {
        let mut ingress = Ingress::default();
        ingress.spec.get_or_insert_default().ingress_class_name = Some("acorn".to_owned());
        let classes = [class("acorn", 1, "false"), class("beech", 2, "false")];
        assert_eq!(class_in_use(&[ingress.clone()], &classes).as_deref(), Some("acorn"));
        assert_eq!(class_in_use(&[ingress], &classes[1..]), None);
        assert_eq!(class_in_use(&[], &classes), None);
    }

    #[test]
    fn to_whom_no_class_is_shown_those_are_there_that_a_shop_and_its_ingress_name() {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        let mut ingress = Ingress::default();
        ingress.spec.get_or_insert_default().ingress_class_name = Some("acorn".to_owned());
        let ingresses = [ingress];
        let classes = named_classes(&shop, &ingresses);
        assert_eq!(class_in_use(&ingresses, &classes).as_deref(), Some("acorn"), "a plan leaves it as it is");
        shop.spec.ingress.class_name = Some("beech".to_owned());
        let names: Vec<String> = named_classes(&shop, &ingresses).iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["acorn", "beech"]);
        assert_eq!(default_class(&classes), None);
    }
}
