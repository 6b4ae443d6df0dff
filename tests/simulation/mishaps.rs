//! What goes wrong besides the upstream: VMs die, Envoys restart, and Redis does all that befalls it.

use super::*;
use breakwater::host::sim::{Mood, Refusal, Side};

pub fn add(rng: &mut Rng, config: &Config, acts: &mut Vec<(Duration, Act)>) {
    let end = Duration::from_secs(9);
    if rng.chance(400) {
        for _ in 0..1 + rng.index(3) {
            let after = rng.chance(600).then(|| u32::try_from(rng.below(60)).unwrap());
            let (envoy, worker) = (rng.index(config.envoys), rng.index(config.workers));
            acts.push((rng.duration(Duration::ZERO, end), Act::Trap { envoy, worker, after }));
        }
    }
    if rng.chance(80) {
        acts.push((rng.duration(Duration::ZERO, end), Act::Restart(rng.index(config.envoys))));
    }
    if rng.chance(500) {
        for _ in 0..1 + rng.index(4) {
            let at = rng.duration(Duration::ZERO, end);
            acts.extend(troubles(rng, config, at).map(|(at, mishap)| (at, Act::Befall(mishap))));
        }
    }
}

/// Something that befalls Redis, or the ways to it, and what comes of it.
fn troubles(
    rng: &mut Rng,
    config: &Config,
    at: Duration,
) -> impl Iterator<Item = (Duration, Mishap)> + use<> {
    let ends = at + rng.duration(MS, MS * 3_000);
    let longest = MS * *rng.pick(&[1, 20, 500]).unwrap();
    let lag = rng.duration(Duration::ZERO, longest);
    let trouble = match rng.below(20) {
        0..8 => vec![(at, Mishap::Mood(mood(rng)))],
        8..12 => {
            let envoy = rng.index(config.envoys);
            vec![(at, Mishap::Toward(envoy, Some(mood(rng)))), (ends, Mishap::Toward(envoy, None))]
        }
        12 | 13 => vec![(at, Mishap::Forgets(":lock:"))],
        14 => vec![(at, Mishap::Forgets(""))],
        15..17 => {
            // Away until the replica is found, or at once.
            let away = if rng.chance(500) { Some((at, Mishap::Mood(Mood::down()))) } else { None };
            let back = away.as_ref().map(|_| (ends, Mishap::Mood(Mood::default())));
            let fails_over = (if back.is_some() { ends } else { at }, Mishap::FailsOver(lag));
            away.into_iter().chain([fails_over]).chain(back).collect()
        }
        _ => {
            let side = if rng.chance(500) { Side::Former } else { Side::Replica };
            let gone = (0..config.envoys).filter(|_| rng.chance(500)).collect();
            vec![(at, Mishap::Splits(gone, lag)), (ends, Mishap::Heals(side))]
        }
    };
    trouble.into_iter()
}

fn mood(rng: &mut Rng) -> Mood {
    let well = Mood::default();
    let moods = [
        well.clone(),
        Mood::down(),
        Mood::frozen(),
        Mood { delay: (MS, MS * 200), ..well.clone() },
        Mood { loss: 100, error: 100, garbage: 100, ..well.clone() },
        Mood { garbage: 1000, ..well.clone() },
        Mood { lame: 300, ..well.clone() },
        Mood { refusal: Some(Refusal::Writes), ..well.clone() },
        Mood { refusal: Some(Refusal::Scripts), ..well },
    ];
    rng.pick(&moods).unwrap().clone()
}

/// When Redis was not well, from the first sign to the last.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Vec<Trouble>);

#[derive(Clone, Debug)]
struct Trouble {
    begins: Duration,
    ends: Duration,
    /// Whether those who asked may have given it up for a while.
    silent: bool,
}

impl Troubles {
    pub(super) fn of(acts: &[(Duration, Act)]) -> Self {
        let befallen = acts.iter().filter_map(|(at, act)| match act {
            Act::Befall(mishap) => Some((*at, mishap.clone())),
            _ => None,
        });
        let mut befallen: Vec<_> = befallen.collect();
        befallen.sort_by_key(|(at, _)| *at);
        let mut troubles = Vec::new();
        // What is wrong in general, towards which Envoys, and whether it is split.
        let (mut all, mut toward, mut split) = (false, BTreeSet::new(), false);
        let mut since = None::<(Duration, bool)>;
        for (at, mishap) in befallen {
            let silent = matches!(mishap, Mishap::Mood(_) | Mishap::Toward(..));
            match mishap {
                Mishap::Mood(mood) => all = !is_well(&mood),
                Mishap::Toward(envoy, Some(mood)) if !is_well(&mood) => drop(toward.insert(envoy)),
                Mishap::Toward(envoy, _) => drop(toward.remove(&envoy)),
                Mishap::Splits(..) => split = true,
                Mishap::Heals(_) => split = false,
                Mishap::Forgets(_) | Mishap::FailsOver(_) => {}
            }
            let (begins, was_silent) = since.unwrap_or((at, false));
            let silent = silent || was_silent;
            if all || split || !toward.is_empty() {
                since = Some((begins, silent));
            } else {
                since = None;
                troubles.push(Trouble { begins, ends: at, silent });
            }
        }
        troubles.extend(since.map(|(begins, silent)| Trouble { begins, ends: Duration::MAX, silent }));
        Self(troubles)
    }

    /// Whether Redis was well from one moment to another, and before that for so long, or for so long if it was silent,
    /// that nobody suffers from it any more.
    pub fn spare(&self, from: Duration, to: Duration, after: Duration, after_silence: Duration) -> bool {
        self.0.iter().all(|trouble| {
            let suffers = if trouble.silent { after_silence } else { after };
            to < trouble.begins || trouble.ends.saturating_add(suffers) < from
        })
    }
}

fn is_well(mood: &Mood) -> bool {
    let Mood { delay: (_, longest), loss, error, garbage, lame, refusal } = mood;
    *longest <= MS && *loss + *error + *garbage + *lame == 0 && refusal.is_none()
}

#[test]
fn redis_is_in_trouble_from_the_first_sign_to_the_last() {
    let troubled = |befallen: &[(u32, Mishap)]| {
        let acts: Vec<_> = befallen.iter().map(|(at, what)| (MS * *at, Act::Befall(what.clone()))).collect();
        let spared = |at: u32| Troubles::of(&acts).spare(MS * at, MS * at, MS * 10, MS * 20);
        (0..100).filter(|at| !spared(*at)).collect::<Vec<_>>()
    };
    let well = || Mishap::Mood(Mood::default());
    let toward = |mood| Mishap::Toward(0, mood);
    assert_eq!(troubled(&[(5, well())]), (5..=25).collect::<Vec<_>>(), "which was perhaps another before");
    assert_eq!(troubled(&[(5, Mishap::Forgets(""))]), (5..=15).collect::<Vec<_>>());
    assert_eq!(troubled(&[(9, well()), (5, Mishap::Mood(Mood::down()))]), (5..=29).collect::<Vec<_>>());
    let split = [(5, Mishap::Splits(vec![0], MS)), (30, Mishap::Heals(Side::Former))];
    assert_eq!(troubled(&split), (5..=40).collect::<Vec<_>>());
    let both = [(5, toward(Some(Mood::down()))), (8, Mishap::Mood(Mood::down())), (9, toward(None))];
    assert_eq!(troubled(&both), (5..100).collect::<Vec<_>>(), "one of them stays");
}
