//! The market's time beside clocks that step.

use super::*;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;
const START: u64 = 20_000 * DAY;

/// Two clocks, and the market's time.
struct Machine {
    wall: u64,
    boot: u64,
    time: MarketTime,
}

impl Machine {
    fn start() -> Machine {
        let reading = Reading { wall: START, boot: 500 * SECOND };
        Machine { wall: START, boot: reading.boot, time: MarketTime::begin(reading, Time::from_micros(START), None) }
    }

    /// Sets the wall clock by so many seconds.
    fn set(&mut self, seconds: i64) -> &mut Machine {
        self.wall = self.wall.checked_add_signed(seconds * SECOND as i64).unwrap();
        self
    }

    /// Lets time pass, in readings of a second. Returns the market's time after the start, in seconds.
    fn pass(&mut self, seconds: u64) -> u64 {
        for _ in 0..seconds {
            (self.wall, self.boot) = (self.wall + SECOND, self.boot + SECOND);
            let before = self.time.time();
            assert!(self.read() >= before, "never back");
        }
        (self.read().micros() - START) / SECOND
    }

    fn read(&mut self) -> Time {
        self.time.read(Reading { wall: self.wall, boot: self.boot })
    }

    fn accept(&mut self) {
        self.time.accept(Reading { wall: self.wall, boot: self.boot });
    }
}

#[test]
fn a_small_step_is_followed_or_waited_for() {
    let mut machine = Machine::start();
    assert_eq!(machine.pass(10), 10);
    assert_eq!(machine.set(30).pass(10), 50);
    assert_eq!(machine.set(-20).pass(100), 140, "at nine tenths");
    assert_eq!(machine.pass(100), 230);
    assert_eq!(machine.pass(100), 330, "caught up");
    assert!(!machine.time.is_refused);
}

#[test]
fn a_large_step_is_refused_until_the_clock_is_back() {
    for step in [61, 86_400, 400 * 86_400, -61, -86_400] {
        let mut machine = Machine::start();
        machine.pass(5);
        assert_eq!((machine.set(step).pass(100), machine.time.is_refused), (105, true), "{step} s");
        assert_eq!((machine.set(-step).pass(10), machine.time.is_refused), (115, false), "{step} s");
    }
}

#[test]
fn small_steps_do_not_add_up_to_a_large_one() {
    let mut machine = Machine::start();
    for _ in 0..100 {
        machine.set(50).pass(10);
    }
    assert!(machine.time.is_refused);
    assert!((machine.read().micros() - START) / SECOND < 1_000 + 70);
}

#[test]
fn a_drift_is_followed_for_ever() {
    let mut machine = Machine::start();
    for _ in 0..500_000 {
        machine.wall += 500; // 500 ppm
        machine.pass(1);
    }
    assert_eq!((machine.read().micros(), machine.time.is_refused), (machine.wall, false));
}

#[test]
fn an_accepted_step_is_followed_or_waited_for() {
    let mut machine = Machine::start();
    machine.set(86_400).pass(10);
    machine.accept();
    assert_eq!((machine.pass(10), machine.time.is_refused), (86_420, false));
    machine.set(-86_400).pass(10);
    assert!(machine.time.is_refused);
    machine.accept();
    assert_eq!((machine.pass(1_000), machine.time.is_refused), (86_430 + 900, false));
    machine.pass(863_000);
    assert_eq!(machine.read().micros(), machine.wall, "caught up");
    assert_eq!((machine.set(120).pass(1), machine.time.is_refused), (864_031, true), "it is checked again");
}

#[test]
fn a_start_goes_on_after_the_markets_last_time() {
    let reading = Reading { wall: START, boot: 0 };
    let mut ahead = MarketTime::begin(reading, Time::from_micros(START + DAY), None);
    assert_eq!((ahead.read(reading).micros(), ahead.is_refused), (START + DAY, true));
    let mut behind = MarketTime::begin(reading, Time::from_micros(START - 30 * DAY), None);
    assert_eq!((behind.read(reading).micros(), behind.is_refused), (START, false), "it was stopped for a month");
}

#[test]
fn a_start_after_its_clock_was_set_is_told() {
    let mut machine = Machine::start();
    machine.pass(100);
    let offset = machine.time.offset();
    let begin = |machine: &Machine| {
        let reading = Reading { wall: machine.wall, boot: machine.boot };
        MarketTime::begin(reading, Time::from_micros(START), Some(offset))
    };
    assert!(!begin(&machine).is_refused);
    machine.set(86_400);
    machine.time = begin(&machine);
    assert_eq!((machine.pass(10), machine.time.is_refused), (110, true));
}
