#!/usr/bin/env bats
# The judgement of a canary, with requests drawn by chance from a seed.

load helper

# draws RATE_NEW RATE_OLD SHARE PER_SECOND SECONDS RUNS: judges that many canaries each half second; how many were bad, and the most
# requests that a bad one took.
draws='draws() {
	awk -v new="$1" -v old="$2" -v share="$3" -v rate="$4" -v seconds="$5" -v runs="$6" -v most="$MAX_ERROR_RATE" "$judge_program"'"'"'
		BEGIN {
			srand(7)
			for (run = 1; run <= runs; run++) {
				n = x = before = bad_before = verdict = 0
				for (half = 1; half <= seconds * 2 && !verdict; half++) {
					for (one = 1; one <= rate / 2; one++) {
						if (rand() < share) { n++; x += rand() < new } else { before++; bad_before += rand() < old }
					}
					q = most
					known = bad_before > 0 || before >= 100 ? upper(bad_before, before) : q
					if (known > q) q = known
					verdict = evidence(x, n, q) >= log(1000)
				}
				if (verdict) { found++; if (n > longest) longest = n }
			}
			print found + 0, longest + 0
		}'"'"'
}'

@test "a release that fails a fifth of its requests is found within a minute at 2.5 requests a second" {
	script 'common judge' "MAX_ERROR_RATE=0.01
		$draws
		draws 0.2 0 0.05 50 60 40"
	[ "${output% *}" = 40 ]
}

@test "a release that is no worse than the one before is not found bad, however often one looks" {
	script 'common judge' "MAX_ERROR_RATE=0.01
		$draws
		draws 0.01 0.01 0.25 50 60 40; draws 0.05 0.05 0.25 50 60 40; draws 0 0 0.05 50 30 40"
	[ "$output" = '0 0
0 0
0 0' ]
}

@test "errors are judged by what the release before does, doubt is told as doubt" {
	script 'common judge' 'MAX_ERROR_RATE=0.01
		judge_errors 40 10 1000 0; judge_errors 40 10 1000 250; judge_errors 40 4 1000 0; judge_errors 400 1 1000 0; judge_errors 0 0 0 0'
	[ "$output" = 'bad
doubtful' ]
}

@test "a release is held against what the one before did by its share, where that tells" {
	script 'common judge' 'MAX_ERROR_RATE=0.01
		judge_errors 500 40 100 0 past; judge_errors 200 60 20 1 past; judge_errors 3 3 0 0 past
		judge_errors 200 20 1000 100 past; judge_errors 200 90 1000 100 past'
	[ "$output" = 'bad
bad
bad
bad' ]
}

@test "a p95 of three times the old one is bad, one that sways by a fifth is not" {
	script 'common judge' 'MAX_P95_RATIO=1.5 MIN_REQUESTS=50
		took() { awk -v new="$1" "BEGIN { srand(3); for (i = 0; i < 2000; i++) print \"old\", int(200 + 40 * rand()), 1; for (i = 0; i < 200; i++) print \"new\", int((200 + 40 * rand()) * new * (0.8 + 0.4 * rand())), 1 }"; }
		took 3 | judge_times; took 1 | judge_times; took 1.2 | judge_times; printf "" | judge_times'
	[[ ${lines[0]} == *" bad" ]]
	[[ ${lines[1]} != *bad* && ${lines[2]} != *bad* ]]
	[ "${lines[3]}" = '- - - -' ]
}

@test "a release before that shows no more errors than are allowed does not widen what is allowed" {
	script 'common judge' 'MAX_ERROR_RATE=0.01
		judge_errors 200 14 320 0; judge_errors 200 14 320 2; judge_errors 200 14 320 12; echo end'
	[ "$output" = 'bad
bad
end' ]
}
