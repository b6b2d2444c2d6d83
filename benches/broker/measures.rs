//! What is measured of a broker in each round.

use super::client::{self, Load};
use super::endpoint::Endpoint;
use super::site::{Site, own_cpu};
use super::{Outcome, tables::Figures};
use std::time::{Duration, Instant};

/// How long it is published as fast as it goes.
const PUBLISHING: Duration = Duration::from_secs(2);
/// Messages that are pushed.
const PUSHED: u64 = 20_000;
/// No longer than this: the emulator is slow.
const PUSHING_MOST: Duration = Duration::from_secs(6);
/// While single messages are under way: one every 2 ms.
const EVERY: Duration = Duration::from_millis(2);
/// For so long.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// A broker that uses less than this share of a core has nothing left to do.
const IDLE: f64 = 0.05;
/// Looked at over so long.
const LOOK: Duration = Duration::from_millis(300);
/// No longer than this.
const IDLE_MOST: Duration = Duration::from_secs(20);

/// Waits until a broker has cleared away what was measured before: that is none of the next figure's work.
async fn idle(site: &Site) -> Outcome<()> {
    let begun = Instant::now();
    loop {
        let cpu = site.cpu()?;
        tokio::time::sleep(LOOK).await;
        if site.cpu()?.saturating_sub(cpu) < LOOK.mul_f64(IDLE) {
            return Ok(());
        }
        if begun.elapsed() > IDLE_MOST {
            return Err(format!("{} is still at work {} s later", site.name, IDLE_MOST.as_secs()).into());
        }
    }
}

/// A virtual machine compiles what is used often; that is no part of the figures.
pub(super) async fn warm_up(site: &Site) -> Outcome<()> {
    let endpoint = Endpoint::start().await?;
    client::create(&site.endpoint, "warm-up", Some(&endpoint.url)).await?;
    for load in [Load::batches(), Load::singles()] {
        let load = Load { messages: 5_000, time: PUBLISHING, ..load };
        client::publish(&site.endpoint, "warm-up", &load).await?;
    }
    endpoint.until(10_000, Instant::now(), PUSHING_MOST).await;
    client::delete(&site.endpoint, "warm-up").await?;
    idle(site).await
}

/// One broker's turn in a round.
pub(super) async fn round(site: &Site, number: usize) -> Outcome<Figures> {
    let mut figures = Figures::default();
    let id = |what: &str| format!("{what}-{number}");
    for (name, load) in [("100 a request", Load::batches()), ("1 a request", Load::singles())] {
        let id = id(&name.replace(' ', "-"));
        client::create(&site.endpoint, &format!("of-{id}"), None).await?;
        let load = Load { time: PUBLISHING, ..load };
        let cpu = site.cpu()?;
        let published = client::publish(&site.endpoint, &format!("of-{id}"), &load).await?;
        let cpu = site.cpu()?.saturating_sub(cpu).as_secs_f64();
        let count = published.acknowledged as f64;
        figures.add(format!("publish, {name}: messages/s"), count / published.seconds);
        figures.add(format!("publish, {name}: messages per CPU-second of the broker"), count / cpu);
        figures.add(format!("publish, {name}: CPU-seconds of the client per million"), published.own_cpu / count * 1e6);
        client::delete(&site.endpoint, &format!("of-{id}")).await?;
        idle(site).await?;
    }
    push(site, &id("pushed"), &mut figures).await?;
    both(site, &id("both"), &mut figures).await?;
    under_way(site, &id("under-way"), &mut figures).await?;
    Ok(figures)
}

/// From the moment at which a backlog's subscription has an endpoint until all of it has come there.
async fn push(site: &Site, id: &str, figures: &mut Figures) -> Outcome<()> {
    let endpoint = Endpoint::start().await?;
    client::create(&site.endpoint, id, None).await?;
    client::publish(&site.endpoint, id, &Load { messages: PUSHED, ..Load::batches() }).await?;
    let (cpu, own) = (site.cpu()?, own_cpu()?);
    let begun = Instant::now();
    client::push(&site.endpoint, id, &endpoint.url).await?;
    let (came, seconds) = endpoint.until(PUSHED, begun, PUSHING_MOST).await;
    let (cpu, own) = (site.cpu()?.saturating_sub(cpu).as_secs_f64(), own_cpu()?.saturating_sub(own).as_secs_f64());
    let came = came as f64;
    figures.add("push: messages/s", came / seconds);
    figures.add("push: messages per CPU-second of the broker", came / cpu);
    figures.add("push: CPU-seconds of the endpoint per million", own / came * 1e6);
    figures.add("push: came more than once", endpoint.look(|arrivals| arrivals.again as f64));
    client::delete(&site.endpoint, id).await?;
    idle(site).await
}

/// Published as fast as it goes, and pushed meanwhile, until all has come.
async fn both(site: &Site, id: &str, figures: &mut Figures) -> Outcome<()> {
    let endpoint = Endpoint::start().await?;
    client::create(&site.endpoint, id, Some(&endpoint.url)).await?;
    let cpu = site.cpu()?;
    let begun = Instant::now();
    let load = Load { messages: PUSHED, time: PUSHING_MOST, ..Load::batches() };
    let published = client::publish(&site.endpoint, id, &load).await?;
    let (came, seconds) = endpoint.until(published.acknowledged, begun, PUSHING_MOST).await;
    let cpu = site.cpu()?.saturating_sub(cpu).as_secs_f64();
    figures.add("both at once: published/s", published.acknowledged as f64 / published.seconds);
    figures.add("both at once: delivered/s", came as f64 / seconds);
    figures.add("both at once: delivered per CPU-second of the broker", came as f64 / cpu);
    client::delete(&site.endpoint, id).await?;
    idle(site).await
}

/// How long a message is under way, from its sending to its push, when there is no hurry.
async fn under_way(site: &Site, id: &str, figures: &mut Figures) -> Outcome<()> {
    let endpoint = Endpoint::start().await?;
    client::create(&site.endpoint, id, Some(&endpoint.url)).await?;
    let begun = Instant::now();
    let load = Load { time: UNDER_WAY, every: Some(EVERY), ..Load::singles() };
    let published = client::publish(&site.endpoint, id, &load).await?;
    endpoint.until(published.acknowledged, begun, PUSHING_MOST).await;
    let times = endpoint.look(|arrivals| {
        arrivals.times_us.sort_unstable();
        std::mem::take(&mut arrivals.times_us)
    });
    for (name, share) in [("p50", 50), ("p99", 99)] {
        let time = times.get(times.len() * share / 100).copied().unwrap_or_default();
        figures.add(format!("under way at 500/s: {name} ms"), time as f64 / 1e3);
    }
    client::delete(&site.endpoint, id).await?;
    idle(site).await
}
