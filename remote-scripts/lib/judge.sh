# shellcheck shell=sh
# The judgement of a canary: what the new release answers, held against what the release before answers in the same time.
#
# Both questions (are too many answers errors, are too many slow) are one: of N answers X are bad, and at most a share Q may be. The
# evidence against that is the likelihood of X under larger shares, averaged over several, divided by its likelihood under Q. Such a
# ratio exceeds 1000 with a probability of at most 1/1000 where the share is Q, however often one looks: Ville's inequality, see
# Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021. So a canary may be
# judged every half second. Where Q is what the release before shows, it is the upper end of an interval at each look, which has a chance of
# its own to be too low: the bound of one in a thousand is that of a Q that is known.

# The functions of both programs below, in awk.
# shellcheck disable=SC2016 # a program
judge_program='
	# The logarithm of the evidence that more than the share q of n answers is bad, of which x are.
	function evidence(x, n, q,    at, rate, one, most, sum, logs) {
		if (n == 0 || q >= 0.9 || x <= n * q) return 0
		for (at = 1; at <= 7; at++) {
			rate = q * (at == 1 ? 1.5 : at == 2 ? 2 : at == 3 ? 3 : at == 4 ? 5 : at == 5 ? 10 : at == 6 ? 20 : 50)
			if (rate > 0.95) rate = 0.95
			one = x * log(rate / q) + (n - x) * log((1 - rate) / (1 - q))
			logs[at] = one
			if (at == 1 || one > most) most = one
		}
		for (at = 1; at <= 7; at++) sum += exp(logs[at] - most)
		return most + log(sum / 7)
	}
	# The largest share that x of n is likely to come from: upper end of the Wilson interval, one in 2000 above.
	function upper(x, n,    p, z) {
		if (n == 0) return 1
		p = x / n
		z = 3.29
		return (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
	}
'

# judge_errors NEW ERRORS OLD ERRORS [past]: prints `bad` where the new release answers more of its requests with an error than MAX_ERROR_RATE
# and than the release before; `doubtful` where it may well do so, and more requests will tell. With `past`, the old ones
# do not grow beside the new ones: an interval would stay as wide as it is, so their share counts as it stands, where they are 200 at least.
judge_errors() {
	awk -v n="$1" -v x="$2" -v before="$3" -v bad_before="$4" -v most="$MAX_ERROR_RATE" -v past="${5:-}" "$judge_program"'
		BEGIN {
			q = most + 0
			# Of an error rate of nothing there is no evidence: one in a thousand is as good.
			if (q < 0.001) q = 0.001
			if (past != "") known = before >= 200 ? bad_before / before : q
			# One that shows no more than is allowed has no say: how few of its answers there are would widen what is allowed.
			else known = bad_before > before * q ? upper(bad_before, before) : q
			if (known > q) q = known
			found = evidence(x, n, q)
			if (found >= log(1000)) print "bad"; else if (found >= log(10)) print "doubtful"
		}'
}

# judge_times: of what edge_times prints, on standard input: the new release'\''s p95 and the old one'\''s, then the p50 of both, in
# milliseconds, `-` where there is none; and `bad` where more than 5 % of the new release'\''s answers took longer than MAX_P95_RATIO times the p95 before.
judge_times() {
	sort -k 1,1 -k 2,2n | awk -v ratio="$MAX_P95_RATIO" -v least="$MIN_REQUESTS" "$judge_program"'
		{ side[++rows] = $1; took[rows] = $2; count[rows] = $3; all[$1] += $3 }
		# The answer of that rank among one release'\''s.
		function ranked(which, rank,    at, seen) {
			for (at = 1; at <= rows; at++) if (side[at] == which) {
				seen += count[at]
				if (seen >= rank) return took[at]
			}
			return took[rows]
		}
		function tell(which, share) {
			return all[which] ? sprintf("%.1f", ranked(which, all[which] * share) / 10) : "-"
		}
		END {
			new = all["new"] + 0
			old = all["old"] + 0
			if (new >= least && new >= 20 && old >= 50) {
				# The p95 before, as large as its own chance may have left it; and no less than 2 ms above it.
				rank = old * 0.95 + 2 * sqrt(old * 0.95 * 0.05)
				limit = ranked("old", rank < old ? rank : old) * ratio
				if (limit < ranked("old", old * 0.95) + 20) limit = ranked("old", old * 0.95) + 20
				for (at = 1; at <= rows; at++) if (side[at] == "new" && took[at] > limit) slow += count[at]
				if (evidence(slow + 0, new, 0.05) >= log(1000)) verdict = " bad"
			}
			print tell("new", 0.95) " " tell("old", 0.95) " " tell("new", 0.5) " " tell("old", 0.5) verdict
		}'
}
