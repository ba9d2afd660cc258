-- Decisions by what they came to. A decision is an evaluation and a program, however often it is recorded;
-- where the issuer is unknown or takes part in nothing, the program is empty. Outcome 0: nothing was decided.
select
  d.program, d.issuer_id, d.outcome, d.withhold_reason,
  cast(count(distinct d.evaluation_id) as bigint) as decisions
from decisions d
cross join params p
where d.outcome <> 0 and d.decided_at_ms <= p.as_of_ms
group by d.program, d.issuer_id, d.outcome, d.withhold_reason
order by d.program, d.issuer_id, d.outcome, d.withhold_reason
