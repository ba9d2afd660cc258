-- Payments with a fraud report (kind 1) that stands, as known at `as_of_ms`: the newest word of the source
-- on each case is neither taken back (verb 3) nor cleared (state 3).
select distinct sender_id, payment_intent_id
from (
  select
    l.sender_id, l.payment_intent_id, l.verb, l.state,
    row_number() over (
      partition by l.reporter_id, l.source, l.case_id
      order by l.reported_at_ms desc, l.recorded_at_ms desc, l.position desc
    ) as recency
  from labels l
  cross join params p
  where l.kind = 1 and l.matched and l.recorded_at_ms <= p.as_of_ms
) newest
where recency = 1 and verb <> 3 and state <> 3
