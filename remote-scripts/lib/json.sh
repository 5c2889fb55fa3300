# shellcheck shell=sh
# What stands at a place of a JSON document. Servers have no program for it, so the document (RFC 8259) is walked in awk; a place is a
# JSON pointer (RFC 6901).

# Both programs below read a document into `text`, and look for `wanted`.
# shellcheck disable=SC2016 # a program
json_program='
	BEGIN {
		for (at = 1; at < 256; at++) code_of[sprintf("%c", at)] = at
		# All of it at once: no JSON has that character.
		RS = "\001"
	}
	NR == 1 { text = $0 }
	NR > 1 { text = "" }
	# Reads a whole document; sets found (the type of what stands at the pointer, empty for nothing), decoded, written and wrong.
	function read_document(of, pointer) {
		begin(of)
		wanted = pointer
		value("")
		space()
		if (at <= length(text)) wrong = 1
	}
	function begin(of) {
		text = of
		at = 1
		wrong = 0
		found = ""
	}
	function space() {
		while (at <= length(text) && index(" \t\r\n", substr(text, at, 1))) at++
	}
	function utf8(code) {
		if (code == 0) return ""
		if (code < 128) return sprintf("%c", code)
		if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
		if (code < 65536) return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
		return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, 128 + int(code / 64) % 64, 128 + code % 64)
	}
	function hex(    digits, one, sum) {
		for (digits = 0; digits < 4; digits++) {
			one = index("0123456789abcdef", tolower(substr(text, at++, 1))) - 1
			if (one < 0) wrong = 1
			sum = sum * 16 + one
		}
		return sum
	}
	# A string, the quote before which at stands.
	function string(    one, out, code, low) {
		at++
		while (at <= length(text)) {
			one = substr(text, at++, 1)
			if (one == "\"") return out
			if (code_of[one] < 32) break
			if (one != "\\") { out = out one; continue }
			one = substr(text, at++, 1)
			if (one == "u") {
				code = hex()
				if (code >= 55296 && code < 56320 && substr(text, at, 2) == "\\u") {
					at += 2
					low = hex()
					code = 65536 + (code - 55296) * 1024 + low - 56320
				}
				out = out utf8(code)
			} else if (index("\"\\/bfnrt", one) && one != "") {
				out = out substr("\"\\/\b\f\n\r\t", index("\"\\/bfnrt", one), 1)
			} else break
		}
		wrong = 1
		return out
	}
	function tell(pointer, type, of, from) {
		if (pointer != wanted) return
		found = type
		decoded = of
		written = substr(text, from, at - from)
	}
	function value(pointer,    one, from, name, count, of) {
		if (wrong || depth > 200) { wrong = 1; return }
		depth++
		space()
		from = at
		one = substr(text, at, 1)
		if (one == "{" || one == "[") {
			at++
			space()
			if (substr(text, at, 1) == (one == "{" ? "}" : "]")) at++
			else while (!wrong) {
				space()
				name = count++
				if (one == "{") {
					if (substr(text, at, 1) != "\"") { wrong = 1; break }
					name = string()
					gsub(/~/, "~0", name)
					gsub(/\//, "~1", name)
					space()
					if (substr(text, at++, 1) != ":") wrong = 1
				}
				value(pointer "/" name)
				space()
				of = substr(text, at++, 1)
				if (of == ",") continue
				if (of != (one == "{" ? "}" : "]")) wrong = 1
				break
			}
			tell(pointer, one == "{" ? "object" : "array", "", from)
		} else if (one == "\"") {
			of = string()
			tell(pointer, "string", of, from)
		} else {
			while (at <= length(text) && !index(" \t\r\n,]}:", substr(text, at, 1))) at++
			of = substr(text, from, at - from)
			if (of == "true" || of == "false" || of == "null") tell(pointer, of, "", from)
			else if (of ~ /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/) tell(pointer, "number", of, from)
			else wrong = 1
		}
		depth--
	}
'

# json_holds FILE POINTER VALUE: is that the value at that place? VALUE is a string, a number, true, false or null, as JSON. Prints what
# stands there otherwise: a value as JSON, `nothing`, or `no JSON`.
json_holds() {
	[ -e "$1" ] || { echo 'no JSON' && return 1; } || return 1
	JSON_POINTER=$2 JSON_VALUE=$3 LC_ALL=C awk "$json_program"'
		END {
			read_document(text, ENVIRON["JSON_POINTER"])
			if (wrong) { print "no JSON"; exit 1 }
			if (found == "") { print "nothing"; exit 1 }
			type = found
			here = decoded
			as_written = written
			read_document(ENVIRON["JSON_VALUE"], "")
			if (type == found && (type == "number" ? here + 0 == decoded + 0 : here == decoded)) exit 0
			print substr(as_written, 1, 200)
			exit 1
		}' "$1"
}

# json_at FILE POINTER: prints the string or number at that place.
json_at() {
	[ -e "$1" ] || return 1
	JSON_POINTER=$2 LC_ALL=C awk "$json_program"'
		END {
			read_document(text, ENVIRON["JSON_POINTER"])
			if (wrong || (found != "string" && found != "number")) exit 1
			print decoded
		}' "$1"
}
