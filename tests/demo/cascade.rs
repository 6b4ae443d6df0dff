//! The steps in which the last of three services hangs, each of which stands behind an Envoy and calls the next one.
//!
//! Nine of ten requests are for pages that all three have part in; what the first service answers alone is the tenth.

use crate::support::chain::{Chain, Figures, RATE};
use crate::table::{Measure, Row};
use std::time::Duration;

/// Plays both steps, without the plugin and with it if that is wanted; `say` is told what is going on.
pub async fn play(with_plugin: bool, say: impl Fn(&str, bool)) -> [Row; 2] {
    let (well, hung) = (WELL.as_secs(), HUNG.as_secs());
    let step = format!("three services, each calls the next; {well} s of load, {RATE} requests/s");
    let mut before = Row { step, ..Row::default() };
    let step = format!("the last of them hangs; {hung} s of the same load");
    let mut during = Row { step, ..Row::default() };
    for with in [false, true].into_iter().filter(|with| with_plugin || !with) {
        say(NAME, with);
        let chain = Chain::start(with, LIFETIME).await;
        let course = chain.course(WELL, HUNG).await;
        let [reached_before, reached_during] = course.reached_last;
        let figures = [course.before(), course.during()];
        let measures = [measure(reached_before, &figures[0]), measure(reached_during, &figures[1])];
        if !with {
            [before.without, during.without] = measures.map(Some);
            continue;
        }
        let [well, hung] = &measures;
        before.expect(well.ok == well.sent, "every answer a success");
        during
            .expect((hung.sent - hung.ok) * 100 < hung.sent, "less than 1 % of errors at the first service");
        during.expect(hung.p99 <= well.p99 * 3 + STALL, "answers about as soon as before");
        let opened = chain.opened().await;
        during
            .notes
            .push(format!("times that the circuits opened, from the first Envoy to the last: {opened:?}"));
        during.expect(opened[2] > 0, "the circuit to the last service opens");
        [before.with, during.with] = measures.map(Some);
    }
    [before, during]
}

/// Pages and all else together.
fn measure(reached: usize, figures: &[Figures; 2]) -> Measure {
    let sent = figures.iter().map(|figures| figures.sent).sum::<usize>();
    let failed = figures.iter().map(|figures| figures.failed).sum::<usize>();
    let latencies = figures.iter().flat_map(|figures| figures.latencies.clone()).collect();
    Measure::of(reached as u64, sent - failed, sent, latencies)
}

const NAME: &str = "7 and 8 a chain of services";
/// What pages say of themselves.
const LIFETIME: &str = "max-age=1, stale-while-revalidate=60, stale-if-error=600";
const WELL: Duration = Duration::from_secs(3);
const HUNG: Duration = Duration::from_secs(6);
/// What an answer may lose on a busy machine.
const STALL: Duration = Duration::from_millis(20);
