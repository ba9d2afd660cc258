-- What came of each attempt, as known at `as_of_ms`: repeats of an outcome count once, a superseded one not
-- at all, and of several authorization responses (kind 1) the one recorded last holds.
select sender_id, payment_intent_id, attempt_no, approved
from (
  select
    o.sender_id, o.payment_intent_id, o.attempt_no, o.approved,
    row_number() over (
      partition by o.sender_id, o.payment_intent_id, o.attempt_no
      order by o.recorded_at_ms desc, o.position desc, o.outcome_id
    ) as recency
  from (
    select
      r.sender_id, r.outcome_id, r.payment_intent_id, r.attempt_no, r.kind, r.recorded_at_ms, r.approved,
      r.position,
      row_number() over (
        partition by r.sender_id, r.outcome_id order by r.recorded_at_ms, r.position
      ) as occurrence
    from outcomes r
    cross join params p
    where r.recorded_at_ms <= p.as_of_ms
  ) o
  left join (
    select distinct s.sender_id, s.supersedes_outcome_id
    from outcomes s
    cross join params p
    where s.supersedes_outcome_id <> '' and s.recorded_at_ms <= p.as_of_ms
  ) gone on gone.sender_id = o.sender_id and gone.supersedes_outcome_id = o.outcome_id
  where o.occurrence = 1 and o.kind = 1 and gone.supersedes_outcome_id is null
) ranked
where recency = 1
