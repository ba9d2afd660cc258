-- The first attempt of each payment that takes part in a comparison: eligible, treated or held out (arms 1
-- and 2; the global holdout is arm 4), whether or not anything was delivered. Shadow (3) compares nothing.
select
  program, issuer_id, experiment_id, ramp_ppm, holdout_ppm, arm, unit_key, sender_id, payment_intent_id
from (
  select
    d.program, d.issuer_id, d.experiment_id, d.ramp_ppm, d.holdout_ppm, d.arm, d.unit_key, d.sender_id,
    d.payment_intent_id,
    row_number() over (
      partition by d.sender_id, d.payment_intent_id, d.program
      order by d.decided_at_ms, d.position, d.evaluation_id
    ) as occurrence
  from decisions d
  cross join params p
  where d.origin = 'authorization'
    and d.program <> ''
    and d.attempt_no = 1
    and d.eligible
    and d.arm in (1, 2)
    and d.outcome <> 3
    and d.decided_at_ms <= p.as_of_ms
) first_attempts
where occurrence = 1
