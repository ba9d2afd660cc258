-- Decisions by what they came to. A decision is an evaluation and a program, however often it is recorded.
select
  d.program, d.issuer_id, d.outcome, d.withhold_reason,
  cast(count(distinct d.evaluation_id) as bigint) as decisions
from decisions d
cross join params p
where d.program <> '' and d.decided_at_ms <= p.as_of_ms
group by d.program, d.issuer_id, d.outcome, d.withhold_reason
order by d.program, d.issuer_id, d.outcome, d.withhold_reason
