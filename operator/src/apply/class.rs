//! The class of an Ingress. A cluster gives its default class once, to an Ingress that is made without one.

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};

use super::{Error, Writer, failed, fingerprint};
use crate::names;

impl Writer<'_> {
    /// Deletes the Ingress that would be left without a class when the Shop's choice is taken back, so that it is made anew.
    /// Gives back the others.
    pub(super) async fn without_lost_classes(
        &self,
        live: Vec<Ingress>,
        desired: &[Ingress],
    ) -> Result<Vec<Ingress>, Error> {
        let mut staying = Vec::with_capacity(live.len());
        for found in live {
            let wanted = desired.iter().find(|wanted| wanted.name_any() == found.name_any());
            match wanted {
                Some(wanted) if self.loses_its_class(&found, wanted).await? => self.delete(&found).await?,
                _ => staying.push(found),
            }
        }
        Ok(staying)
    }

    /// Asks the API server, who knows whose choice the class was.
    async fn loses_its_class(&self, found: &Ingress, wanted: &Ingress) -> Result<bool, Error> {
        let is_applied = found.annotations().get(names::APPLIED_ANNOTATION) == Some(&fingerprint(wanted)?);
        if is_applied || !has_class(found) || has_class(wanted) || !self.owns(found) {
            return Ok(false);
        }
        let (name, params) = (found.name_any(), PatchParams::apply(names::MANAGER).force().dry_run());
        let outcome = self.api::<Ingress>().patch(&name, &params, &Patch::Apply(wanted)).await;
        Ok(!has_class(&outcome.map_err(|source| failed::<Ingress>("applying", &name, source))?))
    }
}

fn has_class(ingress: &Ingress) -> bool {
    ingress.spec.as_ref().is_some_and(|spec| spec.ingress_class_name.is_some())
}
