# shellcheck shell=sh
# tests.sh PROJECT FILE FOLDER RESULTS REPORT SERVICE [WORD…]: the team's tests, in a Compose project of their own. Where RESULTS names a
# file of the container, that is brought into REPORT, 16 MiB at most. Its standard input is held open by
# the client: when that ends, because the tests take too long or the client is gone, they are stopped. Whatever happens, nothing is left.
trap '' HUP INT TERM PIPE
exec 3<&0
project=$1 file=$2 folder=$3 results=$4 report=$5
shift 5

docker compose --ansi never -p "$project" --project-directory "$folder" -f "$file" run --name "$project-tests" -T "$@" </dev/null 3<&- &
tests=$!
{
	cat >/dev/null
	kill -TERM "$tests"
	sleep 10
	kill -KILL "$tests"
} <&3 >/dev/null 2>&1 3<&- &
watch=$!
wait "$tests"
status=$?
kill -KILL "$watch" 2>/dev/null

if [ -n "$results" ]; then
	case $results in
	/*) ;;
	*) results=$(docker inspect -f '{{.Config.WorkingDir}}' "$project-tests")/$results ;;
	esac
	docker cp -L "$project-tests:$results" - 2>/dev/null | head -c 16777216 | tar -xO >"$report" 2>/dev/null
fi

{
	label=label=com.docker.compose.project=$project
	docker ps -aq --no-trunc --filter "$label" | xargs -r docker rm -f -v
	docker network ls -q --filter "$label" | xargs -r docker network rm
	docker volume ls -q --filter "$label" | xargs -r docker volume rm
	docker image ls -q --filter "$label" | sort -u | xargs -r docker image rm -f
} >/dev/null 2>&1
exit "$status"
