#!/bin/sh
# Runs a real Apache Kafka on 127.0.0.1:19092 without a container: Java 17 and Maven are enough.
#
#   kafka.sh start       fetches Kafka on first use, starts it empty, returns when it answers
#   kafka.sh stop        ends it
#   kafka.sh consume N   prints the first N committed records of order-events with Kafka's own console
#                        consumer: an outside witness (TOPIC names another topic)
#
# Then: PLATFORMA_TEST_KAFKA=127.0.0.1:19092 go test ./internal/kafka/...
#
# PLATFORMA_KAFKA_DIR keeps the jars (about 120 MB), data and log; default ~/.cache/platforma-kafka.
# Where Maven cannot fetch it the run fails: it is then "not run", never "passed".
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=${PLATFORMA_KAFKA_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/platforma-kafka}
address=127.0.0.1:19092
pidfile=$dir/broker.pid

# kafka CLASS ARGS… runs one of Kafka's programs. The * stays quoted: Java expands it.
kafka() {
	java -XX:+UseSerialGC -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$dir/libs/*" "$@"
}

running() {
	[ -f "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null
}

fetch() {
	[ -f "$dir/libs/.complete" ] && cmp -s "$here/pom.xml" "$dir/libs/.complete" && return
	rm -rf "$dir/libs"
	mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir/libs"
	cp "$here/pom.xml" "$dir/libs/.complete"
}

# answers tells whether the broker serves requests; the port alone may be open earlier.
answers() {
	kafka org.apache.kafka.tools.TopicCommand --bootstrap-server "$address" --list >/dev/null 2>&1
}

start() {
	if running; then
		echo "Kafka is running already (pid $(cat "$pidfile"))"
		return
	fi
	mkdir -p "$dir"
	fetch
	rm -rf "$dir/data"
	sed "s|@DATA@|$dir/data|" "$here/server.properties" >"$dir/server.properties"
	kafka kafka.tools.StorageTool format --standalone -c "$dir/server.properties" \
		-t "$(kafka kafka.tools.StorageTool random-uuid)" >/dev/null
	# exec, so that the pid is the broker's own.
	(exec java -Xms512m -Xmx512m -XX:+UseSerialGC -Dlog4j2.configurationFile="$here/log4j2.properties" \
		-cp "$dir/libs/*" kafka.Kafka "$dir/server.properties" >"$dir/broker.log" 2>&1) &
	echo $! >"$pidfile"
	for _ in $(seq 60); do
		if ! running; then
			cat "$dir/broker.log" >&2
			echo "Kafka ended while starting" >&2
			exit 1
		fi
		if answers; then
			echo "Apache Kafka answers on $address (pid $(cat "$pidfile"))"
			return
		fi
		sleep 1
	done
	echo "Kafka does not answer after a minute, see $dir/broker.log" >&2
	exit 1
}

stop() {
	if ! running; then
		rm -f "$pidfile"
		return
	fi
	pid=$(cat "$pidfile")
	kill "$pid"
	for _ in $(seq 20); do
		if ! kill -0 "$pid" 2>/dev/null; then
			rm -f "$pidfile"
			return
		fi
		sleep 1
	done
	kill -KILL "$pid"
	rm -f "$pidfile"
}

consume() {
	kafka org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$address" \
		--topic "${TOPIC:-order-events}" --from-beginning --isolation-level read_committed \
		--property print.key=true --property print.headers=true --property print.partition=true \
		--timeout-ms "${PATIENCE_MS:-10000}" --max-messages "$1"
}

case ${1:-} in
start) start ;;
stop) stop ;;
consume) consume "${2:?how many records}" ;;
*)
	sed -n '2,14p' "$0" >&2
	exit 2
	;;
esac
