-- One row a compared payment: was the first attempt heard of and approved, and was any attempt.
select
  c.program, c.issuer_id, c.experiment_id, c.ramp_ppm, c.holdout_ppm, c.arm, c.unit_key, c.sender_id,
  c.payment_intent_id,
  coalesce(r.first_known, 0) as first_known,
  coalesce(r.first_approved, 0) as first_approved,
  coalesce(r.final_known, 0) as final_known,
  coalesce(r.final_approved, 0) as final_approved
from compared_payments c
left join (
  select
    sender_id,
    payment_intent_id,
    max(case when attempt_no = 1 then 1 else 0 end) as first_known,
    max(case when attempt_no = 1 and approved then 1 else 0 end) as first_approved,
    1 as final_known,
    max(case when approved then 1 else 0 end) as final_approved
  from latest_outcomes
  group by sender_id, payment_intent_id
) r on r.sender_id = c.sender_id and r.payment_intent_id = c.payment_intent_id
