-- Sufficient statistics of each arm with cards as clusters, for first attempts and for final states. A card
-- has n payments heard of, y of them approved. Payments not heard of are counted apart.
select
  program, issuer_id, experiment_id, ramp_ppm, holdout_ppm, arm,
  cast(count(*) as bigint) as cards_assigned,
  cast(sum(payments) as bigint) as payments,
  cast(sum(payments - first_n) as bigint) as first_unheard,
  cast(sum(payments - final_n) as bigint) as final_unheard,
  cast(sum(fraud) as bigint) as fraud,
  cast(sum(case when first_n > 0 then 1 else 0 end) as bigint) as first_cards,
  cast(sum(first_n) as bigint) as first_n,
  cast(sum(first_y) as bigint) as first_y,
  cast(sum(first_n * first_n) as bigint) as first_nn,
  cast(sum(first_y * first_y) as bigint) as first_yy,
  cast(sum(first_n * first_y) as bigint) as first_ny,
  cast(sum(case when final_n > 0 then 1 else 0 end) as bigint) as final_cards,
  cast(sum(final_n) as bigint) as final_n,
  cast(sum(final_y) as bigint) as final_y,
  cast(sum(final_n * final_n) as bigint) as final_nn,
  cast(sum(final_y * final_y) as bigint) as final_yy,
  cast(sum(final_n * final_y) as bigint) as final_ny
from (
  select
    r.program, r.issuer_id, r.experiment_id, r.ramp_ppm, r.holdout_ppm, r.arm, r.unit_key,
    cast(count(*) as bigint) as payments,
    cast(sum(r.first_known) as bigint) as first_n,
    cast(sum(r.first_approved) as bigint) as first_y,
    cast(sum(r.final_known) as bigint) as final_n,
    cast(sum(r.final_approved) as bigint) as final_y,
    cast(sum(case when f.sender_id is null then 0 else 1 end) as bigint) as fraud
  from payment_results r
  left join live_labels f on f.sender_id = r.sender_id and f.payment_intent_id = r.payment_intent_id
  group by r.program, r.issuer_id, r.experiment_id, r.ramp_ppm, r.holdout_ppm, r.arm, r.unit_key
) cards
group by program, issuer_id, experiment_id, ramp_ppm, holdout_ppm, arm
order by program, issuer_id, experiment_id, ramp_ppm, holdout_ppm, arm
