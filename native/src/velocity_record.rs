//! Counts of one key: its clock and three rings of buckets, laid out as the twin lays them out
//! (gateway/backends/embedded/velocity.py), because both write the same snapshot.

pub const UNITS: usize = 49;
/// The clock in minutes (2 units), rings of minutes, fives and hours, the sum of the hours.
pub type Record = [u16; UNITS];
pub const EMPTY: Record = [0; UNITS];

/// Attempts in 10 minutes, 1 hour and 24 hours.
pub type Counts = [u32; 3];

const MINUTE_AT: usize = 2;
const FIVE_AT: usize = 12;
const HOUR_AT: usize = 24;
const SUM_AT: usize = 48;
const MINUTES: u32 = 10;
const FIVES: u32 = 12;
const HOURS: u32 = 24;

struct Window {
    start: usize,
    buckets: u32,
    /// Minutes of a bucket.
    unit: u32,
}

const WINDOWS: [Window; 3] = [
    Window { start: MINUTE_AT, buckets: MINUTES, unit: 1 },
    Window { start: FIVE_AT, buckets: FIVES, unit: 5 },
    Window { start: HOUR_AT, buckets: HOURS, unit: 60 },
];

impl Window {
    fn ring_of(&self, bucket: u32) -> usize {
        self.start + (bucket % self.buckets) as usize
    }

    fn sum(&self, record: &Record) -> u32 {
        sum(&record[self.start..self.start + self.buckets as usize])
    }
}

/// Counts one attempt at `minute` since the epoch.
pub fn count(record: &mut Record, minute: u32) -> Counts {
    let clock = u32::from(record[0]) | u32::from(record[1]) << 16;
    if minute < clock {
        return count_late(record, clock, minute);
    }
    if minute > clock {
        if record[SUM_AT] > 0 {
            advance(record, clock, minute);
        } else {
            set_clock(record, minute); // nothing was counted yet
        }
    }
    let Some(day) = record[SUM_AT].checked_add(1) else {
        return count_many(record, minute);
    };
    // No bucket holds more than the sum, so that none can be at its end.
    record[SUM_AT] = day;
    let [minutes, fives, hours] = &WINDOWS;
    for ring in [minutes.ring_of(minute), fives.ring_of(minute / 5), hours.ring_of(minute / 60)] {
        record[ring] = record[ring].saturating_add(1);
    }
    let now = u32::from(record[minutes.ring_of(minute)]);
    if now == u32::from(day) {
        return [now; 3]; // all of it in this minute, as with the first attempt
    }
    [minutes.sum(record), fives.sum(record), u32::from(day)]
}

fn sum(buckets: &[u16]) -> u32 {
    buckets.iter().map(|&bucket| u32::from(bucket)).sum()
}

fn set_clock(record: &mut Record, minute: u32) {
    record[0] = (minute & 0xFFFF) as u16;
    record[1] = (minute >> 16) as u16;
}

/// A sum at its end says that the hours have to be added up.
fn set_sum(record: &mut Record, day: u32) {
    record[SUM_AT] = u16::try_from(day).unwrap_or(u16::MAX);
}

/// Moves the clock on and empties the buckets that come into use again.
fn advance(record: &mut Record, clock: u32, minute: u32) {
    set_clock(record, minute);
    if minute / 60 - clock / 60 >= HOURS {
        record[MINUTE_AT..].fill(0);
        return;
    }
    for window in &WINDOWS {
        let (before, now) = (clock / window.unit, minute / window.unit);
        if now - before >= window.buckets {
            record[window.start..window.start + window.buckets as usize].fill(0);
        } else {
            for bucket in before + 1..=now {
                record[window.ring_of(bucket)] = 0;
            }
        }
    }
    if minute / 60 != clock / 60 {
        set_sum(record, WINDOWS[2].sum(record));
    }
}

/// Counts where a bucket may be at its end.
fn count_many(record: &mut Record, minute: u32) -> Counts {
    let counts = WINDOWS.each_ref().map(|window| {
        let ring = window.ring_of(minute / window.unit);
        record[ring] = record[ring].saturating_add(1);
        window.sum(record)
    });
    set_sum(record, counts[2]);
    counts
}

/// Counts an attempt that is older than the key's clock, where its buckets are still kept.
fn count_late(record: &mut Record, clock: u32, minute: u32) -> Counts {
    let counts = WINDOWS.each_ref().map(|window| {
        let (now, own) = (clock / window.unit, minute / window.unit);
        let behind = now - own;
        if behind >= window.buckets {
            return 1;
        }
        let ring = window.ring_of(own);
        record[ring] = record[ring].saturating_add(1);
        // From the attempt's own bucket back to the oldest kept.
        let place = own % window.buckets;
        (0..window.buckets - behind)
            .map(|back| u32::from(record[window.ring_of(place + window.buckets - back)]))
            .sum()
    });
    set_sum(record, WINDOWS[2].sum(record));
    counts
}
