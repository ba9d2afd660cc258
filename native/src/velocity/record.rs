//! Counts of one key: its clock, four rings of buckets and the others it was seen with, laid out as the twin lays
//! them out (gateway/backends/embedded/velocity_record.py), because both write the same snapshot.

pub const UNITS: usize = 80;
/// The clock in minutes (2 units); rings of minutes, fives, hours and days; the sum of the days; the others.
pub type Record = [u16; UNITS];
pub const EMPTY: Record = [0; UNITS];

/// Attempts, then different others, each in 10 minutes, 1 hour, 24 hours and 7 days.
pub type Counts = [u32; 8];
type Four = [u32; 4];

const MINUTE_AT: usize = 2;
const FIVE_AT: usize = 12;
const HOUR_AT: usize = 24;
const DAY_AT: usize = 48;
const SUM_AT: usize = 55;
/// Each of the others has three units: minute it was last seen in (its low 16 bits), hash (low half, high half).
const OTHERS_AT: usize = 56;
const OTHER_UNITS: usize = 3;
/// Where counting of others stops. They stand one after the other, none behind the first free place.
const OTHERS: u32 = 8;
const DAY_MINUTES: u32 = 24 * 60;
const DAYS: u32 = 7;

struct Window {
    start: usize,
    buckets: u32,
    /// Minutes of a bucket.
    unit: u32,
}

const WINDOWS: [Window; 4] = [
    Window { start: MINUTE_AT, buckets: 10, unit: 1 },
    Window { start: FIVE_AT, buckets: 12, unit: 5 },
    Window { start: HOUR_AT, buckets: 24, unit: 60 },
    Window { start: DAY_AT, buckets: DAYS, unit: DAY_MINUTES },
];

impl Window {
    fn ring_of(&self, bucket: u32) -> usize {
        self.start + (bucket % self.buckets) as usize
    }

    fn sum(&self, record: &Record) -> u32 {
        sum(&record[self.start..self.start + self.buckets as usize])
    }

    /// Minutes from the clock back to the first that the window has.
    fn reach(&self, clock: u32) -> u32 {
        (clock % self.unit + (self.buckets - 1) * self.unit).min(clock)
    }
}

/// Counts one attempt at `minute` since the epoch, with the hash of the other that it came with; 0 is none.
pub fn count(record: &mut Record, minute: u32, other: u32) -> Counts {
    let clock = u32::from(record[0]) | u32::from(record[1]) << 16;
    let attempts = if minute < clock {
        count_late(record, clock, minute)
    } else {
        count_now(record, clock, minute)
    };
    let others = if other == 0 && hash_at(record, 0) == 0 {
        [0; 4]
    } else {
        count_others(record, clock.max(minute), minute, other)
    };
    let [a, b, c, d] = attempts;
    let [e, f, g, h] = others;
    [a, b, c, d, e, f, g, h]
}

fn count_now(record: &mut Record, clock: u32, minute: u32) -> Four {
    if minute > clock {
        if record[SUM_AT] > 0 {
            advance(record, clock, minute);
        } else {
            set_clock(record, minute); // nothing was counted yet
        }
    }
    let Some(week) = record[SUM_AT].checked_add(1) else {
        return count_many(record, minute);
    };
    // No bucket holds more than the sum, so that none can be at its end.
    record[SUM_AT] = week;
    for window in &WINDOWS {
        let ring = window.ring_of(minute / window.unit);
        record[ring] = record[ring].saturating_add(1);
    }
    let [minutes, fives, hours, _] = &WINDOWS;
    let now = u32::from(record[minutes.ring_of(minute)]);
    if now == u32::from(week) {
        return [now; 4]; // all of it in this minute, as with the first attempt
    }
    [minutes.sum(record), fives.sum(record), hours.sum(record), u32::from(week)]
}

fn sum(buckets: &[u16]) -> u32 {
    buckets.iter().map(|&bucket| u32::from(bucket)).sum()
}

fn set_clock(record: &mut Record, minute: u32) {
    record[0] = (minute & 0xFFFF) as u16;
    record[1] = (minute >> 16) as u16;
}

/// A sum at its end says that the days have to be added up.
fn set_sum(record: &mut Record, week: u32) {
    record[SUM_AT] = u16::try_from(week).unwrap_or(u16::MAX);
}

/// Moves the clock on, empties the buckets that come into use again, and forgets others of before the week.
fn advance(record: &mut Record, clock: u32, minute: u32) {
    set_clock(record, minute);
    if minute / DAY_MINUTES - clock / DAY_MINUTES >= DAYS {
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
    if minute / DAY_MINUTES != clock / DAY_MINUTES {
        set_sum(record, WINDOWS[3].sum(record));
        // All were within the week that ended at the old clock, so that 16 bits of a minute still tell their age.
        forget_others(record, minute, WINDOWS[3].reach(minute));
    }
}

/// Counts where a bucket may be at its end.
fn count_many(record: &mut Record, minute: u32) -> Four {
    let counts = WINDOWS.each_ref().map(|window| {
        let ring = window.ring_of(minute / window.unit);
        record[ring] = record[ring].saturating_add(1);
        window.sum(record)
    });
    set_sum(record, counts[3]);
    counts
}

/// Counts an attempt that is older than the key's clock, where its buckets are still kept.
fn count_late(record: &mut Record, clock: u32, minute: u32) -> Four {
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
    set_sum(record, WINDOWS[3].sum(record));
    counts
}

fn at(place: u32) -> usize {
    OTHERS_AT + place as usize * OTHER_UNITS
}

/// 0 where the place is free.
fn hash_at(record: &Record, place: u32) -> u32 {
    let at = at(place);
    u32::from(record[at + 1]) | u32::from(record[at + 2]) << 16
}

/// Minutes since the other was last seen. None is older than the week.
fn age_at(record: &Record, place: u32, clock: u32) -> u32 {
    u32::from((clock as u16).wrapping_sub(record[at(place)]))
}

fn put_at(record: &mut Record, place: u32, minute: u32, hash: u32) {
    let at = at(place);
    record[at] = minute as u16;
    record[at + 1] = hash as u16;
    record[at + 2] = (hash >> 16) as u16;
}

/// Those that stay keep their order.
fn forget_others(record: &mut Record, clock: u32, reach: u32) {
    let mut kept = 0;
    for place in 0..OTHERS {
        let hash = hash_at(record, place);
        if hash == 0 {
            break;
        }
        let age = age_at(record, place, clock);
        if age <= reach {
            put_at(record, kept, clock - age, hash);
            kept += 1;
        }
    }
    record[at(kept)..].fill(0);
}

/// Takes in the attempt's own other, in place of the one not seen for longest, and counts by window.
fn count_others(record: &mut Record, clock: u32, minute: u32, other: u32) -> Four {
    let own_age = clock - minute;
    if other != 0 && own_age <= WINDOWS[3].reach(clock) {
        see(record, clock, minute, own_age, other);
    }
    let reaches = WINDOWS.each_ref().map(|window| window.reach(clock));
    // The attempt's own counts once in each window, wherever the attempt stands.
    let mut counts = [u32::from(other != 0); 4];
    for place in 0..OTHERS {
        let hash = hash_at(record, place);
        if hash == 0 {
            break;
        }
        if hash != other {
            let age = age_at(record, place, clock);
            for (count, reach) in counts.iter_mut().zip(reaches) {
                *count += u32::from(age <= reach);
            }
        }
    }
    counts.map(|count| count.min(OTHERS))
}

fn see(record: &mut Record, clock: u32, minute: u32, own_age: u32, other: u32) {
    let (mut oldest, mut oldest_age) = (0, 0);
    for place in 0..OTHERS {
        let hash = hash_at(record, place);
        if hash == 0 {
            return put_at(record, place, minute, other);
        }
        let age = age_at(record, place, clock);
        if hash == other {
            if own_age < age {
                put_at(record, place, minute, other);
            }
            return;
        }
        if age > oldest_age {
            (oldest, oldest_age) = (place, age);
        }
    }
    if own_age < oldest_age {
        put_at(record, oldest, minute, other);
    }
}
