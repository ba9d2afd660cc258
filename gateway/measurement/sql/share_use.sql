-- Shares released, and what recipients said of them. A share counts once, by the best that was said:
-- matched (match_result 1), used (use_kind 1), late (3) where it was never used or seen (2).
select
  s.program, s.issuer_id,
  cast(count(*) as bigint) as shares,
  cast(sum(coalesce(r.said, 0)) as bigint) as receipted,
  cast(sum(coalesce(r.matched, 0)) as bigint) as matched,
  cast(sum(coalesce(r.used, 0)) as bigint) as used,
  cast(sum(case when r.late = 1 and r.used = 0 and r.seen = 0 then 1 else 0 end) as bigint) as late
from (
  select distinct d.program, d.issuer_id, d.share_id
  from decisions d
  cross join params p
  where d.outcome = 1 and d.share_id <> '' and d.decided_at_ms <= p.as_of_ms
) s
left join (
  select
    c.share_id,
    1 as said,
    max(case when c.match_result = 1 then 1 else 0 end) as matched,
    max(case when c.use_kind = 1 then 1 else 0 end) as used,
    max(case when c.use_kind = 2 then 1 else 0 end) as seen,
    max(case when c.use_kind = 3 then 1 else 0 end) as late
  from receipts c
  cross join params p
  where c.recorded_at_ms <= p.as_of_ms
  group by c.share_id
) r on r.share_id = s.share_id
group by s.program, s.issuer_id
order by s.program, s.issuer_id
