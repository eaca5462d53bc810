//! The simulated time: AWS, the fleet, and what happens next.

use super::{
    MINUTE, Micros, SECOND, Scenario, Settings,
    agenda::Agenda,
    bucket::Bucket,
    chance::Chance,
    fleet::{Fleet, Next},
    mounts::{Call, Mounts},
    notices::Notices,
    outcome::Tally,
};

/// Within this time after the tenth minute all nodes restart.
const RESTART_WITHIN: Micros = MINUTE;
/// When the scenario begins.
const BEGINS: Micros = 10 * MINUTE;
const OUTAGE: Micros = 10 * MINUTE;
const CHANGE_EVERY: Micros = 5 * MINUTE;

/// Something that happens to a unit, a call of a mount, a node, or all of them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Poll(u32),
    Call(Call),
    /// A failed mount is tried again.
    Again(u32),
    /// A pod starts on the node.
    Start(u32),
    Restart(u32),
    Change,
    /// The node sees a change notice.
    Notice(u32),
    OutageBegins,
    OutageEnds,
    NoticesStop,
    NoticesFlow,
}

/// What AWS does with a call.
pub(super) enum Answer {
    Answered,
    Throttled,
    Failed,
}

pub(super) struct World<'a> {
    pub(super) settings: &'a Settings,
    pub(super) began: Micros,
    pub(super) now: Micros,
    pub(super) agenda: Agenda<Event>,
    pub(super) chance: Chance,
    pub(super) fleet: Fleet,
    pub(super) mounts: Mounts,
    pub(super) notices: Notices,
    pub(super) tally: Tally,
    quotas: [Bucket; 2],
    outage: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        // At the start, no value is older than its interval: time begins late enough for that.
        let began = settings.notified_poll_interval.unwrap_or(settings.interval).max(settings.interval);
        let began = began.as_micros() as Micros;
        let quota = |quota| Bucket::new(quota);
        let mut world = Self {
            settings,
            began,
            now: began,
            agenda: Agenda::from(began),
            chance: Chance::new(settings.seed),
            fleet: Fleet::new(settings),
            mounts: Mounts::default(),
            notices: Notices::new(settings.notified_poll_interval.is_some()),
            tally: Tally::new(began),
            quotas: [quota(settings.secrets_manager_quota), quota(settings.parameter_store_quota)],
            outage: false,
        };
        world.fill();
        world.plan();
        world
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> Self {
        let end = self.end();
        while let Some((at, event)) = self.agenda.next(end) {
            self.now = at;
            match event {
                Event::Poll(unit) => self.look(unit),
                Event::Call(call) => self.call(call),
                Event::Again(mount) => self.mount_again(mount),
                Event::Start(node) => self.start_pod(node),
                Event::Restart(node) => self.restart(node),
                Event::Change => self.change(),
                Event::Notice(node) => self.notice(node),
                Event::OutageBegins => self.outage = true,
                Event::OutageEnds => self.outage = false,
                Event::NoticesStop => self.notices_stop(),
                Event::NoticesFlow => self.notices.flow = true,
            }
        }
        self.now = end;
        self
    }

    pub(super) fn end(&self) -> Micros {
        self.began + self.settings.length.as_micros() as Micros
    }

    /// A call to a service, by a poll or a mount.
    pub(super) fn ask(&mut self, service: usize) -> Answer {
        let answer = if self.outage {
            Answer::Failed
        } else if self.quotas[service].answers(self.now) {
            Answer::Answered
        } else {
            Answer::Throttled
        };
        self.tally.called(service, self.now, &answer);
        answer
    }

    /// Every principal has read its values, at any time of the last interval.
    fn fill(&mut self) {
        let (settings, now) = (self.settings, self.now);
        let notified = self.notices.flow;
        let interval = self.asked().as_micros() as Micros;
        for node in 0..settings.nodes {
            for principal in 0..settings.accounts_per_node {
                let from = now - self.chance.between(0, interval);
                for number in self.fleet.principal(node, principal) {
                    let unit = &mut self.fleet.units[number as usize];
                    (unit.read_at, unit.from, unit.look_at) = (Some(from), from, from + interval);
                    (unit.next, unit.notified) = (Next::Interval, notified);
                    self.agenda.add(from + interval, Event::Poll(number));
                }
            }
            self.next_start(node);
        }
    }

    fn plan(&mut self) {
        let begins = self.began + BEGINS;
        match self.settings.scenario {
            Scenario::Steady => {}
            Scenario::Restart => {
                for node in 0..self.settings.nodes {
                    let at = begins + self.chance.between(0, RESTART_WITHIN);
                    self.agenda.add(at, Event::Restart(node));
                }
            }
            Scenario::Outage => {
                self.agenda.add(begins, Event::OutageBegins);
                self.agenda.add(begins + OUTAGE, Event::OutageEnds);
                self.plan_silence(begins, begins + OUTAGE);
            }
            Scenario::Change => {
                // The last one has a third of the time to arrive.
                let last = self.began + (self.end() - self.began) * 2 / 3;
                let times = (begins..=last.max(begins)).step_by(CHANGE_EVERY as usize);
                times.for_each(|at| self.agenda.add(at, Event::Change));
            }
        }
    }

    pub(super) fn next_start(&mut self, node: u32) {
        if self.settings.pod_starts > 0.0 {
            let pause = self.chance.pause(self.settings.pod_starts / 3600.0) * SECOND as f64;
            self.agenda.add(self.now + pause as Micros, Event::Start(node));
        }
    }
}
