#!/bin/sh
# Runs a real Apache Kafka on 127.0.0.1:19092 without a container: Java 17 and Maven are enough.
#
#   kafka.sh start       fetches Kafka on first use, starts it empty, returns when it answers
#   kafka.sh stop        ends it
#   kafka.sh run         runs a broker in the foreground on existing data, for a test that kills it
#   kafka.sh consume N   prints the first N committed records of order-events with Kafka's own console
#                        consumer, as an independent client (TOPIC names another topic)
#
# Then: PLATFORMA_TEST_KAFKA=127.0.0.1:19092 go test ./internal/kafka/...
#
# PLATFORMA_KAFKA_DIR keeps the jars (about 120 MB); default ~/.cache/platforma-kafka.
# PLATFORMA_KAFKA_RUN keeps data and log of one broker; default the same.
# PLATFORMA_KAFKA_PORT is the broker's port, and the next one the controller's; default 19092.
# If Maven cannot fetch Kafka, the run fails: the tests then count as not run, never as passed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=${PLATFORMA_KAFKA_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/platforma-kafka}
run=${PLATFORMA_KAFKA_RUN:-$dir}
port=${PLATFORMA_KAFKA_PORT:-19092}
address=127.0.0.1:$port
pidfile=$run/broker.pid

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

# answers succeeds if the broker serves requests; its port may be open earlier.
answers() {
	kafka org.apache.kafka.tools.TopicCommand --bootstrap-server "$address" --list >/dev/null 2>&1
}

# broker replaces the shell by the broker, so that the pid is the broker's. It formats the data folder if
# there is none.
broker() {
	mkdir -p "$dir" "$run"
	fetch
	sed -e "s|@DATA@|$run/data|" -e "s|@PORT@|$port|" -e "s|@CONTROLLER@|$((port + 1))|" "$here/server.properties" >"$run/server.properties"
	[ -f "$run/data/meta.properties" ] ||
		kafka kafka.tools.StorageTool format --standalone -c "$run/server.properties" \
			-t "$(kafka kafka.tools.StorageTool random-uuid)" >/dev/null
	exec java -Xms512m -Xmx512m -XX:+UseSerialGC -Dlog4j2.configurationFile="$here/log4j2.properties" \
		-cp "$dir/libs/*" kafka.Kafka "$run/server.properties"
}

start() {
	if running; then
		echo "Kafka is running already (pid $(cat "$pidfile"))"
		return
	fi
	mkdir -p "$run"
	fetch # not in the background: the time of the download does not count as starting
	rm -rf "$run/data"
	broker >"$run/broker.log" 2>&1 &
	echo $! >"$pidfile"
	for _ in $(seq 60); do
		if ! running; then
			cat "$run/broker.log" >&2
			echo "Kafka ended while starting" >&2
			exit 1
		fi
		if answers; then
			echo "Apache Kafka answers on $address (pid $(cat "$pidfile"))"
			return
		fi
		sleep 1
	done
	echo "Kafka does not answer after a minute, see $run/broker.log" >&2
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
run) broker ;;
consume) consume "${2:?how many records}" ;;
*)
	sed -n '2,17p' "$0" >&2
	exit 2
	;;
esac
