//! What the catalog keeps outside its database.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{SECRET_HELP, SECRET_RULE};

/// Products.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProductsSpec {
    /// Where uploaded pictures are kept. Default: in PostgreSQL.
    #[serde(default)]
    pub images: ProductImagesSpec,
}

/// Where uploaded pictures are kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProductImagesSpec {
    /// A bucket for those that are uploaded from now on. Those in PostgreSQL stay there, and are served as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Spec>,
}

/// A bucket, of Amazon or of anything that speaks its protocol.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct S3Spec {
    /// Name of the bucket. It must exist; pictures are written to the folder `uploads` of it, and never removed.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$')").message(
        "bucket is the name of a bucket: 3 to 63 lower-case letters, digits, '.' and '-', for example acorn-pictures"
    ))]
    pub bucket: String,

    /// Where the bucket is, without its name. Default: Amazon's own address for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$')").message(
        "endpoint is scheme and host, optionally a port, and no path, for example https://s3.example.com"
    ))]
    pub endpoint: Option<String>,

    /// The region in which requests are signed. Servers other than Amazon's rarely care.
    #[serde(default = "default_region")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9-]+$')").message(
        "region is the short name of a region, for example eu-central-1"
    ))]
    pub region: String,

    /// Name of a Secret in the Shop's namespace with the keys `accessKeyId` and `secretAccessKey`; they must allow to get
    /// and to put objects and to list the bucket, or nobody is told that a picture is not there. Pods of product start
    /// anew when it changes.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(SECRET_RULE).message(SECRET_HELP))]
    pub secret_name: String,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}
