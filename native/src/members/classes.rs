//! Members that the engine reads and writes, by the classes in Python that have them: `work::PAYMENT.get(work)?`,
//! `work::DECIDED.set(work, decided)?`. The class says what a handle is for; it goes by the name alone, so that it is
//! right of an object of any class.

/// Handles under the names that Python has for members, in capitals.
macro_rules! members {
    ($class:ident: $($handle:ident = $name:literal),* $(,)?) => {
        pub mod $class {
            use crate::members::Member;

            $(pub static $handle: Member = Member::of($name);)*
        }
    };
}

// gateway/sharing/work.py
members! { work:
    ANSWER = "answer",
    ASSESSMENT = "assessment",
    ATTEMPT_KEY = "attempt_key",
    CARD_KEY = "card_key",
    DECIDED = "decided",
    DIGEST = "digest",
    DUPLICATE = "duplicate",
    FACTS = "facts",
    INDEX = "index",
    ISSUER = "issuer",
    ITEM = "item",
    PAYMENT = "payment",
    REQUEST_KEY = "request_key",
    SHIP_BILL_MATCH = "ship_bill_match",
    SIGNALS = "signals",
    UNIT_KEY = "unit_key",
}

// enrichment/payment.py
members! { payment:
    AMOUNT_MINOR = "amount_minor",
    CALLER_ASSESSMENTS = "caller_assessments",
    CARDHOLDER_REGION = "cardholder_region",
    CHANNEL = "channel",
    INITIATED_AT_MS = "initiated_at_ms",
    MCC = "mcc",
    MERCHANT_COUNTRY = "merchant_country",
    MERCHANT_ID = "merchant_id",
    PLATFORM_ID = "platform_id",
    PRESENCE = "presence",
    READ = "read",
    VALIDATE_ONLY = "validate_only",
}

members! { assessment:
    PERCENTILE = "percentile",
}

// gateway/sharing/decide.py
members! { decided:
    REASON = "reason",
}

// gateway/records/reasons.py
members! { withhold:
    REASON = "reason",
}
