//! One Shop in a namespace full of large Secrets that are none of its own.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

use super::{
    Options,
    populations::MEMORY_LIMIT,
    report::{Figure, Figures, Measure},
    shops::namespace,
    stage::Stage,
};

const SIZE: usize = 100 * 1024;
/// Secrets that are being made at the same time.
const AT_ONCE: usize = 8;
/// Each is one change of the Shop, and at least one reconcile.
const RECONCILES: u32 = 6;

const BEFORE: Measure = Measure {
    name: "memory before Secrets",
    unit: "MiB",
    span: "VmRSS of the operator with one Shop, ready and idle; at most the chart's limit",
};
const BESIDE: Measure = Measure {
    name: "memory beside Secrets",
    unit: "MiB",
    span: "the same with Secrets of 100 KiB in the Shop's namespace, after six changes of the Shop and the idle time",
};
const PEAK: Measure =
    Measure { name: "memory beside Secrets, peak", unit: "MiB", span: "VmHWM of the same operator since its start" };

/// Measures the memory before and after.
pub async fn measure(options: &Options, figures: &mut Figures, say: fn(&str)) -> anyhow::Result<()> {
    say("start an API server for Secrets");
    let mut stage = Stage::set_up(options, "operator-beside-secrets.log").await?;
    stage.shops.grow_to(1).await?;
    stage.shops.until_ready().await?;
    stage.settle().await?;
    let (before, _) = stage.program.memory()?;
    say(&format!("make {} Secrets", options.secrets));
    fill(&stage, options.secrets).await?;
    say("change the Shop");
    for number in 0..RECONCILES {
        stage.shops.touch(number % 2 == 0).await?;
    }
    stage.settle().await?;
    stage.idle(Duration::from_secs(options.idle)).await?;
    let (after, peak) = stage.program.memory()?;
    let load = format!("1 Shop, {} Secrets", options.secrets);
    figures.figures.extend([
        Figure::new(BEFORE, "1 Shop", before).at_most(MEMORY_LIMIT),
        Figure::new(BESIDE, &load, after).at_most(MEMORY_LIMIT),
        Figure::new(PEAK, &load, peak).at_most(MEMORY_LIMIT),
    ]);
    Ok(())
}

async fn fill(stage: &Stage, count: u32) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &namespace(0));
    let secrets = &secrets;
    let numbers = stream::iter(0..count).map(anyhow::Ok);
    let create = |number| async move {
        let metadata = ObjectMeta { name: Some(format!("foreign-{number}")), ..ObjectMeta::default() };
        let data = BTreeMap::from([("data".to_owned(), ByteString(vec![b'x'; SIZE]))]);
        let secret = Secret { metadata, data: Some(data), ..Secret::default() };
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    };
    numbers.try_for_each_concurrent(AT_ONCE, create).await
}
